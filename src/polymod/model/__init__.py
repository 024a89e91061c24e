"""The encoder: attention, packs, layers, heads, loss, ownership, and its twin in ``transformers``."""
