"""``python -m polymod`` is the command line."""

from polymod.cli import main

main()
