"""Training: losses, optimizers, schedules, constraints that are part of the step, and the loop that joins them."""
