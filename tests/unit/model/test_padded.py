"""The padded encoder and what ONNX files are made of equal the packed model, wherever padding stands."""

import pytest
import torch

from _models import LARGE, MODERN, SUBLAYERS, XMOD, tiny_config, tiny_model
from polymod.batch import Batch
from polymod.model import hf
from polymod.model.config import OwnVocabulary
from polymod.model.hf_onnx import OUTPUTS, Graph
from polymod.model.install import add_language, drop_language
from polymod.model.padded import PaddedEncoder
from polymod.model.tasks import TaskModel, TaskSpec, initialise_task

SPECS = {
    "sequence": TaskSpec(task="nli", kind="sequence", labels=("no", "maybe", "yes")),
    "token": TaskSpec(task="ner", kind="token", labels=("O", "B-PER", "I-PER")),
    "span": TaskSpec(task="qa", kind="span"),
}
IDS = torch.tensor([[0, 11, 12, 13, 2], [0, 21, 2, 1, 1], [1, 0, 31, 32, 2], [7, 1, 1, 1, 1]])
MASK = (IDS != 1).long()
MASK[0, 2] = 0  # a hole is padding too


def packed(tag: str) -> Batch:
    return Batch.pack([ids[mask.bool()] for ids, mask in zip(IDS, MASK, strict=True)], [tag] * len(IDS))


@pytest.mark.parametrize("arm", ["modular", "shared", "dense"])
@pytest.mark.parametrize("order", [XMOD, LARGE, SUBLAYERS, {**MODERN, "language_embedding": True}])
def test_the_padded_encoder_equals_the_packed_one_in_outputs_and_gradients(arm, order):
    states, gradients = [], []
    for padded in (False, True):
        encoder = tiny_model(arm, languages=["to"], **order).encoder
        x = PaddedEncoder(encoder)(IDS, MASK)[MASK.bool()] if padded else encoder(packed("to"))
        x.square().sum().backward()
        states.append(x.detach())
        gradients.append([parameter.grad for parameter in encoder.parameters()])
    torch.testing.assert_close(*states, atol=1e-5, rtol=0)
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("kind", SPECS)
def test_heads_over_padded_rows_equal_heads_over_packed_ones(kind):
    model = TaskModel(tiny_config(languages=["to"], **MODERN), SPECS[kind])
    initialise_task(model, tiny_model(languages=["to"], **MODERN).encoder, seed=0)
    with torch.no_grad():
        outputs = dict(zip(OUTPUTS[kind], Graph(model.eval())(IDS, MASK), strict=True))
        wanted = hf.all_logits(model, packed("to"))
    if kind == "span":
        assert all((logits[MASK == 0] < -1e30).all() for logits in outputs.values())
        found = torch.stack([outputs["start_logits"], outputs["end_logits"]], -1)[MASK.bool()]
    else:
        found = outputs["logits"] if kind == "sequence" else outputs["logits"][MASK.bool()]
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


def test_a_language_with_rows_of_its_own_has_its_own_logits():
    model = tiny_model(languages=["to"], **MODERN).eval()
    add_language(model, "ty", seed=0, vocabulary=OwnVocabulary(size=80, shared_rows=60, mask_id=59))
    drop_language(model, "to")
    ids = IDS + 45 * (IDS > 20)
    batch = Batch.pack([row[mask.bool()] for row, mask in zip(ids, MASK, strict=True)], ["ty"] * len(ids))
    with torch.no_grad():
        states, logits = Graph(model)(ids, MASK)
        torch.testing.assert_close(states[MASK.bool()], model.encoder(batch), atol=1e-5, rtol=0)
        torch.testing.assert_close(logits[MASK.bool()], model.logits(batch), atol=1e-5, rtol=0)
    assert logits.shape == (4, 5, 80)


def test_a_padded_encoder_is_of_one_language():
    with pytest.raises(ValueError, match="too many"):
        PaddedEncoder(tiny_model().encoder)
