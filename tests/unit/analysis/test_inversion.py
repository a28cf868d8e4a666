"""How far a decoder undoes its encoder: 1 where it does by construction, little where it cannot."""

from __future__ import annotations

import pytest
import torch
from tests.contract.tiny_mae import tiny_mae, tiny_masked

from whitebox_transformers.analysis.inversion import (
    compare_weights,
    measure_inversion,
    subspace_overlap,
    token_similarity,
)
from whitebox_transformers.crate.rates import coding_rate, unit_norm
from whitebox_transformers.errors import UserError


def cka(x: torch.Tensor, y: torch.Tensor) -> float:
    """Linear CKA from its formula with covariances, in float64."""
    x, y = (z.double() - z.double().mean(0) for z in (x, y))
    return ((y.T @ x).norm() ** 2 / ((x.T @ x).norm() * (y.T @ y).norm())).item()


def test_similarity_is_blind_to_rotation_scale_and_mean():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 2, 9, 5, generator=generator)
    rotation = torch.linalg.qr(torch.randn(5, 5, generator=generator)).Q
    same, other = 3 * x @ rotation + 1, torch.randn(1, 2, 9, 5, generator=generator)
    flat = torch.ones(1, 2, 9, 5)
    found = token_similarity(x, torch.cat([same, other, flat]))
    assert found.shape == (2, 1, 3)
    torch.testing.assert_close(found[:, 0, 0], torch.ones(2))
    for sample in range(2):
        assert float(found[sample, 0, 1]) == pytest.approx(cka(x[0, sample], other[0, sample]))
    assert not found[:, 0, 2].any()


def test_overlap_counts_directions_in_common():
    eye = torch.eye(6)
    left = torch.stack([eye[:, :2], eye[:, 2:4]])
    assert subspace_overlap(left, left.flip(0) * 5) == pytest.approx(1)
    assert subspace_overlap(left, eye[None, :, 4:]) == pytest.approx(0)
    assert subspace_overlap(left, eye[None, :, 1:3]) == pytest.approx(0.5)


def test_shared_weights_are_found_in_reverse_order():
    shared = compare_weights(tiny_mae("shared"))
    assert shared["subspace_overlap"] == pytest.approx([1, 1, 1])
    assert shared["dictionary_cosine"] == pytest.approx([1, 1, 1])
    transposed = compare_weights(tiny_mae("shared-transposed"))
    assert transposed["transposed_cosine"] == pytest.approx([1, 1])
    own = compare_weights(tiny_mae())
    assert max(map(abs, own["dictionary_cosine"])) < 0.5
    assert compare_weights(tiny_mae("dictionaries-only")).keys() == {
        "dictionary_cosine",
        "transposed_cosine",
    }
    assert not compare_weights(tiny_mae(compression="attention", sparsification="overcomplete"))


@pytest.mark.parametrize("variant", ["published", "efficient", "shared-transposed"])
def test_states_are_compared_pair_by_pair(variant):
    model = tiny_mae(variant)
    batch = tiny_masked(model.config, batch=3)
    found = measure_inversion(model, [{k: v[:1] for k, v in batch.items()},
                                      {k: v[1:] for k, v in batch.items()}])  # fmt: skip
    depth = model.config.decoder_num_hidden_layers
    with torch.no_grad():
        outputs = model(**batch, output_z=True, decoder_output_z=True)
    kept = torch.ones(3, 7, dtype=torch.bool)
    if variant == "efficient":
        kept[:, 1:] = ~outputs.mask.bool()
    for d in range(depth + 1):
        values, rates = [], []
        for sample in range(3):
            y, z = outputs.decoder_z[d][sample], outputs.z[3 - d][sample]
            y = y[kept[sample]]
            if variant == "efficient":  # the encoder has them in the order of their noise
                order = outputs.ids_restore[sample][kept[sample, 1:]].argsort()
                y = torch.cat([y[:1], y[1:][order]])
            values.append(cka(y, z))
            rates.append(coding_rate(unit_norm(y)).item())
        mean = sum(values) / 3
        assert found.token_similarity[d][3 - d] == pytest.approx(mean, rel=1e-4)
        assert found.curves["pair_similarity"].mean[d] == pytest.approx(mean, rel=1e-4)
        assert found.curves["decoder_rate"].mean[d] == pytest.approx(sum(rates) / 3, rel=1e-4)
    assert found.count == 3
    assert len(found.curves["encoder_rate"].mean) == depth + 1
    assert set(found.to_json()["definitions"]) == set(found.to_json()) - {"count", "definitions"}


def test_a_decoder_deeper_than_the_encoder_is_refused():
    model = tiny_mae(decoder_num_hidden_layers=4)
    with pytest.raises(UserError, match="the decoder has 4 layers and the encoder 3"):
        measure_inversion(model, [])
    with pytest.raises(UserError, match="no samples"):
        measure_inversion(tiny_mae(), [])
