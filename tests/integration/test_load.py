"""polymod.load and retrieve: a run, an exported directory; what each can do, and what users get wrong."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

import polymod
from _asserts import assert_user_error
from _toys import run
from polymod.cli import execute

from .conftest import TAGS, pretrain


@pytest.fixture(scope="module")
def folder(data, tmp_path_factory) -> Path:
    """A run, and its export, side by side."""
    folder = tmp_path_factory.mktemp("loaded")
    xmod = ["--model.positions", "learned", "--model.pre-norm", "false", "--model.gated", "false"]
    xmod += ["--model.module-norm", "reuse", "--model.norm-before-residual", "true"]
    assert pretrain(data, folder / "run", *xmod, "--train.steps", "3") == 0
    assert execute("export", [str(folder / "run"), "--out", str(folder / "hub")]) == 0
    return folder


@pytest.fixture(scope="module")
def model(folder) -> polymod.Model:
    return polymod.load(folder / "run", device="cpu")


TEXTS = ["aia ka 7.", "muo", "kata pane toko mi", "aia ka 7.", "s", "no ti pe ka su ma ro"]
LANGUAGES = ["qaa", "to", "qab", "ton", "qab", "qaa"]


def test_a_model_says_what_it_is(model) -> None:
    assert sorted(model.languages) == sorted(TAGS)
    assert (model.arm, model.task, model.num_layers, str(model.device)) == ("modular", None, 2, "cpu")
    assert model.to("cpu") is model
    assert "3 languages" in repr(model)


def test_one_call_takes_mixed_languages_and_keeps_the_order(model) -> None:
    vectors = model.embed(TEXTS, languages=LANGUAGES)
    assert vectors.shape == (6, 32)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=-1), 1, atol=1e-6)
    alone = [model.embed(text, language=language) for text, language in zip(TEXTS, LANGUAGES, strict=True)]
    np.testing.assert_allclose(vectors, alone, atol=1e-5)
    assert np.abs(vectors[0] - vectors[3]).max() > 1e-3  # the same text through two modules


def test_small_batches_give_the_same(folder, model) -> None:
    small = polymod.load(folder / "run", device="cpu", batch_tokens=8)
    vectors = (each.embed(TEXTS, languages=LANGUAGES, layer=1, normalise=False) for each in (small, model))
    np.testing.assert_allclose(*vectors, atol=1e-5)


def test_layers_are_those_of_transformers(folder, model) -> None:
    import torch
    from transformers import AutoTokenizer, XmodModel

    tokenizer = AutoTokenizer.from_pretrained(folder / "hub")
    theirs = XmodModel.from_pretrained(folder / "hub").eval()
    theirs.set_default_language("to_XX")
    with torch.no_grad():
        states = theirs(**tokenizer(TEXTS[0], return_tensors="pt"), output_hidden_states=True).hidden_states
    for layer in (0, 1, -1):
        wanted = states[layer][0, 1:-1].mean(0).numpy()
        found = model.embed(TEXTS[0], language="to", layer=layer, normalise=False)
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_an_exported_directory_is_the_same_model(folder, model) -> None:
    exported = polymod.load(folder / "hub", device="cpu")
    assert sorted(exported.languages) == sorted(model.languages)
    vectors = (each.embed(TEXTS, languages=LANGUAGES) for each in (exported, model))
    np.testing.assert_allclose(*vectors, atol=1e-5)
    words = "kata <mask> pane"
    filled = [each.fill_mask(words, language="to")[0] for each in (exported, model)]
    assert [token for token, _ in filled[0]] == [token for token, _ in filled[1]]


def test_every_mask_is_filled_in_order(model) -> None:
    texts = ["kata <mask> pane <mask>", "<mask> 7", "muo <mask>"]
    found = model.fill_mask(texts, languages=["to", "qab", "to"], top_k=3)
    assert [[len(mask) for mask in masks] for masks in found] == [[3, 3], [3], [3]]
    for masks in found:
        for mask in masks:
            scores = [candidate.score for candidate in mask]
            assert scores == sorted(scores, reverse=True)
            assert 0 < sum(scores) <= 1
    alone = model.fill_mask(texts[0], language="to", top_k=3)
    assert [c.token for mask in alone for c in mask] == [c.token for mask in found[0] for c in mask]
    everything = model.fill_mask("<mask>", language="to", top_k=10**6)[0]
    assert sum(candidate.score for candidate in everything) == pytest.approx(1, abs=1e-4)
    assert model.fill_mask([], language="to") == []


def test_masks_are_those_of_transformers(folder, model) -> None:
    from transformers import pipeline

    fill = pipeline("fill-mask", model=str(folder / "hub"), top_k=4)
    fill.model.set_default_language("qab_XX")
    theirs = fill("kata <mask> pane")
    ours = model.fill_mask("kata <mask> pane", language="qab", top_k=4)[0]
    np.testing.assert_allclose([c.score for c in ours], [each["score"] for each in theirs], atol=1e-5)
    assert [c.token.replace("▁", "") for c in ours] == [each["token_str"] for each in theirs]


def test_a_language_identifier_of_the_users_own(folder, model) -> None:
    asked: list[list[str]] = []

    def identify(texts: list[str]) -> list[str]:
        asked.append(list(texts))
        return ["ton" if "muo" in text else "qab_Latn" for text in texts]

    auto = polymod.load(folder / "run", device="cpu", identify=identify)
    found = auto.embed(TEXTS[:3], language="auto")
    assert asked == [TEXTS[:3]]
    np.testing.assert_allclose(found, model.embed(TEXTS[:3], languages=["qab", "to", "qab"]), atol=1e-6)
    wrong = polymod.load(folder / "run", device="cpu", identify=lambda texts: ["sw"] * len(texts))
    assert_user_error(lambda: wrong.embed(TEXTS, language="auto"), "identify[0]", "'sw'", "not installed")
    short = polymod.load(folder / "run", device="cpu", identify=lambda texts: ["to"])
    assert_user_error(lambda: short.embed(TEXTS, language="auto"), "6 texts and 1 codes")


def test_no_texts(model) -> None:
    assert model.embed([], language="to").shape == (0, 32)
    assert model.embed(iter([]), languages=[]).shape == (0, 32)


WRONG = {
    "no language": (lambda m: m.embed("a"), ("no language", "qaa, qab, to")),
    "both": (lambda m: m.embed("a", language="to", languages=["to"]), ("both given",)),
    "not installed": (lambda m: m.embed("a", language="en"), ("'en' (English) is not installed", "qaa")),
    "unknown": (lambda m: m.embed("a", language="jp"), ("unknown language 'jp'", "'ja'")),
    "one of many": (lambda m: m.embed(["a", "b"], languages=["to", "sw"]), ("languages[1]", "'sw'")),
    "too few": (lambda m: m.embed(["a", "b"], languages=["to"]), ("2 texts and 1 languages",)),
    "a string": (lambda m: m.embed(["a", "b"], languages="to"), ("language='to' for all",)),
    "no code": (lambda m: m.embed(["a"], languages=[None]), ("languages[0]", "no language code")),
    "no identifier": (lambda m: m.embed("a", language="auto"), ("identify=function",)),
    "no text": (lambda m: m.embed(["a", 7], language="to"), ("text 1 is '7' (int)",)),
    "no list": (lambda m: m.embed(None, language="to"), ("NoneType",)),
    "bytes": (lambda m: m.embed(b"a", language="to"), ("bytes",)),
    "empty": (lambda m: m.embed(["a", " "], language="to"), ("text 1 is empty",)),
    "too long": (lambda m: m.embed("a " * 500, language="to"), ("tokens", "truncate=True")),
    "surrogate": (lambda m: m.embed(["a", "\ud800"], language="to"), ("text 1", "surrogate")),
    "layer": (lambda m: m.embed("a", language="to", layer=3), ("no layer 3",)),
    "no mask": (lambda m: m.fill_mask(["<mask>", "a"], language="to"), ("text 1 has no <mask>",)),
    "no candidate": (lambda m: m.fill_mask("<mask>", language="to", top_k=0), ("top_k is 0",)),
    "no task": (lambda m: m.predict([("a", "b")], language="to"), ("not fine-tuned", "polymod finetune")),
}


@pytest.mark.parametrize(("call", "said"), WRONG.values(), ids=WRONG.keys())
def test_wrong_input(model, call, said) -> None:
    assert_user_error(lambda: call(model), *said)


def test_long_texts_are_cut_where_that_is_asked_for(model) -> None:
    long = "a " * 500
    assert np.isfinite(model.embed(long, language="to", truncate=True)).all()


PLACES = {
    "nothing": ("none", "no such directory"),
    "no model": ("", "neither run.json nor config.json"),
    "no Hub id": ("a/b/c", "no such directory"),
}


@pytest.mark.parametrize(("name", "said"), PLACES.values(), ids=PLACES.keys())
def test_wrong_places(tmp_path, name, said) -> None:
    assert_user_error(lambda: polymod.load(tmp_path / name, device="cpu"), said)


def test_importing_polymod_imports_nothing_heavy() -> None:
    script = (
        "import sys, polymod; assert not {'torch', 'transformers', 'numpy', 'pydantic'} & {*sys.modules};"
    )
    script += (
        "assert {'load', 'Model', 'UserError', 'LanguageError'} <= {*dir(polymod)}; polymod.LanguageError"
    )
    assert run("-c", script).returncode == 0


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        polymod.lode  # noqa: B018


def test_progress_is_shown_where_it_is_asked_for(model, capsys) -> None:
    model.embed(TEXTS, languages=LANGUAGES)
    assert capsys.readouterr().err == ""
    model.embed(TEXTS, languages=LANGUAGES, progress=True)
    assert "6 of 6 texts" in capsys.readouterr().err


@pytest.fixture(scope="module")
def sentences(tmp_path_factory) -> Path:
    """Aligned lines, the same in every language, so that any model finds some; orders of the same numbers, so
    that it does not find all of them through modules that differ.
    """
    folder = tmp_path_factory.mktemp("aligned")
    lines = [" ".join(order) for order in list(itertools.permutations("1234567"))[::126]]
    for tag in (*TAGS, "sw"):
        (folder / f"{tag}.txt").write_text("\n".join(lines) + "\n")
    return folder


def retrieve(capsys, *words: str | Path) -> dict:
    capsys.readouterr()
    assert execute("retrieve", [*map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_retrieve(folder, sentences, capsys, tmp_path) -> None:
    document = retrieve(capsys, folder / "run", "--data", sentences, "--out", tmp_path / "r.json")
    pivot = TAGS[0]
    assert list(document["pairs"]) == [f"{tag}-{pivot}" for tag in TAGS[1:]]
    assert document["left_out"] == {"sw": "the model does not have it"}
    assert document["layer"] == 2
    for pair in document["pairs"].values():
        assert pair["chance"] == pytest.approx(1 / 40)
        assert pair["chance"] < pair["low"] <= pair["score"] <= pair["high"] <= 1
    assert json.loads((tmp_path / "r.json").read_text()) == document
    again = retrieve(capsys, folder / "hub", "--data", sentences)
    assert again["pairs"] == document["pairs"]
    assert again["signature"]["data"] == document["signature"]["data"]
    assert not (folder / "run" / "retrieve.json").exists()


def test_retrieve_with_all_layers_warns(folder, sentences, capsys) -> None:
    document = retrieve(capsys, folder / "run", "--data", sentences, "--layer", "all")
    assert sorted(document["layers"]) == ["0", "1", "2"]
    assert document["mean"] == max(document["layers"].values())
    assert "chosen on these sentences" in document["warning"]
    one = retrieve(capsys, folder / "run", "--data", sentences, "--layer", "1")
    assert one["mean"] == pytest.approx(document["layers"]["1"])
    assert "warning" not in one


def test_retrieve_through_other_modules(folder, sentences, capsys) -> None:
    documents = {
        module: retrieve(capsys, folder / "run", "--data", sentences, "--module", module, "--pairs", "all")
        for module in ("target", "source", "none")
    }
    for module in ("source", "none"):  # the texts are equal, and so are their vectors through one module
        assert [pair["score"] for pair in documents[module]["pairs"].values()] == [1.0] * 3
    assert documents["target"]["mean"] < 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--layer", "9"], "no layer 9"),
        (["--layer", "top"], "'top' is no layer"),
        (["--languages", "sw"], "not installed"),
        (["--pivot", "sw"], "not installed"),
    ],
)
def test_retrieve_refuses(folder, sentences, capsys, words, said) -> None:
    assert execute("retrieve", [str(folder / "run"), "--data", str(sentences), *words]) == 2
    assert said in capsys.readouterr().err
