"""Languages are added, dropped and renamed, with and without rows of their own; nothing else changes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from _models import LANGUAGES, MODERN, VOCAB, gradients, tiny_batch, tiny_config, tiny_model
from polymod.batch import Batch
from polymod.languages import LanguageError
from polymod.model.config import OwnVocabulary
from polymod.model.flops import parameters
from polymod.model.heads import MaskedLM
from polymod.model.install import add_language, drop_language, rename_language
from polymod.model.partition import owner

NEW = OwnVocabulary(size=40, mask_id=39)
ENLARGED = OwnVocabulary(size=VOCAB + 7, shared_rows=VOCAB, mask_id=VOCAB - 1)


def mixed_batch(size: int) -> Batch:
    """Old languages and ``ka``, whose ids reach up to ``size``."""
    batch = tiny_batch(("en", "ka", "to"), (6, 9, 5))
    generator = torch.Generator().manual_seed(3)
    ids, targets = batch.ids_N.clone(), batch.targets_M.clone()
    ids[6:15] = torch.randint(0, size, (9,), generator=generator)
    ids[6] = size - 1
    here = (batch.target_rows_M >= 6) & (batch.target_rows_M < 15)
    targets[here] = torch.randint(0, size, (int(here.sum()),), generator=generator)
    return replace(batch, ids_N=ids, targets_M=targets)


@pytest.mark.parametrize("vocabulary", [NEW, ENLARGED], ids=["new", "enlarged"])
@pytest.mark.parametrize("style", [{}, MODERN], ids=["xmod", "modern"])
def test_own_rows_equal_one_large_matrix(vocabulary: OwnVocabulary, style: dict[str, object]) -> None:
    """The twin has all rows in one embedding and looks at each language alone."""
    model = tiny_model(**style, dtype=torch.float64)
    add_language(model, "ka", seed=0, vocabulary=vocabulary)
    model.to(torch.float64)
    batch = mixed_batch(vocabulary.size)
    loss, losses_M = model(batch, scale=0.5)
    loss.backward()
    found = gradients(model)
    model.zero_grad()

    e = model.encoder.embeddings
    shared, own = vocabulary.shared_rows, e.own["ka"]
    matrix = torch.cat([e.tokens.weight[:shared], own.tokens_VD])
    bias = torch.cat([model.head.bias[:shared], own.bias_V])
    total = torch.zeros((), dtype=torch.float64)
    seen = []
    for tag, start, stop in batch.route.spans:
        one = Batch.pack([batch.ids_N[start:stop]], [tag])
        x = (matrix if tag == "ka" else e.tokens.weight)[one.ids_N]
        if e.learned:
            x = x + e.positions(one.positions_N + e.first_position)
        x = e.norm(x)
        cos_sin = model.encoder.rotary(one.positions_N) if style else None
        from polymod.model.attention import Layout

        for layer, routed in zip(model.encoder.layers, model.encoder.packs.select(one.route), strict=True):
            x = layer(x, Layout.of(one), cos_sin, [routed])
        if style:
            x = model.encoder.final_norm(x)
        here = (batch.target_rows_M >= start) & (batch.target_rows_M < stop)
        h = model.head(x[batch.target_rows_M[here] - start])
        weight = (matrix, bias) if tag == "ka" else (e.tokens.weight, model.head.bias)
        seen.append(F.cross_entropy(F.linear(h, *weight), batch.targets_M[here], reduction="none"))
        total = total + 0.5 * seen[-1].sum()
    total.backward()
    torch.testing.assert_close(losses_M, torch.cat(seen).detach())
    for name, gradient in gradients(model).items():
        if gradient is None:
            assert found[name] is None, name
        else:
            torch.testing.assert_close(found[name], gradient)


@pytest.mark.parametrize("vocabulary", [None, NEW, ENLARGED], ids=["kept", "new", "enlarged"])
@pytest.mark.parametrize("arm", ["modular", "shared", "dense"])
def test_adding_changes_nothing_old(vocabulary: OwnVocabulary | None, arm: str) -> None:
    model = tiny_model(arm, language_embedding=True)
    old = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    before = model.logits(tiny_batch())
    add_language(model, "ka", seed=0, init_from=("en", "to"), vocabulary=vocabulary)
    assert torch.equal(model.logits(tiny_batch()), before)
    state = model.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in old.items())
    new = set(state) - set(old)
    assert {owner(name) for name in new} == {"ka"}
    again = MaskedLM(model.config)
    again.load_state_dict(state)
    assert parameters(model.config)["total"] == sum(p.numel() for p in model.parameters())


def test_the_mean_of_relatives() -> None:
    model = tiny_model()
    add_language(model, "ka", seed=0, init_from=("en", "to"))
    packs = model.encoder.packs
    mean = (packs["en"].up_LDB + packs["to"].up_LDB) / 2
    torch.testing.assert_close(packs["ka"].up_LDB, mean)


def test_a_new_pack_is_that_of_pre_training() -> None:
    """A language begins with the same pack whether it is there from the start or added."""
    model = MaskedLM(tiny_config())
    add_language(model, "ka", seed=7)
    from polymod.model.heads import initialise

    whole = MaskedLM(tiny_config(languages=(*LANGUAGES, "ka")))
    initialise(whole, seed=7)
    assert torch.equal(model.encoder.packs["ka"].down_LBD, whole.encoder.packs["ka"].down_LBD)


def test_only_the_new_language_learns() -> None:
    model = tiny_model()
    add_language(model, "ka", seed=0, vocabulary=ENLARGED)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(owner(name) == "ka")
    one = replace(tiny_batch(("ka",), (9,)))
    model(one)[0].backward()
    with_gradient = {owner(name) for name, g in gradients(model).items() if g is not None}
    assert with_gradient == {"ka"}
    assert all(g is not None for name, g in gradients(model).items() if owner(name) == "ka")


@pytest.mark.parametrize("arm", ["modular", "shared"])
def test_rename_and_drop(arm: str) -> None:
    model = tiny_model(arm, language_embedding=True)
    add_language(model, "ka", seed=0, vocabulary=NEW)
    batch = Batch.pack([torch.arange(8)], ["ka"])
    before = model.logits(batch)
    rename_language(model, "ka", "hy")
    assert torch.equal(model.logits(Batch.pack([torch.arange(8)], ["hy"])), before)
    assert model.config.languages[-1] == "hy"
    assert set(model.config.own_vocabularies) == {"hy"}
    drop_language(model, "hy")
    assert model.config == tiny_config(arm, language_embedding=True)
    assert {owner(name) for name in model.state_dict()} <= {None, *LANGUAGES}


def test_refusals() -> None:
    model = tiny_model()
    with pytest.raises(LanguageError, match="installed already"):
        add_language(model, "en", seed=0)
    with pytest.raises(LanguageError, match="not installed"):
        add_language(model, "ka", seed=0, init_from=("fr",))
    assert model.config.languages == LANGUAGES
    assert model.encoder.packs.tags == LANGUAGES
    with pytest.raises(LanguageError, match="installed already"):
        rename_language(model, "en", "to")
    drop_language(model, "to")
    drop_language(model, "sr-Latn")
    with pytest.raises(LanguageError, match="only language"):
        drop_language(model, "en")


def test_other_packs_leave_the_text_what_it_is() -> None:
    """Only the pack follows ``via``; embeddings and vocabulary stay those of the text's language."""
    model = tiny_model(language_embedding=True)
    add_language(model, "ka", seed=0, vocabulary=NEW)
    batch = Batch.pack([torch.arange(8)], ["ka"])
    through_en = model.logits(batch.via({"ka": "en"}))
    assert through_en.shape == (8, NEW.size)
    expected = tiny_model(language_embedding=True)
    add_language(expected, "ka", seed=0, vocabulary=NEW)
    expected.encoder.packs["ka"].load_state_dict(expected.encoder.packs["en"].state_dict())
    assert torch.equal(through_en, expected.logits(batch))
    assert not torch.equal(through_en, model.logits(batch))
    assert not torch.equal(model.logits(batch.via({"ka": None})), model.logits(batch))


def test_a_language_without_a_pack_can_go_through_another_one() -> None:
    for arm in ("modular", "shared", "dense"):
        model = tiny_model(arm, language_embedding=True)
        ids = torch.arange(8)
        unknown = Batch.pack([ids], ["fr"])
        with pytest.raises(LanguageError):
            model.logits(unknown)
        assert torch.equal(model.logits(unknown.via({"fr": "en"})), model.logits(Batch.pack([ids], ["en"])))


def test_several_vocabularies_have_no_common_logits() -> None:
    model = tiny_model()
    add_language(model, "ka", seed=0, vocabulary=NEW)
    with pytest.raises(ValueError, match="several vocabularies"):
        model.logits(mixed_batch(NEW.size))
