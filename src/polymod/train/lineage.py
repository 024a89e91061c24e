"""Where the languages of a run come from: ``languages.json``, which runs made from other runs carry on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from polymod.files import read_json, write_json

LANGUAGES = "languages.json"


def origins(run: Path) -> dict[str, dict[str, Any]]:
    """What is known of each language that did not come with the run's pre-training."""
    path = run / LANGUAGES
    found: dict[str, dict[str, Any]] = read_json(path)["languages"] if path.is_file() else {}
    return found


def write_origins(run: Path, languages: Mapping[str, Mapping[str, Any]]) -> None:
    """Write them down."""
    write_json(run / LANGUAGES, {"schema": 1, "languages": dict(languages)})
