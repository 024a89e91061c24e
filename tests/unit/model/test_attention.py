"""Attention over packed rows is attention within each sequence, whatever the runs of lengths."""

import pytest
import torch

from polymod.batch import Batch
from polymod.model.attention import Layout, Rotary, attend, attend_naive, rotate

CASES = {"equal": (4, 4, 4), "mixed": (5, 5, 2, 7, 7, 1), "one": (9,), "ones": (1, 1, 1)}


@pytest.mark.parametrize("lengths", CASES.values(), ids=CASES.keys())
def test_attend_equals_its_definition_in_outputs_and_gradients(lengths):
    generator = torch.Generator().manual_seed(0)
    qkv = [torch.randn(sum(lengths), 2, 6, dtype=torch.float64, generator=generator) for _ in range(4)]
    weight = qkv.pop()
    batch = Batch.pack([torch.arange(n) for n in lengths], ["en"] * len(lengths))
    results = []
    for function in (lambda *x: attend(*x, Layout.of(batch)), lambda *x: attend_naive(*x, lengths)):
        leaves = [x.clone().requires_grad_() for x in qkv]
        out = function(*leaves)
        results.append([out, *torch.autograd.grad((out * weight).sum(), leaves)])
    for ours, naive in zip(*results, strict=True):
        torch.testing.assert_close(ours, naive, atol=1e-12, rtol=1e-12)


def test_rows_of_other_sequences_have_no_influence():
    lengths = (3, 3, 4)
    batch = Batch.pack([torch.arange(n) for n in lengths], ["en"] * 3)
    x = torch.randn(10, 2, 6, requires_grad=True)
    attend(x, x, x, Layout.of(batch))[3:6].sum().backward()
    assert x.grad[3:6].abs().min() > 0
    assert x.grad[:3].abs().max() == 0
    assert x.grad[6:].abs().max() == 0


def test_rotary_products_depend_on_the_distance_only():
    rotary = Rotary(8, 50)
    q, k = torch.randn(1, 1, 8, dtype=torch.float64), torch.randn(1, 1, 8, dtype=torch.float64)

    def product(i: int, j: int) -> float:
        return float((rotate(q, rotary(torch.tensor([i]))) * rotate(k, rotary(torch.tensor([j])))).sum())

    assert product(3, 10) == pytest.approx(product(31, 38), abs=1e-5)
    assert product(3, 10) != pytest.approx(product(3, 11), abs=1e-3)


def test_rotation_keeps_lengths_and_position_zero_does_nothing():
    x = torch.randn(4, 2, 8)
    turned = rotate(x, Rotary(8, 10)(torch.tensor([0, 1, 5, 9])))
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))
    assert torch.equal(turned[0], x[0])
