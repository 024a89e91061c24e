"""``polymod import``: a run from a ``transformers`` X-MOD directory or Hub repository, compared before it is
done.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from pydantic import Field

from polymod.config import CommandConfig
from polymod.errors import UserError


class Config(CommandConfig):
    """Reads safetensors only and runs no code of the directory. The run can be scored and exported."""

    arguments = ("source",)
    source: str = Field(description="directory, or a Hub id such as facebook/xmod-base")
    out: Path = Field(description="run folder to write")
    revision: str = Field("", description="commit of the Hub repository; recorded in any case")


def main(config: Config) -> dict[str, Any]:
    """Read, compare with transformers, save as the checkpoint of step 0."""
    from polymod.files import atomic_folder, require_space, sha256, write_json
    from polymod.model import hf
    from polymod.train.checkpoint import save, size_of
    from polymod.train.config import TrainOptions
    from polymod.train.loop import TrainState
    from polymod.train.optim import build_optimizer
    from polymod.train.run import RECORD, TOKENIZER, versions

    folder, revision = _directory(config.source, config.revision)
    identity = {"source": config.source, "revision": revision, "files": _fingerprint(folder)}
    if config.out.exists():
        return _finished(config.out, identity)
    tokenizer = folder / TOKENIZER
    mask_id = _mask_id(tokenizer, folder) if tokenizer.exists() else None
    model, has_head = hf.read_model(folder, mask_id=mask_id)
    difference = hf.compare(model, folder, has_head=has_head)
    require_space(config.out, int(1.1 * size_of(model)))
    document = {
        "languages": list(model.config.languages),
        "parameters": sum(p.numel() for p in model.parameters()),
        "head": "imported" if has_head else "new",
        "tokenizer": tokenizer.exists(),
        "hidden_difference": difference.hidden,
        "logits_difference": difference.logits,
    }
    with atomic_folder(config.out) as run:
        if tokenizer.exists():
            (run / TOKENIZER).write_bytes(tokenizer.read_bytes())
            identity["tokenizer"] = sha256(tokenizer)
        state = TrainState(model, build_optimizer(model, TrainOptions()))
        save(state, run, facts={"identity": identity, "versions": versions()}, keep=1)
        record = {"config": config.model_dump(mode="json"), "identity": identity, "versions": versions()}
        write_json(run / RECORD, {"schema": 1, **record, "imported": document})
    return {"run": str(config.out), "finished_before": False, **document}


def _fingerprint(folder: Path) -> str:
    """A hash over the files that are read."""
    from polymod.files import sha256

    paths = (*folder.glob("*.safetensors"), folder / "config.json", folder / "tokenizer.json")
    hashes = "".join(sha256(path) for path in sorted(paths) if path.is_file())
    return hashlib.sha256(hashes.encode()).hexdigest()


def _finished(out: Path, identity: dict[str, str]) -> dict[str, Any]:
    """What an earlier import of the same files found, if the folder is one."""
    from polymod.train.run import found

    record = found(out)[1]
    before = {key: value for key, value in record["identity"].items() if key != "tokenizer"}
    if before != identity:
        what = "the folder exists, and is no import of this"
        raise UserError(what, where=str(out), fix="give another --out or remove it")
    return {"run": str(out), "finished_before": True, **record["imported"]}


def _directory(source: str, revision: str) -> tuple[Path, str]:
    """The local directory of a source, and the commit it was fetched at."""
    if Path(source).is_dir():
        return Path(source), ""
    if source.startswith((".", "/")) or source.count("/") != 1:
        raise UserError(
            "no such directory", where=source, fix="give a directory or a Hub id such as facebook/xmod-base"
        )
    from huggingface_hub import HfApi, snapshot_download

    try:
        commit = HfApi().model_info(source, revision=revision or None).sha or ""
        wanted = ["*.safetensors", "*.safetensors.index.json", "config.json", "tokenizer.json"]
        return Path(snapshot_download(source, revision=commit, allow_patterns=wanted)), commit
    except Exception as error:  # the hub client has no common base class for its errors
        reason = str(error).splitlines()[0]
        fix = "check the name and the network, or download the directory and give its path"
        raise UserError(f"cannot fetch it from the Hub: {reason}", where=source, fix=fix) from error


def _mask_id(tokenizer: Path, folder: Path) -> int:
    """Id of ``<mask>``; refuses a tokenizer with more entries than the embedding has rows."""
    from polymod.files import read_json
    from polymod.text.examine import check_tokenizer

    rows = read_json(folder / "config.json").get("vocab_size", 30522)
    _, vocabulary = check_tokenizer(tokenizer, rows)
    return vocabulary.mask_id


def show(document: dict[str, Any]) -> None:
    """What was read and how far the two sides are apart."""
    before = "imported before; " if document["finished_before"] else ""
    counts = f"{document['parameters']:,} parameters, {len(document['languages'])} languages"
    print(f"{document['run']}: {before}{counts}")
    if document["head"] == "new":
        print("the directory has no masked-LM head: a new one was initialised and must be trained")
    if not document["tokenizer"]:
        print("the directory has no tokenizer.json: the run takes token ids only")
    hidden, logits = document["hidden_difference"], document["logits_difference"]
    print(f"compared with transformers: hidden states differ by {hidden:.1e}, logits by {logits:.1e}")
