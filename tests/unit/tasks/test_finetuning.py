"""Fine-tuning: what is frozen, which batches there are, what is best; two sources, each with its module."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from _asserts import assert_user_error
from _models import LARGE, MODERN, VOCAB, XMOD, gradients, tiny_model
from polymod.batch import Batch
from polymod.model.config import OwnVocabulary
from polymod.model.install import add_language
from polymod.model.partition import owner
from polymod.model.tasks import TaskModel, TaskSpec, initialise_task
from polymod.tasks.encoded import Encoded
from polymod.tasks.examples import Coded, TrainingSet, batches, some, with_targets
from polymod.tasks.finetuning import best_of
from polymod.tasks.options import FROZEN, FinetuneOptions
from polymod.tasks.predict import predict
from polymod.tasks.protocol import apply_protocol
from polymod.tasks.task import TASKS
from polymod.train.joint import joint
from polymod.train.loop import TrainState
from polymod.train.optim import build_optimizer

SPEC = TaskSpec(task="nli", kind="sequence", labels=("a", "b", "c"))
TOKENS = TaskSpec(task="pos", kind="token", labels=("a", "b", "c"))
LENGTHS = (3, 9, 5, 5, 12, 4, 7)


def coded(tag: str, lengths=LENGTHS, kind: str = "sequence", seed: int = 0) -> Coded:
    """Sequences of random tokens with random classes."""
    numbers = np.random.default_rng([seed, len(tag), sum(map(ord, tag))])
    found = []
    for length in lengths:
        rows = (0,) if kind == "sequence" else tuple(range(1, length, 2))
        targets = tuple(numbers.integers(3, size=len(rows)).tolist())
        found.append([Encoded(numbers.integers(4, VOCAB - 1, length).tolist(), rows, targets)])
    return Coded(tag, [None] * len(found), found)


def finetuned(model: TaskModel, batch, steps: int = 2) -> TaskModel:
    options = FinetuneOptions(learning_rate=0.01, weight_decay=0.1).train(steps, width=32)
    state = TrainState(model, build_optimizer(model, options))
    update = joint(options, torch.device("cpu"), torch.float32)
    for _ in range(steps):
        update(state, batch)
        state.step += 1
    return model


def task_model(spec: TaskSpec = SPEC, **changes) -> TaskModel:
    source = tiny_model(**changes)
    model = TaskModel(source.config, spec)
    initialise_task(model, source.encoder, 0)
    return model


def training_set(*sets: Coded, batch_size: int = 4, micro_tokens: int = 1000, seed: int = 0) -> TrainingSet:
    return TrainingSet(sets, batch_size=batch_size, micro_tokens=micro_tokens, seed=seed)


@pytest.mark.parametrize("arm", ["modular", "shared", "dense"])
@pytest.mark.parametrize("shape", [XMOD, LARGE, MODERN], ids=["xmod", "large", "modern"])
def test_embeddings_packs_and_module_norms_stay_bit_equal_and_the_rest_moves(arm, shape):
    model = task_model(arm=arm, language_embedding=True, **shape)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    counts = apply_protocol(model, sources=["en"])
    finetuned(model, training_set(coded("en")).at(0))
    stays = {
        name
        for name in before
        if any(part in name for part in ("embeddings.", ".packs.", "module_norm")) and "head" not in name
    }
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name]) == (name in stays), name
        assert (parameter.grad is None) == (name in stays), name
    assert counts == {
        "trained": sum(before[name].numel() for name in before.keys() - stays),
        "frozen": sum(before[name].numel() for name in stays),
    }


def test_the_norm_that_is_used_again_behind_the_module_is_trained():
    model = task_model()
    apply_protocol(model, sources=["en"])
    assert model.encoder.layers[0].feed_forward_norm.weight.requires_grad


@pytest.mark.parametrize("part", FROZEN)
def test_a_part_can_be_trained_besides_but_never_what_is_another_languages(part):
    model = task_model(language_embedding=True, **LARGE)
    apply_protocol(model, sources=["en"], unfreeze=[part])
    trains = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert {owner(name) for name in trains} <= {None, "en"}
    finetuned(model, training_set(coded("en")).at(0))
    words = {"embeddings": "encoder.embeddings.", "packs": ".packs.", "module_norms": "module_norm"}
    word = words.get(part, part)
    moved = {name for name, value in gradients(model).items() if value is not None}
    assert {name for name in moved if word in name}
    for other in {"encoder.embeddings.", ".packs.", "module_norm", "language_embeddings"} - {word}:
        assert not [name for name in moved if other in name], other
    assert {owner(name) for name in moved} <= {None, "en"}


def test_rows_that_languages_own_stay_too():
    source = tiny_model()
    add_language(
        source, "de", seed=0, vocabulary=OwnVocabulary(size=VOCAB + 7, shared_rows=VOCAB, mask_id=VOCAB - 1)
    )
    model = TaskModel(source.config, SPEC)
    initialise_task(model, source.encoder, 0)
    apply_protocol(model, sources=["de"])
    finetuned(model, training_set(coded("de")).at(0))
    assert {owner(name) for name, value in gradients(model).items() if value is not None} == {None}


def test_the_lowest_layers_can_stay_and_their_outputs_are_what_they_were():
    model = task_model()
    whole = apply_protocol(task_model(), sources=["en"])
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    counts = apply_protocol(model, sources=["en"], freeze_layers=1)
    finetuned(model, training_set(coded("en")).at(0))
    moved = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    assert not [name for name in moved if ".layers.0." in name]
    assert [name for name in moved if ".layers.1." in name]
    lowest = sum(
        value.numel()
        for name, value in before.items()
        if ".layers.0." in name and owner(name) is None and ".packs." not in name
    )
    assert whole["trained"] - counts["trained"] == lowest > 0


@pytest.mark.parametrize("count", [2, 5])
def test_freezing_every_layer_is_an_error(count):
    assert_user_error(
        lambda: apply_protocol(task_model(), sources=["en"], freeze_layers=count),
        f"{count} layers to freeze",
        "--train.freeze-layers",
    )


def test_unfreezing_what_the_model_lacks_is_an_error():
    assert_user_error(
        lambda: apply_protocol(task_model(), sources=["en"], unfreeze=["module_norms"]),
        "no module_norms",
        "--train.unfreeze",
    )


def test_options_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="'wings' is no part"):
        FinetuneOptions(unfreeze="wings")
    with pytest.raises(ValueError, match="patience needs evaluations"):
        FinetuneOptions(patience=2, select="last")
    assert FinetuneOptions(unfreeze="module-norms,packs").unfreeze == ("module_norms", "packs")


def test_the_learning_rate_follows_the_width_unless_it_is_given():
    rates = [FinetuneOptions().train(1, width).learning_rate for width in (128, 768)]
    assert rates == pytest.approx([9.8e-4, 2.7e-5], rel=0.02)
    assert FinetuneOptions(learning_rate=0.5).train(1, 128).learning_rate == 0.5


def test_every_epoch_has_every_sequence_once_in_another_order():
    examples = training_set(coded("en"), coded("to"), batch_size=4)
    assert (len(examples), examples.steps_per_epoch) == (14, 4)
    every = sorted(tuple(each.ids) for tag in ("en", "to") for each in coded(tag).sequences)
    epochs = []
    for epoch in range(2):
        seen = []
        for step in range(epoch * 4, epoch * 4 + 4):
            for batch in examples.at(step).micro:
                seen += [tuple(ids.tolist()) for ids in batch.ids_N.split(list(batch.lengths))]
        assert sorted(seen) == every
        epochs.append(seen)
    assert epochs[0] != epochs[1]


def test_a_batch_is_a_function_of_seed_and_step_and_micro_batches_only_cut_it():
    sets = (coded("en", kind="token"), coded("to", kind="token"))
    whole, cut = training_set(*sets), training_set(*sets, micro_tokens=12)
    assert whole.at(5).digest == training_set(*sets).at(5).digest == cut.at(5).digest
    assert whole.at(5).digest != training_set(*sets, seed=1).at(5).digest
    (batch,), parts = whole.at(5).micro, cut.at(5).micro
    assert len(parts) > 1
    assert torch.equal(torch.cat([part.targets_M for part in parts]), batch.targets_M)
    assert list(batch.route.tags) == sorted(set(batch.route.tags))
    assert sum(batch.target_counts) == len(batch.targets_M) == whole.at(5).num_targets


@pytest.mark.parametrize("kind", ["sequence", "token", "span"])
def test_targets_are_those_of_each_sequence(kind):
    sequences = [
        Encoded([4, 5, 6, 7], (1, 3), (2, 0)) if kind == "token" else Encoded([4, 5, 6, 7], (0,), (2,)),
        Encoded([8, 9], (1,), (1,)) if kind == "token" else Encoded([8, 9], (0,), (1,)),
    ]
    if kind == "span":
        sequences = [replace(each, targets=((number, 1),)) for number, each in enumerate(sequences)]
    ((indices, batch),) = batches(sequences, ["to", "en"], budget=100)
    assert indices == [1, 0]
    assert batch.route.tags == ("en", "to")
    expected = {"sequence": [0, 2], "token": [1, 3, 5], "span": [0, 2]}
    assert batch.target_rows_M.tolist() == expected[kind]
    assert (
        batch.targets_M.tolist() == {"sequence": [1, 2], "token": [1, 2, 0], "span": [[1, 1], [0, 1]]}[kind]
    )
    assert batch.target_counts == ((1, 2) if kind == "token" else (1, 1))


def test_sequences_without_targets_have_none():
    batch = with_targets(Batch.pack([torch.tensor([4, 5])], ["en"]), [Encoded([4, 5], (), ())])
    assert (batch.target_rows_M.tolist(), batch.target_counts) == ([], (0,))


def test_two_sources_go_through_their_own_modules():
    def one_step(*tags: str) -> dict[str, torch.Tensor | None]:
        model = task_model(TOKENS)
        apply_protocol(model, sources=["en", "to"], unfreeze=["packs"])
        (batch,) = training_set(*(coded(tag, kind="token") for tag in tags), batch_size=100).at(0).micro
        model(batch)[0].backward()
        return gradients(model)

    both, alone = one_step("en", "to"), {tag: one_step(tag) for tag in ("en", "to")}
    for name, gradient in both.items():
        parts = [alone[tag][name] for tag in ("en", "to") if alone[tag][name] is not None]
        assert (gradient is None) == (not parts), name
        if parts:
            torch.testing.assert_close(gradient, sum(parts), rtol=1e-4, atol=1e-6, msg=name)
    assert {owner(name) for name, gradient in both.items() if gradient is not None} == {None, "en", "to"}


@pytest.mark.parametrize("spec", [SPEC, TOKENS, TaskSpec(task="qa", kind="span")], ids=lambda spec: spec.kind)
@pytest.mark.parametrize("module", ["to", "en", None])
def test_text_is_read_through_any_module_as_one_sequence_at_a_time_would_be(spec, module):
    model = task_model(spec)
    task = replace(TASKS[spec.task], decode=lambda example, encoded, logits: logits)
    texts = coded("to", kind="token" if spec.kind == "token" else "sequence")
    texts = replace(texts, encoded=[texts.sequences[:3], [], *([each] for each in texts.sequences[3:])])
    texts = replace(texts, examples=[None] * len(texts.encoded))
    via = {} if module == "to" else {"to": module}
    found = predict(model, task, texts, via=via)
    assert [len(each) for each in found] == [3, 0, 1, 1, 1, 1]
    for sequence, logits in zip(texts.sequences, (part for each in found for part in each), strict=True):
        alone = with_targets(Batch.pack([torch.tensor(sequence.ids)], [module]), [sequence])
        expected = model.logits(alone).detach().numpy()
        np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
    assert model.training


def test_some_examples_are_the_same_ones_in_aligned_files():
    chosen = some(list(range(100)), 7)
    assert chosen == some(list(range(100)), 7) == sorted(set(chosen))
    assert chosen != list(range(7))
    assert [each - 1000 for each in some(list(range(1000, 1100)), 7)] == chosen
    assert some([3, 1], 0) == some([3, 1], 2) == some([3, 1], 5) == [3, 1]


def test_the_first_of_the_best_evaluations_counts():
    scores = [(10, 0.5), (20, 0.7), (30, 0.7), (40, 0.6)]
    assert best_of([{"step": step, "score": score} for step, score in scores])["step"] == 20
    assert best_of([]) is None
