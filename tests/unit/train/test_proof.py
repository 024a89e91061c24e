"""The proof that nothing old has changed notices what it is there for."""

import copy

import pytest
import torch

from _asserts import assert_user_error
from _models import LANGUAGES, tiny_model
from polymod.model.config import OwnVocabulary
from polymod.model.install import add_language
from polymod.train.proof import bit_equal, differences, prove

KINDS = {"modular": {}, "with a language embedding": {"language_embedding": True}}


def extended(before):
    after = copy.deepcopy(before)
    add_language(after, "ka", seed=0, vocabulary=OwnVocabulary(size=20, mask_id=19))
    add_language(after, "it", seed=0, init_from=["en"])
    return after


@pytest.mark.parametrize("changes", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("arm", ["modular", "shared", "dense"])
def test_added_languages_change_nothing(arm, changes):
    before = tiny_model(arm, **changes)
    assert prove(before, extended(before)) == {tag: {"bit_equal": True} for tag in LANGUAGES}


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("encoder.packs.by_key.lang_to.up_bias_LD", {"to"}),
        ("encoder.embeddings.tokens.weight", set(LANGUAGES)),
        ("head.bias", set(LANGUAGES)),
        ("encoder.packs.by_key.lang_ka.down_LBD", set()),
    ],
)
def test_one_changed_weight_is_noticed(name, wrong):
    before = tiny_model()
    after = extended(before)
    with torch.no_grad():
        weight = after.get_parameter(name).view(-1)
        weight[3] = torch.nextafter(weight[3], torch.tensor(9.0))
    assert {tag for tag in LANGUAGES if differences(before, after, tag)} == wrong
    if wrong:
        error = assert_user_error(lambda: prove(before, after), name, code=1)
        assert error.document["old_languages"]["to"] == {"bit_equal": False}
    else:
        prove(before, after)


def test_other_outputs_of_the_same_tensors_are_noticed():
    before = tiny_model()
    after = extended(before)
    after.head.norm.eps = 1e-3
    assert differences(before, after, "en") == ["logits"]
    after.encoder.layers[0].activation = "relu"
    assert differences(before, after, "en") == ["hidden states", "logits"]


def test_a_language_that_is_gone_is_noticed():
    before = tiny_model()
    assert differences(before, tiny_model(languages=("en", "to")), "sr-Latn") == ["the language is gone"]


def test_bits_are_compared():
    assert not bit_equal(torch.tensor([0.0]), torch.tensor([-0.0]))
    assert bit_equal(torch.tensor([float("nan")]), torch.tensor([float("nan")]))
    assert not bit_equal(torch.zeros(2), torch.zeros(2, dtype=torch.float64))
    assert not bit_equal(torch.zeros(2), torch.zeros(1, 2))
