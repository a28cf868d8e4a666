"""Shares of the output matrix are 1 where it is made of the subspaces, and chance elsewhere."""

from __future__ import annotations

import pytest
import torch
from tests.unit.analysis.tiny import tiny_crate

from whitebox_transformers.analysis.layers import white_box_layers
from whitebox_transformers.analysis.output_matrix import output_agreement


def model_with(output: torch.Tensor | None = None, **sizes):
    model = tiny_crate(**sizes)
    if output is not None:
        white_box_layers(model)[1].compress.mssa.output.weight.data = output
    return model


def heads_of(model) -> torch.Tensor:
    """[U_1, ..., U_K] (D, K P)."""
    return white_box_layers(model)[1].compress.mssa.subspaces.weight.detach().T.clone()


def test_the_tied_matrix_explains_itself_with_its_sign() -> None:
    stacked = heads_of(tiny_crate())
    for factor in (1.0, -0.3):
        found = output_agreement(model_with(factor * stacked), 1)
        assert found["tied"] == pytest.approx(1.0 if factor > 0 else -1.0)
        assert found["tied_by_head"] == pytest.approx(1.0)
        assert found["own_subspaces"] == pytest.approx(1.0)


def test_factors_by_head_and_mixtures_inside_a_head_are_told_apart() -> None:
    stacked = heads_of(tiny_crate())
    factors = torch.tensor([1.0, -2.0, 3.0]).repeat_interleave(4)
    by_head = output_agreement(model_with(stacked * factors), 1)
    assert by_head["tied"] < 0.9
    assert by_head["tied_by_head"] == pytest.approx(1.0)
    torch.manual_seed(0)
    mixed = torch.cat([part @ torch.randn(4, 4) for part in stacked.split(4, 1)], 1)
    inside = output_agreement(model_with(mixed), 1)
    assert inside["own_subspaces"] == pytest.approx(1.0)
    assert inside["tied_by_head"] < 0.9


def test_a_random_matrix_has_chance_in_its_own_subspaces() -> None:
    torch.manual_seed(0)
    model = tiny_crate(hidden_size=96)
    white_box_layers(model)[1].compress.mssa.output.weight.data.normal_()
    found = output_agreement(model, 1)
    assert found["own_subspaces_random"] == pytest.approx(1 / 3)
    assert found["own_subspaces"] == pytest.approx(1 / 3, abs=0.02)
    assert abs(found["tied"]) < 0.01


def test_without_a_matrix_there_is_nothing_to_say() -> None:
    assert output_agreement(tiny_crate(mssa_output="tied"), 0) == {}
    assert output_agreement(tiny_crate(mssa_output="fixed"), 0)["own_subspaces"] > 0
