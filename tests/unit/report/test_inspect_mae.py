"""`inspect` of a masked autoencoder: reconstructions, both halves layer by layer, the way back."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.contract.tiny_mae import tiny_mae, tiny_masked
from tests.learn.tiny_mae_run import tiny_mae_recipe

from whitebox_transformers.analysis.inversion import measure_inversion
from whitebox_transformers.analysis.layerwise import measure
from whitebox_transformers.evaluation.finished_run import load_run
from whitebox_transformers.report.decoder_study import DecoderStudy, decoder_inputs
from whitebox_transformers.report.examples import Example
from whitebox_transformers.report.inspect import inspect
from whitebox_transformers.report.masked_results import MaskedImageGallery
from whitebox_transformers.tasks import task_of
from whitebox_transformers.training.run import train

pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    recipe = tiny_mae_recipe(steps=2, batch_size=8, checkpoint_every=2, evaluate_every=2)
    return train(recipe, tmp_path_factory.mktemp("runs") / "mae").folder


@pytest.fixture(scope="module")
def inspected(run):
    return inspect(run, samples=6)


def test_both_halves_and_the_way_back_are_measured(inspected, run):
    numbers = json.loads(inspected.json.read_text())
    assert numbers["trained"]["validation"]["count"] == 6
    assert len(numbers["trained"]["validation"]["curves"]["rate-published-z"]["mean"]) == 2
    decoder = numbers["decoder"]
    assert decoder.keys() == {"train", "validation", "control"}
    curves = decoder["validation"]["curves"]
    # The decoder's attention never sees Y^l, so that its published rate is at Y^{l+1/2} alone.
    assert "rate-published-z" not in curves
    assert len(curves["rate-published-z-half"]["mean"]) == 2
    assert curves["nonzero-share"]["mean"] == [1.0, 1.0]
    found = numbers["inversion"]["trained"]
    assert np.shape(found["token_similarity"]) == (3, 3)
    assert len(found["subspace_overlap"]) == 2
    model, recipe = load_run(run)
    split = task_of(recipe).prepare(recipe)[0].validation
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(recipe.seed))[:6]
    samples = [split[int(index)] for index in order]
    batch = {key: torch.stack([sample[key] for sample in samples]) for key in samples[0]}
    again = measure_inversion(model, [batch]).to_json()
    np.testing.assert_allclose(again["token_similarity"], found["token_similarity"], rtol=1e-4)


def test_the_page_shows_reconstructions_and_chapters(inspected):
    page = inspected.html.read_text()
    for chapter in ("decoder", "inversion", "predictions", "attention", "structure"):
        assert f'<section id="{chapter}"' in page, chapter
    assert page.count('alt="Filled in: ') == 4
    names = {path.name for path in inspected.pngs}
    assert {"inversion-tokens.png", "inversion-all.png", "decoder-rate-unit.png"} <= names
    assert {"predictions-1.png", "attention-1.png"} <= names


def test_visible_patches_are_shown_as_they_are(run):
    model, recipe = load_run(run)
    data, processor = task_of(recipe).prepare(recipe)
    pixels = data.validation[0]["pixel_values"][None]
    gallery = MaskedImageGallery([Example("one", pixels)], processor)
    (found,) = gallery.predictions(model)
    grey = (found.masked != found.target).any(-1)
    changed = (found.filled != found.target).any(-1)
    assert not (changed & ~grey & (found.target[..., 0] != 128)).any()
    # 12 of 16 patches of 2 x 2 pixels are hidden; a pixel that is grey anyway does not show it.
    assert (found.masked[..., 0] == 128).sum() >= 48
    assert found.error == gallery.predictions(model)[0].error > 0


def test_the_black_box_is_shown_too(tmp_path):
    recipe = tiny_mae_recipe("vit-mae", steps=1, batch_size=8, checkpoint_every=1)
    folder = train(replace(recipe, against=None), tmp_path / "vit").folder
    page = inspect(folder, samples=4).html.read_text()
    assert page.count('alt="Filled in: ') == 4
    assert '<section id="decoder"' not in page


def test_a_decoder_of_residual_steps_has_its_chapters():
    """Its dictionaries are not square, and its first half is no product with one."""
    model, control = tiny_mae("residual-decoder"), tiny_mae("residual-decoder")
    batches = [tiny_masked(model.config)]
    found, fresh = (measure_inversion(network, batches) for network in (model, control))
    report = measure(model.decoder, decoder_inputs(model, batches))
    study = DecoderStudy({"validation": report, "train": report}, report, True, found, fresh)
    decoder, inversion = study.sections()
    assert "=Y^\\ell-S(Y^\\ell)" in decoder.introduction
    (chart,) = [chart for chart in inversion.charts if chart.key == "inversion-dictionaries"]
    assert [curve.name for curve in chart.curves] == ["untrained, with D", "with D"]
    assert "\\top" not in chart.shows
