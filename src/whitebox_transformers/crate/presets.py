"""The sizes that the papers name, as fields of the configurations."""


def _size(width: int, depth: int, heads: int) -> dict:
    return {
        "hidden_size": width,
        "num_hidden_layers": depth,
        "num_attention_heads": heads,
    }


# Two proximal steps from zero on four atoms a width: the dictionary of CRATE-LM and CRATE-alpha.
OVERCOMPLETE = {"sparsification": "overcomplete", "dictionary_ratio": 4, "ista_iterations": 2}
# CRATE-alpha's own three changes.
ALPHA = OVERCOMPLETE | {
    "layer_norm_eps": 1e-6,
    "mssa_output_bias": False,
    "synthesis": "separate",
    "ista_residual": True,
}
# Longer steps that stay steps on the objective: MSSA's starts where its gradient was taken, and
# rotations as dictionaries bear five times the published eta. docs/mathematics.md says more.
LONGER_STEPS = {
    "mssa_skip": "normed",
    "dictionary_init": "orthogonal",
    "step_size": 0.5,
    "threshold": 0.02,
}
# What helps a block of text whose query is its key besides.
TEXT_HELP = LONGER_STEPS | {
    "position_embedding_type": "rotary",
    "window": 3,
    "window_at": "both",
    "final_norm": True,
}
# One step from zero on four atoms a width, back through a second dictionary, as in CRATE-alpha.
ALPHA_STEP = OVERCOMPLETE | {
    "ista_iterations": 1,
    "synthesis": "separate",
    "ista_residual": True,
    "mssa_skip": "raw",
    "mssa_output_bias": False,
}
# ToST's language model: GPT-2 with token statistics in place of attention. Its LayerScale is left
# out, a factor per coordinate that the output matrices hold.
TOKEN_STATISTICS = {
    "compression": "tssa",
    "membership_bias": True,
    "sparsification": "mlp",
    "final_norm": True,
}
# GPT-2's byte-level BPE, padded to a multiple of 64 as the authors pad it.
GPT2_TOKENS = {"vocab_size": 50304, "bos_token_id": 50256, "eos_token_id": 50256}


def _crate(width: int, depth: int, heads: int, patch: int) -> dict:
    return _size(width, depth, heads) | {"patch_size": patch}


def _crate_alpha(width: int, depth: int, heads: int, patch: int) -> dict:
    ours = {"patch_embedding": "conv", "position_init_std": 0.02}
    return _crate(width, depth, heads, patch) | ALPHA | ours


def _crate_mae(width: int, depth: int, heads: int) -> dict[str, dict]:
    """A size in the authors' flow, in the efficient one, and with the longer steps."""
    size = _size(width, depth, heads)
    return {
        "": size,
        "-efficient": size | {"mask_tokens": "decoder"},
        "-successor": size | LONGER_STEPS,
    }


def _crate_gpt(width: int, depth: int, heads: int) -> dict:
    return _size(width, depth, heads) | GPT2_TOKENS


def _crate_lm(width: int, depth: int, heads: int) -> dict:
    return _crate_gpt(width, depth, heads) | OVERCOMPLETE | {"final_norm": True}


def _crate_gpt_alpha(width: int, depth: int, heads: int) -> dict:
    return _crate_gpt(width, depth, heads) | ALPHA | {"final_norm": True}


def _tost_gpt(width: int, depth: int, heads: int) -> dict:
    return _crate_gpt(width, depth, heads) | TOKEN_STATISTICS


def _crate_gpt_successor(width: int, depth: int, heads: int) -> dict:
    # Every other head averages what followed tokens like the present one.
    lags = {"key_lag": [head % 2 for head in range(heads)]}
    return _crate_gpt(width, depth, heads) | TEXT_HELP | lags


def _crate_gpt_successor_alpha(width: int, depth: int, heads: int) -> dict:
    return _crate_gpt_successor(width, depth, heads) | ALPHA_STEP


def _crate_bert_successor_alpha(width: int, depth: int, heads: int) -> dict:
    # Of five heads two average what followed tokens like the present one, two what preceded them.
    lags = [(1, -1, 1, -1, 0)[head % 5] for head in range(heads)]
    # Without zeros masked text stays longer at the frequencies of its tokens.
    ours = {"synthesis_init": "zeros", "key_lag": lags}
    return _size(width, depth, heads) | TEXT_HELP | ALPHA_STEP | ours


# Supervised sizes: arXiv 2311.13110 (patch 16); patch 8 follows the segmentation paper
# arXiv 2308.16271, whose names are ViT's; CRATE-alpha: arXiv 2405.20299.
PRESETS: dict[str, dict] = {
    "crate-tiny": _crate(384, 12, 6, 16),
    "crate-small": _crate(576, 12, 12, 16),
    "crate-base": _crate(768, 12, 12, 16),
    "crate-large": _crate(1024, 24, 16, 16),
    "crate-tiny-patch8": _crate(192, 12, 3, 8),
    "crate-small-patch8": _crate(384, 12, 6, 8),
    "crate-base-patch8": _crate(768, 12, 12, 8),
    "crate-alpha-tiny": _crate_alpha(192, 12, 3, 16),
    "crate-alpha-small": _crate_alpha(576, 12, 12, 16),
    "crate-alpha-base": _crate_alpha(768, 12, 12, 16),
    "crate-alpha-large-patch14": _crate_alpha(1024, 24, 16, 14),
}

# CRATE-MAE: arXiv 2404.02446 and the authors' code; the decoder is as deep as the encoder.
# efficient: not published; the encoder sees the visible patches alone, as in MAE.
# successor: not published; the authors' flow with the changes found here to reconstruct best.
MAE_PRESETS: dict[str, dict] = {
    f"crate-mae-{name}{variant}": size
    for name, shape in (
        ("tiny", (384, 12, 6)),
        ("small", (576, 12, 12)),
        ("base", (768, 12, 12)),
        ("large", (1024, 24, 16)),
    )
    for variant, size in _crate_mae(*shape).items()
}

# CRATE-GPT: arXiv 2311.13110 and the authors' code, whose sizes are GPT-2's.
# CRATE-LM: arXiv 2410.16443, overcomplete and with a final LayerNorm.
# alpha: the block of arXiv 2405.20299 in a language model; attention-only: Z + MSSA(LN Z) alone.
# Both add to the residual stream, which then needs the final LayerNorm.
# tost: arXiv 2412.17810, whose language models have GPT-2's sizes.
# successor: not published; CRATE-GPT's block with the changes found here to learn text best.
# successor-alpha: not published; the same with CRATE-alpha's dictionaries, one step from zero.
GPT_PRESETS: dict[str, dict] = {
    "crate-gpt-1l": _crate_gpt(512, 1, 8),
    "crate-gpt-base": _crate_gpt(768, 12, 12),
    "crate-gpt-medium": _crate_gpt(1024, 24, 16),
    "crate-gpt-large": _crate_gpt(1280, 36, 20),
    "crate-gpt-xl": _crate_gpt(1600, 48, 25),
    "crate-lm-1l-512": _crate_lm(512, 1, 4),
    "crate-lm-1l": _crate_lm(768, 1, 12),
    "crate-lm-2l": _crate_lm(768, 2, 12),
    "crate-lm-3l": _crate_lm(768, 3, 12),
    "crate-lm-6l": _crate_lm(768, 6, 12),
    "crate-lm-12l": _crate_lm(768, 12, 12),
    "crate-gpt-alpha-base": _crate_gpt_alpha(768, 12, 12),
    "crate-gpt-successor-mini": _crate_gpt_successor(256, 4, 8),
    "crate-gpt-successor-base": _crate_gpt_successor(768, 12, 12),
    "crate-gpt-successor-alpha-mini": _crate_gpt_successor_alpha(140, 4, 5),
    "crate-gpt-successor-alpha-base": _crate_gpt_successor_alpha(768, 12, 12),
    "crate-gpt-tost-base": _tost_gpt(768, 12, 12),
    "crate-gpt-tost-medium": _tost_gpt(1024, 24, 16),
    "crate-gpt-tost-large": _tost_gpt(1280, 36, 20),
    "crate-gpt-attention-only-base": _crate_gpt(768, 12, 12)
    | {"sparsification": "none", "final_norm": True},
}

# CRATE-BERT: arXiv 2311.13110 and the authors' pull request; RoBERTa's vocabulary and positions.
# successor-alpha: not published; as for CRATE-GPT, with a second dictionary that starts at zero.
BERT_PRESETS: dict[str, dict] = {
    "crate-bert-medium": _size(512, 8, 8),
    "crate-bert-base": _size(768, 12, 12),
    "crate-bert-successor-alpha-mini": _crate_bert_successor_alpha(170, 4, 5),
    "crate-bert-successor-alpha-base": _crate_bert_successor_alpha(768, 12, 12),
}
