"""Two fits of a PCA, chunk by chunk, in scikit-learn's own terms."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.utils.estimator_checks import parametrize_with_checks

from whitebox_transformers.segmentation.token_pca import TokenPCA


@parametrize_with_checks([TokenPCA(n_components=1), TokenPCA(n_components=1, foreground=False)])
def test_scikit_learns_own_checks(estimator, check) -> None:
    check(estimator)


def tokens(seed: int = 0) -> np.ndarray:
    """Background of 200 and foreground of 120 tokens, far apart in one direction."""
    rng = np.random.default_rng(seed)
    background = rng.standard_normal((200, 8)) * [0.3, 2, 1, 0.5, 0.2, 0.2, 0.1, 0.1] + 100
    foreground = rng.standard_normal((120, 8)) * [0.3, 0.1, 0.2, 1, 3, 2, 0.1, 0.1] + 100
    foreground[:, 0] += 25
    return rng.permutation(np.concatenate([background, foreground]))


def same_up_to_sign(a: np.ndarray, b: np.ndarray) -> bool:
    return np.allclose(np.abs((a * b).sum(1)), 1.0, atol=1e-8)


def test_both_steps_are_a_pca_each() -> None:
    x = tokens()
    truth = x[:, 0] > 112
    model = TokenPCA(3).fit(x)
    assert (model.is_foreground(x) == truth).all()
    assert model.n_foreground_ == 120
    first, second = PCA(3).fit(x), PCA(3).fit(x[truth])
    assert same_up_to_sign(model.foreground_component_[None], first.components_[:1])
    assert same_up_to_sign(model.components_, second.components_)
    np.testing.assert_allclose(model.mean_, second.mean_)
    np.testing.assert_allclose(model.explained_variance_, second.explained_variance_)
    np.testing.assert_allclose(model.explained_variance_ratio_, second.explained_variance_ratio_)
    signs = np.sign((model.components_ * second.components_).sum(1))
    np.testing.assert_allclose(model.transform(x), second.transform(x) * signs, atol=1e-8)


def test_without_refit_directions_are_those_of_all_tokens() -> None:
    x = tokens()
    for model in (TokenPCA(3, refit=False), TokenPCA(3, foreground=False)):
        assert same_up_to_sign(model.fit(x).components_, PCA(3).fit(x).components_)
    assert TokenPCA(3, refit=False).fit(x).n_foreground_ == 120
    assert TokenPCA(3, foreground=False).fit(x).is_foreground(x).all()


def test_the_other_side_and_another_threshold_can_be_asked_for() -> None:
    x = tokens()
    plain, inverted = TokenPCA().fit(x), TokenPCA(invert=True).fit(x)
    assert (plain.is_foreground(x) ^ inverted.is_foreground(x)).all()
    assert same_up_to_sign(
        inverted.components_, PCA(3).fit(x[inverted.is_foreground(x)]).components_
    )
    assert TokenPCA(threshold=0.98).fit(x).n_foreground_ < 60
    with pytest.raises(ValueError, match="threshold=2"):
        TokenPCA(threshold=2).fit(x)


@pytest.mark.parametrize("cuts", [[1], [7, 7, 200], [319]])
def test_chunks_are_the_whole(cuts: list[int]) -> None:
    x = tokens()
    whole, parts = TokenPCA(4).fit(x), TokenPCA(4).fit_chunks(np.split(x, cuts))
    assert same_up_to_sign(whole.components_, parts.components_)
    np.testing.assert_allclose(whole.explained_variance_, parts.explained_variance_)
    np.testing.assert_allclose(whole.transform(x), parts.transform(x), atol=1e-8)
    with pytest.raises(ValueError, match="an iterator"):
        TokenPCA().fit_chunks(iter([x]))


def test_signs_are_fixed_and_parameters_are_cloned() -> None:
    x = tokens()
    for row in TokenPCA(5).fit(x).components_:
        assert row[np.abs(row).argmax()] > 0
    model = TokenPCA(2, threshold=0.3, invert=True, refit=False, foreground=True)
    assert clone(model).get_params() == model.get_params()
    names = model.fit(x).get_feature_names_out()
    assert list(names) == ["tokenpca0", "tokenpca1"]
