"""A tokenizer file from elsewhere, checked in a child process before this one loads it.

Some files make the library panic, which no ``except Exception`` holds, or use up the memory; so they are
first loaded and tried in a process of their own, with limits of time and memory.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

from tokenizers import Tokenizer

from polymod.errors import UserError
from polymod.text.tokenizer import TOKENIZER, Vocabulary, load_tokenizer

LARGEST_FILE = 128 * 2**20
LARGEST_ID = 2**24
SECONDS = 120
MEMORY = 8 * 2**30
SAMPLES = (
    "",
    " ",
    "a",
    "The <mask> of <s> </s>.",
    "\u0e44\u0e17\u0e22 \u6f22\u5b57 \U0001f600\u0301",
    "x" * 2000,
)


def check_tokenizer(path: Path, size: int | None) -> tuple[Tokenizer, Vocabulary]:
    """Load a tokenizer file (or the folder that holds one) safely.

    Args:
        size: rows of the embedding; None for as many as the tokenizer has.

    Raises:
        UserError: absent, too large, malformed, harmful, without the special tokens of XLM-R, or with ids
            that have gaps or do not fit into ``size`` rows.
    """
    file = path / TOKENIZER if path.is_dir() else path
    _check_structure(file)
    command = [sys.executable, "-P", "-m", "polymod.text.examine", str(file.absolute())]
    try:
        child = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise UserError(f"loading the tokenizer takes more than {SECONDS} s", where=str(file)) from None
    if child.returncode != 0:
        said = child.stderr.decode(errors="replace").strip().split("\n")[-1]
        what = f"the tokenizer cannot be used: {said[:200] or f'exit code {child.returncode}'}"
        raise UserError(what, where=str(file), fix="use another tokenizer, or leave --tokenizer out")
    tokenizer = load_tokenizer(file)
    try:
        return tokenizer, Vocabulary.of(tokenizer, size)
    except UserError as error:
        raise UserError(error.what, where=str(file), fix=error.fix) from None


def _check_structure(file: Path) -> None:
    try:
        if file.stat().st_size > LARGEST_FILE:
            raise UserError(f"tokenizer file larger than {LARGEST_FILE:,} bytes", where=str(file))
        tree = json.loads(file.read_bytes().decode())
        ids = [token["id"] for token in tree["added_tokens"]]
        vocab = tree["model"]["vocab"]
        ids += list(vocab.values()) if isinstance(vocab, dict) else [len(vocab) - 1]
    except OSError as error:
        fix = "give a tokenizer.json or the folder that holds one"
        raise UserError(f"cannot be read: {error.strerror}", where=str(file), fix=fix) from None
    except UserError:
        raise
    except (ValueError, RecursionError, KeyError, TypeError):
        raise UserError("not a tokenizer.json", where=str(file)) from None
    if any(not isinstance(number, int) or not 0 <= number < LARGEST_ID for number in ids):
        raise UserError(f"the tokenizer has ids outside 0 to {LARGEST_ID:,}", where=str(file))


def main(file: Path) -> None:
    """In the child process: load the tokenizer and use it; whatever goes wrong ends the process."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    tokenizer = load_tokenizer(file)
    tokenizer.encode_special_tokens = True
    for text in SAMPLES:
        tokenizer.decode(tokenizer.encode(text).ids)
        tokenizer.encode_batch_fast([text], add_special_tokens=False)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except BaseException as error:  # the library's PanicException is no Exception
        print(f"{type(error).__name__}: {str(error).splitlines()[0]}", file=sys.stderr)
        sys.exit(1)
