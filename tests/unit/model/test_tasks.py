"""Task models: loss and gradients against their definitions row by row, transformers, initial weights."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from transformers.models.xmod.modeling_xmod import XmodClassificationHead, XmodConfig

from _models import LARGE, MODERN, XMOD, tiny_batch, tiny_config, tiny_model
from polymod.batch import Batch
from polymod.model.partition import partition
from polymod.model.tasks import TaskModel, TaskSpec, initialise_task, span_losses

SPECS = {
    "sequence": TaskSpec(task="nli", kind="sequence", labels=("a", "b", "c")),
    "token": TaskSpec(task="pos", kind="token", labels=("a", "b", "c", "d")),
    "span": TaskSpec(task="qa", kind="span"),
}
KINDS = tuple(SPECS)


def task_model(kind: str, dtype: torch.dtype = torch.float64, **changes) -> TaskModel:
    model = TaskModel(tiny_config(**changes), SPECS[kind])
    initialise_task(model, tiny_model(**changes).encoder, seed=0)
    with torch.no_grad():
        for number, parameter in enumerate(model.head.parameters()):
            parameter += 0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number))
    return model.to(dtype)


def task_batch(kind: str, tags=("en", "en", "to"), lengths=(7, 5, 9), seed: int = 0) -> Batch:
    """Sequences with classes as targets."""
    batch = tiny_batch(tags, lengths, seed)
    numbers = torch.Generator().manual_seed(seed)
    per_span = [sum(tag == span for tag in tags) for span in dict.fromkeys(tags)]
    if kind == "token":
        targets = torch.randint(0, 4, (len(batch.target_rows_M),), generator=numbers)
        return replace(batch, targets_M=targets)
    rows = batch.starts_S1[:-1].long()
    if kind == "sequence":
        targets = torch.randint(0, 3, (len(lengths),), generator=numbers)
    else:
        targets = torch.stack([torch.randint(0, n, (2,), generator=numbers) for n in lengths])
    return replace(batch, target_rows_M=rows, targets_M=targets, target_counts=tuple(per_span))


def naive(model: TaskModel, batch: Batch) -> torch.Tensor:
    """Each target's loss by its definition, one sequence and one row at a time."""
    kind, losses = model.spec.kind, []
    starts, head = batch.starts_S1.tolist(), model.head
    for number, (tag, start, stop) in enumerate(zip(tags_of(batch), starts[:-1], starts[1:], strict=True)):
        x_TD = model.encoder(Batch.pack([batch.ids_N[start:stop]], [tag]))
        if kind == "sequence":
            h = torch.tanh(head.dense.weight @ x_TD[0] + head.dense.bias)
            logits = head.out_proj.weight @ h + head.out_proj.bias
            losses.append(-logits.log_softmax(0)[batch.targets_M[number]])
            continue
        logits_TC = x_TD @ head.linear.weight.T + head.linear.bias
        if kind == "span":
            begin, end = batch.targets_M[number]
            scores = (logits_TC[:, 0].log_softmax(0)[begin], logits_TC[:, 1].log_softmax(0)[end])
            losses.append(-(scores[0] + scores[1]) / 2)
        else:
            for row, target in zip(batch.target_rows_M.tolist(), batch.targets_M.tolist(), strict=True):
                if start <= row < stop:
                    losses.append(-logits_TC[row - start].log_softmax(0)[target])
    return torch.stack(losses)


def tags_of(batch: Batch) -> list[str | None]:
    return [
        next(span.tag for span in batch.route.spans if span.start <= start < span.stop)
        for start in batch.starts_S1[:-1].tolist()
    ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [XMOD, LARGE, MODERN], ids=["xmod", "large", "modern"])
def test_loss_and_gradients_are_those_of_the_definition(kind, shape):
    model, batch = task_model(kind, **shape), task_batch(kind)
    loss, losses = model(batch, scale=0.25)
    loss.backward()
    ours = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad(set_to_none=True)
    expected = naive(model, batch)
    (expected.sum() * 0.25).backward()
    torch.testing.assert_close(losses, expected.detach(), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(loss.detach(), expected.sum().detach() * 0.25, rtol=1e-10, atol=1e-10)
    assert not losses.requires_grad
    for name, parameter in model.named_parameters():
        assert (parameter.grad is None) == (name not in ours), name
        if name in ours:
            torch.testing.assert_close(ours[name], parameter.grad, rtol=1e-9, atol=1e-9, msg=name)


def test_span_losses_have_the_right_gradient():
    logits = torch.randn(9, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([[0, 1], [3, 3], [0, 0]])
    assert torch.autograd.gradcheck(
        lambda x: span_losses(x, (3, 5, 1), targets), logits.requires_grad_(), atol=1e-8
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_language_is_isolated(kind):
    model = task_model(kind)
    loss, _ = model(task_batch(kind, ("to", "to"), (5, 6)))
    loss.backward()
    for tag, names in partition(name for name, _ in model.named_parameters()).items():
        present = [model.get_parameter(name).grad is not None for name in names]
        assert all(present) if tag in (None, "to") else not any(present), tag


def test_what_stands_behind_a_sequence_does_not_change_its_span():
    model = task_model("span")
    alone, together = task_batch("span", ("en",), (5,)), task_batch("span", ("en", "en"), (5, 20))
    together = replace(together, ids_N=torch.cat([alone.ids_N, together.ids_N[5:]]))
    targets = torch.tensor([[1, 3], [19, 0]])
    losses = model(replace(together, targets_M=targets))[1]
    torch.testing.assert_close(losses[:1], model(replace(alone, targets_M=targets[:1]))[1])


def test_the_sequence_head_is_that_of_transformers():
    model = task_model("sequence", torch.float32)
    theirs = XmodClassificationHead(XmodConfig(hidden_size=32, num_labels=3)).eval()
    theirs.load_state_dict(model.head.state_dict())
    features = torch.randn(4, 6, 32, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(model.head.eval()(features[:, 0]), theirs(features))


@pytest.mark.parametrize(("kind", "width"), [("sequence", 3), ("token", 4), ("span", 2)])
def test_logits_need_no_targets(kind, width):
    batch = task_batch(kind)
    if kind != "token":
        none = torch.zeros(0, dtype=torch.int64)
        batch = replace(batch, target_rows_M=none, targets_M=none, target_counts=(0, 0))
    rows = {"sequence": 3, "token": len(batch.target_rows_M), "span": batch.num_tokens}
    assert task_model(kind).logits(batch).shape == (rows[kind], width)


def test_the_encoder_is_the_pretrained_one_and_the_head_follows_the_seed():
    source = tiny_model()
    models = []
    for seed in (1, 1, 2):
        model = TaskModel(tiny_config(), SPECS["sequence"])
        initialise_task(model, source.encoder, seed)
        models.append(model)
    a, b, other = models
    assert all(
        torch.equal(x, y) for x, y in zip(a.encoder.parameters(), source.encoder.parameters(), strict=True)
    )
    assert torch.equal(a.head.dense.weight, b.head.dense.weight)
    assert not torch.equal(a.head.dense.weight, other.head.dense.weight)
    assert float(a.head.dense.weight.detach().std()) == pytest.approx(0.02, rel=0.1)
    assert not a.head.dense.bias.any()
    with torch.no_grad():
        a.encoder.packs["en"].up_bias_LD.zero_()
    assert source.encoder.packs["en"].up_bias_LD.any()  # a copy, not the same tensors


def test_a_head_drops_out_only_in_training():
    model = task_model("token", dropout=0.5)
    batch = task_batch("token")
    first, second = model(batch)[0], model(batch)[0]
    assert first != second
    model.eval()
    assert model(batch)[0] == model(batch)[0]


@pytest.mark.parametrize("labels", [("a", "a"), ()], ids=["twice", "none"])
def test_labels_that_fit_no_head_are_refused(labels):
    with pytest.raises(ValueError, match="do not fit"):
        TaskSpec(task="nli", kind="sequence", labels=labels)
    with pytest.raises(ValueError, match="do not fit"):
        TaskSpec(task="qa", kind="span", labels=("a",))
