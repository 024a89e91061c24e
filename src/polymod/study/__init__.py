"""Plans of many runs: arms x language sets x seeds, each an ordinary pre-training, resumable."""
