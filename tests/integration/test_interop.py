"""What is exported, used by others: pipelines, sentence-transformers, onnxruntime, the card's example."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import onnx
import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoTokenizer, pipeline
from transformers.utils import logging

import polymod
from _models import MODERN, XMOD, tiny_config
from polymod.batch import Batch
from polymod.cli import execute
from polymod.errors import Failure
from polymod.model import hf, hf_onnx
from polymod.model.card import write_card, write_tokenizer
from polymod.model.config import ModelConfig
from polymod.model.heads import MaskedLM
from polymod.model.hf_names import module_names
from polymod.model.install import drop_language
from polymod.model.tasks import TaskModel, TaskSpec
from polymod.tasks.opened import opened

from .conftest import TAGS, pretrain

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
    write_tokenizer((data / "tokenizer.json").read_bytes(), model.config.architecture.max_length, folder)
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


def test_onnx_computes_the_same(tokenizer, data, tmp_path, monkeypatch, capsys):
    kind, order = "span", "modern"  # tests of whole commands export a masked X-MOD
    model = random_model(kind, order, tokenizer)
    drop_language(model, "en")
    drop_language(model, "sr-Latn")
    monkeypatch.setattr(hf_onnx, "_LARGEST_FILE", 0)  # as if it were too large for one file
    hf_onnx.write_onnx(model, tmp_path)
    assert (tmp_path / "model.onnx.data").exists()
    difference = hf_onnx.compare_onnx(model, tmp_path)
    assert difference.logits <= 1e-5 * 30  # logits of these models reach some tens
    graph = onnx.load(tmp_path / "model.onnx")
    assert [each.name for each in graph.graph.output] == list(hf_onnx.OUTPUTS[kind])
    assert {each.version for each in graph.opset_import if each.domain == ""} == {hf_onnx.OPSET}
    assert str(Path(hf.__file__).parent) not in (tmp_path / "model.onnx").read_bytes().decode("latin-1")
    write_tokenizer((data / "tokenizer.json").read_bytes(), model.config.architecture.max_length, tmp_path)
    write_card(model.config, tmp_path, spec=SPECS[kind], onnx=True, facts={})
    (example,) = re.findall(r"```python\n(.*?)```", (tmp_path / "README.md").read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {})
    assert hf_onnx.OUTPUTS[kind][-1] in capsys.readouterr().out
    with torch.no_grad():
        next(iter(model.head.parameters())).add_(1e-1)
    with pytest.raises(Failure, match="something else"):
        hf_onnx.compare_onnx(model, tmp_path)


@pytest.fixture(scope="module")
def tuned(data, tmp_path_factory) -> Path:
    """A classifier of pairs, from pre-training on, and examples to try it on."""
    folder = tmp_path_factory.mktemp("tuned")
    assert pretrain(data, folder / "run", "--train.steps", "2") == 0
    (folder / "nli").mkdir()
    for split, tag in (("train", "qaa"), ("dev", "qaa"), ("test", "to")):
        names = ("entailment", "neutral", "contradiction")
        pairs = [(f"kata {i} pano", f"tena {i % 5}", names[i % 3]) for i in range(12)]
        rows = [dict(zip(("premise", "hypothesis", "label"), pair, strict=True)) for pair in pairs]
        path = folder / "nli" / f"{split}.{tag}.jsonl"
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    words = ["--task", "nli", "--data", str(folder / "nli"), "--source", "qaa", "--train.epochs", "2"]
    words += ["--train.max-length", "48"]  # shorter than the model's
    rate = ["--train.learning-rate", "0.02", "--train.warmup", "0"]  # so that predictions differ
    assert execute("finetune", [str(folder / "run"), *words, *rate, "--out", str(folder / "ft")]) == 0
    return folder


def test_a_fine_tuned_model_predicts_the_same_after_export(tuned, tmp_path, capsys):
    from polymod.tasks.finetuned import Finetuned
    from polymod.tasks.predict import read_logits
    from polymod.tasks.task import TASKS

    done = Finetuned.open(tuned / "ft")
    task = TASKS["nli"]
    examples = task.read(tuned / "nli" / "test.to.jsonl")
    encoded = [task.encode(each, done.tokenizers.of("to"), done.spec.labels, 48)[0] for each in examples]
    logits = read_logits(done.model(), encoded, ["to"] * len(encoded))
    wanted = torch.cat([torch.from_numpy(each) for each in logits]).softmax(-1)
    assert wanted.std(0).max() > 3e-5  # the examples differ by more than is allowed below
    capsys.readouterr()
    for chosen in (TAGS, ("to",)):
        out = tmp_path / "-".join(chosen)
        words = [str(tuned / "ft"), "--out", str(out), "--languages", ",".join(chosen), "--json"]
        assert execute("export", words) == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["kind"], found["head"], tuple(found["languages"])) == ("polymod", "nli", chosen)
        assert max(found["hidden_difference"], found["logits_difference"]) <= 1e-5
        assert execute("verify", [str(out)]) == 0
        capsys.readouterr()
        assert (
            AutoTokenizer.from_pretrained(out).model_max_length == opened(out).longest == done.longest == 48
        )
        classify = pipeline("text-classification", model=str(out), top_k=None)
        if len(chosen) > 1:
            classify.model.set_default_language("to")
        answers = classify([{"text": each.premise, "text_pair": each.hypothesis} for each in examples])
        for answer, row in zip(answers, wanted, strict=True):
            scores = {each["label"]: each["score"] for each in answer}
            assert [scores[label] for label in done.spec.labels] == pytest.approx(row.tolist(), abs=1e-6)
        pairs = [(each.premise, each.hypothesis) for each in examples]
        exported = polymod.load(out).predict(pairs, language="to")
        assert exported == polymod.load(tuned / "ft").predict(pairs, language="to")
    card = (out / "README.md").read_text()
    assert "pipeline_tag: text-classification" in card
    assert "| fine-tuned on | qaa |" in card
    assert "kata" not in card  # no corpus text
    assert re.search(r"\| qaa \| [01]\.\d{4} \|", card)


def test_a_fine_tuning_that_is_not_finished_is_not_exported(tuned, tmp_path, capsys):
    shutil.copytree(tuned / "ft", tmp_path / "ft")
    (tmp_path / "ft" / "finetune.json").unlink()
    assert execute("export", [str(tmp_path / "ft"), "--out", str(tmp_path / "out")]) == 2
    assert "not finished" in capsys.readouterr().err
