"""Configuration that the text models of the family share."""

from collections.abc import Iterable
from typing import Literal

from huggingface_hub.dataclasses import strict

from .configuration_operators import OperatorConfig

TokenIds = int | list[int] | None


@strict
class TextConfig(OperatorConfig):
    """What a text model of the family is made of, besides its layers.

    The fields of :class:`.configuration_operators.OperatorConfig`, and:

    Args:
        vocab_size: Number of tokens in the vocabulary.
        max_position_embeddings: Longest sequence, in tokens. With learned positions it is the
            length of their table; with other positions it costs nothing and may be raised.
        position_embedding_type: ``learned`` adds a table to the embedding, ``rotary`` rotates u
            where tokens are compared (the values that are averaged stay unrotated), ``none``
            leaves order to the causal mask and the window.
        rope_theta: Base of the rotation frequencies.
        window: Tokens that MSSA sees as one: each is widened by a learned weighting of its
            neighbours before the shared projection, in a causal model of the ``window - 1`` before
            it, otherwise of as many on both sides. ``None`` leaves tokens as they are.
        window_at: Steps that see the widened tokens: MSSA (``compress``), or MSSA and ISTA
            (``both``), each by a weighting of its own.
        key_lag: Tokens that the keys of a head lag behind, one number for all heads or one per
            head. With 0, as published, a token averages tokens like itself; with 1 those that
            followed tokens like itself; with -1, where tokens see both sides, those that came
            before tokens like itself. Costs no parameters and nothing in a cache.
        final_norm: LayerNorm on Z^L.
        final_norm_eps: Epsilon of that LayerNorm.
        type_vocab_size: Number of token types, or 0 for none.
        embedding_norm_eps: Epsilon of a LayerNorm on the embedding, or ``None`` for no LayerNorm.
        initializer_range: Standard deviation of fresh embeddings and linear maps; dictionaries
            are drawn as in every model of the family.
        tie_word_embeddings: Use the embedding matrix as the vocabulary matrix of the output.
        pad_token_id: Token that fills batches of unequal length.
        bos_token_id: Token that begins a sequence.
        eos_token_id: Token that ends a sequence, or several of them.

    Raises:
        ValueError: As for the shared fields, a special token outside the vocabulary, a lag that is
            no number of tokens, or a layer without compression: no token would see another.
    """

    setters = OperatorConfig.setters | {"output_attentions"}
    read_by = OperatorConfig.read_by | {
        "rope_theta": ("position_embedding_type", ("rotary",)),
        "key_lag": ("compression", ("mssa", "attention")),
    }
    counts = (*OperatorConfig.counts, "vocab_size", "max_position_embeddings")
    not_negative = (*OperatorConfig.not_negative, "type_vocab_size", "initializer_range")
    positive = (*OperatorConfig.positive, "rope_theta", "final_norm_eps")

    vocab_size: int = 50304
    max_position_embeddings: int = 1024
    position_embedding_type: Literal["learned", "rotary", "none"] = "learned"
    rope_theta: float | int = 10000.0
    window: int | None = None  # pyright: ignore[reportIncompatibleVariableOverride]
    window_at: Literal["compress", "both"] = "compress"  # pyright: ignore[reportIncompatibleVariableOverride]
    key_lag: int | list[int] = 0
    final_norm: bool = False
    final_norm_eps: float | int = 1e-5
    type_vocab_size: int = 0
    embedding_norm_eps: float | int | None = None
    initializer_range: float | int = 0.02
    tie_word_embeddings: bool = True
    pad_token_id: int | None = None
    bos_token_id: int | None = None
    eos_token_id: TokenIds = None

    @property
    def head_lags(self) -> tuple[int, ...] | None:
        """Tokens that the keys of each head lag behind, ``None`` where none does."""
        lags = self.key_lag
        lags = lags if isinstance(lags, list) else [lags] * self.num_attention_heads
        return tuple(lags) if any(lags) else None

    def _check(self, unknown: Iterable[str]) -> None:
        super()._check(unknown)
        if self.compression == "none":
            raise ValueError(
                "compression='none' in a text model: no token would see another; use 'mssa', "
                "'tssa' or 'attention'."
            )
        if self.embedding_norm_eps is not None and not self.embedding_norm_eps > 0:
            raise ValueError(
                f"embedding_norm_eps={self.embedding_norm_eps} must be positive, or None."
            )
        if self.window is not None and (self.window < 2 or not (self.is_causal or self.window % 2)):
            kind = "at least 2" if self.is_causal else "an odd number from 3, as many on both sides"
            raise ValueError(f"window={self.window} must be {kind}, or None.")
        if self.window_at == "both" and (self.window is None or self.sparsification == "none"):
            raise ValueError(
                f"window_at='both' changes nothing with window={self.window} and sparsification="
                f"{self.sparsification!r}: there must be a window, and a step for it to precede."
            )
        assert self.head_dim is not None  # filled in by now
        if self.position_embedding_type == "rotary" and self.compression == "tssa":
            raise ValueError(
                "position_embedding_type='rotary' turns tokens where they are compared, and "
                "compression='tssa' compares none; use 'learned' or 'none'."
            )
        if self.position_embedding_type == "rotary" and self.head_dim % 2:
            raise ValueError(
                f"position_embedding_type='rotary' turns pairs of coordinates, but head_dim="
                f"{self.head_dim} is odd; set an even head_dim."
            )
        self._check_key_lag()
        for name in ("pad_token_id", "bos_token_id", "eos_token_id"):
            value = getattr(self, name)
            for token in value if isinstance(value, list) else [value]:
                if token is not None and not 0 <= token < self.vocab_size:
                    raise ValueError(
                        f"{name}={token} is not in a vocabulary of {self.vocab_size} tokens; ids "
                        f"run from 0 to {self.vocab_size - 1}."
                    )

    def _check_key_lag(self) -> None:
        heads, last = self.num_attention_heads, self.max_position_embeddings - 1
        lags = self.key_lag if isinstance(self.key_lag, list) else [self.key_lag]
        if isinstance(self.key_lag, list) and len(lags) != heads:
            raise ValueError(
                f"key_lag={self.key_lag} has {len(lags)} numbers, but num_attention_heads={heads}; "
                f"give one number, or one per head."
            )
        first = 0 if self.is_causal else -last
        for lag in lags:
            if not first <= lag <= last:
                raise ValueError(
                    f"key_lag={self.key_lag}: a lag is a number of tokens from {first} to {last} "
                    f"(max_position_embeddings={last + 1}), not {lag}."
                )


__all__ = ["TextConfig"]
