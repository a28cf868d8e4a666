"""A probe's numbers follow from its stored features, and its record says how they were made."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tests.oracles.nearest import classify

from whitebox_transformers.crate import CrateConfig, CrateForImageClassification
from whitebox_transformers.data import DataConfig, build_processor
from whitebox_transformers.errors import UserError
from whitebox_transformers.evaluation.probes import ProbeSettings, baselines, probe
from whitebox_transformers.evaluation.probes.labelled import probed_images
from whitebox_transformers.evaluation.probes.linear import fit_linear
from whitebox_transformers.evaluation.probes.sgd import fit_by_sgd

SMALL = ["data.limit=120"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model")
    config = CrateConfig(image_size=8, patch_size=4, num_channels=1, hidden_size=12,
                         num_hidden_layers=2, num_attention_heads=3, num_labels=10)  # fmt: skip
    CrateForImageClassification(config).save_pretrained(folder)
    build_processor(DataConfig(), 8, 1).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def result(model):
    settings = ProbeSettings(neighbours=(1, 20), strengths=(0.1, 1.0), sgd_epochs=2, batch_size=32)
    return probe(model, "digits", settings, [*SMALL, "augment.flip=0"])


def stored(result, title, split):
    folder = result.scores[title]["features"][split]
    return np.load(f"{folder}/features.npy"), np.load(f"{folder}/labels.npy")


@pytest.mark.parametrize("title", ["trained", "untrained", "pixels", "pca"])
def test_scores_can_be_had_again_from_the_stored_features(result, title):
    train, held, test = (stored(result, title, s) for s in ("train", "validation", "test"))
    found = result.scores[title]
    for k in (1, 20):
        voted = [label for label, _ in classify(*train, test[0], k, 0.07)]
        assert found["knn"][str(k)] == pytest.approx(np.mean(voted == test[1]), abs=0.02)
    best = None
    for strength in (0.1, 1.0):
        fit = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=300))
        fit.fit(*train)
        if best is None or fit.score(*held) > best[0]:
            best = fit.score(*held), fit.score(*test), strength
    assert found["linear"]["C"] == best[2]
    assert found["linear"]["validation_accuracy"] == pytest.approx(best[0], abs=0.02)
    assert found["linear"]["accuracy"] == pytest.approx(best[1], abs=0.02)


def test_principal_components_are_scikit_learns_of_the_pixels(result):
    pixels, projected = (stored(result, title, "train")[0] for title in ("pixels", "pca"))
    assert projected.shape[1] == 12
    expected = PCA(12).fit_transform(pixels)
    signs = np.sign((expected * projected).sum(0))
    np.testing.assert_allclose(projected * signs, expected, atol=1e-3)


def test_large_images_are_shrunk_before_they_become_a_row():
    images = torch.arange(64.0 * 96).reshape(1, 1, 64, 96)
    rows = baselines.Pixels()(images)
    assert rows.shape == (1, 32 * 32)
    assert rows[0, 0] == images[0, 0, :2, :3].mean()


def test_the_record_names_everything_that_decides_a_score(result):
    record = json.loads(result.file.read_text())
    assert record["scores"] == result.scores
    assert record["data"]["limit"] == 120
    assert record["images"] == {"train": 120, "validation": 120, "test": 120}
    said = record["protocol"]
    decides = "pooling layers neighbours temperature strengths iterations sgd_epochs sgd_rates seed"
    for key in (*decides.split(), "split", "preprocessing", "augment"):
        assert said[key] is not None, key
    assert record["versions"]["torch"]
    assert 0 < result.scores["trained"]["sgd"]["accuracy"] <= 1
    assert "sgd" not in result.scores["pixels"]


class Points:
    """Two-number images in three clusters far from 0, at very different scales."""

    seed = 0

    def __init__(self, count: int, seed: int) -> None:
        draw = np.random.default_rng(seed)
        self.labels = draw.integers(0, 3, count)
        centres = np.array([[5.0, 5.0], [5.4, 5.0], [5.0, 5.4]])
        points = (centres[self.labels] + 0.1 * draw.normal(size=(count, 2))) * [0.1, 1e3]
        self.values = points.astype(np.float32)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, key: tuple[int, int]) -> dict:
        return {
            "pixel_values": torch.from_numpy(self.values[key[1]]),
            "labels": self.labels[key[1]],
        }


def test_sgd_learns_what_the_solver_learns_at_any_scale():
    train, held, test = Points(300, 0), Points(60, 1), Points(200, 2)
    labelled = (held.values, held.labels)
    fit = fit_by_sgd(train, labelled, test.values, lambda x: x, 3, (1e-4, 0.1), epochs=20,
                     batch_size=50, seed=0, device=torch.device("cpu"))  # fmt: skip
    again = fit_by_sgd(train, labelled, test.values, lambda x: x, 3, (1e-4, 0.1), epochs=20,
                       batch_size=50, seed=0, device=torch.device("cpu"))  # fmt: skip
    solved = fit_linear((train.values, train.labels), labelled, test.values, (1.0,), 200)
    accuracy = np.mean(fit.predicted == test.labels)
    assert fit.rate == 0.1
    assert accuracy > 0.85
    assert accuracy == pytest.approx(np.mean(solved.predicted == test.labels), abs=0.04)
    assert (again.predicted == fit.predicted).all()


def test_a_tie_is_won_by_the_stronger_penalty():
    draw = np.random.default_rng(0)
    labels = np.arange(40) % 2
    features = (draw.normal(size=(40, 3)) + 9 * labels[:, None]).astype(np.float32)
    fit = fit_linear((features, labels), (features, labels), features, (10.0, 0.1), 50)
    assert fit.strength == 0.1
    assert fit.converged
    assert fit.validation_accuracy == 1.0


@pytest.mark.parametrize(
    ("data", "overrides", "said"),
    [
        (None, [], "name the labelled images with --data"),
        ("nowhere", [], "--data=nowhere: no such folder"),
        ("digits", ["data.mean=[0.5]"], "preprocessor_config.json"),
        ("digits", ["data.limti=5"], "limit"),
    ],
)
def test_data_that_cannot_be_read(model, data, overrides, said):
    with pytest.raises(UserError, match=said):
        probed_images(str(model), data, overrides)


@pytest.mark.parametrize(
    "wrong",
    [{"pooling": "max"}, {"split": "train"}, {"layers": 0}, {"temperature": 0.0},
     {"neighbours": (0,)}, {"strengths": ()}, {"sgd_epochs": -1}, {"baselines": ("noise",)}],
)  # fmt: skip
def test_settings_out_of_range(wrong):
    with pytest.raises(UserError, match=next(iter(wrong)).replace("neighbours", "k")):
        ProbeSettings(**wrong)


def test_more_neighbours_than_training_images(model):
    with pytest.raises(UserError, match="k=130 is more than the 120"):
        probe(model, "digits", ProbeSettings(neighbours=(130,), baselines=()), SMALL)
