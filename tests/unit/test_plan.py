"""``plan`` counts without building: X-MOD base with 75 languages, warnings for languages seen too often."""

import json
import subprocess
import sys

import pytest

from polymod.cli import execute


def plan(capsys, *words: str) -> dict:
    assert execute("plan", [*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_nothing_is_built_not_even_torch_is_imported():
    words = ["plan", "--model.preset", "base", "--num-languages", "75", "--flops", "1e12", "--json"]
    script = f"import sys; from polymod.cli import execute; assert execute('plan', {words[1:]}) == 0; "
    script += "assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_xmod_base_with_75_languages(capsys):
    document = plan(capsys, "--model.preset", "base", "--num-languages", "75", "--flops", "1e12")
    assert document["parameters"]["pack"] == 7_091_712
    assert document["parameters"]["total"] == pytest.approx(810.2e6, rel=1e-3)
    assert document["memory"]["weights"] == 4 * document["parameters"]["total"]
    flops = document["flops"]
    assert flops["per_token"]["total"] == pytest.approx(782e6, rel=2e-3)
    assert document["time"]["device"]["seconds"] == pytest.approx(flops["total"] / 1e12)


def test_it_takes_the_config_file_of_pretrain(tmp_path, capsys):
    file = tmp_path / "run.yaml"
    file.write_text(
        "arm: shared\nlanguages: [en, no, de]\nmodel: {preset: tiny}\ntrain: {steps: 7}\nout: x\n"
    )
    document = plan(capsys, str(file), "--vocab-size", "1000", "--flops", "1e9")
    assert document["arm"] == "shared"
    assert document["num_languages"] == 3
    assert document["tokens"] == 7 * 2048


def test_people_get_a_table(capsys):
    assert execute("plan", ["--model.preset", "tiny", "--num-languages", "2", "--flops", "1e9"]) == 0
    said = capsys.readouterr().out
    assert "parameters" in said
    assert all(len(line) <= 100 for line in said.splitlines())
