"""Sample complexity: training prompts, training tasks, and the lengths N and M, each against the error."""
