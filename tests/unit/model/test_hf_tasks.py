"""Task models as directories of transformers, and polymod's own classes as a Trainer and users call them."""

import json

import pytest
import torch
import transformers
from torch.nn.functional import cross_entropy
from transformers import AutoModelForMaskedLM
from transformers.utils import logging

from _models import LARGE, MODERN, SUBLAYERS, XMOD, tiny_model
from polymod.errors import Failure, UserError
from polymod.model import hf
from polymod.model.hf_auto import PolymodForMaskedLM
from polymod.model.hf_config import PolymodConfig
from polymod.model.hf_tasks import read_task_model
from polymod.model.install import drop_language
from polymod.model.tasks import TaskModel, TaskSpec, initialise_task

logging.disable_progress_bar()
SPECS = {
    "sequence": TaskSpec(task="nli", kind="sequence", labels=("no", "maybe", "yes")),
    "token": TaskSpec(task="ner", kind="token", labels=("O", "B-PER", "I-PER")),
    "span": TaskSpec(task="qa", kind="span"),
}
KINDS = {
    "xmod": ("modular", XMOD),
    "large": ("modular", LARGE),
    "shared": ("shared", XMOD),
    "dense": ("dense", XMOD),
    "modern": ("modular", {**MODERN, "language_embedding": True}),
    "sublayers": ("modular", SUBLAYERS),
    "dense pre-norm": ("dense", LARGE),
}
AUTO = {"sequence": "SequenceClassification", "token": "TokenClassification", "span": "QuestionAnswering"}
IDS = torch.tensor([[0, 11, 12, 13, 2], [0, 21, 2, 1, 1], [1, 0, 31, 32, 2]])
LABELS = {0: "O", 1: "B-PER"}
LANG_IDS = torch.tensor([2, 0, 2])


def task_model(kind, arm="modular", **order):
    model = TaskModel(tiny_model(arm, **order).config, SPECS[kind])
    initialise_task(model, tiny_model(arm, **order).encoder, seed=0)
    with torch.no_grad():
        for name, parameter in model.head.named_parameters():
            parameter += 0.3 * torch.randn(
                parameter.shape, generator=torch.Generator().manual_seed(len(name))
            )
    return model.eval()


def loaded(model, folder, kind):
    hf.write_model(model, folder)
    return getattr(transformers, f"AutoModelFor{AUTO[kind]}").from_pretrained(folder).eval()


@pytest.mark.parametrize("order", KINDS, ids=KINDS.keys())
@pytest.mark.parametrize("kind", SPECS)
def test_task_models_load_through_the_auto_classes_and_compute_the_same(tmp_path, kind, order):
    arm, flags = KINDS[order]
    model = task_model(kind, arm, **flags)
    again = loaded(model, tmp_path, kind)
    ours = dict.fromkeys(("modern", "sublayers", "dense pre-norm"), "Polymod")
    prefix = {**ours, "dense": "XLMRoberta"}.get(order, "Xmod")
    assert type(again).__name__ == f"{prefix}For{AUTO[kind]}"
    difference = hf.compare(model, tmp_path)
    assert difference.languages == 3
    assert max(difference.hidden, difference.logits) <= 1e-5
    labels = SPECS[kind].labels or ("LABEL_0", "LABEL_1")
    assert tuple(again.config.id2label.values()) == labels
    assert again.config.label2id == {label: index for index, label in enumerate(labels)}


@pytest.mark.parametrize("order", ["xmod", "modern"])
@pytest.mark.parametrize("kind", SPECS)
def test_a_comparison_fails_when_the_head_differs(tmp_path, kind, order):
    model = task_model(kind, **KINDS[order][1])
    hf.write_model(model, tmp_path)
    with torch.no_grad():
        next(iter(model.head.parameters()))[0, 3] += 1e-2
    with pytest.raises(Failure, match="something else"):
        hf.compare(model, tmp_path)


@pytest.mark.parametrize("kind", SPECS)
def test_a_slim_task_model_loses_only_packs_and_computes_the_same(tmp_path, kind):
    whole, slim = (task_model(kind, **KINDS["modern"][1]) for _ in range(2))
    drop_language(slim, "en")
    drop_language(slim, "to")
    sizes = []
    for name, model in (("whole", whole), ("slim", slim)):
        (tmp_path / name).mkdir()
        hf.write_model(model, tmp_path / name)
        sizes.append((tmp_path / name / "model.safetensors").stat().st_size)
    pack = 2 * (2 * 32 * 8 + 8 + 32) * 4 + 32 * 4  # two layers; the language's vector
    assert sizes[0] - sizes[1] == pytest.approx(2 * pack, abs=1500)  # names take some bytes
    a, b = (
        getattr(transformers, f"AutoModelFor{AUTO[kind]}").from_pretrained(tmp_path / name).eval()
        for name in ("whole", "slim")
    )
    assert b.config.default_language == "sr-Latn"
    with torch.no_grad():
        for x, y in zip(a(IDS, lang_ids=torch.tensor([2, 2, 2])).to_tuple(), b(IDS).to_tuple(), strict=True):
            assert torch.equal(x, y)


@pytest.mark.parametrize("kind", SPECS)
def test_each_sequence_gets_what_it_gets_alone_wherever_its_padding_stands(tmp_path, kind):
    model = loaded(task_model(kind, **MODERN), tmp_path, kind)
    with torch.no_grad():
        together = model(IDS, lang_ids=LANG_IDS)
        for row, ids in enumerate(IDS):
            real = ids != 1
            alone = model(ids[real][None], lang_ids=LANG_IDS[row : row + 1])
            for all_rows, one in zip(together.to_tuple(), alone.to_tuple(), strict=True):
                wanted = all_rows[row] if kind == "sequence" else all_rows[row][real]
                torch.testing.assert_close(wanted, one[0], atol=1e-6, rtol=0)


def test_padding_is_never_the_answer(tmp_path):
    model = loaded(task_model("span", **MODERN), tmp_path, "span")
    out = model(IDS, lang_ids=LANG_IDS)
    assert (out.start_logits[IDS == 1] < -1e30).all()
    assert torch.isfinite(out.end_logits).all()


def test_losses_are_the_definition(tmp_path):
    for kind in SPECS:
        (tmp_path / kind).mkdir()
    sequence, token, span = (loaded(task_model(kind, **MODERN), tmp_path / kind, kind) for kind in SPECS)
    with torch.no_grad():
        out = sequence(IDS, lang_ids=LANG_IDS, labels=torch.tensor([2, 0, 1]))
        assert torch.allclose(out.loss, cross_entropy(out.logits, torch.tensor([2, 0, 1])))
        labels = torch.where((IDS > 2) & (IDS != 12), IDS % 3, -100)
        out = token(IDS, lang_ids=LANG_IDS, labels=labels)
        assert torch.allclose(out.loss, cross_entropy(out.logits.flatten(0, 1), labels.flatten()))
        half = token(IDS, lang_ids=LANG_IDS, labels=labels, num_items_in_batch=torch.tensor(10))
        assert torch.allclose(half.loss, out.loss * (labels != -100).sum() / 10)
        starts, ends = torch.tensor([1, 99, 2]), torch.tensor([2, 1, 3])  # 99: cut off
        out = span(IDS, lang_ids=LANG_IDS, start_positions=starts, end_positions=ends)
        parts = [cross_entropy(out.start_logits[row], starts[row]) for row in (0, 2)]
        parts += [cross_entropy(out.end_logits[row], ends[row]) for row in (0, 1, 2)]
        assert torch.allclose(out.loss, sum(parts) / 5)
        with pytest.raises(ValueError, match="regression"):
            sequence(IDS, lang_ids=LANG_IDS, labels=torch.tensor([0.1, 0.2, 0.3]))


@pytest.mark.parametrize("kind", SPECS)
def test_an_optimiser_step_learns_and_what_is_saved_is_what_was_learnt(tmp_path, kind):
    model = loaded(task_model(kind, **MODERN), tmp_path, kind).train()
    targets = {"sequence": {"labels": torch.tensor([0, 1, 2])}, "token": {"labels": IDS % 3}}
    places = {"start_positions": torch.tensor([1, 1, 2]), "end_positions": torch.tensor([3, 1, 3])}
    given = {"lang_ids": LANG_IDS, **targets.get(kind, places)}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    before = model(IDS, **given).loss
    before.backward()
    gradients = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert {name for name, _ in model.named_parameters()} - gradients == {
        name
        for name, _ in model.named_parameters()
        if "lang_to" in name  # no sequence is in it
    }
    optimizer.step()
    after = model(IDS, **given).loss
    assert after < before
    model.save_pretrained(tmp_path / "again")
    again = type(model).from_pretrained(tmp_path / "again")
    assert torch.equal(again(IDS, **given).loss, after)


def test_callers_may_leave_out_the_mask_and_ask_for_tuples_and_states(tmp_path):
    hf.write_model(tiny_model(**MODERN), tmp_path)
    model = AutoModelForMaskedLM.from_pretrained(tmp_path).eval()
    model.set_default_language("en_XX")
    with torch.no_grad():
        full = model(IDS, (IDS != 1).long(), torch.zeros(3, dtype=torch.long))
        assert torch.equal(model(IDS).logits, full.logits)
        assert torch.equal(model(input_ids=IDS, token_type_ids=0 * IDS, return_dict=False)[0], full.logits)
        out = model(IDS, output_hidden_states=True)
        assert [tuple(state.shape) for state in out.hidden_states] == [(3, 5, 32)] * 3
        model.config.output_hidden_states = True
        assert model(IDS).hidden_states is not None
        assert model(IDS, output_hidden_states=False).hidden_states is None
        for wrong in ("inputs_embeds", "position_ids", "output_attentions"):
            with pytest.raises(ValueError, match=wrong):
                model(IDS, **{wrong: torch.ones(3)})
        with pytest.raises(ValueError, match="no tokens"):
            model(torch.ones(2, 3, dtype=torch.long))
    assert model.get_input_embeddings().weight.shape == (60, 32)


def test_a_model_without_weights_begins_as_in_training():
    torch.manual_seed(0)
    config = PolymodConfig.of(tiny_model(**MODERN, language_embedding=True).config)
    model = PolymodForMaskedLM(config)
    for name, parameter in model.named_parameters():
        if name.endswith("bias") or "_bias_" in name:
            assert not parameter.any(), name
        elif "norm" in name:
            assert (parameter == 1).all(), name
        else:
            assert 0.01 < parameter.std() < 0.03, name


def test_a_pretrained_directory_gives_a_new_head_to_a_task_class(tmp_path):
    model = tiny_model(**MODERN)
    hf.write_model(model, tmp_path)
    made = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path, num_labels=4)
    assert made.classifier.out_proj.weight.shape == (4, 32)
    assert 0.01 < made.classifier.dense.weight.std() < 0.03  # not the dense layer of the masked-LM head
    table = made.encoder.rotary.table
    assert torch.equal(table, model.encoder.rotary.table)


def test_a_task_directory_cannot_be_imported_as_a_masked_lm_and_says_so(tmp_path):
    hf.write_model(task_model("token", **MODERN), tmp_path)
    with pytest.raises(UserError, match="PolymodForTokenClassification"):
        hf.read_model(tmp_path, mask_id=None)


@pytest.mark.parametrize("order", ["xmod", "large", "shared", "modern", "sublayers", "dense pre-norm"])
@pytest.mark.parametrize("kind", SPECS)
def test_an_exported_task_model_is_read_again_bit_by_bit(tmp_path, kind, order):
    arm, flags = KINDS[order]
    model = task_model(kind, arm, **flags)
    hf.write_model(model, tmp_path)
    again = read_task_model(tmp_path, mask_id=model.config.mask_id)
    assert again is not None
    assert again.spec == SPECS[kind]
    found = again.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in model.state_dict().items())


def test_a_task_directory_of_transformers_itself_is_read_with_the_usual_task(tmp_path):
    hf.write_model(tiny_model(), tmp_path)
    made = transformers.AutoModelForTokenClassification.from_pretrained(tmp_path, id2label=LABELS)
    made.save_pretrained(tmp_path / "theirs")
    model = read_task_model(tmp_path / "theirs", mask_id=None)
    assert model is not None
    assert model.spec == TaskSpec(task="ner", kind="token", labels=("O", "B-PER"))
    assert torch.equal(model.head.linear.weight, made.classifier.weight)


def test_two_unnamed_labels_which_transformers_does_not_write_are_read(tmp_path):
    hf.write_model(tiny_model(), tmp_path)
    made = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path)
    made.save_pretrained(tmp_path / "theirs")
    assert "id2label" not in json.loads((tmp_path / "theirs" / "config.json").read_text())
    model = read_task_model(tmp_path / "theirs", mask_id=None)
    assert model is not None
    assert model.spec.labels == ("LABEL_0", "LABEL_1")


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"id2label": None}, "no labels"),
        ({"id2label": {"0": "yes", "1": "yes"}}, "no labels"),
        ({"id2label": {"0": "yes", "1": "no"}}, "size mismatch"),
        ({"hidden_size": 16}, "shape"),
    ],
)
def test_a_damaged_task_directory_is_refused(tmp_path, broken, message):
    hf.write_model(task_model("sequence"), tmp_path)
    document = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(document | broken))
    with pytest.raises(UserError, match=message):
        read_task_model(tmp_path, mask_id=None)


def test_a_masked_lm_directory_is_no_task_directory(tmp_path):
    hf.write_model(tiny_model(), tmp_path)
    assert read_task_model(tmp_path, mask_id=None) is None
