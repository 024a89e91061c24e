"""Plans: which runs they mean, what they are called, and what a wrong plan is told, with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from polymod.commands.study import Config
from polymod.config import load
from polymod.errors import UserError
from polymod.study.plan import Cell, cells, language_sets
from polymod.study.work import words

TAGS = ("en", "de", "to")


def plan(tmp_path: Path, runs: str, *options: tuple[str, str]) -> Config:
    """A plan whose runs begin in line 2."""
    (tmp_path / "plan.yaml").write_text(f"data: D\n{runs}")
    return load(Config, tmp_path / "plan.yaml", [("out", "S"), *options]).value


def cells_of(config: Config) -> dict[str, Cell]:
    return {cell.name: cell for cell in cells(config.settings, TAGS, config.seeds)}


def test_a_run_for_every_seed_and_every_set_of_languages(tmp_path):
    body = "  all: {arm: dense}\n  some: {languages: [eng, to]}\n  mono: {languages: each}\n"
    found = cells_of(plan(tmp_path, f"seeds: [0, 2]\nruns:\n{body}"))
    names = ["all", "some-en-to", "mono-en", "mono-de", "mono-to"]
    assert list(found) == [f"{name}-seed{seed}" for name in names for seed in (0, 2)]
    assert found["some-en-to-seed2"].tags == ("en", "to")
    assert found["all-seed2"].options == {"arm": "dense", "languages": "en,de,to", "train.seed": 2}


@pytest.mark.parametrize(
    ("given", "sets"),
    [
        ("each", [("en",), ("de",), ("to",)]),
        ("pairs", [("en", "de"), ("en", "to"), ("de", "to")]),
        ("each with deu", [("de", "en"), ("de", "to")]),
    ],
)
def test_sets_of_languages(given, sets):
    assert language_sets((given,), TAGS) == sets


def test_options_of_a_run_win_over_common_ones_and_typed_over_written(tmp_path):
    runs = "common: {arm: shared, train: {steps: 5}}\nruns: {a: {train: {steps: 7}}, b_c: {}}\n"
    config = plan(tmp_path, runs, ("common.train.warmup", "0.5"))
    found = cells_of(config)
    assert list(found) == ["a-seed0", "b-c-seed0"]
    typed = ["--arm", "shared", "--train.steps", "7", "--train.warmup", "0.5"]
    assert words(found["a-seed0"].options)[:6] == typed
    assert found["b-c-seed0"].options["train.steps"] == 5


def test_words_are_typed_as_users_type_them():
    options = {"model.language_embedding": True, "languages": ["en", "de"], "train.learning_rate": 1e-4}
    typed = ["--model.language-embedding", "true", "--languages", "en,de", "--train.learning-rate", "0.0001"]
    assert words(options) == typed


@pytest.mark.parametrize(
    ("runs", "line", "said"),
    [
        ("runs:\n  a: {train: {stepz: 3}}\n", 3, "--train.steps"),
        ("sedes: [1]\nruns: {a: {}}\n", 2, "--seeds"),
        ("runs:\n  a: {}\n  b: {exampels-of: a}\n", 4, "--examples-of"),
        ("runs:\n  a:\n    arm: shard\n", 4, "'shard'"),
        ("runs:\n  a: {}\n  b: {examples-of: c}\n", 4, "no run 'c'"),
        ("runs:\n  a: {}\n  b: {examples-of: a}\n  c: {parameters-of: b}\n", 5, "matched to another one"),
        (
            "runs:\n  a: {}\n  b:\n    examples-of: a\n    train: {steps: 2}\n",
            6,
            "examples-of decides train.steps",
        ),
        ("common:\n  train: {seed: 1}\nruns: {a: {}}\n", 3, "seeds"),
        ("common: {languages: each}\nruns: {a: {}}\n", 2, "top of the plan"),
        ("common: {examples-of: a}\nruns: {a: {}}\n", 2, "below the run"),
        ("runs:\n  a: {out: x}\n", 3, "below --out"),
        ("runs:\n  a: 5\n", 3, "not its options"),
        ("runs:\n  a/b: {}\n", 3, "cannot be a file name"),
        ("seeds: [1, 1]\nruns: {a: {}}\n", 2, "each one once"),
        ("runs: {a: {model: {hidden-size: 30, num-heads: 4}}}\n", None, "not a multiple"),
    ],
)
def test_a_wrong_plan_is_told_with_its_line(tmp_path, runs, line, said):
    with pytest.raises(UserError) as caught:
        plan(tmp_path, runs)
    assert said in str(caught.value)
    if line is not None:
        assert caught.value.where.endswith(f"plan.yaml:{line}")


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        ("runs:\n  mono: {languages: each}\n  mono-de: {}\n", "two runs have the name 'mono-de-seed0'"),
        ("runs:\n  a: {}\n  b: {languages: [en, ja]}\n", "(Japanese) is not in the study"),
        ("runs:\n  a: {}\n  b: {languages: [en, eng]}\n", "'en' is given twice"),
        ("runs:\n  a: {}\n  b: {languages: each with ja}\n", "(Japanese) is not in the study"),
    ],
)
def test_what_only_the_data_tell_has_its_line_too(tmp_path, runs, said):
    with pytest.raises(UserError) as caught:
        cells_of(plan(tmp_path, runs))
    assert said in str(caught.value)
    assert caught.value.where.endswith("plan.yaml:4")
