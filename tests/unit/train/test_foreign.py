"""What is read of model directories from elsewhere."""

import json

import pytest

from polymod.train.foreign import longest


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"model_max_length": 48}, 48),
        ({"model_max_length": 1e30}, 512),  # what transformers writes where nothing was said
        ({"model_max_length": -1}, 512),
        ({"model_max_length": "48"}, 512),
        ({}, 512),
        ([48], 512),
    ],
)
def test_the_longest_sequence_is_as_the_settings_say_if_they_say_it(tmp_path, settings, wanted):
    assert longest(tmp_path, 512) == 512
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    assert longest(tmp_path, 512) == wanted
