"""With a cache, token by token, what comes without it: every strategy, every configuration."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from tests.contract.tiny_gpt import VARIANTS, tiny_config, tiny_gpt, tiny_text
from transformers import DynamicCache, GPT2Config, StaticCache

from whitebox_transformers.crate import CrateGPTForCausalLM
from whitebox_transformers.crate.cache_name import CACHE, named

NEW = 10


def prompt(batch: int = 2, count: int = 7, seed: int = 0) -> dict[str, torch.Tensor]:
    ids = tiny_text(batch, count, seed)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def generate(model: CrateGPTForCausalLM, inputs: dict, **options) -> torch.Tensor:
    """The new tokens (B, NEW), none of which was there before.

    Small random models soon repeat one token; so every step is another.
    """
    settings = {"max_new_tokens": NEW, "do_sample": False, "pad_token_id": 0}
    settings |= {"no_repeat_ngram_size": 1} | options
    return model.generate(**inputs, **settings)[:, inputs["input_ids"].shape[1] :]


@torch.no_grad()
def one_by_one(
    model: CrateGPTForCausalLM, ids: torch.Tensor, count: int = NEW, repeat=False, banned=()
) -> torch.Tensor:
    """The best next token, ``count`` times, the whole sequence read anew for each."""
    start = ids.shape[1]
    for _ in range(count):
        scores = model(ids, use_cache=False).logits[:, -1]
        if not repeat:
            scores = scores.scatter(1, ids, -torch.inf)
        scores[:, list(banned)] = -torch.inf
        ids = torch.cat([ids, scores.argmax(-1, keepdim=True)], dim=1)
    return ids[:, start:]


@pytest.mark.parametrize("variant", VARIANTS)
def test_greedy(variant: str) -> None:
    model, inputs = tiny_gpt(variant), prompt()
    expected = one_by_one(model, inputs["input_ids"])
    assert torch.equal(generate(model, inputs), expected)
    assert torch.equal(generate(model, inputs, use_cache=False), expected)
    static = {"cache_implementation": "static", "disable_compile": True}
    assert torch.equal(generate(model, inputs, **static), expected)


@pytest.mark.parametrize("variant", VARIANTS)
def test_beams(variant: str) -> None:
    model, inputs = tiny_gpt(variant), prompt()
    beams = {"num_beams": 3, "num_return_sequences": 2}
    assert torch.equal(
        generate(model, inputs, **beams), generate(model, inputs, use_cache=False, **beams)
    )


@pytest.mark.parametrize("variant", VARIANTS)
def test_sampling_with_a_seed(variant: str) -> None:
    model, inputs = tiny_gpt(variant), prompt()
    drawn = []
    for options in ({}, {"use_cache": False}):
        torch.manual_seed(3)
        drawn.append(generate(model, inputs, do_sample=True, top_k=8, temperature=0.9, **options))
    assert torch.equal(*drawn)
    torch.manual_seed(4)
    assert not torch.equal(generate(model, inputs, do_sample=True, top_k=8), drawn[0])


@pytest.mark.parametrize("variant", VARIANTS)
def test_prompts_of_different_lengths_padded_on_the_left(variant: str) -> None:
    model = tiny_gpt(variant)
    texts = [tiny_text(1, count, seed=count) for count in (3, 8, 1)]
    inputs = {
        "input_ids": torch.cat([F.pad(t, (8 - t.shape[1], 0), value=5) for t in texts]),
        "attention_mask": torch.cat([F.pad(t * 0 + 1, (8 - t.shape[1], 0)) for t in texts]),
    }
    # What fills the rows is not generated either, for it stands before.
    expected = [one_by_one(model, t, banned=() if t.shape[1] == 8 else (5,)) for t in texts]
    expected = torch.cat(expected)
    assert torch.equal(generate(model, inputs), expected)
    static = {"cache_implementation": "static", "disable_compile": True}
    assert torch.equal(generate(model, inputs, **static), expected)


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_assistant_or_the_prompt_may_propose_tokens(variant: str) -> None:
    """Proposals that are refused are taken out of the cache again."""
    model, inputs = tiny_gpt(variant), prompt(1)
    assistants = [model, tiny_gpt(variant, seed=1)]
    for assistant in assistants:
        assistant.generation_config.num_assistant_tokens = 4
        assistant.generation_config.assistant_confidence_threshold = 0.0
    for repeat in (True, False):
        expected = one_by_one(model, inputs["input_ids"], repeat=repeat)
        options = {"no_repeat_ngram_size": 0 if repeat else 1}
        found = generate(model, inputs, prompt_lookup_num_tokens=3, **options)
        assert torch.equal(found, expected)
        for assistant in assistants:
            found = generate(model, inputs, assistant_model=assistant, **options)
            assert torch.equal(found, expected)


@pytest.mark.parametrize("kind", [DynamicCache, StaticCache])
@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_a_text_read_in_pieces_is_the_text(variant: str, kind) -> None:
    model, ids = tiny_gpt(variant).double(), tiny_text(2, 12)
    length = {"max_cache_len": 15} if kind is StaticCache else {}
    cache = kind(config=model.config, **length)
    pieces, start = [], 0
    for count in (1, 4, 1, 6):
        piece = ids[:, start : start + count]
        pieces.append(model(piece, cache=cache, use_cache=True).logits)
        start += count
    torch.testing.assert_close(
        torch.cat(pieces, dim=1), model(ids, use_cache=False).logits, rtol=0, atol=1e-5
    )
    assert int(cache.get_seq_length()) == 12


@pytest.mark.parametrize(
    "variant",
    ["published", "help", "lag-help", "black-box-help", "crate-lm", "token-statistics-help"],
)
@torch.no_grad()
def test_rows_of_a_cache_may_be_repeated_and_chosen(variant: str) -> None:
    model, ids = tiny_gpt(variant), tiny_text(3, 6)
    cache = model(ids[:, :4], use_cache=True)[CACHE]
    cache.batch_repeat_interleave(2)
    rows = torch.tensor([4, 1])
    cache.batch_select_indices(rows)
    chosen = ids.repeat_interleave(2, dim=0)[rows]
    found = model(chosen[:, 4:], cache=cache, use_cache=True).logits
    torch.testing.assert_close(found, model(chosen).logits[:, 4:], rtol=0, atol=1e-4)


def stored_bytes(cache) -> int:
    """Bytes of all distinct storages that a cache's layers hold on to."""
    storages = {}
    for layer in cache.layers:
        states = getattr(layer, "conv_states", {}).values()
        for tensor in (layer.keys, layer.values, *states):
            if tensor is not None:
                storage = tensor.untyped_storage()
                storages[storage.data_ptr()] = storage.nbytes()
    return sum(storages.values())


@pytest.mark.parametrize(
    "variant", ["published", "rotary", "help", "lag-help", "crate-lm", "attention-only"]
)
@pytest.mark.parametrize("static", [False, True])
@torch.no_grad()
def test_a_cache_takes_half_the_bytes_of_gpt2(variant: str, static: bool) -> None:
    """After a prompt, after a token, and after beams were reordered."""
    from transformers import GPT2LMHeadModel

    model, ids = tiny_gpt(variant), tiny_text(2, 8)
    config = model.config
    black_box = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=config.vocab_size,
            n_positions=40,
            n_embd=config.hidden_size,
            n_layer=config.num_hidden_layers,
            n_head=config.num_attention_heads,
        )  # fmt: skip
    ).eval()
    taken = []
    for reader in (model, black_box):
        length = {"max_cache_len": 20} if static else {}
        cache = (StaticCache if static else DynamicCache)(config=reader.config, **length)
        sizes = []
        reader(ids[:, :7], **named(cache), use_cache=True)
        sizes.append(stored_bytes(cache))
        cache.reorder_cache(torch.tensor([1, 0]))
        reader(ids[:, 7:], **named(cache), use_cache=True)
        sizes.append(stored_bytes(cache))
        taken.append(sizes)
    # The last tokens before the projection, as many as a window looks back.
    states = 0
    if config.window is not None:
        windows = 2 if config.window_at == "both" else 1
        tokens = 2 * config.num_hidden_layers * windows * (config.window - 1)
        states = tokens * config.hidden_size * 4
    assert [2 * (size - states) for size in taken[0]] == taken[1]


@pytest.mark.parametrize(
    "variant", ["published", "rotary", "help", "lag-help", "token-statistics-help"]
)
def test_compiled_generation_with_a_static_cache(variant: str) -> None:
    model, inputs = tiny_gpt(variant), prompt()
    expected = one_by_one(model, inputs["input_ids"], 4, repeat=True)
    step = torch.compile(model.forward, fullgraph=True, backend="eager")
    cache = StaticCache(config=model.config, max_cache_len=20)
    with torch.no_grad():
        first = model(**inputs, cache=cache, use_cache=True)
        token, found = first.logits[:, -1:].argmax(-1), []
        for place in range(7, 11):
            found.append(token)
            made = model.prepare_inputs_for_generation(
                token,
                **named(cache),
                attention_mask=torch.ones(2, place + 1, dtype=torch.long),
                position_ids=torch.full((2, 1), place),
                use_cache=True,
            )
            token = step(**made).logits[:, -1:].argmax(-1)
    assert torch.equal(torch.cat(found, dim=1), expected)


def test_more_than_the_context_holds_is_refused_before_any_work() -> None:
    model = tiny_gpt()
    model.crate.stack.register_forward_pre_hook(lambda *_: pytest.fail("the layers ran"))
    with pytest.raises(ValueError, match="prompt and new tokens come to 45, .* context of 40"):
        generate(model, prompt(1, 35))
    with pytest.raises(ValueError, match="over the model's context of 40"):
        generate(model, prompt(1, 41), max_new_tokens=1)


def test_a_prompt_up_to_the_context_is_read() -> None:
    model, inputs = tiny_gpt(), prompt(1, 35)
    assert generate(model, inputs, max_new_tokens=5).shape == (1, 5)
    # Without a wish for a length, of which it warns, generation ends where the context does.
    with pytest.warns(UserWarning, match="max_new_tokens"):
        free = model.generate(**inputs, do_sample=False, pad_token_id=0)
    assert free.shape == (1, 40)


def test_an_empty_prompt_is_refused_and_none_begins_with_the_bos_token() -> None:
    model = tiny_gpt(bos_token_id=3)
    with pytest.raises(ValueError, match="at least one"):
        generate(model, {"input_ids": torch.zeros(1, 0, dtype=torch.long)}, no_repeat_ngram_size=0)
    begun = model.generate(max_new_tokens=4, do_sample=False, pad_token_id=0)
    expected = one_by_one(model, torch.tensor([[3]]), 4, repeat=True)
    assert torch.equal(begun, torch.cat([torch.tensor([[3]]), expected], dim=1))


def test_a_cache_that_knows_nothing_of_the_model_is_refused_where_it_cannot_serve() -> None:
    ids = tiny_text()
    plain, windowed = tiny_gpt(), tiny_gpt("help")
    expected = plain(ids, use_cache=False).logits
    found = plain(ids, cache=DynamicCache(), use_cache=True).logits
    torch.testing.assert_close(found, expected)
    for model in (windowed, tiny_gpt("token-statistics")):
        with pytest.raises(ValueError, match=r"DynamicCache\(config=model.config\)"):
            model(ids, cache=DynamicCache(), use_cache=True)


def test_every_layer_is_cached_by_its_kind() -> None:
    kinds = {name: set(tiny_config(name).layer_types) for name in VARIANTS}
    assert kinds["published"] == kinds["alpha"] == {"subspace_attention"}
    assert kinds["help"] == {"windowed_subspace_attention"}
    assert kinds["black-box"] == {"full_attention"}
    assert kinds["token-statistics"] == {"token_statistics"}
    assert kinds["black-box-help"] == {"windowed_attention"}
