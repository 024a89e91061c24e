"""The Python face: ``polymod.load`` and what it returns."""
