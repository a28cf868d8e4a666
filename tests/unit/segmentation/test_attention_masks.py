"""Masks by mass are DINO's, heads are scored by their definitions, noise is what it says."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from whitebox_transformers.errors import UserError
from whitebox_transformers.segmentation.attention_masks import (
    HeadScores,
    PixelNoise,
    Stability,
    mass_mask,
)


def dino_threshold(weights: np.ndarray, mass: float) -> np.ndarray:
    """As DINO's visualisation: sort upwards, normalise, keep what comes after 1 - mass."""
    flat = weights.reshape(len(weights), -1)
    kept = np.zeros(flat.shape, dtype=bool)
    for head, values in enumerate(flat):
        order = np.argsort(values)
        kept[head, order] = np.cumsum(values[order] / values.sum()) > 1 - mass
    return kept.reshape(weights.shape)


@pytest.mark.parametrize("mass", [0.1, 0.6, 0.95])
def test_the_mask_holds_the_mass_with_the_fewest_patches(mass) -> None:
    weights = np.random.default_rng(0).dirichlet(np.full(35, 0.3), 4).reshape(4, 5, 7)
    masks = mass_mask(weights, mass)
    np.testing.assert_array_equal(masks, dino_threshold(weights, mass))
    for head, mask in zip(weights, masks, strict=True):
        held = head[mask].sum() / head.sum()
        assert held >= mass > held - head[mask].min() / head.sum()


def test_mass_is_a_share() -> None:
    assert mass_mask(np.array([[0.5, 0.1], [0.2, 0.2]]), 1.0).all()
    assert mass_mask(np.array([[9.0, 1.0]]), 0.6).tolist() == [[True, False]]
    for mass in (0.0, 1.5, -1.0):
        with pytest.raises(UserError, match="a share of the attention"):
            mass_mask(np.ones((2, 2)), mass)


def test_heads_are_scored_against_what_they_hold() -> None:
    left = np.array([[1.0, 0.0], [1.0, 0.0]])
    scores = HeadScores(2, mass=0.9)
    scores.add(np.repeat([[1, 0]], 4, 0).repeat(2, 1), np.stack([left, 1 - left]))
    scores.add(np.repeat([[0, 2]], 2, 0).repeat(3, 1), np.stack([left, 1 - left]))
    scores.add(np.zeros((2, 2), dtype=int), np.stack([left, left]))  # nothing drawn
    assert scores.values() == pytest.approx(
        {"best_head_miou": 1.0, "one_head_iou": 0.5, "max_f": 1.3 * 0.5 / (0.3 * 0.5 + 1)}
    )
    rows = scores.by_head([4, 7])
    assert [row["head"] for row in rows] == [4, 7]
    assert [row["best_for"] for row in rows] == [1, 1]


def test_noise_hits_its_share_of_pixels_and_is_the_same_again() -> None:
    image = Image.fromarray(np.full((60, 80, 3), 128, dtype=np.uint8))
    noisy = np.asarray(PixelNoise(10, 0.25, seed=3).on(image, 5)).astype(int)
    changed = (noisy != 128).any(-1)
    assert changed.mean() == pytest.approx(0.25, abs=0.03)
    assert noisy[changed].std() == pytest.approx(10, abs=0.5)
    again = np.asarray(PixelNoise(10, 0.25, seed=3).on(image, 5))
    np.testing.assert_array_equal(noisy, again)
    assert (np.asarray(PixelNoise(10, 0.25, seed=3).on(image, 6)) != again).any()
    grey = PixelNoise(50).on(image.convert("L"), 0)
    assert grey.mode == "L"
    np.testing.assert_array_equal(np.asarray(PixelNoise(0).on(image, 0)), np.asarray(image))
    with pytest.raises(UserError, match="share 2"):
        PixelNoise(1, 2)


def test_stability_is_one_without_change() -> None:
    maps = np.random.default_rng(0).random((3, 4, 5))
    stability = Stability()
    stability.add(maps, maps)
    assert stability.correlation.value == pytest.approx(1)
    assert stability.overlap.value == 1
    stability.add(maps, 1 - maps)
    assert stability.correlation.value == pytest.approx(0)
    assert stability.overlap.value < 0.9
