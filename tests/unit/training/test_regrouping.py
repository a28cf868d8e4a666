import pytest
import torch
from transformers import ViTConfig, ViTForImageClassification

from whitebox_transformers.crate import CrateGPTConfig, CrateGPTForCausalLM
from whitebox_transformers.errors import UserError
from whitebox_transformers.training.regrouping import load_weights

SIZES = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}


@pytest.mark.parametrize(
    "make",
    [
        # Its files bear the names of older versions.
        lambda: ViTForImageClassification(ViTConfig(**SIZES, image_size=4, patch_size=2)),
        # Its embedding is its vocabulary matrix.
        lambda: CrateGPTForCausalLM(CrateGPTConfig(**SIZES, vocab_size=11)),
    ],
    ids=["renamed", "tied"],
)
def test_weights_come_back_under_their_present_names(make, tmp_path):
    stored, present = make(), make()
    stored.save_pretrained(tmp_path)
    load_weights(tmp_path, present)
    found = present.state_dict()
    assert all(torch.equal(found[name], value) for name, value in stored.state_dict().items())


def test_a_missing_weight_is_no_fresh_one(tmp_path):
    one = CrateGPTForCausalLM(CrateGPTConfig(**SIZES, vocab_size=11))
    two = CrateGPTForCausalLM(CrateGPTConfig(**SIZES | {"num_hidden_layers": 2}, vocab_size=11))
    one.save_pretrained(tmp_path)
    with pytest.raises(UserError, match="no weights for .*layers.1"):
        load_weights(tmp_path, two)
