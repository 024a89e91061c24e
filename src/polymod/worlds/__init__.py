"""Controlled languages: families of related languages with text and gold task data, all by seed. No torch."""

from polymod.worlds.world import SPLITS, TASKS, Shares, World

__all__ = ["SPLITS", "TASKS", "Shares", "World"]
