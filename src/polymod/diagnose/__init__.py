"""Seeing negative interference: gradients that disagree, parameters of one language, what a module does."""
