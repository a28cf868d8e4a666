"""A ViT that learned without labels goes on as a classifier: its encoder, and no other weight."""

from __future__ import annotations

import pytest
import torch
from tests.learn.tiny_dino_run import tiny_dino_recipe
from tests.learn.tiny_mae_run import tiny_mae_recipe
from transformers import AutoModelForPreTraining

from whitebox_transformers.errors import UserError
from whitebox_transformers.evaluation.probes.backbone import untrained_encoder
from whitebox_transformers.tasks import task_of
from whitebox_transformers.training.recipe import recipe_from_dict
from whitebox_transformers.training.run import train

pytestmark = pytest.mark.learn

SHORT = {"steps": 2, "accumulate": 1, "evaluate_every": 2, "checkpoint_every": 2}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    home = tmp_path_factory.mktemp("runs")
    recipes = {"vit-mae": tiny_mae_recipe("vit-mae", **SHORT),
               "vit-dino": tiny_dino_recipe("vit-dino", **SHORT)}  # fmt: skip
    return {name: train(recipe, home / name).folder for name, recipe in recipes.items()}


def classifier(folder, family="vit"):
    recipe = recipe_from_dict(
        {
            "name": "fine",
            "model": {"family": family, "from": str(folder)},
            "train": {"steps": 1, "batch_size": 16},
            "data": {"limit": 40},
        }
    )
    task = task_of(recipe)
    return task.build_model(recipe, task.prepare(recipe)[0])


@pytest.mark.parametrize("name", ["vit-mae", "vit-dino"])
def test_the_classifiers_features_are_the_runs(runs, name):
    model = classifier(runs[name]).eval()
    before = AutoModelForPreTraining.from_pretrained(runs[name]).eval()
    before.vit.config.mask_ratio = 0.0
    images = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        tokens = before.vit(images).last_hidden_state[:, 0]
        torch.testing.assert_close(model.vit(images).last_hidden_state[:, 0], tokens)
    assert model.config.num_labels == 10
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_other_kinds_are_refused_in_one_line(runs):
    with pytest.raises(UserError, match="holds a model of type 'vit_mae', not 'vit-dino'"):
        classifier(runs["vit-mae"], "vit-dino")


def test_the_untrained_control_is_placed_as_the_run_began(runs):
    """transformers would leave its positions and class token at zero."""
    embeddings = untrained_encoder(str(runs["vit-mae"]), 1).embeddings
    trained = AutoModelForPreTraining.from_pretrained(runs["vit-mae"]).vit.embeddings
    # Positions are fixed, so that training has not changed them.
    assert torch.equal(embeddings.position_embeddings, trained.position_embeddings)
    assert embeddings.cls_token.abs().max() > 0
