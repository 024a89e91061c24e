"""Training data as a pure function of ``(seed, step)``: mixture, masking, loader."""
