"""Suites of measurements: small ones run, what they say holds, and the picture shows all of it."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from polymod.bench import data, scale
from polymod.bench.plot import picture
from polymod.cli import execute
from polymod.model.config import PRESETS


@pytest.fixture
def small(monkeypatch):
    """The suite of scale with a tiny model."""
    sizes = {**PRESETS["small"]["model"], "hidden_size": 16, "num_layers": 1, "num_heads": 2}
    monkeypatch.setitem(PRESETS, "small", {"model": {**sizes, "ffn_size": 16, "bottleneck_size": 256}})
    monkeypatch.setattr(scale, "VOCAB", 300)
    monkeypatch.setattr(scale, "BLOCK", 8)


def test_a_checkpoint_of_many_languages_is_that_of_the_few_that_were_trained(small):
    found = scale.checkpoint(70, rounds=5)
    assert found["ratio"]["max"] < 1.5  # entries of the manifest
    assert found["first"]["many"]["of_languages"] > 2 * found["first"]["few"]["of_languages"]
    assert found["many"]["of_languages"] == found["few"]["of_languages"]
    assert found["of_64_over_8"] == pytest.approx(8, rel=0.02)


def test_steps_with_few_and_many_languages_take_turns(small):
    assert scale.step_time(40, rounds=5)["ratio"]["rounds"] == 5
    assert scale.turnover(100, rounds=5)["of_processor_time"]["median"] > 0


def test_the_peak_of_a_process_is_told_by_what_it_did(small):
    found = scale.peaks(12, True)
    assert found.keys() == {"begin", "steps", "save"}
    assert all(10**7 < peak < 10**11 for peak in found.values())


def test_batches_for_training_and_reading_are_full():
    assert data.fill(5)["ratio"]["min"] == 1.0
    assert data.fill_of_reading(5)["ratio"]["min"] > 0.98


def test_the_document_and_its_picture_are_written(tmp_path, capsys):
    words = ["--suite", "data", "--cases", "fill,going_on_8", "--rounds", "5", "--out", str(tmp_path)]
    assert execute("bench", [*words, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert json.loads((tmp_path / "data.json").read_text())["cases"] == document["cases"]
    texts = {each.text for each in ElementTree.parse(tmp_path / "data.svg").iter() if each.text}
    assert {"fill", "going_on_8", "1", "polymod bench --suite data"} <= texts


def test_a_picture_has_a_dot_between_the_ends_of_its_line():
    spread = {"median": 2.0, "min": 1.0, "max": 4.0, "rounds": 5}
    svg = ElementTree.fromstring(
        picture("<title>", {"a & b": {"ratio": spread, "target": 3.0}, "c": {"spread": spread}})
    )
    place = {"svg": "http://www.w3.org/2000/svg"}
    dots = [float(dot.get("cx")) for dot in svg.findall("svg:circle", place)]
    lines = [(float(line.get("x1")), float(line.get("x2"))) for line in svg.findall("svg:line", place)]
    wide = [ends for ends in lines if ends[0] < ends[1]]
    assert len(dots) == len(wide) == 2
    assert all(dot == pytest.approx(sum(ends) / 2, abs=0.2) for dot, ends in zip(dots, wide, strict=True))
    assert any(ends[0] == ends[1] and dots[0] < ends[0] < wide[0][1] for ends in lines)  # the target
