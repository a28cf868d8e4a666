"""Configuration of CRATE-GPT and CRATE-LM."""

from collections.abc import Iterable
from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict

from .configuration_text import TextConfig
from .presets import GPT_PRESETS


@strict
class CrateGPTConfig(TextConfig):
    """What a causal language model of the family is made of. Defaults are CRATE-GPT-Base.

    The fields of :class:`.configuration_operators.OperatorConfig` and
    :class:`.configuration_text.TextConfig`, and:

    Args:
        use_cache: Keep u of past tokens while generating; of TSSA, sums over them of fixed size.
        key_lag: Tokens that the keys of a head lag behind, one number for all heads or one per
            head. With 0, as published, a token averages tokens like itself; with 1 those that
            followed tokens like itself. Costs no parameters and nothing in the cache.
        membership_bias: A learned bias on TSSA's memberships per head and position, as in the
            authors' causal code; zero when fresh.

    Raises:
        ValueError: As for the shared fields, a lag that is no number of tokens, or
            ``sparsification='majorizer'``.
    """

    model_type = "crate_gpt"
    keys_to_ignore_at_inference = ["cache", "past_key_values"]
    presets: ClassVar[dict[str, dict[str, Any]]] = GPT_PRESETS
    read_by = TextConfig.read_by | {
        "key_lag": ("compression", ("mssa", "attention")),
        "membership_bias": ("compression", ("tssa",)),
    }
    is_causal: ClassVar[bool] = True

    use_cache: bool = True
    key_lag: int | list[int] = 0
    membership_bias: bool = False  # pyright: ignore[reportIncompatibleVariableOverride]

    @property
    def head_lags(self) -> tuple[int, ...] | None:
        """Tokens that the keys of each head lag behind, ``None`` where none does."""
        lags = self.key_lag
        lags = lags if isinstance(lags, list) else [lags] * self.num_attention_heads
        return tuple(lags) if any(lags) else None

    @property
    def layer_types(self) -> list[str]:
        """What a cache keeps of each layer; see :mod:`.cache`."""
        kinds = {"mssa": "subspace_attention", "tssa": "token_statistics"}
        kind = kinds.get(self.compression, "attention")
        if self.window is not None:
            kind = f"windowed_{kind}"
        elif kind == "attention":
            kind = "full_attention"  # Hugging Face's own, for keys and values
        return [kind] * self.num_hidden_layers

    def validate_layer_type(self) -> None:
        """Nothing to check: the names are our own, not of Hugging Face's list."""

    def _check(self, unknown: Iterable[str]) -> None:
        super()._check(unknown)
        if self.sparsification == "majorizer":
            raise ValueError(
                "sparsification='majorizer' takes its step from the number of tokens in the "
                "sequence, which a causal model does not know; use 'ista' or 'overcomplete'."
            )
        self._check_key_lag()

    def _check_key_lag(self) -> None:
        heads, context = self.num_attention_heads, self.max_position_embeddings
        lags = self.key_lag if isinstance(self.key_lag, list) else [self.key_lag]
        if isinstance(self.key_lag, list) and len(lags) != heads:
            raise ValueError(
                f"key_lag={self.key_lag} has {len(lags)} numbers, but num_attention_heads={heads}; "
                f"give one number, or one per head."
            )
        for lag in lags:
            if not 0 <= lag < context:
                raise ValueError(
                    f"key_lag={self.key_lag}: a lag is a number of tokens from 0 to {context - 1} "
                    f"(max_position_embeddings={context}), not {lag}."
                )


__all__ = ["GPT_PRESETS", "CrateGPTConfig"]
