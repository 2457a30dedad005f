"""Linear attention from finitely many prompts and tasks, and depth: limits of large dimension beside simulations."""
