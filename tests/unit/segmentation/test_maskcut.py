"""Cuts are those of a full decomposition, and MaskCut is the published loop around them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.oracles import maskcut as oracle

from whitebox_transformers.errors import UserError
from whitebox_transformers.segmentation import affinity, bipartition, maskcut, second_eigenvector


def scene(rows: int, columns: int, seed: int, objects: int = 2, noise: float = 1.0) -> np.ndarray:
    """Features (rows, columns, 24): a background that changes slowly, and objects unlike it."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:rows, :columns] / max(rows, columns)
    features = noise * rng.standard_normal((rows, columns, 24))
    features[..., :4] += np.stack([x, y, 1 - x, 2 * np.ones_like(x)], -1)
    for index in range(objects):
        centre = rng.uniform(0.2, 0.8, 2) * (rows, columns) / max(rows, columns)
        inside = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < rng.uniform(0.1, 0.2) ** 2
        features[inside] = noise * rng.standard_normal((inside.sum(), 24))
        features[inside, 4 + 3 * index : 7 + 3 * index] += 3.0
    return features.astype(np.float32)


def same_parts(v: np.ndarray, reference: np.ndarray) -> bool:
    a, b = bipartition(v), bipartition(reference)
    return bool((a == b).all() or (a == ~b).all())


@pytest.mark.parametrize("shape", [(2, 1), (3, 3), (8, 8), (5, 13), (9, 9), (16, 21), (28, 28)])
@pytest.mark.parametrize("threshold", [0.15, 0.4])
def test_the_two_parts_are_those_of_a_full_decomposition(shape, threshold) -> None:
    compared = 0
    for seed in range(3):
        features = scene(*shape, seed).reshape(-1, 24)
        weights = affinity(features, threshold)
        np.testing.assert_array_equal(weights, oracle.affinity(features.T, threshold))
        v = second_eigenvector(weights)
        if v is None:
            assert (weights == weights[0, 0]).all()
            continue
        mu, vectors = oracle.eigenvectors(weights, min(2, len(v) - 1))
        if len(mu) == 2 and mu[1] - mu[0] < 1e-9:
            continue  # any vector of a plane will do
        compared += 1
        assert same_parts(v, vectors[:, 0])
        degrees = weights.sum(1)
        assert v @ (degrees * v) == pytest.approx(1.0)
        np.testing.assert_allclose(
            degrees * v - weights @ v, mu[0] * degrees * v, atol=1e-10 * degrees.max()
        )
    assert compared or len(features) < 10


def test_any_symmetric_weights_are_cut() -> None:
    rng = np.random.default_rng(0)
    weights = rng.uniform(0, 1, (150, 150)) ** 4
    weights[:70, 70:] *= 0.5
    weights = np.triu(weights) + np.triu(weights, 1).T
    v = second_eigenvector(weights)
    assert same_parts(v, oracle.eigenvectors(weights)[1][:, 0])
    assert v[np.argmax(np.abs(v))] > 0
    assert bipartition(v)[:70].mean() in (0.0, 1.0)


def test_a_graph_of_two_halves_that_face_each_other_is_cut_as_well() -> None:
    """Every eigenvalue but the known one is negative there, or close to it."""
    weights = np.array([[0.1, 1.0], [1.0, 0.1]])
    assert bipartition(second_eigenvector(weights)).tolist() in ([True, False], [False, True])
    rng = np.random.default_rng(1)
    weights = rng.uniform(0.9, 1, (90, 90)) + 1e-3
    weights = weights + weights.T - np.diag(np.diag(weights)) * 2 + 1e-6
    assert same_parts(second_eigenvector(weights), oracle.eigenvectors(weights)[1][:, 0])


def test_parts_that_only_the_small_weight_joins_are_told_apart() -> None:
    """Eigenvalues 1e-5 apart, for which Lanczos needs its restarts."""
    clusters = np.repeat(np.arange(5), [40, 30, 25, 20, 15])
    weights = np.where(clusters[:, None] == clusters, 1.0, 1e-5)
    assert same_parts(second_eigenvector(weights), oracle.eigenvectors(weights)[1][:, 0])


def chain(nodes: int, reach: int, seed: int) -> np.ndarray:
    """Weights of nodes in a row, each joined to its neighbours; one in ten to nobody."""
    rng = np.random.default_rng(seed)
    place = np.arange(nodes)
    near = abs(place[:, None] - place) <= reach
    near &= rng.random(nodes)[:, None] > 0.1
    weights = np.where(near & near.T, rng.uniform(0.5, 1, (nodes, nodes)), 1e-5)
    return np.triu(weights) + np.triu(weights, 1).T


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_few_edges_and_eigenvalues_close_together_are_cut_the_same(dtype) -> None:
    """Hundreds of steps of Lanczos, whose products leave the small weights to one sum."""
    for nodes, reach in ((150, 1), (201, 4), (300, 8)):
        weights = chain(nodes, reach, seed=nodes).astype(dtype)
        v = second_eigenvector(weights)
        mu, vectors = oracle.eigenvectors(weights.astype(np.float64), 2)
        assert mu[1] - mu[0] > 1e-6
        assert same_parts(v, vectors[:, 0])
        degrees = weights.sum(1, dtype=np.float64)
        np.testing.assert_allclose(degrees * v - weights @ v, mu[0] * degrees * v, atol=1e-10)


def test_where_all_are_alike_there_is_nothing_to_cut() -> None:
    for nodes in (1, 9, 100):
        assert second_eigenvector(np.ones((nodes, nodes))) is None
    cuts = maskcut(np.ones((10, 12, 3)), masks=2)
    assert [cut.mask.any() for cut in cuts] == [False, False]


@pytest.mark.parametrize("shape", [(8, 8), (12, 17), (20, 20)])
@pytest.mark.parametrize("rounds", [1, 3, 5])
def test_masks_are_those_of_the_published_loop(shape, rounds) -> None:
    some = 0
    for seed in range(6):
        features = scene(*shape, seed, objects=1 + seed % 3, noise=0.5)
        cuts = maskcut(features, rounds, 0.15)
        expected = oracle.masks(features.reshape(-1, 24).T, shape, 0.15, rounds)
        assert len(cuts) == rounds
        for cut, mask in zip(cuts, expected, strict=True):
            np.testing.assert_array_equal(cut.mask, mask)
            some += mask.any()
    assert some > rounds


def test_the_object_is_found_and_masks_do_not_overlap() -> None:
    features = scene(24, 24, seed=3, objects=1, noise=0.3)
    cuts = maskcut(torch.from_numpy(features), 3)
    assert (sum(cut.mask.astype(int) for cut in cuts) <= 1).all()
    inside, found = features[..., 4:7].sum(-1) > 4, cuts[0].mask
    assert (found & inside).sum() / (found | inside).sum() > 0.9
    assert cuts[0].eigenvector[cuts[0].mask].min() > cuts[0].eigenvector.mean()


def test_cosine_forgets_lengths_and_inner_products_do_not() -> None:
    features = scene(10, 10, seed=1)
    lengths = np.random.default_rng(0).uniform(0.1, 5, (10, 10, 1)).astype(np.float32)
    flat = [(features * by).reshape(-1, 24) for by in (1, lengths)]
    np.testing.assert_array_equal(*(affinity(each, 0.3) for each in flat))
    inner = affinity(flat[1], 0.3, "inner")
    np.testing.assert_array_equal(inner == 1, flat[1] @ flat[1].T > 0.3)
    assert (inner != affinity(flat[1], 0.3)).any()


def test_wrong_input_is_named() -> None:
    with pytest.raises(UserError, match=r"shape \(4, 3\)"):
        maskcut(np.ones((4, 3)))
    with pytest.raises(UserError, match="similarity 'dot'"):
        maskcut(np.ones((4, 4, 3)), similarity="dot")
    with pytest.raises(UserError, match="masks=0"):
        maskcut(np.ones((4, 4, 3)), masks=0)
    with pytest.raises(UserError, match="not finite"):
        maskcut(np.full((4, 4, 3), np.nan))
    with pytest.raises(UserError, match="square"):
        second_eigenvector(np.ones((3, 4)))
    with pytest.raises(UserError, match="positive sum"):
        second_eigenvector(np.eye(3) * 0)
