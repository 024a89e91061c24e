"""What loaded models say: predictions of three kinds with probabilities, masks in own vocabularies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from _asserts import assert_user_error
from _models import tiny_config
from _texts import tiny_tokenizer
from polymod.batch import Batch
from polymod.face.filling import fill
from polymod.face.predicting import Answer, Label, examples_of, predict
from polymod.files import language_name
from polymod.model.heads import MaskedLM, initialise
from polymod.model.install import changed
from polymod.model.tasks import TaskModel, TaskSpec, initialise_task
from polymod.tasks.examples import code
from polymod.tasks.predict import predict as decoded
from polymod.tasks.task import TASKS
from polymod.text.tokenizer import RESERVED
from polymod.text.tokenizers import Tokenizers

SIZE = RESERVED + 98
LABELS = {
    "nli": ("entailment", "neutral", "contradiction"),
    "pos": ("NOUN", "VERB", "X"),
    "ner": ("O", "B-PER", "I-PER"),
    "qa": (),
}
GIVEN = {
    "nli": [("the cat", "a cat"), ("x y z", "the"), ("the cat", "a cat")],
    "pos": [["the", "cat", "sings"], ["x"], ["the", "cat", "sings"]],
    "ner": [["the", "cat", "sings"] * 12, ["x"], ["the", "cat"]],  # the first one needs windows
    "qa": [("who sings?", "the cat sings " * 12), ("what?", "x y"), ("what?", "the cat")],
}
TAGS = ["to", "en", "sr-Latn"]


@pytest.fixture
def tokenizers(tmp_path: Path) -> Tokenizers:
    """One tokenizer for all languages."""
    tiny_tokenizer().save(str(tmp_path / "tokenizer.json"))
    return Tokenizers(tmp_path)


def task_model(task: str) -> TaskModel:
    config = changed(tiny_config(), vocab_size=SIZE, mask_id=SIZE - 1)
    pretrained = MaskedLM(config)
    initialise(pretrained, seed=0)
    model = TaskModel(config, TaskSpec(task=task, kind=TASKS[task].kind, labels=LABELS[task]))
    initialise_task(model, pretrained.encoder, seed=0)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return model.eval()


def told(prediction):
    """The prediction without probabilities, as a task decodes it."""
    if isinstance(prediction, Answer):
        return prediction.text
    return prediction.label if isinstance(prediction, Label) else tuple(each.label for each in prediction)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("budget", [1, 4096])
def test_predictions_are_those_of_the_task_in_each_language(task, budget, tokenizers) -> None:
    model = task_model(task)
    examples, single = examples_of(GIVEN[task], model.spec)
    assert not single
    found = predict(model, examples, TAGS, tokenizers, longest=24, budget=budget)
    for example, tag, prediction in zip(examples, TAGS, found, strict=True):
        coded = code(TASKS[task], [example], tag, tokenizers.of(tag), LABELS[task], 24)
        assert decoded(model, TASKS[task], coded) == [told(prediction)]
        scores = [each.score for each in (prediction if isinstance(prediction, list) else [prediction])]
        least = 0 if task == "qa" else 1 / 3
        assert all(least < score <= 1 for score in scores)


def test_a_score_is_the_softmax_of_the_logits(tokenizers) -> None:
    model = task_model("nli")
    examples, _ = examples_of([("the cat", "a cat")], model.spec)
    (found,) = predict(model, examples, ["en"], tokenizers, longest=24, budget=99)
    ids = code(TASKS["nli"], examples, "en", tokenizers.of("en"), LABELS["nli"], 24).sequences[0].ids
    with torch.no_grad():
        shares = model.logits(Batch.pack([torch.tensor(ids)], ["en"]))[0].softmax(-1)
    assert found.score == pytest.approx(float(shares.max()), abs=1e-6)


def test_an_answers_score_is_that_of_its_start_and_end_over_all_windows(tokenizers) -> None:
    model = task_model("qa")
    examples, _ = examples_of(GIVEN["qa"][:1], model.spec)
    (found,) = predict(model, examples, ["en"], tokenizers, longest=24, budget=99)
    windows = code(TASKS["qa"], examples, "en", tokenizers.of("en"), (), 24).sequences
    assert len(windows) > 1
    rows, best = [], -np.inf
    for window in windows:
        with torch.no_grad():
            logits = model.logits(Batch.pack([torch.tensor(window.ids)], ["en"]))[
                window.context : -1
            ].double()
        rows.append(logits)
        pairs = [(i, j) for i in range(len(logits)) for j in range(i, len(logits))]
        best = max(best, *(float(logits[i, 0] + logits[j, 1]) for i, j in pairs))
    wanted = np.exp(best - float(torch.cat(rows).logsumexp(0).sum()))
    assert found.score == pytest.approx(wanted, rel=1e-4)


def test_a_single_example_is_told_from_a_list() -> None:
    pair, words = (TaskSpec(task=t, kind=TASKS[t].kind, labels=LABELS[t]) for t in ("nli", "pos"))
    assert examples_of(("a", "b"), pair)[1]
    assert not examples_of([("a", "b")], pair)[1]
    assert examples_of(["a", "b"], words)[1]
    assert not examples_of([["a", "b"]], words)[1]
    assert examples_of([], words) == ([], False)


WRONG = {
    "a string": ("nli", "the cat", "what is given is 'the cat' (str)"),
    "one text": ("nli", [("a", "b"), ("a",)], "example 1"),
    "three texts": ("qa", [("a", "b", "c")], "example 0"),
    "a blank text": ("nli", [("a", " ")], "without blank ones"),
    "a number": ("pos", [["a", 3]], "example 0"),
    "a text for words": ("pos", [["a"], "the cat"], "example 1"),
    "no words": ("ner", [[]], "example 0"),
    "half a character": ("nli", [("a", "\ud800")], "surrogate"),
}


@pytest.mark.parametrize(("task", "given", "said"), WRONG.values(), ids=WRONG.keys())
def test_what_is_no_example(task, given, said) -> None:
    spec = TaskSpec(task=task, kind=TASKS[task].kind, labels=LABELS[task])
    assert_user_error(lambda: examples_of(given, spec), said)


def test_masks_of_several_vocabularies_are_filled_in_one_call(tokenizers) -> None:
    own = {"to": {"size": SIZE - 2, "mask_id": SIZE - 3, "bos_id": 0, "eos_id": 2, "pad_id": 1}}
    (tokenizers.folder / "tokenizers").mkdir()
    tiny_tokenizer(["\u2581x"]).save(str(tokenizers.folder / "tokenizers" / f"{language_name('to')}.json"))
    config = changed(tiny_config(), vocab_size=SIZE, mask_id=SIZE - 1, own_vocabularies=own)
    model = MaskedLM(config)
    initialise(model, seed=0)
    torch.nn.init.normal_(model.encoder.embeddings.own["to"].tokens_VD)
    texts, tags = ["the <mask> x <mask>", "<mask> x", "the <mask>"], ["to", "en", "to"]
    found = fill(model, texts, tags, tokenizers, top_k=4, budget=0)
    assert [[len(mask) for mask in masks] for masks in found] == [[4, 4], [4], [4]]
    for text, tag, masks in zip(texts, tags, found, strict=True):
        (alone,) = fill(model, [text], [tag], tokenizers, top_k=4, budget=0)
        for one, other in zip(masks, alone, strict=True):
            assert [each.token for each in one] == [each.token for each in other]
            np.testing.assert_allclose([c.score for c in one], [c.score for c in other], atol=1e-6)
    ids = tokenizers.of("to").encode(texts[2]).ids
    with torch.no_grad():
        logits = model.eval().logits(Batch.pack([torch.tensor(ids)], ["to"]))[ids.index(SIZE - 3)]
    assert found[2][0][0].score == pytest.approx(float(logits.softmax(-1).max()), abs=1e-6)
