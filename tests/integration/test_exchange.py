"""score, export, import and verify on a trained run, as users run them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from polymod.cli import execute

from .conftest import TAGS, pretrain


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    xmod = ["--model.positions", "learned", "--model.pre-norm", "false", "--model.gated", "false"]
    xmod += ["--model.module-norm", "reuse", "--model.norm-before-residual", "true"]
    kinds = {
        "modern": [],
        "xmod": xmod,
        "shared": [*xmod, "--arm", "shared"],
        "dense": [*xmod, "--arm", "dense"],
    }
    for name, words in kinds.items():
        assert pretrain(data, folder / name, *words, "--train.steps", "3") == 0
    return {name: folder / name for name in kinds}


def document(capsys) -> dict:
    return json.loads(capsys.readouterr().out)


def test_score_prints_one_document(runs, data, capsys):
    assert execute("score", [str(runs["modern"]), "--data", str(data), "--json"]) == 0
    scores = document(capsys)
    assert scores["schema"] == 1
    assert sorted(scores["languages"]) == sorted(TAGS)
    for entry in scores["languages"].values():
        assert 0 < entry["loss"] < 8
        assert entry["perplexity"] == pytest.approx(2.718281828 ** entry["loss"], rel=1e-6)
        assert entry["tokens"] > 0
        assert 2 < entry["unigram_entropy"] < 6
    losses = [entry["loss"] for entry in scores["languages"].values()]
    assert scores["mean_loss"] == pytest.approx(sum(losses) / len(losses))


def test_score_is_the_same_every_time_and_for_any_choice_of_languages(runs, data, capsys):
    results = []
    for words in ([], [], ["--languages", "ton"]):
        assert execute("score", [str(runs["modern"]), "--data", str(data), "--json", *words]) == 0
        results.append(document(capsys)["languages"]["to"])
    assert results[0] == results[1] == results[2]


def test_score_refuses_data_with_another_tokenizer(runs, data, tmp_path, capsys):
    from .conftest import write_corpus

    text, other = write_corpus(tmp_path / "text", 300), tmp_path / "other"
    assert execute("prepare", ["--text", str(text), "--out", str(other), "--vocab-size", "450"]) == 0
    assert execute("score", [str(runs["modern"]), "--data", str(other)]) == 2
    assert "another tokenizer" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["modern", "xmod", "shared", "dense"])
def test_export_then_import_gives_the_same_scores(runs, data, tmp_path, kind, capsys):
    assert execute("export", [str(runs[kind]), "--out", str(tmp_path / "hub"), "--json"]) == 0
    exported = document(capsys)
    assert max(exported["hidden_difference"], exported["logits_difference"]) <= 1e-5
    assert execute("export", [str(runs[kind]), "--out", str(tmp_path / "hub"), "--json"]) == 0
    assert document(capsys) == {**exported, "finished_before": True}
    assert execute("verify", [str(tmp_path / "hub")]) == 0
    assert execute("import", [str(tmp_path / "hub"), "--out", str(tmp_path / "run")]) == 0
    assert execute("import", [str(tmp_path / "hub"), "--out", str(tmp_path / "run"), "--json"]) == 0
    assert "finished_before" in capsys.readouterr().out
    scores = []
    for run in (runs[kind], tmp_path / "run"):
        capsys.readouterr()
        words = [str(run), "--data", str(data), "--json", "--block-tokens", "32"]
        assert execute("score", words) == 0
        scores.append(document(capsys)["languages"])
    for tag in TAGS:
        assert scores[0][tag]["loss"] == pytest.approx(scores[1][tag]["loss"], abs=1e-5)


def test_an_exported_xmod_needs_transformers_only(runs, tmp_path):
    assert execute("export", [str(runs["xmod"]), "--out", str(tmp_path / "hub")]) == 0
    script = """
import sys
from transformers import AutoTokenizer, XmodForMaskedLM
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = XmodForMaskedLM.from_pretrained(sys.argv[1])
model.set_default_language("to_XX")
inputs = tokenizer("kata <mask> pane", return_tensors="pt")
assert tokenizer.mask_token_id in inputs["input_ids"]
print(tuple(model(**inputs).logits.shape))
assert "polymod" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "hub")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("500)")


def test_a_slim_export_keeps_some_languages_unchanged(runs, tmp_path, capsys):
    from transformers import XmodForMaskedLM

    for name, words in (("all", []), ("one", ["--languages", "ton"])):
        assert execute("export", [str(runs["xmod"]), "--out", str(tmp_path / name), *words]) == 0
    whole, slim = (XmodForMaskedLM.from_pretrained(tmp_path / name).eval() for name in ("all", "one"))
    assert slim.config.languages == ["to_XX"]
    ids = torch.randint(4, 490, (2, 9))
    index = whole.config.languages.index("to_XX")
    with torch.no_grad():
        a, b = whole(ids, lang_ids=torch.full((2,), index)).logits, slim(ids).logits
    assert torch.equal(a, b)


def test_what_exists_and_is_something_else_is_refused(runs, tmp_path, capsys):
    out = tmp_path / "hub"
    assert execute("export", [str(runs["xmod"]), "--out", str(out)]) == 0
    assert execute("export", [str(runs["xmod"]), "--out", str(out), "--languages", "to"]) == 2
    assert execute("import", [str(out), "--out", str(runs["xmod"])]) == 2
    assert "is no import of this" in capsys.readouterr().err
    (out / "config.json").write_text("{}")
    assert execute("export", [str(runs["xmod"]), "--out", str(out)]) == 2


def test_an_imported_run_cannot_be_trained_on_and_says_so(runs, data, tmp_path, capsys):
    assert execute("export", [str(runs["xmod"]), "--out", str(tmp_path / "hub")]) == 0
    assert execute("import", [str(tmp_path / "hub"), "--out", str(tmp_path / "run")]) == 0
    assert pretrain(data, tmp_path / "run") == 2
    assert "a model made from" in capsys.readouterr().err


def test_others_may_read_what_is_written(runs, tmp_path):
    assert execute("export", [str(runs["xmod"]), "--out", str(tmp_path / "hub")]) == 0
    (tmp_path / "plain").write_text("")
    wanted = (tmp_path / "plain").stat().st_mode
    written = [path for path in (*runs["xmod"].rglob("*"), *(tmp_path / "hub").iterdir()) if path.is_file()]
    assert {path.stat().st_mode for path in written} == {wanted}


def test_export_refuses_a_folder_that_exists_and_leaves_nothing_half(runs, tmp_path, capsys, monkeypatch):
    (tmp_path / "there").mkdir()
    assert execute("export", [str(runs["xmod"]), "--out", str(tmp_path / "there")]) == 2
    monkeypatch.setenv("POLYMOD_FAULTS", "synced:hub:ENOSPC")
    assert execute("export", [str(runs["xmod"]), "--out", str(tmp_path / "hub")]) == 2
    assert "disk is full" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_the_card_says_how_to_load_it(runs, tmp_path):
    assert execute("export", [str(runs["xmod"]), "--out", str(tmp_path / "hub")]) == 0
    card = (tmp_path / "hub" / "README.md").read_text()
    assert "`to_XX`" in card
    assert "set_default_language" in card


def test_one_language_becomes_an_onnx_file(runs, tmp_path, capsys):
    out = tmp_path / "onnx"
    words = [str(runs["xmod"]), "--out", str(out), "--format", "onnx", "--languages", "ton"]
    assert execute("export", [*words, "--json"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)  # one document, whatever the exporter prints
    assert (found["kind"], found["languages"]) == ("onnx", ["to"])
    assert max(found["hidden_difference"], found["logits_difference"]) <= 1e-5
    assert "Warning" not in captured.err
    assert execute("verify", [str(out)]) == 0
    assert {path.name for path in out.iterdir()} == {
        *("model.onnx", "config.json", "tokenizer.json", "tokenizer_config.json", "README.md"),
        *("export.json", "manifest.json"),
    }
    capsys.readouterr()
    assert execute("export", [*words, "--json"]) == 0
    assert document(capsys) == {**found, "finished_before": True}
    assert execute("export", [str(runs["xmod"]), "--out", str(out), "--languages", "ton"]) == 2
    assert "no whole export" in capsys.readouterr().err


def test_onnx_takes_one_language(runs, tmp_path, capsys):
    for chosen in ([], ["--languages", "to,qaa"]):
        words = [str(runs["modern"]), "--out", str(tmp_path / "onnx"), "--format", "onnx", *chosen]
        assert execute("export", words) == 2
        assert "one language" in capsys.readouterr().err
    assert not (tmp_path / "onnx").exists()


def test_a_missing_extra_is_named_before_any_work(runs, tmp_path, capsys, monkeypatch):
    from polymod.model import hf_onnx

    monkeypatch.setattr(hf_onnx, "find_spec", lambda name: None if name == "onnxscript" else object())
    words = [str(runs["modern"]), "--out", str(tmp_path / "x"), "--format", "onnx", "--languages", "to"]
    assert execute("export", words) == 2
    said = capsys.readouterr().err
    assert "onnxscript" in said
    assert "pip install 'polymod[onnx]'" in said


WRONG = {
    "no run": (lambda runs, folder: ["export", str(folder), "--out", str(folder / "x")], "no run here"),
    "an unknown language": (
        lambda runs, folder: ["export", str(runs["xmod"]), "--out", str(folder / "x"), "--languages", "sw"],
        "not installed",
    ),
    "no directory": (
        lambda runs, folder: ["import", str(folder / "none"), "--out", str(folder / "x")],
        "no such directory",
    ),
    "an empty directory": (
        lambda runs, folder: ["import", str(folder), "--out", str(folder / "x")],
        "config.json",
    ),
}


@pytest.mark.parametrize(("words", "said"), WRONG.values(), ids=WRONG.keys())
def test_wrong_input(runs, tmp_path, capsys, words, said):
    name, *rest = words(runs, tmp_path)
    assert execute(name, rest) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_a_pickled_checkpoint_is_refused(runs, tmp_path, capsys):
    assert execute("export", [str(runs["xmod"]), "--out", str(tmp_path / "hub")]) == 0
    (tmp_path / "hub" / "model.safetensors").rename(tmp_path / "hub" / "pytorch_model.bin")
    assert execute("import", [str(tmp_path / "hub"), "--out", str(tmp_path / "run")]) == 2
    assert "pickled" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_tokenizer_larger_than_the_embedding_is_refused(runs, tmp_path, capsys):
    assert execute("export", [str(runs["xmod"]), "--out", str(tmp_path / "hub")]) == 0
    path = tmp_path / "hub" / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    tokenizer["added_tokens"].append({**tokenizer["added_tokens"][-1], "id": 500, "content": "<more>"})
    path.write_text(json.dumps(tokenizer))
    assert execute("import", [str(tmp_path / "hub"), "--out", str(tmp_path / "run")]) == 2
    assert "do not fit into 500 rows" in capsys.readouterr().err
