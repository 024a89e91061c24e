"""The loop and its updates, the optimiser, checkpoints, the run folder."""
