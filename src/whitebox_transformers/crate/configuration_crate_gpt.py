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
        membership_bias: A learned bias on TSSA's memberships per head and position, as in the
            authors' causal code; zero when fresh.

    Raises:
        ValueError: As for the shared fields, or ``sparsification='majorizer'``.
    """

    model_type = "crate_gpt"
    keys_to_ignore_at_inference = ["cache", "past_key_values"]
    presets: ClassVar[dict[str, dict[str, Any]]] = GPT_PRESETS
    read_by = TextConfig.read_by | {
        "membership_bias": ("compression", ("tssa",)),
    }
    is_causal: ClassVar[bool] = True

    use_cache: bool = True
    membership_bias: bool = False  # pyright: ignore[reportIncompatibleVariableOverride]

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


__all__ = ["GPT_PRESETS", "CrateGPTConfig"]
