"""The text configurations are complete, survive the disk, and refuse what cannot be built."""

from __future__ import annotations

import json

import pytest
from transformers import AutoConfig

from whitebox_transformers.crate import CrateBertConfig, CrateConfig, CrateGPTConfig

CONFIGS = [CrateGPTConfig, CrateBertConfig]
TINY = {"vocab_size": 11, "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3,
        "pad_token_id": None, "bos_token_id": None, "eos_token_id": None}  # fmt: skip


@pytest.mark.parametrize("config_class", CONFIGS)
def test_a_text_configuration_survives_the_disk(config_class, tmp_path) -> None:
    fields = {"sparsification": "overcomplete", "position_embedding_type": "rotary", "head_dim": 6}
    config = config_class(**TINY | fields | {"eos_token_id": [1, 2], "rope_theta": 500.0})
    config.save_pretrained(tmp_path)
    again = AutoConfig.from_pretrained(tmp_path)
    assert type(again) is config_class
    for key in config.to_dict().keys() - {"transformers_version", "_name_or_path"}:
        assert getattr(again, key) == getattr(config, key), key
    stored = json.loads((tmp_path / "config.json").read_text())
    assert stored["model_type"] == config_class.model_type
    assert stored["eos_token_id"] == [1, 2]


@pytest.mark.parametrize(
    ("config_class", "name"),
    [(config, name) for config in CONFIGS for name in config.presets],
)
def test_presets_build_and_take_overrides(config_class, name: str) -> None:
    config = config_class.from_preset(name, num_hidden_layers=1, threshold=0.2)
    assert (config.num_hidden_layers, config.threshold) == (1, 0.2)
    assert config.num_attention_heads * config.head_dim == config.hidden_size


def test_each_family_has_its_own_presets() -> None:
    for config, theirs in [(CrateGPTConfig, "crate-base"), (CrateConfig, "crate-gpt-base"),
                           (CrateBertConfig, "crate-gpt-base")]:  # fmt: skip
        with pytest.raises(ValueError, match=f"Unknown preset '{theirs}'; choose one of"):
            config.from_preset(theirs)


@pytest.mark.parametrize("config_class", CONFIGS)
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"vocab_size": 0}, "vocab_size=0 must be at least 1"),
        ({"max_position_embeddings": 0}, "max_position_embeddings=0 must be at least 1"),
        ({"compression": "none"}, "no token would see another"),
        ({"eos_token_id": 11}, "eos_token_id=11 is not in a vocabulary of 11 .* 0 to 10"),
        ({"eos_token_id": [1, -1]}, "eos_token_id=-1 is not in a vocabulary"),
        ({"pad_token_id": 12}, "pad_token_id=12 is not in a vocabulary"),
        ({"rope_theta": 500.0}, "rope_theta=500.0 changes nothing with position_embedding_type"),
        ({"rope_theta": 0.0, "position_embedding_type": "rotary"}, "rope_theta=0.0 must be finite"),
        ({"head_dim": 5, "position_embedding_type": "rotary"}, "head_dim=5 is odd"),
        ({"embedding_norm_eps": 0.0}, "embedding_norm_eps=0.0 must be positive, or None"),
        ({"initializer_range": -1.0}, "initializer_range=-1.0 must be finite and not negative"),
        ({"type_vocab_size": -1}, "type_vocab_size=-1"),
        ({"head_dim": 5, "mssa_output": "identity"}, "3 \\* 5 = 15 and hidden_size=12"),
        ({"vocab_sise": 10}, "'vocab_sise' is not a field of Crate.*Config; did you mean 'vocab_s"),
    ],
)
def test_what_cannot_be_built_is_refused_with_the_mend(config_class, fields, message) -> None:
    with pytest.raises(ValueError, match=message):
        config_class(**TINY | fields)


def test_a_causal_model_refuses_a_step_that_depends_on_the_number_of_tokens() -> None:
    with pytest.raises(ValueError, match="number of tokens in the sequence, which a causal model"):
        CrateGPTConfig(**TINY, sparsification="majorizer")
    CrateBertConfig(**TINY, sparsification="majorizer")


def test_images_have_no_text_fields() -> None:
    with pytest.raises(ValueError, match="'vocab_size' is not a field of CrateConfig"):
        CrateConfig.from_preset("crate-tiny", vocab_size=3)
