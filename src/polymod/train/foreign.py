"""Model directories from elsewhere: found on disk or on the Hub, their tokenizer checked before its use."""

from __future__ import annotations

import hashlib
from pathlib import Path

from polymod.errors import UserError
from polymod.files import read_json, sha256
from polymod.text.examine import check_tokenizer
from polymod.text.tokenizer import TOKENIZER

SETTINGS = "tokenizer_config.json"
WANTED = ("*.safetensors", "*.safetensors.index.json", "config.json", TOKENIZER, SETTINGS)


def directory(source: str, revision: str = "") -> tuple[Path, str]:
    """The local directory of a path or Hub id, and the commit it was fetched at (none of a path).

    Raises:
        UserError: no such directory, or it cannot be fetched.
    """
    if Path(source).is_dir():
        return Path(source), ""
    if source.startswith((".", "/")) or source.count("/") != 1:
        raise UserError(
            "no such directory", where=source, fix="give a directory or a Hub id such as facebook/xmod-base"
        )
    from huggingface_hub import HfApi, snapshot_download

    try:
        commit = HfApi().model_info(source, revision=revision or None).sha or ""
        return Path(snapshot_download(source, revision=commit, allow_patterns=list(WANTED))), commit
    except Exception as error:  # the hub client has no common base class for its errors
        reason = str(error).splitlines()[0]
        fix = "check the name and the network, or download the directory and give its path"
        raise UserError(f"cannot fetch it from the Hub: {reason}", where=source, fix=fix) from error


def mask_id(folder: Path) -> int | None:
    """Id of ``<mask>``, or none without a tokenizer; refuses one with more entries than the embedding."""
    if not (folder / TOKENIZER).exists():
        return None
    rows = read_json(folder / "config.json").get("vocab_size", 30522)
    _, vocabulary = check_tokenizer(folder / TOKENIZER, rows)
    return vocabulary.mask_id


def longest(folder: Path, most: int) -> int:
    """Tokens of a sequence at most, as the tokenizer's settings say, but not more than ``most``."""
    settings = read_json(folder / SETTINGS) if (folder / SETTINGS).is_file() else {}
    said = settings.get("model_max_length") if isinstance(settings, dict) else None
    return int(min(said, most)) if isinstance(said, int | float) and said > 0 else most


def fingerprint(folder: Path) -> str:
    """A hash over the files that are read."""
    paths = (*folder.glob("*.safetensors"), folder / "config.json", folder / TOKENIZER)
    hashes = "".join(sha256(path) for path in sorted(paths) if path.is_file())
    return hashlib.sha256(hashes.encode()).hexdigest()
