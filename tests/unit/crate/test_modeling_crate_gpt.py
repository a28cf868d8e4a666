"""CRATE-GPT is its formula, whatever shares its batch, and refuses what it cannot read."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tests.contract.tiny_gpt import ORACLE, VARIANTS, tiny_config, tiny_gpt, tiny_text
from tests.oracles.authors_language import gpt_logits, random_gpt
from tests.oracles.causal import next_token_logits

from whitebox_transformers.crate import CrateGPTConfig, CrateGPTForCausalLM, CrateGPTModel
from whitebox_transformers.crate.cache_name import CACHE


def near(found, expected, rtol=0.0, atol=1e-5) -> None:
    torch.testing.assert_close(found, expected, rtol=rtol, atol=atol)


def oracle(model: CrateGPTForCausalLM, variant: str, ids: torch.Tensor) -> torch.Tensor:
    """Logits of one document (N,), (N, V)."""
    config = model.config
    return next_token_logits(
        dict(model.named_parameters()),
        ids,
        heads=config.num_attention_heads,
        depth=config.num_hidden_layers,
        **ORACLE.get(variant, {}),
    )


@pytest.mark.parametrize("variant", VARIANTS)
def test_logits_and_gradients_are_the_formulas(variant: str) -> None:
    model, twin = tiny_gpt(variant).double(), tiny_gpt(variant).double()
    ids, weight = tiny_text(), torch.randn(2, 9, 29, dtype=torch.float64)
    found = model(ids).logits
    expected = torch.stack([oracle(twin, variant, row) for row in ids])
    near(found, expected)
    (found * weight).sum().backward()
    (expected * weight).sum().backward()
    gradients = {name: p.grad for name, p in model.named_parameters()}
    for name, parameter in twin.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad, rtol=1e-5, atol=1e-5)


def authors_state(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The authors' names of a language model to ours, one by one."""
    ours = {
        "transformer.wte.weight": "crate.embeddings.word_embeddings.weight",
        "transformer.wpe.weight": "crate.embeddings.position_embeddings.weight",
        "transformer.ln_f.weight": "crate.norm.weight",
        "transformer.ln_f.bias": "crate.norm.bias",
    }
    parts = {
        "prenorm_1": "compress.norm",
        "attn.c_attn": "compress.mssa.subspaces",
        "attn.c_proj": "compress.mssa.output",
        "prenorm_2": "sparsify.norm",
    }
    for index in range(9):
        theirs, layer = f"transformer.h.{index}", f"crate.stack.layers.{index}"
        ours[f"{theirs}.ista.weight"] = f"{layer}.sparsify.ista.dictionary"
        for part, name in parts.items():
            for kind in ("weight", "bias"):
                ours[f"{theirs}.{part}.{kind}"] = f"{layer}.{name}.{kind}"
    renamed = {ours[name]: tensor for name, tensor in state.items() if name in ours}
    for name, tensor in renamed.items():
        if name.endswith("dictionary") and tensor.shape[0] != tensor.shape[1]:
            renamed[name] = tensor.T.contiguous()
    renamed["lm_head.weight"] = state["transformer.wte.weight"]
    return renamed


def authors_model(state: dict[str, torch.Tensor], heads: int) -> CrateGPTForCausalLM:
    words, positions = state["transformer.wte.weight"], state["transformer.wpe.weight"]
    overcomplete = "transformer.ln_f.weight" in state
    config = CrateGPTConfig(
        vocab_size=len(words),
        max_position_embeddings=len(positions),
        hidden_size=words.shape[1],
        num_attention_heads=heads,
        num_hidden_layers=sum(name.endswith("c_attn.weight") for name in state),
        sparsification="overcomplete" if overcomplete else "ista",
        final_norm=overcomplete,
    )
    model = CrateGPTForCausalLM(config).eval()
    model.load_state_dict(authors_state(state))
    return model


@pytest.mark.parametrize(("ratio", "width", "heads"), [(None, 12, 3), (4, 12, 2), (4, 10, 5)])
def test_the_authors_models_are_transcribed(ratio, width: int, heads: int) -> None:
    state = random_gpt(width=width, ratio=ratio, depth=3)
    state = {name: tensor.double() for name, tensor in state.items()}
    model = authors_model(state, heads).double()
    ids = torch.randint(23, (2, 16), generator=torch.Generator().manual_seed(width))
    near(model(ids).logits, gpt_logits(state, ids, heads=heads), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("case", "heads"), [("crate_gpt", 4), ("crate_gpt_overcomplete", 2)])
def test_numbers_of_the_authors_code(case: str, heads: int, golden_dir) -> None:
    numbers = load_file(golden_dir / f"{case}.safetensors")
    state = {k.removeprefix("state/"): v for k, v in numbers.items() if k.startswith("state/")}
    model = authors_model(state, heads)
    logits, expected = model(numbers["input_ids"]).logits, numbers["logits"]
    assert (logits - expected).norm() < 1e-5 * expected.norm()
    loss = F.cross_entropy(logits.flatten(0, 1), numbers["targets"].flatten())
    near(loss, numbers["loss"], rtol=1e-5)


COUNTS = {
    "crate-gpt-base": 60_699_648,
    "crate-gpt-medium": 128_180_224,
    "crate-gpt-successor-alpha-base": 109_506_048,
    "crate-gpt-successor-base": 59_970_048,
    # 110, 304 and 655 million in the paper
    "crate-gpt-tost-base": 110_440_080,
    "crate-gpt-tost-medium": 304_859_520,
    "crate-gpt-tost-large": 656_725_200,
    "crate-lm-12l": 81_934_848,
    "crate-lm-1l": 42_964_224,
    "crate-lm-2l": 46_507_008,
    "crate-lm-3l": 50_049_792,
    "crate-lm-6l": 60_678_144,
    "crate-lm-1l-512": 27_856_384,
}


@pytest.mark.parametrize("name", CrateGPTConfig.presets)
def test_presets_have_the_published_number_of_parameters(name: str) -> None:
    with torch.device("meta"):
        model = CrateGPTForCausalLM(CrateGPTConfig.from_preset(name))
    config = model.config
    layer = sum(p.numel() for p in model.crate.stack.layers[0].parameters())
    total = sum(p.numel() for p in model.parameters())
    d = config.hidden_size
    assert total == COUNTS.get(name, total)
    rows = config.max_position_embeddings if config.position_embedding_type == "learned" else 0
    ends = (config.vocab_size + rows) * d + 2 * d * config.final_norm
    assert total == ends + config.num_hidden_layers * layer
    per_layer = {"crate-gpt": 3 * d**2 + 5 * d, "crate-lm": 6 * d**2 + 5 * d}
    per_layer |= {"crate-gpt-alpha": 10 * d**2 + 4 * d}
    per_layer |= {"crate-gpt-attention-only": 2 * d**2 + 3 * d}
    per_layer |= {"crate-gpt-successor": 3 * d**2 + 11 * d}  # two windows of three
    per_layer |= {"crate-gpt-successor-alpha": 10 * d**2 + 10 * d}
    rows_of_bias = 1 + config.max_position_embeddings
    per_layer |= {"crate-gpt-tost": 10 * d**2 + 10 * d + config.num_attention_heads * rows_of_bias}
    family = max((key for key in per_layer if name.startswith(key)), key=len)
    assert layer == per_layer[family]


@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_the_future_changes_nothing(variant: str) -> None:
    model, ids = tiny_gpt(variant), tiny_text()
    changed = ids.clone()
    changed[:, 5:] = (changed[:, 5:] + 1) % 29
    found, expected = model(changed).logits, model(ids).logits
    assert torch.equal(found[:, :5], expected[:, :5])
    assert not torch.allclose(found[:, 5], expected[:, 5])


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_packed_documents_are_as_if_alone(variant: str, implementation: str) -> None:
    model = tiny_gpt(variant).double()
    model.set_attn_implementation(implementation)
    documents = [tiny_text(1, count, seed=count) for count in (4, 1, 7)]
    packed = torch.cat(documents, dim=1)
    positions = torch.cat([torch.arange(d.shape[1]) for d in documents])[None]
    alone = torch.cat([model(d).logits for d in documents], dim=1)
    for use_cache in (True, False):
        near(model(packed, position_ids=positions, use_cache=use_cache).logits, alone)


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_padding_on_either_side_changes_nothing(variant: str, implementation: str) -> None:
    model = tiny_gpt(variant).double()
    model.set_attn_implementation(implementation)
    ids = tiny_text(1, 6)
    for left, right in [(3, 0), (0, 3), (2, 1)]:
        mask = F.pad(torch.ones(1, 6, dtype=torch.long), (left, right))
        padded = F.pad(ids, (left, right), value=7)
        found = model(padded, attention_mask=mask).logits
        near(found[:, left : left + 6], model(ids).logits)
        assert found.isfinite().all()


@pytest.mark.parametrize(
    "variant", ["published", "rotary", "without-self", "lag-help", "black-box"]
)
@torch.no_grad()
def test_a_mask_of_pairs_takes_the_place_of_the_causal_one(variant: str) -> None:
    model, ids = tiny_gpt(variant), tiny_text(2, 6)
    causal = torch.ones(6, 6, dtype=torch.bool).tril()
    boolean = causal.expand(2, 1, 6, 6)
    added = torch.zeros(2, 1, 6, 6).masked_fill(~boolean, torch.finfo(torch.float32).min)
    for mask in (boolean, added):
        near(model(ids, attention_mask=mask).logits, model(ids).logits)
    # Two documents of three tokens, their positions going on: only what rotation and mask tell.
    blocks = causal & (torch.arange(6)[:, None] // 3 == torch.arange(6) // 3)
    positions = torch.arange(6).expand(2, 6) % 3
    found = model(ids, attention_mask=blocks.expand(2, 1, 6, 6), position_ids=positions).logits
    near(found, torch.cat([model(ids[:, :3]).logits, model(ids[:, 3:]).logits], dim=1))


@torch.no_grad()
def test_what_rotary_positions_compare_are_distances() -> None:
    model, ids = tiny_gpt("rotary"), tiny_text()
    shifted = torch.arange(9)[None] + 20
    near(model(ids, position_ids=shifted).logits, model(ids).logits, atol=5e-5)
    stretched = torch.arange(9)[None] * 3
    changed = model(ids, position_ids=stretched).logits
    assert (changed - model(ids).logits).abs().max() > 1e-3
    near(model(ids, position_ids=stretched, use_cache=False).logits, changed)


@torch.no_grad()
def test_embeddings_in_place_of_ids_and_scores_of_the_last_tokens() -> None:
    model, ids = tiny_gpt(), tiny_text()
    embedded = model.get_input_embeddings()(ids)
    logits = model(ids).logits
    near(model(inputs_embeds=embedded).logits, logits)
    near(model(ids, logits_to_keep=2).logits, logits[:, -2:])
    near(model(ids, logits_to_keep=torch.tensor([0, 4])).logits, logits[:, [0, 4]])


def test_the_loss_compares_a_token_with_the_scores_before_it() -> None:
    model, ids = tiny_gpt(), tiny_text()
    labels = ids.clone()
    labels[0, 3] = -100
    logits = model(ids).logits
    expected = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
    near(model(ids, labels=labels).loss, expected)
    summed = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), reduction="sum")
    near(model(ids, labels=labels, num_items_in_batch=40).loss, summed / 40)


def test_fresh_weights_are_the_authors() -> None:
    torch.manual_seed(0)
    config = CrateGPTConfig(vocab_size=400, hidden_size=96, num_attention_heads=4,
                            num_hidden_layers=8, window=3, mssa_output_bias=True)  # fmt: skip
    model = CrateGPTForCausalLM(config)
    layer = model.crate.stack.layers[3]

    def spread(parameter: torch.Tensor) -> float:
        values = parameter.detach()
        assert abs(float(values.mean())) < 0.2 * float(values.std())
        return float(values.std())

    embeddings = model.crate.embeddings
    for parameter in (embeddings.word_embeddings.weight, embeddings.position_embeddings.weight,
                      layer.compress.mssa.subspaces.weight):  # fmt: skip
        assert spread(parameter) == pytest.approx(0.02, rel=0.05)
    assert spread(layer.compress.mssa.output.weight) == pytest.approx(0.02 / 4, rel=0.05)
    dictionary = layer.sparsify.ista.dictionary
    assert spread(dictionary) == pytest.approx((2 / 96) ** 0.5, rel=0.05)
    assert float(dictionary.detach().abs().max()) <= (6 / 96) ** 0.5
    assert not layer.compress.mssa.output.bias.any()
    assert not layer.compress.window.weight.any()
    assert torch.equal(layer.compress.norm.weight, torch.ones(96))
    black_box = CrateGPTForCausalLM(
        CrateGPTConfig(
            vocab_size=40,
            hidden_size=96,
            num_attention_heads=4,
            num_hidden_layers=8,
            compression="attention",
            sparsification="mlp",
        )  # fmt: skip
    ).crate.stack.layers[0]
    assert spread(black_box.compress.mssa.qkv.weight) == pytest.approx(0.02, rel=0.05)
    assert spread(black_box.sparsify.ista.down.weight) == pytest.approx(0.02 / 4, rel=0.05)
    assert spread(black_box.compress.mssa.output.weight) == pytest.approx(0.02 / 4, rel=0.05)


def test_words_are_tied_unless_the_configuration_says_otherwise() -> None:
    model = tiny_gpt()
    assert model.lm_head.weight is model.get_input_embeddings().weight
    assert tiny_gpt("untied-words").lm_head.weight is not model.get_input_embeddings().weight
    model.resize_token_embeddings(31)
    assert model.lm_head.weight is model.get_input_embeddings().weight
    assert model(torch.tensor([[30]])).logits.shape == (1, 1, 31)


MASK = torch.ones(2, 9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            {"input_ids": tiny_text() + 25},
            r"input_ids\[0, \d\] = \d\d is not in a vocabulary of 29",
        ),
        ({"input_ids": tiny_text() - 29}, "is not in a vocabulary of 29 tokens"),
        ({"input_ids": tiny_text(1, 0)}, "expected at least one sequence of at least one token"),
        ({"input_ids": tiny_text()[0]}, r"shape \(9,\); expected \(batch, tokens\)"),
        ({}, "found neither; give one of them"),
        ({"input_ids": tiny_text(1, 41)}, "has 41 tokens; the model reads at most 40"),
        ({"input_ids": tiny_text(), "attention_mask": MASK[:, :5]}, r"shape \(2, 5\); expected"),
        ({"input_ids": tiny_text(), "attention_mask": MASK[:1]}, r"shape \(1, 9\); expected"),
        (
            {"input_ids": tiny_text(), "position_ids": torch.arange(9)[None] + 32},
            r"position_ids\[0, 8\] = 40 is not one of the 40 positions",
        ),
        (
            {"input_ids": tiny_text(), "position_ids": torch.arange(8)[None]},
            r"position_ids has shape \(1, 8\)",
        ),
        ({"input_ids": tiny_text(), "labels": tiny_text() + 1}, "is not one of 29 classes"),
        ({"input_ids": tiny_text(), "labels": tiny_text()[:, 1:]}, r"shape \(2, 8\); expected"),
        ({"input_ids": tiny_text(), "token_type_ids": tiny_text()}, "token_type_ids"),
    ],
)
def test_what_cannot_be_read_is_refused_before_any_work(call: dict, message: str) -> None:
    model = tiny_gpt()
    model.crate.stack.register_forward_pre_hook(lambda *_: pytest.fail("the layers ran"))
    with pytest.raises(ValueError, match=message):
        model(**call)


@pytest.mark.parametrize("variant", ["rotary", "no-positions", "published"])
def test_the_context_ends_with_a_cache_too(variant: str) -> None:
    model = tiny_gpt(variant)
    past = model(tiny_text(1, 38), use_cache=True)[CACHE]
    model(tiny_text(1, 2), cache=past, use_cache=True)
    with pytest.raises(ValueError, match="has 41 tokens; the model reads at most 40"):
        model(tiny_text(1, 1), cache=past, use_cache=True)


def test_the_encoder_alone_is_the_same_network() -> None:
    model = tiny_gpt("final-norm")
    outputs = model.crate(tiny_text(), output_z=True, output_hidden_states=True)
    near(outputs.last_hidden_state @ model.lm_head.weight.T, model(tiny_text()).logits)
    near(model.crate.norm(outputs.z[-1]), outputs.last_hidden_state)
    assert torch.equal(outputs.hidden_states[-1], outputs.last_hidden_state)
    assert isinstance(model.crate, CrateGPTModel)
    assert tiny_config("final-norm").final_norm
