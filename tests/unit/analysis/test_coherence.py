"""Heatmaps are cosines of the right columns; the scalars are read off them."""

from __future__ import annotations

import pytest
import torch
from tests.unit.analysis.tiny import images, tiny_crate, tiny_vit

from whitebox_transformers import fold
from whitebox_transformers.analysis import (
    dictionary_coherence,
    subspace_coherence,
    token_coherence,
)
from whitebox_transformers.analysis.coherence import dictionary_minus_identity
from whitebox_transformers.errors import UserError


def test_subspaces_are_compared_column_by_column() -> None:
    model = tiny_crate()
    weight = model.crate.stack.layers[1].compress.mssa.subspaces.weight.detach()
    found = subspace_coherence(model, 1)
    assert found.blocks == 3
    assert found.values.shape == (12, 12)
    for i in range(12):
        for j in range(12):
            cosine = torch.nn.functional.cosine_similarity(weight[i], weight[j], dim=0).abs()
            assert found.values[i, j].item() == pytest.approx(cosine.item(), abs=1e-6)
    inside = [
        found.values[i, j] for i in range(12) for j in range(12) if i // 4 == j // 4 and i != j
    ]
    across = [found.values[i, j] for i in range(12) for j in range(12) if i // 4 != j // 4]
    assert found.summary["within"] == pytest.approx(torch.stack(inside).mean().item(), rel=1e-5)
    assert found.summary["across"] == pytest.approx(torch.stack(across).mean().item(), rel=1e-5)
    assert found.summary["max_across"] == pytest.approx(torch.stack(across).max().item(), rel=1e-5)


def test_columns_are_chosen_or_drawn() -> None:
    model = tiny_crate()
    whole = subspace_coherence(model, -1).values
    chosen = subspace_coherence(model, -1, columns=[3, 0])
    order = [4 * head + column for head in range(3) for column in (3, 0)]
    torch.testing.assert_close(chosen.values, whole[order][:, order])
    drawn = subspace_coherence(model, 2, columns_per_head=2, seed=5)
    assert drawn.values.shape == (6, 6)
    torch.testing.assert_close(
        drawn.values, subspace_coherence(model, 2, columns_per_head=2, seed=5).values
    )
    single = subspace_coherence(tiny_crate(num_attention_heads=1), 0, columns_per_head=1)
    assert single.summary["within"] == single.summary["across"] == 0.0
    with pytest.raises(UserError, match="column 4 does not exist"):
        subspace_coherence(model, 0, columns=[4])
    with pytest.raises(UserError, match="columns_per_head is 5; heads have 1 to 4"):
        subspace_coherence(model, 0, columns_per_head=5)


def test_random_directions_have_the_expected_mean() -> None:
    model = tiny_crate(hidden_size=192, num_attention_heads=2)
    torch.manual_seed(0)
    model.crate.stack.layers[0].compress.mssa.subspaces.weight.data.normal_()
    summary = subspace_coherence(model, 0).summary
    assert summary["across"] == pytest.approx(summary["random"], rel=0.05)


def test_orthonormal_subspaces_have_nothing_off_the_diagonal_inside_a_head() -> None:
    found = subspace_coherence(tiny_crate(orthonormal_subspaces=True), 0)
    assert found.summary["within"] < 1e-6
    assert found.summary["across"] > 1e-2


def test_dictionary_is_compared_atom_by_atom() -> None:
    model = tiny_crate()
    dictionary = model.crate.stack.layers[0].sparsify.ista.dictionary.data
    dictionary.copy_(torch.eye(12))
    dictionary[0, 1] = 2.0  # atom 1 becomes (2, 1, 0, ...)
    found = dictionary_coherence(model, 0)
    assert found.summary["max"] == pytest.approx(2 / 5**0.5)
    assert found.summary["mean"] == pytest.approx(2 * 2 / 5**0.5 / (12 * 11))
    assert found.summary["identity_distance"] == pytest.approx((24 / 12) ** 0.5)
    assert found.summary["spectral_norm_squared"] == pytest.approx(3 + 8**0.5)
    difference = dictionary_minus_identity(model, 0)
    assert difference[0, 1] == 2.0
    assert difference[1, 1] == 4.0
    assert difference.count_nonzero() == 3


def test_an_overcomplete_dictionary_has_a_cell_per_pair_of_atoms() -> None:
    model = tiny_crate(sparsification="overcomplete")
    found = dictionary_coherence(model, 0)
    assert found.values.shape == (48, 48)
    assert found.summary["max"] > ((48 - 12) / (12 * 47)) ** 0.5  # the Welch bound


@pytest.mark.parametrize("make", [tiny_crate, tiny_vit])
def test_tokens_of_one_image_are_compared_at_every_layer(make) -> None:
    model, image = make(), images(1)
    depth = model.config.num_hidden_layers
    blocks = token_coherence(model, image)  # 25 tokens: fewer than 50, all are shown
    assert len(blocks) == depth + 1
    with torch.no_grad():
        z = model(image, output_hidden_states=True).hidden_states[-1][0]
    z = z / z.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(blocks[-1].values, (z @ z.T).abs(), rtol=1e-4, atol=1e-5)
    part = token_coherence(model, image, size=6, seed=3)
    shown = torch.randperm(25, generator=torch.Generator().manual_seed(3))[:6].sort().values
    torch.testing.assert_close(part[0].values, blocks[0].values[shown][:, shown])
    off_diagonal = part[0].values[~torch.eye(6, dtype=torch.bool)]
    assert part[0].summary["mean"] == pytest.approx(off_diagonal.mean().item(), rel=1e-5)
    with pytest.raises(UserError, match="one sample; 2 were given"):
        token_coherence(model, images(2))


def test_what_is_missing_is_named() -> None:
    with pytest.raises(UserError, match="no subspaces: compression is not 'mssa' or 'tssa'"):
        subspace_coherence(tiny_crate(compression="attention"), 0)
    with pytest.raises(UserError, match="no dictionary: sparsification is 'mlp'"):
        dictionary_coherence(tiny_crate(sparsification="mlp"), 0)
    for call in (
        lambda model: subspace_coherence(model, 0),
        lambda model: dictionary_coherence(model, 0),
        lambda model: token_coherence(model, images(1)),
    ):
        with pytest.raises(UserError, match="folded"):
            call(fold(tiny_crate()))


def test_distance_from_orthonormal_as_is_and_after_the_best_factor() -> None:
    model = tiny_crate(hidden_size=16, num_attention_heads=2)
    torch.manual_seed(0)
    rotation = torch.linalg.qr(torch.randn(16, 16)).Q
    layer = model.crate.stack.layers[0]
    layer.compress.mssa.subspaces.weight.data = 2 * rotation
    layer.sparsify.ista.dictionary.data = 0.5 * rotation
    subspaces = subspace_coherence(model, 0, columns_per_head=2).summary
    dictionary = dictionary_coherence(model, 0).summary
    assert subspaces["identity_distance"] == pytest.approx(3.0, rel=1e-5)  # |4 I - I| / sqrt(P)
    assert dictionary["identity_distance"] == pytest.approx(0.75, rel=1e-5)
    assert subspaces["identity_distance_scaled"] == pytest.approx(0.0, abs=1e-3)
    assert dictionary["identity_distance_scaled"] == pytest.approx(0.0, abs=1e-3)
    layer.sparsify.ista.dictionary.data = rotation * torch.tensor([1.0, 3.0]).repeat(8)
    scaled = dictionary_coherence(model, 0).summary["identity_distance_scaled"]
    gram = torch.tensor([1.0, 9.0])
    tried = [((s * gram - 1).square().mean() ** 0.5).item() for s in torch.linspace(0, 1, 20001)]
    assert scaled == pytest.approx(min(tried), abs=1e-4)
