"""What is exported, used by others: pipelines, sentence-transformers, onnxruntime, the card's example."""

from __future__ import annotations

import re
from pathlib import Path

import onnx
import pytest
import torch
from tokenizers import Tokenizer
from transformers import pipeline
from transformers.utils import logging

from _models import MODERN, XMOD, tiny_config
from polymod.batch import Batch
from polymod.errors import Failure
from polymod.model import hf, hf_onnx
from polymod.model.card import write_card, write_tokenizer
from polymod.model.config import ModelConfig
from polymod.model.heads import MaskedLM
from polymod.model.hf_names import module_names
from polymod.model.install import drop_language
from polymod.model.tasks import TaskModel, TaskSpec

logging.disable_progress_bar()
SPECS = {
    "masked": None,
    "sequence": TaskSpec(task="nli", kind="sequence", labels=("no", "maybe", "yes")),
    "token": TaskSpec(task="ner", kind="token", labels=("O", "B-PER", "I-PER")),
    "span": TaskSpec(task="qa", kind="span"),
}
ORDERS = {"xmod": XMOD, "modern": {**MODERN, "language_embedding": True}}
TEXTS = ("kata pano", "u", "tena kisu 12 mopa")


@pytest.fixture(scope="module")
def tokenizer(data) -> Tokenizer:
    return Tokenizer.from_file(str(data / "tokenizer.json"))


def random_model(kind: str, order: str, tokenizer: Tokenizer) -> hf.Model:
    """A model in three languages whose every parameter is random, for the vocabulary of a tokenizer."""
    config = tiny_config(**{**ORDERS[order], "max_length": 64})
    mask_id = tokenizer.token_to_id("<mask>")
    config = config.model_copy(update={"vocab_size": tokenizer.get_vocab_size(), "mask_id": mask_id})
    spec = SPECS[kind]
    model: hf.Model = (
        MaskedLM(ModelConfig.model_validate(config)) if spec is None else TaskModel(config, spec)
    )
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3)
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter += 1
    return model.eval()


def exported(kind: str, order: str, data: Path, tokenizer: Tokenizer, folder: Path) -> hf.Model:
    model = random_model(kind, order, tokenizer)
    hf.write_model(model, folder)
    write_tokenizer((data / "tokenizer.json").read_bytes(), model.config, folder)
    return model


def packed(tokenizer: Tokenizer, texts: list, tag: str) -> Batch:
    encodings = tokenizer.encode_batch(texts)
    return Batch.pack([torch.tensor(encoding.ids) for encoding in encodings], [tag] * len(texts))


both = pytest.mark.parametrize("order", ORDERS)


@both
def test_fill_mask(order, data, tokenizer, tmp_path):
    model = exported("masked", order, data, tokenizer, tmp_path)
    fill = pipeline("fill-mask", model=str(tmp_path), top_k=3)
    tags = dict(zip(module_names(model.config), model.config.languages, strict=True))
    answers = {}
    for name, tag in tags.items():
        fill.model.set_default_language(name)
        answers[tag] = fill("kata <mask> pano")
        batch = packed(tokenizer, ["kata <mask> pano"], tag)
        with torch.no_grad():
            (probabilities,) = model.logits(
                batch, (batch.ids_N == model.config.mask_id).nonzero()[0]
            ).softmax(-1)
        best = probabilities.topk(3)
        assert [answer["token"] for answer in answers[tag]] == best.indices.tolist()
        assert [answer["score"] for answer in answers[tag]] == pytest.approx(best.values.tolist(), abs=1e-6)
    assert answers["en"] != answers["to"]


@both
def test_text_classification_of_single_texts_and_pairs_padded_together(order, data, tokenizer, tmp_path):
    model = exported("sequence", order, data, tokenizer, tmp_path)
    classify = pipeline("text-classification", model=str(tmp_path), top_k=None)
    classify.model.set_default_language(module_names(model.config)[1])
    given = [{"text": text, "text_pair": "pano"} for text in TEXTS]
    with torch.no_grad():
        wanted = model.logits(packed(tokenizer, [(text, "pano") for text in TEXTS], "to")).softmax(-1)
    for found, row in zip(classify(given, batch_size=3), wanted, strict=True):
        scores = {each["label"]: each["score"] for each in found}
        assert [scores[label] for label in model.spec.labels] == pytest.approx(row.tolist(), abs=1e-6)


@both
def test_token_classification(order, data, tokenizer, tmp_path):
    model = exported("token", order, data, tokenizer, tmp_path)
    tag = pipeline("token-classification", model=str(tmp_path), ignore_labels=[])
    tag.model.set_default_language(module_names(model.config)[0])
    (encoding,) = tokenizer.encode_batch([TEXTS[2]])
    with torch.no_grad():
        classes = hf.all_logits(model, packed(tokenizer, [TEXTS[2]], "en"))[1:-1].argmax(-1).tolist()
    found = tag(TEXTS[2])
    assert [each["word"] for each in found] == encoding.tokens[1:-1]
    assert [each["entity"] for each in found] == [model.spec.labels[index] for index in classes]


def test_sentence_embeddings_are_means_of_our_states(data, tokenizer, tmp_path):
    from sentence_transformers import SentenceTransformer

    for order in ORDERS:
        folder = tmp_path / order
        folder.mkdir()
        model = exported("masked", order, data, tokenizer, folder)
        sentences = SentenceTransformer(str(folder), device="cpu")
        for name, tag in zip(module_names(model.config), model.config.languages, strict=True):
            sentences[0].auto_model.set_default_language(name)
            batch = packed(tokenizer, list(TEXTS), tag)
            with torch.no_grad():
                parts = model.encoder(batch).split(batch.lengths)
            wanted = torch.stack([part.mean(0) for part in parts])
            found = torch.from_numpy(sentences.encode(list(TEXTS)))
            torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)
        sentences.save(str(folder / "saved"))  # the last language with it
        again = SentenceTransformer(str(folder / "saved"), device="cpu").encode(list(TEXTS))
        torch.testing.assert_close(torch.from_numpy(again), found, atol=1e-6, rtol=0)


@both
@pytest.mark.parametrize("kind", SPECS)
def test_the_example_on_the_card_runs(kind, order, data, tokenizer, tmp_path, monkeypatch, capsys):
    model = exported(kind, order, data, tokenizer, tmp_path)
    facts = {"step": 7, "source": "en"}
    scores = {"en": {"accuracy": 0.75}, "to": {"accuracy": 0.5, "f1": 0.25}}
    write_card(model.config, tmp_path, spec=SPECS[kind], facts=facts, scores=scores)
    card = (tmp_path / "README.md").read_text()
    assert "| step | 7 |" in card
    assert "| to | 0.5000 | 0.2500 |" in card
    for index, label in enumerate(SPECS[kind].labels if SPECS[kind] else ()):
        assert f"| {index} | `{label}` |" in card
    for index, name in enumerate(module_names(model.config)):
        assert f"| {index} | `{name}` |" in card
    (example,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {})
    assert capsys.readouterr().out.strip()


def one_language(kind: str, order: str, tokenizer: Tokenizer) -> hf.Model:
    model = random_model(kind, order, tokenizer)
    drop_language(model, "en")
    drop_language(model, "sr-Latn")
    return model


@pytest.mark.parametrize(("kind", "order"), [("sequence", "xmod"), ("span", "modern")])
def test_onnx_computes_the_same(kind, order, tokenizer, data, tmp_path, monkeypatch, capsys):
    model = one_language(kind, order, tokenizer)
    hf_onnx.write_onnx(model, tmp_path)
    difference = hf_onnx.compare_onnx(model, tmp_path)
    assert difference.logits <= 1e-5 * 30  # logits of these models reach some tens
    graph = onnx.load(tmp_path / "model.onnx")
    assert [each.name for each in graph.graph.output] == list(hf_onnx.OUTPUTS[kind])
    assert {each.version for each in graph.opset_import if each.domain == ""} == {hf_onnx.OPSET}
    assert str(Path(hf.__file__).parent) not in (tmp_path / "model.onnx").read_bytes().decode("latin-1")
    write_tokenizer((data / "tokenizer.json").read_bytes(), model.config, tmp_path)
    write_card(model.config, tmp_path, spec=SPECS[kind], onnx=True, facts={})
    (example,) = re.findall(r"```python\n(.*?)```", (tmp_path / "README.md").read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {})
    assert hf_onnx.OUTPUTS[kind][-1] in capsys.readouterr().out
    with torch.no_grad():
        next(iter(model.head.parameters())).add_(1e-1)
    with pytest.raises(Failure, match="something else"):
        hf_onnx.compare_onnx(model, tmp_path)
