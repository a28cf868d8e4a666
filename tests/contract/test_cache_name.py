"""A cache goes by the name of any supported transformers, and ours never by a deprecated one."""

from __future__ import annotations

import warnings

import pytest
import torch
import transformers
from packaging.version import Version
from tests.contract.tiny_gpt import tiny_gpt, tiny_text
from transformers import DynamicCache
from transformers.utils import generic

from whitebox_transformers.crate.cache_name import CACHE

NAMES = ["cache", "past_key_values"]


@pytest.fixture
def no_deprecations(monkeypatch):
    """Fails on a warning of transformers, be it logged or of Python."""
    monkeypatch.setattr(generic.logger, "warning_once", lambda message: pytest.fail(message))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_the_name_is_that_of_the_installed_transformers() -> None:
    assert (CACHE == "cache") == (Version(transformers.__version__) >= Version("5.24.0.dev0"))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("part", ["whole", "encoder", "compiled"])
@torch.no_grad()
def test_models_take_a_cache_by_either_name(part: str, name: str, no_deprecations) -> None:
    model, ids = tiny_gpt("help"), tiny_text(2, 7)
    called = model.crate if part == "encoder" else model
    expected = called(ids, use_cache=False)[0][:, 5:]
    cache = called(ids[:, :5])[CACHE]
    if part == "compiled":
        called = torch.compile(model, fullgraph=True, backend="eager")
    outputs = called(ids[:, 5:], **{name: cache})
    torch.testing.assert_close(outputs[0], expected, rtol=0, atol=1e-5)
    assert outputs[CACHE] is cache
    assert cache.get_seq_length() == 7


@pytest.mark.parametrize("name", NAMES)
def test_outputs_have_it_by_the_old_name_and_by_the_installed_one(name: str) -> None:
    outputs = tiny_gpt()(tiny_text())
    if name in ("past_key_values", CACHE):
        assert getattr(outputs, name) is outputs[name] is outputs[CACHE]
    assert isinstance(outputs[CACHE], DynamicCache)


@torch.no_grad()
def test_no_cache_under_one_name_leaves_the_other() -> None:
    model, ids = tiny_gpt(), tiny_text(2, 7)
    for given, absent in (NAMES, NAMES[::-1]):
        cache = DynamicCache(config=model.config)
        model(ids, **{given: cache, absent: None})
        assert cache.get_seq_length() == 7
    with pytest.raises(ValueError, match="cache and past_key_values are one argument"):
        model(ids, cache=cache, past_key_values=cache)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_beams": 2},
        {"cache_implementation": "static", "disable_compile": True},
        {"prompt_lookup_num_tokens": 2},
    ],
    ids=["greedy", "beams", "static", "assisted"],
)
def test_generation_uses_no_deprecated_name(options: dict, no_deprecations) -> None:
    ids, settings = tiny_text(1, 7), {"do_sample": False, "pad_token_id": 0}
    for variant in ("published", "help"):
        model = tiny_gpt(variant)
        settings |= {"attention_mask": torch.ones_like(ids), "max_new_tokens": 4}
        made = model.generate(ids, return_dict_in_generate=True, **settings, **options)
        assert made[CACHE].get_seq_length() >= 10


@pytest.mark.parametrize("name", NAMES)
def test_generation_goes_on_from_a_cache_by_either_name(name: str, no_deprecations) -> None:
    model, ids = tiny_gpt(), tiny_text(1, 7)
    settings = {"do_sample": False, "pad_token_id": 0, "max_new_tokens": 4}
    settings["attention_mask"] = torch.ones_like(ids)
    cache = model(ids[:, :5])[CACHE]
    made = model.generate(ids, **{name: cache}, **settings)
    assert torch.equal(made, model.generate(ids, **settings))
    assert cache.get_seq_length() == 10


@pytest.mark.filterwarnings("ignore:`gradient_checkpointing_enable`:FutureWarning")
def test_a_layer_that_runs_twice_does_not_enter_its_tokens_into_a_cache() -> None:
    """Under gradient checkpointing Hugging Face takes the cache from every layer, by its name."""
    gradients = []
    for cached in (False, True):
        model = tiny_gpt("help").train()
        model.gradient_checkpointing_enable()
        cache = DynamicCache(config=model.config) if cached else None
        model(tiny_text(), labels=tiny_text(), cache=cache).loss.backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
        assert cache is None or cache.get_seq_length() == 0
    assert all(map(torch.equal, *gradients))
