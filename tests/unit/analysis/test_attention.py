"""The class token's attention is the recorded one, on the grid, under any implementation."""

from __future__ import annotations

import pytest
import torch
from tests.unit.analysis.tiny import images, tiny_crate, tiny_vit
from tests.unit.analysis.tiny_text import texts, tiny_crate_gpt
from tests.unit.evaluation.tiny_language import tiny_bert, tiny_gpt2

from whitebox_transformers import fold
from whitebox_transformers.analysis import attention_rows, class_attention
from whitebox_transformers.analysis.measures import available_measures
from whitebox_transformers.analysis.memberships import memberships
from whitebox_transformers.errors import UserError


@pytest.mark.parametrize(
    "fields",
    [{}, {"compression": "attention"}, {"attend_self": False}],
    ids=["mssa", "attention", "without self"],
)
@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_maps_are_the_recorded_rows_on_a_grid_that_is_not_square(
    fields: dict, implementation: str
) -> None:
    model, pixel_values = tiny_crate(**fields), images(2)
    model.set_attn_implementation(implementation)
    maps = class_attention(model, pixel_values)
    with torch.no_grad():
        recorded = model(pixel_values, output_attentions=True).attentions
    assert list(maps) == [0, 1, 2]
    for layer, attention in maps.items():
        assert attention.shape == (2, 3, 4, 6)
        torch.testing.assert_close(attention.flatten(-2), recorded[layer][:, :, 0, 1:])
        sums = attention.sum((-2, -1))
        if model.config.attend_self:
            assert (sums < 1).all()
        else:
            torch.testing.assert_close(sums, torch.ones_like(sums))
    assert model.config._attn_implementation == implementation


def test_rows_follow_the_formula() -> None:
    model, pixel_values = tiny_crate(), images(1)
    with torch.no_grad():
        z = model(pixel_values, output_z=True).z[1]
        compress = model.crate.stack.layers[1].compress
        u = compress.norm(z) @ compress.mssa.subspaces.weight.T
    head = u[0, :, 4:8]  # head 1
    weights = (head @ head[0] / 4**0.5).softmax(0)[1:].view(4, 6)
    torch.testing.assert_close(class_attention(model, pixel_values, [-2])[1][0, 1], weights)


def test_other_image_sizes_have_other_grids() -> None:
    maps = class_attention(tiny_crate(), torch.randn(1, 2, 32, 8), layers=[0])
    assert maps[0].shape == (1, 3, 8, 2)


def test_no_square_attention_matrix_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    from whitebox_transformers.analysis import attention

    seen = []

    def spy(query, key, mask, scaling):
        seen.append(query.shape[2])
        return torch.full((*query.shape[:3], key.shape[2]), 0.5)

    monkeypatch.setattr(attention, "attention_weights", spy)
    class_attention(tiny_crate(), images(1))
    assert seen == [1, 1, 1]


def test_a_vit_is_left_as_it_was() -> None:
    model, pixel_values = tiny_vit(), images(2)
    before = model.config._attn_implementation
    maps = class_attention(model, pixel_values, layers=[1])
    assert maps[1].shape == (2, 3, 4, 6)
    assert model.config._attn_implementation == before
    model.set_attn_implementation("eager")
    with torch.no_grad():
        recorded = model(pixel_values, output_attentions=True).attentions[1]
    torch.testing.assert_close(maps[1].flatten(-2), recorded[:, :, 0, 1:])


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("query", [0, 4, -1])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"compression": "attention"},
        {"attend_self": False},
        {"position_embedding_type": "rotary"},
        {"key_lag": 1},
    ],
    ids=["mssa", "attention", "without self", "rotary", "lag"],
)
def test_rows_of_a_causal_model_are_the_recorded_ones(
    fields: dict, query: int, implementation: str
) -> None:
    model, tokens = tiny_crate_gpt(**fields), texts(2)
    model.set_attn_implementation(implementation)
    packed = {"input_ids": tokens, "position_ids": torch.tensor([[*range(5), *range(7)]] * 2)}
    for inputs in ({"input_ids": tokens}, packed):
        rows = attention_rows(model, inputs, query, layers=[0, -1])
        with torch.no_grad():
            recorded = model(**inputs, output_attentions=True, use_cache=False).attentions
        assert list(rows) == [0, 2]
        for layer, row in rows.items():
            torch.testing.assert_close(row, recorded[layer][:, :, query])
            assert (row[..., query % 12 + 1 :] == 0).all()


@pytest.mark.parametrize("family", [tiny_gpt2, tiny_bert])
def test_rows_of_a_black_box_are_the_recorded_ones(family) -> None:
    model, tokens = family().model, texts(2)
    rows = attention_rows(model, {"input_ids": tokens}, 3)
    model.set_attn_implementation("eager")
    with torch.no_grad():
        recorded = model(input_ids=tokens, output_attentions=True).attentions
    assert list(rows) == [0, 1]
    for layer, row in rows.items():
        torch.testing.assert_close(row, recorded[layer][:, :, 3])


def test_impossible_requests_are_named() -> None:
    with pytest.raises(UserError, match="layer 3 does not exist"):
        class_attention(tiny_crate(), images(1), layers=[3])
    with pytest.raises(UserError, match="compression is 'none'"):
        class_attention(tiny_crate(compression="none"), images(1))
    with pytest.raises(UserError, match="folded"):
        class_attention(fold(tiny_crate()), images(1))


@torch.no_grad()
def test_memberships_stand_in_for_attention_where_no_tokens_are_compared() -> None:
    model, pixel_values = tiny_crate(compression="tssa"), images(2)
    recorded = model(pixel_values, output_attentions=True).attentions
    rows = attention_rows(model, {"pixel_values": pixel_values}, 0, [0, -1])
    assert list(rows) == [0, 2]
    for layer, row in rows.items():
        torch.testing.assert_close(row, recorded[layer][..., 0])
    (maps,) = class_attention(model, pixel_values, [0]).values()
    torch.testing.assert_close(maps.flatten(-2), recorded[0][:, :, 1:, 0])
    assert available_measures(model) == available_measures(tiny_crate())
    with pytest.raises(UserError, match="no memberships: compression is not 'tssa'"):
        memberships(tiny_crate(), {"pixel_values": pixel_values}, [0])
