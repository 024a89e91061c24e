"""The chunked loss equals its definition in value and gradients, for any chunking."""

import pytest
import torch

from polymod.model import loss as loss_module
from polymod.model.loss import masked_lm_loss, masked_lm_loss_naive, softmax_gradient


def inputs(rows: int, dtype=torch.float64, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    h, weight, bias = (
        torch.randn(*shape, dtype=dtype, generator=generator) for shape in ((rows, 5), (11, 5), (11,))
    )
    return h, weight, bias, torch.randint(0, 11, (rows,), generator=generator)


def run(function, h, weight, bias, targets, factor: float = 1.0, **options):
    leaves = [x.clone().requires_grad_() for x in (h, weight, bias)]
    loss, losses = function(*leaves, targets, **options)
    return [loss.detach(), losses, *torch.autograd.grad(loss * factor, leaves)]


@pytest.mark.parametrize("rows_per_chunk", [1, 2, 7, 8, 4096])
@pytest.mark.parametrize("factor", [1.0, -2.5])
def test_value_and_gradients(rows_per_chunk, factor):
    arguments = inputs(7)
    ours = run(masked_lm_loss, *arguments, factor=factor, scale=1 / 7, rows_per_chunk=rows_per_chunk)
    naive = run(
        masked_lm_loss_naive, *(x.double() for x in arguments[:3]), arguments[3], factor=factor, scale=1 / 7
    )
    for a, b in zip(ours, naive, strict=True):
        torch.testing.assert_close(a.double(), b.double(), atol=1e-6, rtol=1e-6)  # naive works in fp32


@pytest.mark.parametrize("rows_per_chunk", [2, 7, 4096])
def test_the_form_for_compilers_gives_the_same(rows_per_chunk):
    arguments, options = inputs(7), {"scale": 0.3, "rows_per_chunk": rows_per_chunk}
    ours = run(masked_lm_loss, *arguments, **options)
    fused = run(masked_lm_loss, *arguments, **options, fused=softmax_gradient)
    for a, b in zip(fused, ours, strict=True):
        torch.testing.assert_close(a, b, atol=1e-12, rtol=1e-12)


def test_gradients_against_finite_differences():
    h, weight, bias, targets = inputs(4)
    leaves = [x.requires_grad_() for x in (h, weight, bias)]
    assert torch.autograd.gradcheck(
        lambda *x: masked_lm_loss(*x, targets, scale=0.3, rows_per_chunk=3)[0], leaves
    )


def test_no_rows_give_zero_loss_and_zero_gradients():
    h, weight, bias, targets = inputs(0, torch.float32)
    loss, losses, grad_h, grad_weight, _ = run(masked_lm_loss, h, weight, bias, targets)
    assert loss == 0
    assert losses.shape == (0,)
    assert grad_h.shape == (0, 5)
    assert grad_weight.abs().sum() == 0


def test_only_wanted_gradients_are_formed():
    h, weight, bias, targets = inputs(4)
    loss, _ = masked_lm_loss(h.requires_grad_(), weight, bias, targets)
    loss.backward()
    assert h.grad is not None
    assert weight.grad is None


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_without_gradients_the_losses_are_the_same_bits_and_no_gradient_is_formed(precision, monkeypatch):
    h, weight, bias, targets = inputs(7, torch.float32)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision != torch.float32):
        trained = masked_lm_loss(h.requires_grad_(), weight, bias, targets, scale=0.3, rows_per_chunk=3)
        monkeypatch.setattr(loss_module, "_softmax_gradient", None)
        with torch.no_grad():
            scored = masked_lm_loss(h, weight, bias, targets, scale=0.3, rows_per_chunk=3)
    assert all(torch.equal(a, b) for a, b in zip(scored, trained, strict=True))


def test_bf16_autocast_is_no_worse_than_the_naive_bf16_loss():
    h, weight, bias, targets = inputs(64, torch.float32)
    truth = run(masked_lm_loss_naive, h.double(), weight.double(), bias.double(), targets)
    with torch.autocast("cpu", torch.bfloat16):
        ours, naive = (run(f, h, weight, bias, targets) for f in (masked_lm_loss, masked_lm_loss_naive))
        fused = run(masked_lm_loss, h, weight, bias, targets, fused=softmax_gradient)
    for a, c, b, t in zip(ours, fused, naive, truth, strict=True):
        error, fused_error, naive_error = ((x.double() - t).norm() / t.norm() for x in (a, c, b))
        assert error <= naive_error + 2e-3
        assert fused_error <= naive_error + 2e-3


def test_it_refuses_second_derivatives():
    h, weight, bias, targets = inputs(3)
    loss, _ = masked_lm_loss(h.requires_grad_(), weight, bias, targets)
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.grad(loss, h, create_graph=True)
