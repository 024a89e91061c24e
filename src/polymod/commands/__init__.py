"""One file per command: a config class, ``main(config) -> document`` and ``show(document)``."""
