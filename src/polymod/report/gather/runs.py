"""A pre-training run as an arm of a results document: losses, curves, cost, options, its monitor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polymod.diagnose.monitor import read_gradients
from polymod.errors import UserError
from polymod.files import MANIFEST, sha256
from polymod.model.flops import flops_per_token, parameters
from polymod.report.curves import curves
from polymod.report.figures import mean
from polymod.report.gather.folders import document_of
from polymod.report.thinning import buckets
from polymod.text.shards import DATA
from polymod.train.checkpoint import checkpoint_folders, read
from polymod.train.log import METRICS, read_metrics, training_seconds
from polymod.train.run import RECORD

MOST_LINES = 100  # of a monitor; more are averaged
_DIGITS = 12  # of a fingerprint
_MEANS = ("mean_cosine", "mean_ceiling", "mean_corrected", "conflict_rate", "ceiling_conflict_rate")


def arm(run: Path) -> dict[str, Any]:
    """What a results document says of a run.

    Raises:
        UserError: it has no metrics, as an imported one, or was not trained for a step yet.
    """
    record, lines = document_of(run / RECORD), read_metrics(run)
    if not any(line["kind"] == "train" for line in lines):
        fix = "give a run that pretrain has trained; what import made has no curves"
        raise UserError("the run has no metrics", where=str(run / METRICS), fix=fix)
    valid = [line for line in lines if line["kind"] == "valid"]
    last = (
        {key: valid[-1][key] for key in ("languages", "mean_loss", "mean_unigram_entropy")} if valid else {}
    )
    steps = lines[-1]["step"]
    tokens = sum(line["tokens"] for line in lines if line["kind"] == "train")
    return {
        **_size(run, record["config"]),
        "tokens": tokens,
        "seconds": training_seconds(run),
        "steps": steps,
        "valid": last,
        **curves(run),
        "config": _options(record),
    }


def _size(run: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters and FLOPs of a token, if there is a checkpoint to tell them."""
    folders = checkpoint_folders(run)
    if not folders:
        return {}
    model, train = read(folders[-1]).config, config["train"]
    flops = flops_per_token(model, train["block_tokens"], train["mask_probability"])
    return {"parameters": parameters(model)["total"], "flops_per_token": flops["total"]}


def _options(record: Mapping[str, Any]) -> dict[str, Any]:
    """Options and whatever else may make one run differ from another; a folder's own name does not."""
    config = {key: value for key, value in record["config"].items() if key != "out"}
    identity = record.get("identity", {})
    prints = {
        f"{key} fingerprint": str(identity[key])[:_DIGITS] for key in ("data", "tokenizer") if key in identity
    }
    return {**config, **prints, "versions": record.get("versions", {})}


def data(run: Path) -> dict[str, Any] | None:
    """What is said of the data of a run, if its folder is still there and is the same."""
    record = document_of(run / RECORD)
    folder = Path(record["config"]["data"])
    manifest = folder / MANIFEST
    if not manifest.is_file() or sha256(manifest) != record["identity"]["data"]:
        return None
    return text(folder, record["identity"]["languages"])


def text(folder: Path, tags: Sequence[str] = ()) -> dict[str, Any]:
    """What ``prepare`` says of languages; of all if none is named."""
    document = document_of(folder / DATA)
    languages = document["languages"]
    wanted = {tag: languages[tag] for tag in tags or languages if tag in languages}
    return {"vocabulary": document["vocabulary"]["size"], "languages": wanted}


def monitor(run: Path) -> list[dict[str, Any]]:
    """Lines of a run's monitor, at most 100: means over equal stretches, which stand at their ends."""
    return [_stretch(lines) for lines in buckets(read_gradients(run), MOST_LINES)]


def _stretch(lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    groups = dict.fromkeys(group for line in lines for group in line["groups"])
    return {
        "step": lines[-1]["step"],
        "trunk": _averaged([line["trunk"] for line in lines]),
        "groups": {
            group: _averaged([line["groups"][group] for line in lines if group in line["groups"]])
            for group in groups
        },
    }


def _averaged(parts: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    return {key: mean([part[key] for part in parts if part.get(key) is not None]) for key in _MEANS}
