"""``polymod import``: a run from a ``transformers`` X-MOD directory or Hub repository, compared before it is
done.
"""

from __future__ import annotations

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
    from polymod.train import foreign
    from polymod.train.checkpoint import save, size_of
    from polymod.train.config import TrainOptions
    from polymod.train.loop import TrainState
    from polymod.train.optim import build_optimizer
    from polymod.train.run import RECORD, TOKENIZER, versions

    folder, revision = foreign.directory(config.source, config.revision)
    identity = {"source": config.source, "revision": revision, "files": foreign.fingerprint(folder)}
    if config.out.exists():
        return _finished(config.out, identity)
    tokenizer = folder / TOKENIZER
    model, has_head = hf.read_model(folder, mask_id=foreign.mask_id(folder))
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


def _finished(out: Path, identity: dict[str, str]) -> dict[str, Any]:
    """What an earlier import of the same files found, if the folder is one."""
    from polymod.train.run import found

    record = found(out)[1]
    before = {key: value for key, value in record["identity"].items() if key != "tokenizer"}
    if before != identity:
        what = "the folder exists, and is no import of this"
        raise UserError(what, where=str(out), fix="give another --out or remove it")
    return {"run": str(out), "finished_before": True, **record["imported"]}


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
