"""A language's own vocabulary becomes that of the model, and nothing else changes."""

import copy

import pytest
import torch

from _models import VOCAB, XMOD, tiny_batch, tiny_model
from polymod.batch import Batch
from polymod.model import hf
from polymod.model.config import OwnVocabulary
from polymod.model.fold import fold_vocabulary, vocabularies
from polymod.model.install import add_language, drop_language

NEW = OwnVocabulary(size=40, mask_id=39)
OTHER_IDS = OwnVocabulary(size=40, pad_id=3, bos_id=1, eos_id=0, mask_id=39)
EXTENDED = OwnVocabulary(size=VOCAB + 9, shared_rows=VOCAB, mask_id=VOCAB - 1)


def model_with(vocabulary: OwnVocabulary, **changes):
    """A tiny model with a language that has rows of its own, biases included."""
    model = tiny_model(**changes)
    add_language(model, "ka", seed=0, vocabulary=vocabulary)
    torch.nn.init.normal_(model.encoder.embeddings.own["ka"].bias_V)
    return model.eval()


def only(model, tag: str):
    model = copy.deepcopy(model)
    for other in set(model.config.languages) - {tag}:
        drop_language(model, other)
    return model


@pytest.mark.parametrize("vocabulary", [NEW, OTHER_IDS, EXTENDED])
@pytest.mark.parametrize("changes", [XMOD, {"positions": "rotary"}], ids=["learned", "rotary"])
def test_outputs_are_those_of_before(vocabulary, changes):
    model = model_with(vocabulary, **changes)
    folded = only(model, "ka")
    fold_vocabulary(folded)
    assert folded.config.vocab_size == vocabulary.size
    assert folded.config.own_vocabularies == {}
    assert folded.config.pad_id == vocabulary.pad_id
    assert not any(".own." in name for name, _ in folded.named_parameters())
    ids = torch.arange(vocabulary.size)
    batch = Batch.pack([ids[4:24], ids[-7:]], ["ka", "ka"])
    assert torch.equal(model.logits(batch), folded.logits(batch))


@pytest.mark.parametrize("vocabulary", [NEW, EXTENDED])
def test_what_is_exported_computes_the_same_in_transformers(vocabulary, tmp_path):
    model = only(model_with(vocabulary), "ka")
    fold_vocabulary(model)
    hf.write_model(model, tmp_path)
    difference = hf.compare(model, tmp_path)
    assert max(difference.hidden, difference.logits) < 1e-5


def test_languages_with_the_vocabulary_of_the_trunk_stay_as_they_are():
    model = only(model_with(NEW), "en")
    before = {name: p.clone() for name, p in model.named_parameters()}
    fold_vocabulary(model)
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    assert model.logits(tiny_batch(("en",), (5,))).shape == (5, VOCAB)


def test_which_languages_go_together():
    config = model_with(NEW).config
    assert vocabularies(config, ("en", "ka", "to")) == [("en", "to"), ("ka",)]
    assert vocabularies(config, ("ka",)) == [("ka",)]
