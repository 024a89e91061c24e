"""Parity with transformers' X-MOD on random weights, both ways, and refusals of what cannot be read."""

import json

import pytest
import torch
from transformers import AutoModel, AutoModelForMaskedLM, XmodConfig, XmodForMaskedLM, XmodModel
from transformers.utils import logging

from _models import LARGE, MODERN, XMOD, tiny_model
from polymod.errors import Failure, UserError
from polymod.model import hf
from polymod.model.hf_names import tags_of

logging.disable_progress_bar()
SIZES = {
    "vocab_size": 90,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 34,
    "type_vocab_size": 1,
    "layer_norm_eps": 1e-5,
    "languages": ["en_XX", "to_TO", "sr_Latn", "zh_CN", "zh_TW"],
}
HUB_LARGE = {
    "pre_norm": True,
    "adapter_reduction_factor": 4,
    "adapter_layer_norm": True,
    "adapter_reuse_layer_norm": False,
    "ln_before_adapter": False,
}
FLAGS = {
    "base": {},
    "large": HUB_LARGE,
    "no module norm": {"adapter_reuse_layer_norm": False},
    "pre-norm that reuses its norm": {"pre_norm": True},
    "residual before the norm": {"ln_before_adapter": False},
    "two segments": {"type_vocab_size": 2},
    "relu": {"hidden_act": "relu"},
}


def random_xmod(folder, model_class=XmodForMaskedLM, **flags):
    torch.manual_seed(0)
    model = model_class(XmodConfig(**{**SIZES, **flags}))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    return model


@pytest.mark.parametrize("flags", FLAGS.values(), ids=FLAGS.keys())
def test_import_and_export_compute_the_same(tmp_path, flags):
    random_xmod(tmp_path / "theirs", **flags)
    model, has_head = hf.read_model(tmp_path / "theirs", mask_id=None)
    assert has_head
    difference = hf.compare(model, tmp_path / "theirs")
    assert difference.languages == 5
    assert max(difference.hidden, difference.logits) <= 1e-5
    (tmp_path / "ours").mkdir()
    hf.write_model(model, tmp_path / "ours")
    assert max(vars(hf.compare(model, tmp_path / "ours")).values()) >= 0
    again = XmodForMaskedLM.from_pretrained(tmp_path / "ours")
    assert again.config.languages == SIZES["languages"]


def test_a_comparison_fails_when_one_weight_differs(tmp_path):
    random_xmod(tmp_path)
    model, _ = hf.read_model(tmp_path, mask_id=None)
    with torch.no_grad():
        model.encoder.packs["sr-Latn"].up_bias_LD[1, 3] += 1e-3
    with pytest.raises(Failure, match="something else"):
        hf.compare(model, tmp_path)


def test_every_state_of_every_layer_agrees(tmp_path):
    theirs = random_xmod(tmp_path).eval()
    model, _ = hf.read_model(tmp_path, mask_id=None)
    batch, ids, mask = hf.mixed_batch(model.config, seed=3)
    with torch.no_grad():
        out = theirs(ids, attention_mask=mask.long(), lang_ids=torch.arange(5), output_hidden_states=True)
        ours = model.encoder.hidden_states(batch)
    for a, b in zip(ours, out.hidden_states, strict=True):
        torch.testing.assert_close(a, b[mask], atol=1e-5, rtol=0)


def test_an_encoder_without_head_gets_a_new_one_and_says_so(tmp_path):
    random_xmod(tmp_path, XmodModel)
    model, has_head = hf.read_model(tmp_path, mask_id=None)
    assert not has_head
    assert hf.compare(model, tmp_path, has_head=False).hidden <= 1e-5


@pytest.mark.parametrize(
    ("arm", "order"), [("modular", XMOD), ("modular", LARGE), ("shared", XMOD), ("dense", XMOD)]
)
def test_every_arm_that_transformers_has_can_be_exported(tmp_path, arm, order):
    model = tiny_model(arm, **order).eval()
    hf.write_model(model, tmp_path)
    difference = hf.compare(model, tmp_path)
    assert max(difference.hidden, difference.logits) <= 1e-5


@pytest.mark.parametrize(("arm", "order"), [("shared", XMOD), ("dense", XMOD), ("modular", MODERN)])
def test_what_was_exported_can_be_imported(tmp_path, arm, order):
    model = tiny_model(arm, **order).eval()
    hf.write_model(model, tmp_path)
    again, _ = hf.read_model(tmp_path, mask_id=model.config.mask_id)
    assert again.config.arm == arm
    assert again.config.languages == model.config.languages
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), model.parameters(), strict=True))


def test_names_that_differ_only_by_region_stay_apart():
    assert tags_of(["en_XX", "de_DE", "de_CH", "zh_CN", "zh_TW"], where="") == (
        *("en", "de", "de-x-ch", "zh", "zh-Hant"),
    )
    with pytest.raises(UserError, match="two modules"):
        tags_of(["en_XX", "en_XX"], where="")


WRONG = {
    "another model": ({"model_type": "bert"}, "not 'xmod'"),
    "a decoder": ({"is_decoder": True}, "is_decoder"),
    "an unknown activation": ({"hidden_act": "gelu_new"}, "activation"),
    "a negative vocabulary": ({"vocab_size": -1}, "vocab_size"),
    "a zero reduction factor": ({"adapter_reduction_factor": 0}, "division"),
    "an unknown language": ({"languages": ["en_XX", "jp_XX"]}, "'jp_XX'"),
    "a language twice": ({"languages": ["en_XX", "en_XX"]}, "two modules"),
    "another width": ({"hidden_size": 64}, "shape"),
    "no languages": ({"languages": []}, "languages"),
}


@pytest.mark.parametrize(("change", "said"), WRONG.values(), ids=WRONG.keys())
def test_wrong_configurations_are_refused_with_a_reason(tmp_path, change, said):
    random_xmod(tmp_path)
    document = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**document, **change}))
    with pytest.raises(UserError, match=said):
        hf.read_model(tmp_path, mask_id=None)


def test_pickled_weights_are_refused(tmp_path):
    random_xmod(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match="is pickled"):
        hf.read_model(tmp_path, mask_id=None)


def test_an_index_that_leads_out_of_the_directory_is_refused(tmp_path):
    random_xmod(tmp_path)
    index = {"weight_map": {"a": "../model.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match="outside"):
        hf.read_model(tmp_path, mask_id=None)


def test_private_fields_of_a_configuration_are_not_read(tmp_path):
    random_xmod(tmp_path)
    document = json.loads((tmp_path / "config.json").read_text())
    hostile = {"auto_map": {"AutoModel": "x--y.Z"}, "_attn_implementation_internal": "x/y", "languages_": 3}
    (tmp_path / "config.json").write_text(json.dumps({**document, **hostile}))
    model, _ = hf.read_model(tmp_path, mask_id=None)
    hf.write_model(model, tmp_path)
    assert not set(hostile) & set(json.loads((tmp_path / "config.json").read_text()))


def test_models_that_only_polymod_has_load_through_the_auto_classes(tmp_path):
    order = {**MODERN, "language_embedding": True}
    model = tiny_model(**order).eval()
    hf.write_model(model, tmp_path)
    assert hf.compare(model, tmp_path).languages == 3
    batch, ids, mask = hf.mixed_batch(model.config, seed=0)
    tags = [model.config.languages.index(tag) for tag in batch.route.tags for _ in range(2)]
    loaded = AutoModelForMaskedLM.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        logits = loaded(ids, attention_mask=mask.long(), lang_ids=torch.tensor(tags)).logits
        torch.testing.assert_close(logits[mask], model.logits(batch), atol=1e-5, rtol=0)
        states = (
            AutoModel.from_pretrained(tmp_path).eval()(ids, mask.long(), torch.tensor(tags)).last_hidden_state
        )
        torch.testing.assert_close(states[mask], model.encoder(batch), atol=1e-5, rtol=0)
        with pytest.raises(ValueError, match="set_default_language"):
            loaded(ids)
        with pytest.raises(ValueError, match="indices"):
            loaded(ids, lang_ids=torch.tensor([99] * len(ids)))
        loaded.set_default_language("eng_Latn")
        assert loaded(ids, attention_mask=mask.long()).logits.shape == (*ids.shape, model.config.vocab_size)
