"""``polymod score``: masked-LM loss and perplexity per language on the valid split, with fixed masks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from polymod.config import CommandConfig, Names
from polymod.errors import UserError
from polymod.progress import stderr

if TYPE_CHECKING:
    from polymod.model.config import ModelConfig


class Config(CommandConfig):
    """The unigram entropy stands beside each loss: a model that knows only how frequent tokens are scores
    that.
    """

    arguments = ("run",)
    run: Path = Field(description="folder that pretrain or import wrote")
    data: Path = Field(description="folder that prepare wrote, with the run's tokenizer")
    languages: Names = Field((), description="languages to score; those of the run that are in the data")
    module: str = Field(
        "target", description="control: target (each language's own), none, or one language's for all"
    )
    block_tokens: int = Field(0, ge=0, description="length of the sequences; 0: as the run was trained")
    max_tokens: int = Field(2**17, gt=0, description="tokens of each language at most")


def main(config: Config) -> dict[str, Any]:
    """Score the newest checkpoint."""
    from polymod.data.loader import BatchPlan
    from polymod.data.masking import Masking
    from polymod.text.shards import Shards
    from polymod.train.checkpoint import load_model
    from polymod.train.run import found
    from polymod.train.score import score_valid, table

    saved, record = found(config.run)
    tags = _tags(config, saved.config, record["identity"].get("tokenizer", ""))
    via = _via(config.module, saved.config, tags)
    shards = Shards.open(config.data, languages=tags)
    trained = record["config"].get("train", {})
    longest = saved.config.architecture.max_length
    block = config.block_tokens or trained.get("block_tokens", min(512, longest))
    v = shards.vocabulary
    masking = Masking(v.mask_id, v.special, v.size, trained.get("mask_probability", 0.15))
    plan = BatchPlan(block, 2**13, 2**13, 1.0, 0)
    model, limit = load_model(saved), config.max_tokens
    losses = score_valid(model, shards, tags, masking, plan, limit=limit, via=via)
    scores = table(losses, {tag: shards.info(tag)["unigram_entropy"] for tag in tags})
    return {"run": str(config.run), "step": saved.step, "module": config.module, **scores}


def _tags(config: Config, model: ModelConfig, common: str) -> tuple[str, ...]:
    """Languages to score: their tokenizer, the run's or one of their own, must be that of the data."""
    from polymod.files import language_name, sha256
    from polymod.languages import resolve_all
    from polymod.text.shards import read_data
    from polymod.text.tokenizer import TOKENIZER
    from polymod.text.tokenizers import Tokenizers

    there, data, own = read_data(config.data)["languages"], config.data, Tokenizers(config.run)
    tokenizer = sha256(data / TOKENIZER)
    fit = {tag for tag in model.languages if tokenizer == (own.sha256(tag) if own.has_own(tag) else common)}
    asked = resolve_all(config.languages, model.languages, where="--languages")
    for tag in asked or ([] if fit else model.languages):
        if tag not in fit:
            lies = config.run / "data" / language_name(tag)
            fix = "give the data that the run was trained on, or prepare with --tokenizer RUN"
            if own.has_own(tag):
                fix = f"give data with the language's own tokenizer: --data {lies} --languages {tag}"
            what = f"the data has another tokenizer than the run has for {tag!r}"
            raise UserError(what, where=str(data), fix=fix)
    tags = tuple(asked or (tag for tag in model.languages if tag in fit and tag in there))
    if not asked and (left := sorted({*model.languages} - {*tags})):
        said = f"not scored, as they are not in the data or have another tokenizer: {', '.join(left)}"
        stderr().print(said, markup=False)
    return tags or model.languages


def _via(module: str, model: ModelConfig, tags: tuple[str, ...]) -> dict[str, str | None]:
    """Which pack each language's text goes through instead of its own."""
    from polymod.languages import resolve

    if module == "target":
        return {}
    if module == "none":
        return dict.fromkeys(tags)
    tag = resolve(module, model.languages, where="--module", besides=("target", "none"))
    return dict.fromkeys(tags, tag)


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
