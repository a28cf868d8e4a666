"""The weighted k-NN is DINO's, whatever the sizes and however it is cut into pieces."""

from __future__ import annotations

import numpy as np
import pytest
from tests.oracles.nearest import classify

from whitebox_transformers.errors import UserError
from whitebox_transformers.evaluation import nearest
from whitebox_transformers.evaluation.nearest import nearest_classes

CLEAR = 1e-5


def clusters(images: int, width: int, classes: int, seed: int = 0):
    draw = np.random.default_rng(seed)
    centres = draw.normal(size=(classes, width))
    labels = draw.integers(0, classes, images)
    return centres[labels] + 1.5 * draw.normal(size=(images, width)), labels


@pytest.mark.parametrize(("bank", "queries", "width"), [(37, 11, 5), (200, 3, 1), (12, 25, 17)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("pieces", [(4, 7), (1024, 16384)])
def test_classes_are_those_of_the_oracle(bank, queries, width, dtype, pieces, monkeypatch):
    monkeypatch.setattr(nearest, "QUERIES_AT_ONCE", pieces[0])
    monkeypatch.setattr(nearest, "BANK_AT_ONCE", pieces[1])
    features, labels = clusters(bank + queries, width, classes=4)
    features = features.astype(dtype)
    for temperature in (0.07, 1.0):
        found = nearest_classes(
            features[:bank], labels[:bank], features[bank:], [1, 5, 12], temperature
        )
        for k, classes in found.items():
            expected = classify(features[:bank], labels[:bank], features[bank:], k, temperature)
            clear = [margin > CLEAR for _, margin in expected]
            # With one dimension every cosine is +1 or -1: who is nearest is not decided.
            assert sum(clear) > 0 or width == 1
            assert [c for c, sure in zip(classes, clear, strict=True) if sure] == [
                c for (c, _), sure in zip(expected, clear, strict=True) if sure
            ]


def test_near_neighbours_outvote_many_far_ones():
    bank = np.array([[1, 0], [0, 1], [0.1, 1], [-0.1, 1]], dtype=np.float32)
    labels = np.array([1, 0, 0, 0])
    query = np.array([[1, 0.2]], dtype=np.float32)
    assert nearest_classes(bank, labels, query, [4], 0.07)[4] == [1]
    # At a high temperature all weigh the same and the majority wins.
    assert nearest_classes(bank, labels, query, [4], 100.0)[4] == [0]


def test_an_image_without_features_is_classified_all_the_same():
    bank, labels = clusters(20, 6, classes=3)
    found = nearest_classes(bank, labels, np.zeros((2, 6)), [20])
    assert set(found[20]) == {np.bincount(labels).argmax()}


def test_more_neighbours_than_images_are_refused():
    bank, labels = clusters(5, 3, classes=2)
    with pytest.raises(UserError, match="k=6 is more than the 5"):
        nearest_classes(bank, labels, bank.copy(), [6])


@pytest.mark.parametrize("pieces", [(4, 7), (7, 3), (1024, 16384)])
def test_an_image_of_the_bank_is_classified_by_the_others(pieces, monkeypatch):
    monkeypatch.setattr(nearest, "QUERIES_AT_ONCE", pieces[0])
    monkeypatch.setattr(nearest, "BANK_AT_ONCE", pieces[1])
    bank, labels = clusters(23, 6, classes=3)
    found = nearest_classes(bank, labels, bank, [1, 22])
    for k, classes in found.items():
        for i in range(len(bank)):
            others = np.arange(len(bank)) != i
            ((expected, margin),) = classify(bank[others], labels[others], bank[i : i + 1], k, 0.07)
            assert classes[i] == expected or margin < CLEAR
    with pytest.raises(UserError, match="k=23 is more than the 22"):
        nearest_classes(bank, labels, bank, [23])
