"""Matched budgets: as many tokens of a language, as many parameters, and what cannot be matched."""

from __future__ import annotations

import pytest

from _tokens import MemoryTokens
from polymod.commands import pretrain
from polymod.config import nested, resolve
from polymod.errors import UserError
from polymod.model.flops import parameters
from polymod.study.match import Matcher
from polymod.study.plan import cells, settings
from polymod.text.tokenizer import Vocabulary

SIZES = {"en": 40_000, "de": 10_000, "to": 2_500}
COMMON = {
    "model": {"hidden_size": 32, "num_heads": 2, "ffn_size": 48, "num_layers": 2, "bottleneck_size": 8},
    "train": {"steps": 800, "block_tokens": 16, "batch_tokens": 128, "micro_tokens": 128},
}


class Streams(MemoryTokens):
    """Tokens in memory with what a model needs to know of its vocabulary."""

    tokenizer_path = None
    vocabulary = Vocabulary(60, 0, 1, 2, 3, 59, tuple(range(4, 20)))

    def __init__(self, tags):
        super().__init__({tag: SIZES[tag] for tag in tags})
        self.tags = tuple(tags)


def matcher(runs, common=COMMON) -> tuple[Matcher, dict]:
    planned = cells(settings(common, runs, {}), tuple(SIZES), [0])

    def config_of(options):
        return resolve(pretrain.Config, nested({**options, "data": "D", "out": "S"}, {}), {}).value

    found = Matcher(planned, config_of, Streams)
    return found, {cell.name: cell for cell in found.matched()}


def test_a_language_sees_as_many_of_its_tokens_alone_as_among_others():
    runs = {"all": {"mixture": {"alpha": 0.5}}, "mono": {"languages": "each", "examples_of": "all"}}
    found, by_name = matcher(runs)
    among = found.job(by_name["all-seed0"]).loader.tokens_seen(800)
    assert by_name["mono-en-seed0"].options["train.steps"] == pytest.approx(800 * 200 / 350, abs=2)
    for tag in SIZES:
        cell = by_name[f"mono-{tag}-seed0"]
        alone = found.job(cell).loader.tokens_seen(cell.options["train.steps"])
        assert alone[tag] == pytest.approx(among[tag], abs=64)


def test_pairs_see_as_many_of_both_with_the_same_mixture():
    mixture = {**COMMON, "mixture": {"alpha": 0.5}}
    _, by_name = matcher({"all": {}, "pairs": {"languages": "pairs", "examples_of": "all"}}, mixture)
    assert by_name["pairs-de-to-seed0"].options["train.steps"] == pytest.approx(800 * 150 / 350, abs=2)


def test_another_mixture_cannot_be_matched():
    runs = {"all": {"mixture": {"alpha": 0.2}}, "pairs": {"languages": "pairs", "examples_of": "all"}}
    with pytest.raises(UserError, match="give both the same --mixture"):
        matcher(runs)


def test_a_shared_module_as_large_as_all_packs_together():
    found, by_name = matcher({"modular": {}, "large": {"arm": "shared", "parameters_of": "modular"}})
    totals = [parameters(found.job(cell).config)["total"] for cell in by_name.values()]
    assert by_name["large-seed0"].options["model.bottleneck_size"] > 2 * 8
    assert abs(totals[0] - totals[1]) <= 2 * 32 + 1  # half of what one more unit in two layers would add


def test_what_has_no_counterpart_is_told():
    with pytest.raises(UserError, match="no bottleneck"):
        matcher({"all": {}, "dense": {"arm": "dense", "parameters_of": "all"}})
    with pytest.raises(UserError, match="no runs of 'mono' have en, de, to"):
        matcher({"mono": {"languages": "each"}, "all": {"examples_of": "mono"}})
    found, by_name = matcher({"a": {"train": {"block_tokens": 4096}}})
    with pytest.raises(UserError, match="a-seed0: blocks of 4096"):
        found.job(by_name["a-seed0"])
