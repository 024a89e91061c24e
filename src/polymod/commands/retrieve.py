"""``polymod retrieve``: sentence retrieval from mean-pooled layers, per language pair."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from polymod.config import CommandConfig, Names
from polymod.errors import UserError
from polymod.progress import bars, stderr

if TYPE_CHECKING:
    from polymod.tasks.embedding import Vectors
    from polymod.tasks.opened import Opened
    from polymod.tasks.parallel import Parallel, Text


class Config(CommandConfig):
    """Accuracy of the nearest sentence by cosine, in both directions. A text's vector is the mean of a layer
    over its tokens, without <s> and </s>. Equal sentences count as one.
    """

    arguments = ("run",)
    run: Path = Field(description="run, fine-tuned folder or exported directory")
    data: Path = Field(description="folder with pair files (xx-en.tsv) or aligned files (xx.txt)")
    languages: Names = Field((), description="languages to read; all that the model has if left out")
    layer: str = Field(
        "middle", description="number (0: embeddings, -1: last), middle: two thirds of the way up, or all"
    )
    pairs: Literal["pivot", "all"] = Field(
        "pivot", description="of aligned files: each with the pivot, or all"
    )
    pivot: str = Field("", description="language of that; English, or the first one, if left out")
    module: Literal["target", "source", "none"] = Field(
        "target", description="each language's own module, the pivot's for all, or no module at all"
    )
    margin: Literal["none", "ratio", "csls"] = Field(
        "none", description="cosine, or its margin over the mean cosine with the nearest sentences"
    )
    neighbours: int = Field(4, ge=1, description="nearest sentences of the margin")
    truncate: bool = Field(False, description="cut sentences that are too long instead of refusing them")
    max_sentences: int = Field(0, ge=0, description="of each pair; 0: all")
    resamples: int = Field(1000, ge=100, description="of the bootstrap")
    out: Path | None = Field(None, description="JSON file to write; none if left out")


def main(config: Config) -> dict[str, Any]:
    """Embed every text once, score every pair."""
    from polymod.files import write_json
    from polymod.tasks.opened import opened
    from polymod.tasks.parallel import read_parallel
    from polymod.tasks.retrieval import Memory, hits, pair_result

    model = opened(config.run)
    found = read_parallel(
        config.data,
        model.config.languages,
        languages=config.languages,
        pivot=config.pivot,
        every=config.pairs == "all",
        most=config.max_sentences,
    )
    layers = _layers(config.layer, model.config.architecture.num_layers)
    via = _via(config.module, found, model)
    with bars("sentences", stderr()) as group:

        def compute(key: str) -> Vectors:
            return _vectors(found.texts[key], model, layers, via, config.truncate, group)

        memory = Memory(found.pairs, compute)
        by_layer: dict[int, dict[str, Any]] = {layer: {} for layer in layers}
        for one, other in found.pairs:
            a, b = found.texts[one], found.texts[other]
            a_KND, b_KND = memory.take(one), memory.take(other)
            for place, layer in enumerate(layers):
                sides = (a_KND[place], b_KND[place], a.sentences, b.sentences)
                right = hits(*sides, margin=config.margin, k=config.neighbours)
                by_layer[layer][f"{a.tag}-{b.tag}"] = pair_result(right, a, b, resamples=config.resamples)
    document = {"run": str(config.run), **_summary(by_layer), "left_out": found.left_out}
    document["signature"] = _signature(config, model, found, document["layer"])
    if config.out is not None:
        write_json(config.out, {"schema": 1, **document})
    return document


def _layers(layer: str, count: int) -> list[int]:
    """The layers that an option means, from 0 to ``count``."""
    from polymod.tasks.embedding import layer_index

    if layer == "all":
        return list(range(count + 1))
    if layer == "middle":
        return [-(-2 * count // 3)]
    try:
        number = int(layer)
    except ValueError:
        fix = "give a number, middle or all"
        raise UserError(f"{layer!r} is no layer", where="--layer", fix=fix) from None
    return [layer_index(number, count)]


def _via(module: str, found: Parallel, model: Opened) -> dict[str, str | None]:
    """What ``Batch.via`` takes for a control."""
    tags = dict.fromkeys(text.tag for text in found.texts.values())
    if module == "target":
        return {}
    if module == "none":
        return dict.fromkeys(tags)
    shared = set.intersection(*({found.texts[key].tag for key in pair} for pair in found.pairs))
    pivot = found.pivot or next((tag for tag in tags if tag in shared), "")
    if not pivot:
        fix = "choose pairs that have one with --languages, or leave --module out"
        raise UserError("the pairs have no language in common, whose module could be used", fix=fix)
    return {tag: pivot for tag in tags if tag != pivot}


def _vectors(
    text: Text, model: Opened, layers: list[int], via: dict[str, str | None], truncate: bool, group: Any
) -> Vectors:
    from polymod.tasks.embedding import embed, encode

    tags = [text.tag] * len(text.sentences)
    try:
        sequences = encode(text.sentences, tags, model.tokenizers, model.config, truncate=truncate)
    except UserError as error:
        fix = error.fix.replace("truncate=True", "--truncate true")
        raise UserError(error.what, where=error.where or f"language {text.tag}", fix=fix) from None
    group.add(text.tag, total=len(tags))
    try:
        return embed(
            model.encoder, sequences, tags, layers=layers, via=via, told=lambda done: group.at(text.tag, done)
        )
    finally:
        group.remove(text.tag)


def _summary(by_layer: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """The pairs at the best layer, and the mean of every layer where there are several."""
    means = {
        layer: sum(pair["score"] for pair in pairs.values()) / len(pairs) for layer, pairs in by_layer.items()
    }
    best = max(means, key=means.__getitem__)
    pairs = by_layer[best]
    document = {
        "layer": best,
        "pairs": pairs,
        "mean": means[best],
        "worst": min(pair["score"] for pair in pairs.values()),
        "chance": sum(pair["chance"] for pair in pairs.values()) / len(pairs),
    }
    if len(means) > 1:
        warning = "the layer was chosen on these sentences; report it on others, with --layer"
        document |= {"layers": {str(layer): mean for layer, mean in means.items()}, "warning": warning}
    return document


def _signature(config: Config, model: Opened, found: Parallel, layer: int) -> dict[str, Any]:
    """Whatever decides the scores."""
    from importlib.metadata import version

    from polymod.tasks.parallel import data_hash

    tags = sorted({text.tag for text in found.texts.values()})
    options = ("margin", "module", "truncate", "max_sentences", "resamples")
    return {
        "task": "retrieval",
        "metric": "accuracy@1",
        "metric_version": 1,
        "data": data_hash(found),
        "model": model.fingerprint,
        "tokenizers": {tag: model.tokenizers.sha256(tag) for tag in tags},
        "pooling": "mean without <s> and </s>",
        "layer": layer,
        "layer_chosen": "given" if config.layer != "all" else "best of all on this data",
        **{name: getattr(config, name) for name in options},
        **({"neighbours": config.neighbours} if config.margin != "none" else {}),
        "polymod": version("polymod"),
    }


def show(document: dict[str, Any]) -> None:
    """A line per pair, the mean last."""
    from polymod.tasks.find import left_out_lines

    print(f"accuracy of the nearest sentence, layer {document['layer']}")
    print(f"{'pair':<20} {'there':>7} {'back':>7} {'mean':>7} {'95 %':>15} {'sentences':>10} {'chance':>7}")
    for name, pair in document["pairs"].items():
        there, back = (entry["score"] for key, entry in pair.items() if "_to_" in key)
        interval = f"{pair['low']:.3f} to {pair['high']:.3f}"
        rest = f"{pair['sentences']:>10,} {pair['chance']:7.4f}"
        print(f"{name:<20} {there:7.3f} {back:7.3f} {pair['score']:7.3f} {interval:>15} {rest}")
    print(f"{'mean':<20} {'':>7} {'':>7} {document['mean']:7.3f} {'':>15} {'':>10} {document['chance']:7.4f}")
    for layer, mean in document.get("layers", {}).items():
        print(f"layer {layer:>3} {mean:7.3f}")
    if "warning" in document:
        print(f"warning: {document['warning']}")
    for line in left_out_lines(document["left_out"]):
        print(line)
