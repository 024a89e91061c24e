"""Controls: who gets whose pack, losses paired by batch, tables of few and many languages."""

from __future__ import annotations

import pytest

from _models import tiny_batch, tiny_model
from polymod.diagnose.agreement import agreement
from polymod.diagnose.controls import compared, losses_via, shuffled
from polymod.diagnose.tables import control_lines, gradient_lines


@pytest.mark.parametrize("count", [2, 3, 7, 100])
def test_everybody_gets_anothers_pack(count):
    tags = [f"q{number}" for number in range(count)]
    found = shuffled(tags, 0)
    assert sorted(found) == sorted(found.values()) == sorted(tags)
    assert all(tag != pack for tag, pack in found.items())
    assert found == shuffled(tags, 0)


def test_one_language_has_nobody_to_swap_with():
    assert shuffled(["en"], 0) == {}


def test_losses_are_those_of_the_batch_via_another_pack():
    model = tiny_model().eval()
    batches = [tiny_batch(("en", "en"), (7, 5), seed) for seed in range(3)]
    found = losses_via(model, batches, "en", ["to", "none", "en"])
    assert list(found) == ["en", "to", "none"]
    for pack, tag in (("to", "to"), ("none", None)):
        expected = [float(model(batch.via({"en": tag}))[1].mean()) for batch in batches]
        assert found[pack]["loss"] == pytest.approx(sum(expected) / 3, rel=1e-5)
        assert found[pack]["above_own"] == pytest.approx(found[pack]["loss"] - found["en"]["loss"], abs=1e-5)
    assert found["en"]["above_own"] == found["en"]["se"] == 0


def test_differences_are_paired():
    found = compared([1.0, 5.0, 9.0], [2.0, 6.0, 11.0])
    assert found["above_own"] == pytest.approx(4 / 3)
    assert found["se"] == pytest.approx(1 / 3)  # standard deviation of 1, 1, 2 over the root of 3
    assert compared([1.0], [2.0])["se"] is None


def test_tables_of_many_languages_show_the_ends():
    import numpy as np

    tags = [f"q{number:02d}" for number in range(40)]
    rows = np.random.default_rng(0).normal(size=(80, 30)) + 0.5
    part = agreement(rows @ rows.T, [tag for tag in tags for _ in range(2)]).document("cosine", "corrected")
    trunk = {"parameters": 30, **part}
    checkpoint = {"run": "r", "step": 3, "languages": tags, "trunk": trunk, "groups": {}, "layers": [trunk]}
    lines = list(gradient_lines(checkpoint))
    assert len(lines) < 10
    assert max(map(len, lines)) < 140
    assert any("agree least" in line for line in lines)
    assert any(line.startswith("layer 1 ") for line in lines)  # as on the page, where 0 is no layer
    control = {"pack": "q00", "loss": 2.0, "above_own": 1.0, "se": 0.1}
    entry = {"target": 1.0, "source": control, "shuffled": None, "none": control}
    mean = {"target": 1.0, "source": 1.0, "shuffled": None, "none": 1.0}
    run = {"run": "r", "step": 3, "source": "q00", "languages": dict.fromkeys(tags, entry), "mean": mean}
    assert len(list(control_lines(run))) == 13
