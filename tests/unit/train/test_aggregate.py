"""torchjd's aggregators as updates: their size, their combination, and what is said if they are missing."""

import builtins

import pytest
import torch

from _asserts import assert_user_error
from _models import gradients, tiny_batch, tiny_model
from polymod.batch import GlobalBatch
from polymod.train.aggregate import WEIGHTINGS, aggregated, weighting
from polymod.train.by_language import LanguageGradients, Trunk
from polymod.train.config import TrainOptions, TreatmentOptions
from polymod.train.joint import joint
from polymod.train.loop import TrainState
from polymod.train.optim import build_optimizer

OPTIONS = TrainOptions(steps=20, learning_rate=1e-2)


def usable(name: str) -> bool:
    try:
        weighting(name)
    except ValueError:
        return False
    return True


USABLE = [name for name in WEIGHTINGS if usable(name)]


def after(name: str | None, batch: GlobalBatch, same: bool = False):
    """Gradients of a step; ``same``: two languages have the same modules."""
    model = tiny_model(dtype=torch.float64)
    if same:
        model.encoder.packs["to"].load_state_dict(model.encoder.packs["en"].state_dict())
    state = TrainState(model, build_optimizer(model, OPTIONS))
    update = (
        aggregated(name, model, OPTIONS, TreatmentOptions(), torch.float32)
        if name
        else joint(OPTIONS, torch.device("cpu"), torch.float32)
    )
    assert not update(state, batch).skipped
    return gradients(model)


def whole(*micro) -> GlobalBatch:
    return GlobalBatch(micro, sum(len(each.targets_M) for each in micro), "")


@pytest.mark.parametrize("name", USABLE)
def test_what_all_languages_agree_on_has_the_size_of_the_joint_gradient(name):
    batch = whole(tiny_batch(("en", "en"), (7, 5)), tiny_batch(("to", "to"), (7, 5)))
    expected = after(None, batch, same=True)
    for key, gradient in after(name, batch, same=True).items():
        torch.testing.assert_close(gradient, expected[key], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ["Sum", "Mean"])
def test_sum_and_mean_are_the_joint_update(name):
    if name not in USABLE:
        pytest.skip("needs the extra mtl")
    batch = whole(tiny_batch(("en", "to", "sr-Latn"), (7, 5, 6)))
    expected = after(None, batch)
    for key, gradient in after(name, batch).items():
        torch.testing.assert_close(gradient, expected[key])


def test_it_is_what_the_aggregator_makes_of_the_matrix():
    aggregation = pytest.importorskip("torchjd.aggregation", reason="needs the extra mtl")
    batch = whole(tiny_batch(("en", "to", "sr-Latn"), (7, 5, 6)))
    model = tiny_model(dtype=torch.float64)
    state, trunk = TrainState(model, build_optimizer(model, OPTIONS)), Trunk(model, whole=True)
    each = LanguageGradients(state, batch, trunk, 0, torch.float32)
    rows = []
    for tag in each.tags:
        each.compute(tag)
        rows.append(torch.cat([parameter.grad.flatten() for _, parameter, _ in trunk.places]))
    expected = aggregation.IMTLG()(len(rows) * torch.stack(rows))
    names = {parameter: name for name, parameter in model.named_parameters()}
    found = after("IMTLG", batch)
    vector = torch.cat([found[names[parameter]].flatten() for _, parameter, _ in trunk.places])
    torch.testing.assert_close(torch.nn.functional.normalize(vector, dim=0), expected / expected.norm())


def test_without_torchjd_the_extra_is_named(monkeypatch):
    plain = builtins.__import__

    def missing(name, *rest, **more):
        if name.startswith("torchjd"):
            raise ImportError(name)
        return plain(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    assert_user_error(lambda: weighting("MGDA"), "pip install 'polymod[mtl]'")


def test_what_an_aggregator_needs_besides_is_named():
    pytest.importorskip("torchjd.aggregation", reason="needs the extra mtl")
    missing = [name for name in WEIGHTINGS if name not in USABLE]
    for name in missing:
        assert_user_error(lambda name=name: weighting(name), f"jd:{name}", "pip install")
