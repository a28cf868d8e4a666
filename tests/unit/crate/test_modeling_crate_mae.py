"""CRATE-MAE: sizes, both flows, the order and signs of the decoder, sharing, bad input."""

from __future__ import annotations

import pytest
import torch
from tests.contract.tiny_mae import tiny_mae, tiny_masked
from tests.oracles import authors_mae as oracle
from transformers import ViTMAEConfig
from transformers.models.vit_mae.modeling_vit_mae import ViTMAEEmbeddings

from whitebox_transformers.crate import MAE_PRESETS, CrateMAEConfig, CrateMAEForPreTraining
from whitebox_transformers.crate.block import CrateLayer
from whitebox_transformers.crate.embeddings import sine_positions
from whitebox_transformers.crate.masking import masking, visible_patches
from whitebox_transformers.crate.patches import normalised, unpatchify

# Published totals count two fixed position tables and decoder_embed, which nothing reads; the
# other column is what the authors' code trains without it.
PUBLISHED = {
    "tiny": (11_555_328, 11_256_192),
    "small": (25_405_824, 24_846_528),
    "base": (44_638_464, 43_745_280),
    "large": (154_274_560, 152_821_504),
}


@pytest.mark.parametrize("size", PUBLISHED)
def test_presets_have_the_published_number_of_parameters(size):
    total, trained = PUBLISHED[size]
    for variant in ("", "-efficient", "-successor"):
        config = CrateMAEConfig.from_preset(f"crate-mae-{size}{variant}")
        with torch.device("meta"):
            model = CrateMAEForPreTraining(config)
        width = config.hidden_size
        assert model.num_parameters(only_trainable=True) == trained
        stored = sum(tensor.numel() for tensor in model.state_dict().values())
        decoder_embed, second_table = width**2 + width, 197 * width
        assert stored + decoder_embed + second_table == total


@pytest.mark.parametrize("name", MAE_PRESETS)
def test_every_preset_runs_on_the_meta_device(name):
    with torch.device("meta"):
        model = CrateMAEForPreTraining(CrateMAEConfig.from_preset(name))
        outputs = model(torch.empty(2, 3, 224, 224), torch.empty(2, 196))
    assert outputs.logits.shape == (2, 196, 768)


def in_authors_names(model: CrateMAEForPreTraining) -> dict[str, torch.Tensor]:
    """The model's weights under the names that the oracle reads, written out anew."""
    steps = {"compress": {"mssa.subspaces": "qkv", "mssa.output": "to_out.0"}, "sparsify": {}}
    state = {}
    for name, value in model.state_dict().items():
        for ours, theirs in (
            ("crate.embeddings.position_embeddings", "decoder_pos_embed"),
            ("crate.embeddings.patch_embeddings.projection", "patch_embed.proj"),
            ("crate.embeddings.", ""),
            ("crate.norm", "norm"),
            ("decoder.norm", "decoder_norm"),
            ("decoder.prediction", "decoder_pred"),
            ("decoder.stack.layers.", "decoder_blocks."),
            ("crate.stack.layers.", "blocks."),
        ):
            name = name.replace(ours, theirs) if name.startswith(ours) else name
        for step, parts in steps.items():
            first = "compress" if name.startswith("blocks.") else "sparsify"
            place = 0 if step == first else 1
            name = name.replace(f".{step}.norm", f".layers.0.{place}.norm")
            name = name.replace(f".{step}.ista.dictionary", f".layers.0.{place}.fn.weight")
            for ours, theirs in parts.items():
                name = name.replace(f".{step}.{ours}", f".layers.0.{place}.fn.{theirs}")
        state[name] = value
    return state


@pytest.mark.parametrize("flow", ["encoder", "decoder"])
@torch.no_grad()
def test_both_flows_are_the_formulas(flow):
    model = tiny_mae(mask_tokens=flow, mask_ratio=0.6, decoder_num_hidden_layers=2)
    inputs, state = tiny_masked(model.config, batch=3), in_authors_names(model)
    images, hidden = inputs["pixel_values"], oracle.hide(inputs["noise"], 0.6)
    sees = "all" if flow == "encoder" else "visible"
    latent = oracle.encode(state, images, hidden, heads=3, sees=sees)
    if flow == "decoder":
        assert latent.shape[1] == 1 + 2
        latent = oracle.refill(state, latent, hidden)
    expected = oracle.decode(state, latent, heads=3)
    outputs = model(**inputs)
    torch.testing.assert_close(outputs.logits, expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(outputs.mask.bool(), hidden)
    loss = oracle.loss(images, expected, hidden, (4, 4), normalise=False)
    torch.testing.assert_close(outputs.loss, loss)


@torch.no_grad()
def test_hidden_patches_are_not_seen_in_either_flow():
    for variant in ("published", "efficient"):
        model = tiny_mae(variant)
        inputs = tiny_masked(model.config)
        outputs = model(**inputs)
        hidden = outputs.mask.unsqueeze(-1).bool().expand(-1, -1, 48)
        noise = torch.where(hidden, 9.0, model.patchify(inputs["pixel_values"]))
        other = model(unpatchify(noise, (4, 4), (2, 3)), inputs["noise"])
        assert torch.equal(other.logits, outputs.logits)


@pytest.mark.parametrize(("rows", "columns", "width"), [(2, 3, 8), (1, 1, 4), (4, 2, 12)])
def test_fixed_positions_are_waves_of_column_then_row(rows, columns, width):
    expected = oracle.sine_table(rows, columns, width).float()[None]
    torch.testing.assert_close(sine_positions(rows, columns, width), expected)


def test_masks_follow_the_noise_or_the_seed():
    noise = torch.tensor([[0.3, 0.1, 0.9, 0.2]])
    drawn = masking(noise, 0.5)
    assert drawn.mask.tolist() == [[1, 0, 1, 0]]
    assert drawn.ids_keep.tolist() == [[1, 3]]
    assert drawn.ids_restore.tolist() == [[2, 0, 3, 1]]
    model = tiny_mae()
    images = tiny_masked(model.config)["pixel_values"]
    masks = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        masks.append(model(images).mask)
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


@pytest.mark.parametrize(
    ("count", "ratio", "visible"),
    # The last three are a hair below a whole number in floating point, and rounded down.
    [(196, 0.75, 49), (9, 0.5, 4), (10, 0.6, 4), (25, 0.8, 4), (100, 0.9, 9), (20, 0.9, 1)],
)
def test_as_many_patches_are_visible_as_in_the_black_box(count, ratio, visible):
    assert visible_patches(count, ratio) == visible
    embeddings = ViTMAEEmbeddings(
        ViTMAEConfig(hidden_size=4, image_size=4, patch_size=4, mask_ratio=ratio)
    )
    kept, _, _ = embeddings.random_masking(torch.zeros(1, count, 4))
    assert kept.shape[1] == visible


@torch.no_grad()
def test_other_image_sizes_are_reconstructed():
    model = tiny_mae()
    images = torch.randn(1, 3, 20, 8)
    outputs = model(images)
    assert outputs.logits.shape == (1, 10, 48)
    assert model.unpatchify(outputs.logits, (20, 8)).shape == images.shape
    assert torch.equal(model.unpatchify(model.patchify(images), (20, 8)), images)
    for size in (None, (20, 10), (16, 8)):
        with pytest.raises(ValueError, match="10 patches of 4x4 are not an image of"):
            model.unpatchify(outputs.logits, size)


@torch.no_grad()
def test_a_decoder_layer_has_the_dictionary_first_and_subtracts():
    model = tiny_mae()
    layer: CrateLayer = model.decoder.stack.layers[0]
    z = torch.randn(2, 5, 12)
    y = layer.sparsify.norm(z) @ layer.sparsify.ista.dictionary.T
    torch.testing.assert_close(layer(z), y - layer.compress.mssa(layer.compress.norm(y)))


SAVED = {
    "decoder_dictionary": 12 * 12,
    "decoder_subspaces": 12 * 12,
}


@pytest.mark.parametrize("transposed", [False, True])
@torch.no_grad()
def test_sharing_saves_a_matrix_per_layer_and_pairs_them_from_the_end(transposed, tmp_path):
    own = tiny_mae()
    dictionary = "transposed" if transposed else "encoder"
    shared = tiny_mae(decoder_dictionary=dictionary, decoder_subspaces="encoder")
    saved = own.num_parameters() - shared.num_parameters()
    assert saved == 3 * sum(SAVED.values())
    shared.save_pretrained(tmp_path)
    for model in (shared, CrateMAEForPreTraining.from_pretrained(tmp_path)):
        encoder, decoder = model.crate.stack.layers, model.decoder.stack.layers
        for ours, theirs in zip(decoder, reversed(encoder), strict=True):
            atoms = theirs.sparsify.ista.dictionary
            assert ours.sparsify.ista.dictionary is atoms
            assert ours.compress.mssa.subspaces.weight is theirs.compress.mssa.subspaces.weight
            codes = torch.randn(2, 3, 12)
            expected = codes @ atoms if transposed else codes @ atoms.T
            torch.testing.assert_close(ours.sparsify.ista(codes), expected)


@torch.no_grad()
def test_the_tied_decoder_step_undoes_the_encoders_to_second_order():
    """Halving the step divides the round trip's error by 4; steps of another layer only by 2."""
    model = tiny_mae(mssa_output="tied", decoder_subspaces="encoder").double()
    for module in model.modules():
        if isinstance(module, torch.nn.LayerNorm):
            torch.nn.init.ones_(module.weight)
            torch.nn.init.zeros_(module.bias)
    encoder, decoder = model.crate.stack.layers, model.decoder.stack.layers
    z = torch.randn(2, 9, 12, dtype=torch.float64)

    def error(there, back, k: float) -> float:
        steps = []
        for half in (there, back):
            steps.append(half.step.register_forward_hook(lambda _, __, step: k * step))
        try:
            return (back(there(z)) - z).norm().item()
        finally:
            for handle in steps:
                handle.remove()

    for index in range(3):
        pair = encoder[2 - index].compress, decoder[index].compress
        assert error(*pair, 0.01) / error(*pair, 0.005) == pytest.approx(4, rel=0.05)
    wrong = encoder[0].compress, decoder[0].compress
    assert error(*wrong, 0.01) / error(*wrong, 0.005) == pytest.approx(2, rel=0.05)


@torch.no_grad()
def test_a_residual_sparse_step_is_taken_back_to_second_order():
    """With the encoder's own weights; halving the step divides the round trip's error by 4."""
    model = tiny_mae("residual-decoder").double()
    there, back = model.crate.stack.layers[0].sparsify, model.decoder.stack.layers[2].sparsify
    back.load_state_dict(there.state_dict())
    z = torch.randn(2, 9, 12, dtype=torch.float64)
    errors = []
    for k in (0.02, 0.01):
        for half in (there, back):
            half.ista.synthesis.copy_(k * model.crate.stack.layers[1].sparsify.ista.synthesis)
        errors.append((back(there(z)) - z).norm().item())
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mask_ratio": 0}, "mask_ratio=0 must be above 0 and below 1"),
        ({"mask_ratio": 1.0}, "nothing to reconstruct it from"),
        ({"mask_ratio": 0.95}, "mask_ratio=0.95 leaves 0 of 6 patches visible"),
        ({"hidden_size": 18}, "needs a multiple of 4 as hidden_size, not 18"),
        ({"decoder_dictionary": "encoder", "decoder_num_hidden_layers": 4}, "there are 4 and 3"),
        ({"decoder_subspaces": "encoder", "decoder_num_attention_heads": 2}, "needs equal heads"),
        ({"decoder_dictionary": "encoder", "sparsification": "overcomplete"}, "changes nothing"),
        ({"decoder_subspaces": "encoder", "compression": "attention"}, "changes nothing"),
        ({"decoder_sparsification": "overcomplete"}, "changes nothing"),
        (
            {"decoder_sparsification": "overcomplete", "sparsification": "overcomplete"},
            "set ista_residual=True",
        ),
        ({"decoder_num_attention_heads": 5}, "not a multiple of num_attention_heads=5"),
        ({"decoder_num_hidden_layers": 0}, "decoder_num_hidden_layers=0 must be at least 1"),
    ],
)
def test_what_cannot_be_built_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        tiny_mae(**fields)


def test_what_cannot_be_reconstructed_is_refused():
    model = tiny_mae()
    inputs = tiny_masked(model.config)
    with pytest.raises(ValueError, match=r"noise has shape \(2, 5\).*\(2, 6\)"):
        model(inputs["pixel_values"], inputs["noise"][:, :5])
    with pytest.raises(ValueError, match="attention_mask: every patch"):
        model(**inputs, attention_mask=torch.ones(2, 7))
    assert torch.isfinite(model(**inputs, attention_mask=None).loss)
    with pytest.raises(ValueError, match="8x10 pixels is not a multiple of the patch 4x4"):
        model(torch.zeros(1, 3, 8, 10))
    with pytest.raises(ValueError, match="mask_ratio=0.75 leaves 0 of 1 patches"):
        model(torch.zeros(1, 3, 4, 4))
    broken = inputs["pixel_values"].clone()
    broken[1, 0, 3, 3] = torch.nan
    with pytest.raises(ValueError, match=r"pixel_values\[1\] has values that are not finite"):
        model(broken)


@torch.no_grad()
def test_one_image_and_images_of_one_colour_have_a_loss():
    for variant in ("published", "efficient", "normalised-half"):
        model = tiny_mae(variant)
        flat = torch.full((1, model.config.num_channels, 8, 12), 0.4)
        alone = model(flat)
        assert torch.isfinite(alone.loss)
        same = model(flat.expand(3, -1, -1, -1), torch.rand(1, 6).expand(3, -1))
        torch.testing.assert_close(same.logits[0], same.logits[2])
    torch.testing.assert_close(normalised(torch.full((2, 3, 5), 0.4)), torch.zeros(2, 3, 5))
