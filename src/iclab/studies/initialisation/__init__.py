"""Where gradient flow ends from other starts than Assumption 3, and what finite steps and samples change."""
