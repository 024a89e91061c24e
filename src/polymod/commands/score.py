"""``polymod score``: masked-LM loss and perplexity per language on the valid split, with fixed masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from polymod.config import CommandConfig, Names
from polymod.errors import UserError


class Config(CommandConfig):
    """The unigram entropy stands beside each loss: a model that knows only how frequent tokens are scores
    that.
    """

    arguments = ("run",)
    run: Path = Field(description="folder that pretrain or import wrote")
    data: Path = Field(description="folder that prepare wrote, with the run's tokenizer")
    languages: Names = Field((), description="languages to score; all of the run if left out")
    block_tokens: int = Field(0, ge=0, description="length of the sequences; 0: as the run was trained")
    max_tokens: int = Field(2**17, gt=0, description="tokens of each language at most")


def main(config: Config) -> dict[str, Any]:
    """Score the newest checkpoint."""
    from polymod.data.loader import BatchPlan
    from polymod.data.masking import Masking
    from polymod.files import sha256
    from polymod.languages import canonical_all, resolve
    from polymod.text.shards import Shards
    from polymod.train.checkpoint import load_model
    from polymod.train.run import found
    from polymod.train.score import score_valid, table

    saved, record = found(config.run)
    installed = saved.config.languages
    tags = tuple(resolve(tag, installed) for tag in canonical_all(config.languages)) or installed
    shards = Shards.open(config.data, languages=tags)
    if sha256(shards.tokenizer_path) != record["identity"].get("tokenizer"):
        fix = "give the data that the run was trained on, or prepare with --tokenizer RUN"
        raise UserError("the data has another tokenizer than the run", where=str(config.data), fix=fix)
    trained = record["config"].get("train", {})
    longest = saved.config.architecture.max_length
    block = config.block_tokens or trained.get("block_tokens", min(512, longest))
    v = shards.vocabulary
    masking = Masking(v.mask_id, v.special, v.size, trained.get("mask_probability", 0.15))
    plan = BatchPlan(block, 2**13, 2**13, 1.0, 0)
    losses = score_valid(load_model(saved), shards, tags, masking, plan, limit=config.max_tokens)
    scores = table(losses, {tag: shards.info(tag)["unigram_entropy"] for tag in tags})
    return {"run": str(config.run), "step": saved.step, **scores}


def show(document: dict[str, Any]) -> None:
    """One line per language, the mean last."""
    from polymod.languages import name

    languages = document["languages"]
    print(f"{'language':<28} {'loss':>7} {'perplexity':>11} {'unigram':>8} {'below':>7} {'predicted':>10}")
    for tag, entry in languages.items():
        label = f"{tag} {name(tag) or ''}"[:28]
        below = entry["unigram_entropy"] - entry["loss"]
        numbers = (
            f"{entry['loss']:7.3f} {entry['perplexity']:11.1f} {entry['unigram_entropy']:8.3f} {below:7.3f}"
        )
        print(f"{label:<28} {numbers} {entry['tokens']:>10,}")
    mean, entropy = document["mean_loss"], document["mean_unigram_entropy"]
    print(f"{'mean':<28} {mean:7.3f} {'':>11} {entropy:8.3f} {entropy - mean:7.3f}")
    print("nats per predicted token; unigram: entropy of the token frequencies; below: the distance")
