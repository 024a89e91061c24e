"""Compiled pieces: the same numbers and names, and nothing compiled again for other languages or lengths."""

import pytest
import torch
from torch._dynamo.utils import counters

from polymod.bench.peers import bench_config, ragged_batch
from polymod.errors import UserError
from polymod.model.compiled import compile_pieces
from polymod.model.config import PRESETS
from polymod.model.heads import MaskedLM, initialise
from polymod.train.updates import compile_for

# torch looks at the .grad of the tensors that it compiles for, and warns of that itself.
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")


def config(preset: str, **sizes):
    sizes = {**PRESETS[preset]["model"], "hidden_size": 16, "ffn_size": 32, "bottleneck_size": 8, **sizes}
    return bench_config("modular", num_languages=6, vocab_size=100, sizes=sizes)


def model(of) -> MaskedLM:
    made = MaskedLM(of)
    initialise(made, seed=0)
    return made


@pytest.fixture(autouse=True)
def _forget():
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize("preset", ["tiny", "modern-tiny"])
def test_losses_and_gradients_are_those_of_the_plain_model(preset):
    of = config(preset)
    plain, fused = model(of), model(of)
    compile_pieces(fused, backend="aot_eager")
    assert list(fused.state_dict()) == list(plain.state_dict())
    for seed in range(5):
        batch = ragged_batch(of, sequences=3 + seed, active=1 + seed, seed=seed)
        losses = []
        for each in (plain, fused):
            each.zero_grad()
            loss, _ = each(batch, scale=0.01)
            loss.backward()
            losses.append(loss.detach())
        torch.testing.assert_close(losses[1], losses[0])
        for (name, a), b in zip(plain.named_parameters(), fused.parameters(), strict=True):
            assert (a.grad is None) == (b.grad is None), name
            if a.grad is not None:
                torch.testing.assert_close(b.grad, a.grad, atol=1e-6, rtol=1e-5)


def test_one_graph_for_all_layers_languages_and_lengths():
    of = config("modern-tiny", num_layers=6)
    fused = model(of)
    compile_pieces(fused, backend="eager")
    for seed in range(6):
        fused(ragged_batch(of, sequences=3 + seed, active=1 + seed, seed=seed))[0].backward()
        assert counters["stats"]["unique_graphs"] == 3  # a layer's piece, features, softmax


def test_what_needs_second_derivatives_is_refused():
    with pytest.raises(UserError, match="second derivatives"):
        compile_for("meta", model(config("modern-tiny")))
