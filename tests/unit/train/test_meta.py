"""The exact meta gradient against finite differences, and every trap of the code that the paper released."""

import numpy as np
import pytest
import torch
from torch.func import functional_call

from _asserts import assert_user_error
from _models import LANGUAGES, LARGE, MODERN, XMOD, tiny_batch, tiny_config, tiny_model
from _tokens import MemoryTokens
from polymod.batch import GlobalBatch
from polymod.data.loader import BatchPlan, TrainLoader
from polymod.data.masking import Masking
from polymod.model.heads import MaskedLM
from polymod.model.install import add_language
from polymod.model.partition import TRUNK, freeze, owner
from polymod.train.config import TrainOptions, TreatmentOptions
from polymod.train.episodes import Episodes
from polymod.train.loop import TrainState
from polymod.train.meta import Queries, drawn, masked_lm, meta, meta_gradient
from polymod.train.optim import build_optimizer

OPTIONS = TrainOptions(steps=20, learning_rate=1e-2)
SMALLEST = {"hidden_size": 4, "ffn_size": 6, "bottleneck_size": 2}
TAGS = ("te", "sw", "en")  # "te" lies within the word "adapter"


def smallest(**changes) -> MaskedLM:
    return tiny_model(dtype=torch.float64, **{**SMALLEST, **changes})


def support() -> object:
    return tiny_batch(("en", "en"), (6, 5))


def queries(*tags: str) -> list:
    return [tiny_batch((tag, tag), (5, 4), seed=seed) for seed, tag in enumerate(tags or LANGUAGES, 1)]


def meta_loss(model: MaskedLM, values: dict, theta: list, inner_lr: float, given: list) -> float:
    """The mean query loss after a virtual step of theta, whose gradient is taken in the plain way."""
    with torch.no_grad():
        kept = {name: model.get_parameter(name).clone() for name in values}
        for name, value in values.items():
            model.get_parameter(name).copy_(value)
    model.zero_grad(set_to_none=True)
    scale = 1.0 / len(support().targets_M)
    model(support(), scale=scale)[0].backward()
    with torch.no_grad():
        stepped = {name: p - inner_lr * p.grad for name in theta for p in [model.get_parameter(name)]}
        losses = [functional_call(model, stepped, (each,))[1].mean() for each in given]
        for name, value in kept.items():
            model.get_parameter(name).copy_(value)
    return float(torch.stack(losses).mean())


def finite_differences(model: MaskedLM, names: list, inner_lr: float, given: list) -> torch.Tensor:
    """Central differences of every meta parameter."""
    found, step = [], 1e-4
    theta = [name for name, _ in model.named_parameters() if owner(name) is TRUNK and name not in names]
    for name in names:
        for place in range(model.get_parameter(name).numel()):
            ends = []
            for sign in (1, -1):
                value = model.get_parameter(name).detach().clone()
                value.view(-1)[place] += sign * step
                ends.append(meta_loss(model, {name: value}, theta, inner_lr, given))
            found.append((ends[0] - ends[1]) / (2 * step))
    return torch.tensor(found, dtype=torch.float64)


def flat(gradient: dict) -> torch.Tensor:
    return torch.cat([tensor.flatten() for tensor in gradient.values()])


@pytest.mark.parametrize("order", [XMOD, LARGE, MODERN], ids=["xmod", "large", "modern"])
def test_it_equals_finite_differences_in_every_meta_parameter(order):
    model, inner_lr = smallest(**order, num_layers=1), 0.5
    found, _ = meta_gradient(model, masked_lm, support(), Queries(queries()), inner_lr=inner_lr)
    expected = finite_differences(model, list(found), inner_lr, queries())
    assert len(expected) == sum(p.numel() for n, p in model.named_parameters() if owner(n) == "en")
    error = (flat(found) - expected).norm() / expected.norm()
    assert float(error) <= 1e-6


def test_with_other_languages_only_what_is_left_goes_through_the_trunk():
    model = smallest(num_layers=1)
    found, metrics = meta_gradient(
        model, masked_lm, support(), Queries(queries("to", "sr-Latn")), inner_lr=0.5
    )
    expected = finite_differences(model, list(found), 0.5, queries("to", "sr-Latn"))
    assert float((flat(found) - expected).norm() / expected.norm()) <= 1e-6
    assert float(metrics.direct_norm) == 0 < float(metrics.through_norm)


def test_the_head_can_be_meta_learned_too():
    model = smallest(num_layers=1)
    phi = [name for name, _ in model.named_parameters() if owner(name) == "en" or name == "head.dense.bias"]
    found, _ = meta_gradient(model, masked_lm, support(), Queries(queries()), inner_lr=0.5, phi=phi)
    expected = finite_differences(model, phi, 0.5, queries())
    assert float((flat(found) - expected).norm() / expected.norm()) <= 1e-6


@pytest.mark.parametrize("inner_lr", [1e-3, 1.0])
def test_the_through_term_grows_with_the_inner_step(inner_lr):
    model = smallest()
    _, metrics = meta_gradient(model, masked_lm, support(), Queries(queries()), inner_lr=inner_lr)
    assert 1e-4 < float(metrics.through_norm) / inner_lr < 1e2


def test_order_1_is_the_direct_term_at_the_stepped_trunk():
    model = smallest()
    first, metrics = meta_gradient(model, masked_lm, support(), Queries(queries()), inner_lr=0.5, order=1)
    second, _ = meta_gradient(model, masked_lm, support(), Queries(queries()), inner_lr=0.5)
    assert float(metrics.through_norm) == 0
    assert not torch.allclose(flat(first), flat(second), rtol=1e-3)
    still, _ = meta_gradient(model, masked_lm, support(), Queries(queries()), inner_lr=0.0)
    assert not torch.allclose(flat(first), flat(still), rtol=1e-3)


def test_order_1_with_other_languages_only_has_no_signal():
    with pytest.raises(ValueError, match="order=2"):
        meta_gradient(smallest(), masked_lm, support(), Queries(queries("to")), inner_lr=0.5, order=1)


def test_nothing_of_the_model_changes():
    model = smallest()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    meta_gradient(model, masked_lm, support(), Queries(queries()), inner_lr=0.5)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_tied_embeddings_follow_the_virtual_step():
    """Query logits use the stepped embeddings at both ends: freezing the output matrix changes the result."""
    model = smallest()
    losses = []

    def untied(model, parameters, batch, twice):
        name = "encoder.embeddings.tokens.weight"
        stepped = {**parameters}
        if not twice:  # queries: hidden states from theta', logits from theta
            x_ND = functional_call(
                model.encoder,
                {
                    key.removeprefix("encoder."): value
                    for key, value in stepped.items()
                    if key.startswith("encoder.")
                },
                (batch,),
            )
            head = {k.removeprefix("head."): v for k, v in stepped.items() if k.startswith("head.")}
            h_MD = functional_call(model.head, head, (x_ND[batch.target_rows_M],))
            logits = h_MD @ (model.get_parameter(name) if losses[-1:] == ["untied"] else stepped[name]).T
            return torch.nn.functional.cross_entropy(logits + head["bias"], batch.targets_M)
        return masked_lm(model, parameters, batch, twice)

    expected, _ = meta_gradient(model, masked_lm, support(), Queries(queries()), inner_lr=0.5)
    written_out, _ = meta_gradient(model, untied, support(), Queries(queries()), inner_lr=0.5)
    torch.testing.assert_close(flat(written_out), flat(expected))
    losses.append("untied")
    wrong, _ = meta_gradient(model, untied, support(), Queries(queries()), inner_lr=0.5)
    assert not torch.allclose(flat(wrong), flat(expected), rtol=1e-3)


class Watched(MemoryTokens):
    """Notes which splits are read."""

    def __init__(self, sizes, **more) -> None:
        super().__init__(sizes, **more)
        self.read: set[str] = set()

    def take(self, tag, split, starts_B, length):
        self.read.add(split)
        return super().take(tag, split, starts_B, length)


def setting(tags=LANGUAGES, size: int = 3000, **treatment):
    """A state, its update and loader, and the tokens that they read."""
    model = MaskedLM(tiny_config(languages=tags))
    torch.manual_seed(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    tokens, masking = Watched(dict.fromkeys(tags, size)), Masking(59, (0, 1, 2, 3, 59), 60)
    plan = BatchPlan(16, 96, 96, 0.0, 0)
    episodes = Episodes(tokens, tags, masking, plan, bos_id=0, num_tokens=32)
    update = meta(model, OPTIONS, TreatmentOptions(**treatment), torch.float32, episodes)
    loader = TrainLoader(tokens, tags, masking, plan, bos_id=0)
    return TrainState(model, build_optimizer(model, OPTIONS)), update, loader, tokens


def snapshot(state: TrainState) -> dict:
    return {name: parameter.detach().clone() for name, parameter in state.model.named_parameters()}


def owners_that_moved(state: TrainState, before: dict) -> set:
    return {owner(n) for n, p in state.model.named_parameters() if not torch.equal(p, before[n])}


@pytest.mark.parametrize("tags", [LANGUAGES, TAGS])
def test_trunk_and_the_drawn_language_move_and_nobody_else(tags):
    """ "te" is a part of many names: who owns what is decided by whole keys."""
    state, update, loader, _ = setting(tags)
    seen = set()
    for step in range(6):
        state.step = step
        before = snapshot(state)
        assert not update(state, loader.at(step)).skipped
        moved = owners_that_moved(state, before)
        assert TRUNK in moved
        assert len(moved) == 2
        seen |= moved - {TRUNK}
    assert len(seen) > 1


def test_without_trunk_only_all_modules_of_the_batch_move_too():
    state, update, loader, _ = setting(trunk_only=False)
    before = snapshot(state)
    update(state, loader.at(0))
    assert owners_that_moved(state, before) == {TRUNK, *LANGUAGES}


def test_each_pack_has_moments_of_its_own():
    state, update, loader, _ = setting()
    update(state, loader.at(0))
    steps = {
        owner(n): float(state.optimizer.state[p]["step"])
        for n, p in state.model.named_parameters()
        if p in state.optimizer.state
    }
    assert sorted(steps.values()) == [1.0, 1.0]


def test_the_head_steps_once_and_with_the_meta_gradient():
    state, update, loader, _ = setting(head=True)
    update(state, loader.at(0))
    assert float(state.optimizer.state[state.model.head.bias]["step"]) == 1


def test_train_and_meta_splits_are_read_and_the_valid_split_never():
    state, update, loader, tokens = setting()
    tokens.read.clear()
    for step in range(3):
        state.step = step
        update(state, loader.at(step))
    assert tokens.read == {"train", "meta"}


def test_clipping_does_not_depend_on_other_languages():
    """The drawn language's pack is clipped by itself; others' gradients do not exist."""
    norms = []
    clip = torch.nn.utils.clip_grad_norm_
    state, update, loader, _ = setting()
    owned = {id(p): owner(n) for n, p in state.model.named_parameters()}

    def watched(parameters, *rest):
        parameters = list(parameters)
        norms.append({owned[id(parameter)] for parameter in parameters})
        return clip(parameters, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.utils, "clip_grad_norm_", watched)
        update(state, loader.at(0))
    assert norms[0] == {TRUNK}
    assert len(norms) == 2
    assert len(norms[1]) == 1
    assert norms[1] != {TRUNK}


def test_a_step_that_is_not_finite_changes_nothing():
    state, update, loader, _ = setting()
    state.model.encoder.packs["to"].up_bias_LD.data[0, 0] = float("nan")
    before = snapshot(state)
    assert update(state, loader.at(0)).skipped
    assert all(torch.equal(before[n].nan_to_num(), p.nan_to_num()) for n, p in state.model.named_parameters())
    assert not state.optimizer.state


def test_modules_added_to_a_frozen_trunk_are_meta_learned():
    state, _, loader, tokens = setting()
    add_language(state.model, "sw", seed=0)
    freeze(state.model, [name for name, _ in state.model.named_parameters() if owner(name) == "sw"])
    tokens.streams["sw"] = tokens.streams["en"][::-1].copy()
    plan = BatchPlan(16, 96, 96, 0.0, 0)
    episodes = Episodes(tokens, (*LANGUAGES, "sw"), loader.masking, plan, bos_id=0, num_tokens=32)
    update = meta(state.model, OPTIONS, TreatmentOptions(), torch.float32, episodes)
    state.optimizer = build_optimizer(state.model, OPTIONS)
    before = snapshot(state)
    batch = TrainLoader(tokens, ("sw",), loader.masking, plan, bos_id=0).at(0)
    metrics = update(state, batch)
    assert owners_that_moved(state, before) == {"sw"}
    assert metrics.loss > 0


def test_languages_are_drawn_as_often_as_they_have_tokens():
    batch = GlobalBatch((tiny_batch(("en", "to"), (9, 3)), tiny_batch(("to",), (6,))), 1, "")
    draws = [drawn(batch, bits) for bits in range(18)]
    assert draws.count("en") == draws.count("to") == 9


WRONG = {
    "no modules": ({"arm": "shared"}, {}, "--arm modular"),
    "no signal": ({}, {"only_other_languages": True, "order": 1}, "order 2"),
    "no other language": ({"languages": ("en",)}, {"only_other_languages": True}, "no other language"),
}


@pytest.mark.parametrize(("model", "treatment", "said"), WRONG.values(), ids=WRONG.keys())
def test_what_cannot_work_is_refused_at_once(model, treatment, said):
    made = tiny_model(**model)
    call = lambda: meta(made, OPTIONS, TreatmentOptions(**treatment), torch.float32, None)  # noqa: E731
    assert_user_error(call, said)


def test_a_language_without_a_meta_split_is_named():
    tokens = MemoryTokens({"en": 3000, "to": 7})
    masking, plan = Masking(59, (0, 1, 2, 3, 59), 60), BatchPlan(16, 96, 96, 0.7, 0)
    call = lambda: Episodes(tokens, ("en", "to"), masking, plan, bos_id=0, num_tokens=32)  # noqa: E731
    assert_user_error(call, "'to'", "meta share")


def test_episodes_visit_every_block_of_a_split_once():
    tokens = MemoryTokens({"en": 15 * 8})
    masking, plan = Masking(59, (0, 1, 2, 3, 59), 60), BatchPlan(16, 96, 96, 0.7, 0)
    episodes = Episodes(tokens, ("en",), masking, plan, bos_id=0, num_tokens=32)
    assert episodes.at("en", "meta", 3).lengths == (16, 16)
    seen = []
    for number in range(4):
        batch = episodes.at("en", "meta", number)
        ids_N = batch.ids_N.clone()
        ids_N[batch.target_rows_M] = batch.targets_M
        seen += [tuple(row[1:]) for row in ids_N.view(2, 16).tolist()]
    assert sorted(seen) == sorted(map(tuple, tokens.streams["en"].reshape(8, 15).astype(np.int64).tolist()))
    assert not torch.equal(episodes.at("en", "train", 0).ids_N, episodes.at("en", "meta", 0).ids_N)
