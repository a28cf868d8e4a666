"""A cache of sums over tokens: of fixed size, and with the last tokens taken out again."""

from __future__ import annotations

import pytest
import torch
from tests.contract.test_generation import stored_bytes
from tests.contract.tiny_gpt import tiny_gpt, tiny_text
from transformers import DynamicCache, StaticCache

from whitebox_transformers.crate.cache_name import CACHE


@pytest.mark.parametrize("kind", [DynamicCache, StaticCache])
@pytest.mark.parametrize("variant", ["token-statistics", "token-statistics-help"])
@torch.no_grad()
def test_sums_over_tokens_take_the_same_bytes_after_any_number_of_them(variant: str, kind) -> None:
    model, ids = tiny_gpt(variant), tiny_text(2, 35)
    cache = kind(config=model.config, **({"max_cache_len": 40} if kind is StaticCache else {}))
    sizes = []
    for first, last in ((0, 3), (3, 4), (4, 34), (34, 35)):
        model(ids[:, first:last], cache=cache, use_cache=True)
        sizes.append(stored_bytes(cache))
    per_layer = 2 * 3 * (2 * 4 + 1) * 4  # batch, heads, sums of a head of four, float32
    windows = 0 if model.config.window is None else 2 * 2 * 12 * 2 * 4
    assert sizes == [2 * (per_layer + windows)] * 4
    assert int(cache.get_seq_length()) == 35


@torch.no_grad()
def test_tokens_leave_the_sums_again_only_where_that_was_asked_for_ahead() -> None:
    model, ids = tiny_gpt("token-statistics-help"), tiny_text(1, 9)
    cache = model(ids[:, :4], use_cache=True)[CACHE]
    with pytest.raises(ValueError, match=r"crop\(-1\).* activate_past_recording\(\)"):
        cache.crop(-1)
    cache.activate_past_recording()
    model(ids[:, 4:8].flip(1), cache=cache, use_cache=True)
    assert cache.layers[0].is_croppable
    cache.crop(-4)
    found = model(ids[:, 4:], cache=cache, use_cache=True).logits
    torch.testing.assert_close(found, model(ids).logits[:, 4:], rtol=0, atol=1e-4)
    cache.crop(0)
    assert cache.layers[0].keys.shape[-2] == 1
    cache.crop(-9)  # all of them
    assert cache.get_seq_length() == 0
    cache.crop(0)
    again = model(ids[:, :3], cache=cache, use_cache=True).logits
    torch.testing.assert_close(again, model(ids[:, :3]).logits)
    cache.reset()
    assert cache.get_seq_length() == 0
    torch.testing.assert_close(model(ids, cache=cache, use_cache=True).logits, model(ids).logits)


@torch.no_grad()
def test_a_static_cache_refuses_to_take_tokens_out_and_may_be_emptied() -> None:
    model, ids = tiny_gpt("token-statistics"), tiny_text(1, 6)
    cache = StaticCache(config=model.config, max_cache_len=10)
    expected = model(ids, cache=cache, use_cache=True).logits
    with pytest.raises(ValueError, match=r"crop\(-2\): a static cache keeps sums"):
        cache.layers[0].crop(-2)
    cache.reset()
    torch.testing.assert_close(model(ids, cache=cache, use_cache=True).logits, expected)
