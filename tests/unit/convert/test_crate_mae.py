"""Converted CRATE-MAE computes the authors' function, forward and backward."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.oracles import authors_mae as oracle
from tests.unit.convert.files import relative_error, save

from whitebox_transformers.convert import convert
from whitebox_transformers.crate import CrateMAEForPreTraining, CrateMAEModel
from whitebox_transformers.errors import UserError

UNREAD = {"pos_embed", "decoder_embed.weight", "decoder_embed.bias"}
CASES = {
    "plain": ({}, {}, {}),
    "normalised": ({}, {"normalise": True}, {"norm_pix_loss": True}),
    "grey-rectangle": (
        {"grid": (2, 5), "channels": 1, "patch": (4, 2), "decoder_depth": 1},
        {"lam": 0.1, "eta": 0.3},
        {"image_size": (8, 10), "threshold": 0.1, "step_size": 0.3},
    ),
    "deep-decoder": ({"depth": 1, "decoder_depth": 3}, {"decoder_heads": 2}, {"decoder_heads": 2}),
}


@pytest.mark.parametrize("case", CASES)
def test_loss_prediction_and_gradients(case, tmp_path):
    shape, function, said = CASES[case]
    state = oracle.random_mae(**shape)
    file = save(tmp_path / "mae.pth", {"model": state, "epoch": 3})
    report = convert(file, tmp_path / "out", heads=3, **said)
    assert set(report.dropped) == UNREAD
    grid, patch = shape.get("grid", (4, 4)), shape.get("patch", (4, 4))
    generator = torch.Generator().manual_seed(1)
    size = (grid[0] * patch[0], grid[1] * patch[1])
    images = torch.randn(2, shape.get("channels", 3), *size, generator=generator)
    noise = torch.rand(2, grid[0] * grid[1], generator=generator)

    leaves = {key: value.clone().requires_grad_() for key, value in state.items()}
    hidden = oracle.hide(noise, 0.75)
    steps = {key: function[key] for key in ("eta", "lam") if key in function}
    latent = oracle.encode(leaves, images, hidden, heads=3, **steps)
    predicted = oracle.decode(leaves, latent, heads=function.get("decoder_heads", 3))
    loss = oracle.loss(images, predicted, hidden, patch, function.get("normalise", False))
    loss.backward()

    model = CrateMAEForPreTraining.from_pretrained(report.out)
    outputs = model(images, noise)
    outputs.loss.backward()
    assert relative_error(outputs.logits, predicted) < 1e-5
    assert relative_error(outputs.loss, loss) < 1e-5
    parameters = dict(model.named_parameters())
    learned = {old: new for old, new in report.used.items() if old != "decoder_pos_embed"}
    assert set(learned.values()) == set(parameters)
    for old, new in learned.items():
        assert relative_error(parameters[new].grad, leaves[old].grad) < 1e-4, old


GOLDEN = {
    "crate_mae": {"heads": 4},
    "crate_mae_normpix": {"heads": 2, "threshold": 0.1, "norm_pix_loss": True},
}


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("case", GOLDEN)
@torch.no_grad()
def test_golden(case, suffix, golden_dir, tmp_path):
    numbers = load_file(golden_dir / f"{case}.safetensors")
    file = golden_dir / f"{case}.pth"
    if suffix == ".safetensors":
        file = tmp_path / "state.safetensors"
        save_file({k[6:]: n for k, n in numbers.items() if k.startswith("state/")}, file)
    report = convert(file, tmp_path / "out", **GOLDEN[case])
    assert set(report.dropped) == UNREAD
    model, loading = CrateMAEForPreTraining.from_pretrained(report.out, output_loading_info=True)
    assert not any(loading.values())
    images, noise = numbers["pixel_values"], numbers["noise"]
    outputs = model(images, noise)
    encoded = model.crate(images, noise, mask_token=model.mask_token)
    assert relative_error(outputs.loss, numbers["loss"]) < 1e-5
    assert relative_error(outputs.logits, numbers["pred"]) < 1e-5
    assert relative_error(encoded.last_hidden_state, numbers["latent"]) < 1e-5
    assert torch.equal(outputs.mask, numbers["mask"])
    assert torch.equal(outputs.ids_restore, numbers["ids_restore"])
    encoder = CrateMAEModel.from_pretrained(report.out)
    attention = encoder(images, output_attentions=[-1]).attentions[-1]
    assert relative_error(attention, numbers["encoder_attention_last"]) < 1e-5


def test_the_training_script_says_what_shapes_do_not(tmp_path):
    state = oracle.random_mae()
    said = {"num_heads": 4, "decoder_num_heads": 6, "norm_pix_loss": True, "mask_ratio": 0.5}
    file = save(tmp_path / "mae.pth", {"model": state, "args": said})
    convert(file, tmp_path / "out")
    config = CrateMAEForPreTraining.from_pretrained(tmp_path / "out").config
    assert (config.num_attention_heads, config.decoder_num_attention_heads) == (4, 6)
    assert config.norm_pix_loss
    assert config.mask_ratio == 0.5


def test_an_encoder_without_its_decoder_is_named(tmp_path):
    state = {k: v for k, v in oracle.random_mae().items() if not k.startswith("decoder_blocks.1")}
    del state["decoder_blocks.0.layers.0.0.fn.weight"]
    file = save(tmp_path / "mae.pth", {"model": state})
    with pytest.raises(UserError, match=r"decoder_blocks\.0\.layers\.0\.0\.fn\.weight"):
        convert(file, tmp_path / "out", heads=3)
    assert not (tmp_path / "out").exists()
