"""Tokens that point the same way share a cluster, which keeps its number through the layers."""

from __future__ import annotations

import torch
from tests.unit.analysis.tiny import images, tiny_crate
from torch import nn

from whitebox_transformers.analysis.token_clusters import token_clusters


class Turning(nn.Module):
    """Hidden states of three groups of directions, turned and mixed anew in every layer."""

    device = torch.device("cpu")

    def forward(self, groups, **_):
        generator = torch.Generator().manual_seed(0)
        states = []
        for _ in range(4):
            basis = torch.linalg.qr(torch.randn(8, 8, generator=generator)).Q
            noise = 0.05 * torch.randn(groups.shape[1], 8, generator=generator)
            length = 1 + torch.rand(groups.shape[1], 1, generator=generator)
            states.append((length * (basis[groups[0]] + noise))[None])
        return type("Output", (), {"hidden_states": states})


def test_groups_are_found_whatever_their_length_and_followed() -> None:
    groups = torch.tensor([[0, 1, 2, 1, 0, 2, 2, 1, 0, 0, 1, 2, 0, 1, 2, 2, 1, 0]])
    found = token_clusters(Turning(), {"groups": groups})
    assert found.shape == (4, 18)
    assert (found == found[0]).all()
    for group in range(3):
        assert len(set(found[0][groups[0] == group].tolist())) == 1
    assert set(found[0].tolist()) == {0, 1, 2}


def test_a_model_has_one_row_for_every_hidden_state() -> None:
    found = token_clusters(tiny_crate(), {"pixel_values": images(1)})
    assert found.shape == (4, 25)
    assert found.max() < 6


def test_tokens_that_are_all_alike_are_one_cluster() -> None:
    class Alike(Turning):
        def forward(self, groups, **_):
            return type("Output", (), {"hidden_states": [torch.ones(1, 6, 3)] * 2})

    assert (token_clusters(Alike(), {"groups": torch.zeros(1, 6)}) == 0).all()
