"""Patches are cut as the authors cut them, and positions fit every image size."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from tests.contract.tiny import tiny_config, tiny_images, tiny_model

from whitebox_transformers.crate.embeddings import CrateEmbeddings, PatchEmbeddings


def patches_one_by_one(images: torch.Tensor, tall: int, wide: int) -> torch.Tensor:
    """(B, C, H, W) to (B, patches, tall * wide * C): row by row, channel fastest."""
    batch, channels, height, width = images.shape
    sequence = []
    for top in range(0, height, tall):
        for left in range(0, width, wide):
            values = [
                images[:, channel, top + y, left + x]
                for y in range(tall)
                for x in range(wide)
                for channel in range(channels)
            ]
            sequence.append(torch.stack(values, dim=1))
    return torch.stack(sequence, dim=1)


def embeddings(**fields) -> CrateEmbeddings:
    return tiny_model(**fields).crate.embeddings


@given(
    channels=st.integers(1, 4),
    patch=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    grid=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    kind=st.sampled_from(["linear", "norm_linear"]),
)
@torch.no_grad()
def test_patches_run_row_by_row_with_the_channel_fastest(channels, patch, grid, kind) -> None:
    size = [grid[0] * patch[0], grid[1] * patch[1]]
    config = tiny_config(
        num_channels=channels, patch_size=patch, image_size=size, patch_embedding=kind
    )
    module = PatchEmbeddings(config)
    images = tiny_images(config)
    tokens = patches_one_by_one(images, *patch)
    if kind == "norm_linear":
        tokens = F.layer_norm(tokens, tokens.shape[-1:], eps=1e-5)
    expected = tokens @ module.projection.weight.T + module.projection.bias
    if kind == "norm_linear":
        expected = F.layer_norm(expected, expected.shape[-1:], eps=1e-5)
    torch.testing.assert_close(module(images), expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_convolution_is_the_linear_map_of_each_patch() -> None:
    module = PatchEmbeddings(tiny_config(patch_embedding="conv", patch_size=[4, 2]))
    images = torch.randn(2, 3, 8, 12)
    weight = module.projection.weight.permute(0, 2, 3, 1).flatten(1)
    expected = patches_one_by_one(images, 4, 2) @ weight.T + module.projection.bias
    torch.testing.assert_close(module(images), expected, rtol=1e-5, atol=1e-5)


def test_the_first_norm_forgets_brightness_and_contrast_of_a_patch() -> None:
    images = torch.randn(2, 3, 8, 12)
    for kind, forgets in (("norm_linear", True), ("linear", False), ("conv", False)):
        module = embeddings(patch_embedding=kind).patch_embeddings
        same = torch.allclose(module(images), module(3 * images + 1), atol=1e-3)
        assert same == forgets, kind


@torch.no_grad()
def test_the_class_token_comes_first_and_every_token_gets_its_position() -> None:
    module = embeddings()
    images = torch.randn(2, 3, 8, 12)
    z = module(images)
    positions = module.position_embeddings[0]
    assert z.shape == (2, 1 + 2 * 3, 12)
    torch.testing.assert_close(z[1, 0], module.cls_token[0, 0] + positions[0])
    torch.testing.assert_close(z[:, 1:], module.patch_embeddings(images) + positions[1:])


@given(
    table=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    image=st.tuples(st.integers(1, 8), st.integers(1, 8)),
)
@torch.no_grad()
def test_positions_are_resized_on_the_patch_grid(table, image) -> None:
    module = embeddings(image_size=[4 * table[0], 4 * table[1]])
    stored = module.position_embeddings
    positions = module.positions(*image)
    assert positions.shape == (1, 1 + image[0] * image[1], 12)
    assert torch.equal(positions[:, 0], stored[:, 0])
    if image[0] * image[1] == table[0] * table[1]:
        assert torch.equal(positions, stored)
        return
    for channel in range(12):
        plane = stored[0, 1:, channel].reshape(1, 1, *table)
        expected = F.interpolate(plane, size=image, mode="bicubic", align_corners=False)
        torch.testing.assert_close(positions[0, 1:, channel], expected.flatten())


@pytest.mark.parametrize("grid", [(1, 1), (2, 2), (5, 7), (4, 6), (1, 9)])
@torch.no_grad()
def test_a_constant_table_stays_constant(grid: tuple[int, int]) -> None:
    module = embeddings()
    constant = torch.arange(12.0)
    module.position_embeddings[:] = constant
    positions = module.positions(*grid)
    torch.testing.assert_close(positions, constant.expand_as(positions))


@torch.no_grad()
def test_a_table_that_varies_along_rows_keeps_doing_only_that() -> None:
    module = embeddings(image_size=[16, 24])
    by_row = torch.arange(4.0).repeat_interleave(6)
    module.position_embeddings[0, 1:] = by_row[:, None]
    image = module.positions(8, 3)[0, 1:, 0].view(8, 3)
    torch.testing.assert_close(image, image[:, :1].expand(8, 3))
    assert image[-1, 0] > image[0, 0] + 2


def test_resized_positions_hand_their_gradient_to_the_table() -> None:
    module = embeddings()
    module(torch.randn(1, 3, 16, 8)).sum().backward()
    gradient = module.position_embeddings.grad
    assert gradient[0, 0].eq(1).all()
    torch.testing.assert_close(gradient[0, 1:].sum(), torch.tensor(4.0 * 2 * 12))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
@torch.no_grad()
def test_images_come_in_any_type_and_tokens_in_the_models(dtype: torch.dtype) -> None:
    module = embeddings().to(dtype)
    for images in (torch.randn(1, 3, 16, 16), torch.zeros(1, 3, 8, 12, dtype=torch.uint8)):
        assert module(images).dtype == dtype


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 1, 8, 12), r"shape \(2, 1, 8, 12\); expected .*\(batch, 3, height, width\)"),
        ((3, 8, 12), r"shape \(3, 8, 12\); expected"),
        ((2, 8, 12, 3), r"expected .*\(batch, 3, height, width\).*image processor"),
        ((0, 3, 8, 12), r"shape \(0, 3, 8, 12\)"),
        ((2, 3, 9, 12), "image of 9x12 pixels is not a multiple of the patch 4x4.*8x12"),
        ((2, 3, 3, 15), "resize it, e.g. to 4x16"),
        ((2, 3, 0, 12), r"shape \(2, 3, 0, 12\)"),
    ],
)
def test_images_that_do_not_fit_are_refused_with_the_mend(shape, message) -> None:
    model = tiny_model()
    for run in (model, model.crate):
        with pytest.raises(ValueError, match=message):
            run(torch.zeros(shape))


@pytest.mark.parametrize("not_a_tensor", [None, [[0.0]]])
def test_what_is_no_tensor_is_refused(not_a_tensor) -> None:
    with pytest.raises(ValueError, match="expected a tensor.*image processor"):
        tiny_model()(not_a_tensor)
