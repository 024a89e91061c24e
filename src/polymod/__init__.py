"""Train modular multilingual encoders. See README.md."""

from polymod.registration import register

register()
