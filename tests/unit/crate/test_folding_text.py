"""A folded language model generates as its original does, with fewer products."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from tests.contract.tiny import tiny_model
from tests.contract.tiny_gpt import VARIANTS, tiny_gpt, tiny_text
from torch.utils.flop_counter import FlopCounterMode

from whitebox_transformers.crate import fold, folded_vocabulary
from whitebox_transformers.crate.cache_name import CACHE
from whitebox_transformers.crate.folded_vocabulary import row_sum
from whitebox_transformers.crate.folding import FoldedModelError

PACKED = torch.tensor([[0, 1, 2, 3, 0, 1, 0, 1, 2], [0, 1, 0, 1, 2, 3, 4, 5, 6]])


def near(found: torch.Tensor, expected: torch.Tensor, tolerance: float = 2e-5) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_scores_are_the_originals(variant: str, attention: str) -> None:
    model, ids = tiny_gpt(variant), tiny_text()
    model.set_attn_implementation(attention)
    folded = fold(model)
    padding = F.pad(torch.ones(2, 6, dtype=torch.long), (3, 0))
    for inputs in ({}, {"position_ids": PACKED}, {"attention_mask": padding}):
        near(folded(ids, **inputs).logits, model(ids, **inputs).logits)


@pytest.mark.parametrize("variant", ["published", "lag-help", "tied-minus"])
@torch.no_grad()
def test_a_double_model_folds_without_loss(variant: str) -> None:
    model, ids = tiny_gpt(variant).double(), tiny_text()
    # What rotates is computed in float32 by either.
    near(fold(model)(ids).logits, model(ids).logits, 1e-11)


WAYS = {
    "greedy": {},
    "static": {"cache_implementation": "static", "disable_compile": True},
    "beams": {"num_beams": 3},
    "from the prompt": {"prompt_lookup_num_tokens": 3},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_it_generates_the_same_tokens(variant: str, way: str) -> None:
    model = tiny_gpt(variant)
    folded, ids = fold(model), tiny_text(1 if way == "from the prompt" else 2)
    mask = torch.ones_like(ids)
    if way != "from the prompt":
        mask[0, :4] = 0
    options = {"max_new_tokens": 10, "do_sample": False, "pad_token_id": 0}
    # Small random models soon repeat one token; so every step is another.
    options |= {"no_repeat_ngram_size": 1, "attention_mask": mask} | WAYS[way]
    expected = model.generate(ids, use_cache=way != "greedy", **options)
    assert torch.equal(folded.generate(ids, **options), expected)


@pytest.mark.parametrize("variant", ["published", "lag-help", "crate-lm"])
@torch.no_grad()
def test_either_goes_on_with_the_others_cache(variant: str) -> None:
    model, ids = tiny_gpt(variant), tiny_text()
    folded, expected = fold(model), model(ids).logits
    for first, second in ((model, folded), (folded, model)):
        past = first(ids[:, :5], use_cache=True)[CACHE]
        near(second(ids[:, 5:], cache=past, use_cache=True).logits, expected[:, 5:])


@torch.no_grad()
def test_a_token_costs_three_products_of_width_in_each_layer() -> None:
    model, past = tiny_gpt(), 6
    folded = fold(model)
    folded.set_attn_implementation("eager")
    cache = folded(tiny_text(1, past), use_cache=True)[CACHE]
    with FlopCounterMode(display=False) as counter:
        folded(tiny_text(1, 1), cache=cache, use_cache=True)
    d, layers, vocabulary = 12, 2, 29
    attention = 2 * (past + 1) * d
    assert counter.get_total_flops() == 2 * (layers * (3 * d * d + attention) + vocabulary * d)


def test_words_stay_tied_and_nothing_is_shared_with_the_original() -> None:
    model = tiny_gpt("lag-help").train()
    before = copy.deepcopy(model.state_dict())
    folded = fold(model)
    assert folded.lm_head.weight is folded.get_input_embeddings().weight
    assert not any(parameter.requires_grad for parameter in folded.parameters())
    for parameter in folded.parameters():
        parameter.zero_()
    assert model.training
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


@torch.no_grad()
def test_bfloat16_stays_near_float32() -> None:
    model, ids = tiny_gpt("help", hidden_size=48), tiny_text()
    folded = fold(model, dtype=torch.bfloat16)
    assert {p.dtype for p in folded.parameters()} == {torch.bfloat16}
    assert folded.lm_head.weight is folded.get_input_embeddings().weight
    logits, reference = folded(ids).logits.float(), model(ids).logits
    assert (logits - reference).abs().max() < 0.05 * reference.abs().max()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("threads", [1, 3, 5])
def test_a_sum_of_rows_is_the_product(threads: int, dtype: torch.dtype) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        rows, factors = torch.randn(12, 30).to(dtype), torch.randn(4).to(dtype)
        found = row_sum(rows, torch.tensor([0, 3, 7, 11]), factors)
        nothing = row_sum(rows, torch.tensor([], dtype=torch.long), factors[:0])
    finally:
        torch.set_num_threads(before)
    expected = factors @ rows[[0, 3, 7, 11]]
    torch.testing.assert_close(found, expected)
    assert torch.equal(nothing, torch.zeros(30, dtype=dtype))


@pytest.mark.parametrize("variant", ["published", "rotary", "untied-words"])
@torch.no_grad()
def test_zeros_are_skipped_where_a_single_token_is_scored(variant: str, monkeypatch) -> None:
    model, ids = tiny_gpt(variant, threshold=2.0), tiny_text(1)
    monkeypatch.setattr(folded_vocabulary, "WORTHWHILE", 0.4)
    share = (model.crate(ids).last_hidden_state != 0).float().mean(-1)
    assert 0 < share.min() < 0.4 < share.max() < 1
    folded, sums = fold(model, skip_zeros=True), []
    monkeypatch.setattr(folded_vocabulary, "row_sum", lambda *a: sums.append(a) or row_sum(*a))
    for count in range(1, 10):
        near(folded(ids[:, :count], logits_to_keep=1).logits, model(ids[:, :count]).logits[:, -1:])
    assert len(sums) == (share <= 0.4).sum()
    options = {"max_new_tokens": 10, "do_sample": False, "pad_token_id": 0}
    options |= {"no_repeat_ngram_size": 1}
    assert torch.equal(folded.generate(ids, **options), model.generate(ids, **options))
    # A batch, a prompt and a compiled graph are multiplied as ever.
    sums.clear()
    near(folded(tiny_text()).logits, model(tiny_text()).logits)
    compiled = torch.compile(folded, fullgraph=True, backend="eager")
    near(compiled(ids[:, :1], use_cache=False).logits, model(ids[:, :1]).logits)
    assert not sums


def test_zeros_are_not_looked_for_where_there_are_none() -> None:
    for variant in ("final-norm", "attention-only", "crate-lm", "black-box"):
        with pytest.raises(ValueError, match="sparsification='ista' and final_norm=False, but"):
            fold(tiny_gpt(variant), skip_zeros=True)
    with pytest.raises(ValueError, match="is for CrateGPTForCausalLM, not CrateForImage"):
        fold(tiny_model(), skip_zeros=True)


def ask(folded, request: str):
    ids = tiny_text()
    recorded = {"return_dict_in_generate": True, "output_attentions": True, "max_new_tokens": 2}
    return {
        "train": lambda: folded.train(),
        "labels": lambda: folded(ids, labels=ids),
        "z": lambda: folded(ids, output_z=[0]),
        "z_half": lambda: folded(ids, output_z_half=True),
        "hidden states": lambda: folded(ids, output_hidden_states=True),
        "attentions": lambda: folded.generate(ids, pad_token_id=0, **recorded),
        "save": lambda: folded.save_pretrained("never-written"),
        "push": lambda: folded.push_to_hub("never-pushed"),
        "gradients": lambda: folded.requires_grad_(),
        "fold": lambda: fold(folded),
    }[request]()


@pytest.mark.parametrize(
    "request_",
    ["train", "labels", "attentions", "z", "z_half", "hidden states", "save", "push",
     "gradients", "fold"],
)  # fmt: skip
def test_anything_but_inference_is_refused_with_the_way_on(request_, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FoldedModelError, match="inference only.*passed to fold"):
        ask(fold(tiny_gpt()), request_)
    assert not list(tmp_path.iterdir())
