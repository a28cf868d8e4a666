"""Configuration of the layers, shared by every model of the family."""

import difflib
import math
from collections.abc import Iterable
from dataclasses import fields
from typing import Any, ClassVar, Literal, Self

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

# Which choices of another field read a field. Setting it under any other choice would change
# nothing, in silence; a learned scalar would have no gradient, which distributed training refuses.
_DICTIONARIES = ("ista", "overcomplete", "majorizer")
Readers = dict[str, tuple[str, tuple[str, ...]]]
READ_BY: Readers = {
    "mssa_output": ("compression", ("mssa", "tssa")),
    "orthonormal_subspaces": ("compression", ("mssa", "tssa")),
    "mssa_sign": ("compression", ("mssa", "tssa", "attention")),
    "mssa_skip": ("compression", ("mssa", "tssa", "attention")),
    "mssa_step": ("compression", ("mssa", "attention")),
    "attend_self": ("compression", ("mssa", "attention")),
    "dictionary_init": ("sparsification", (*_DICTIONARIES, "linear")),
    "learn_step_size": ("sparsification", ("ista", "overcomplete")),
    "learn_threshold": ("sparsification", _DICTIONARIES),
    "activation": ("sparsification", _DICTIONARIES),
    "ista_form": ("sparsification", ("ista",)),
    "dictionary_ratio": ("sparsification", ("overcomplete",)),
    "ista_iterations": ("sparsification", ("overcomplete",)),
    "synthesis": ("sparsification", ("overcomplete",)),
    "synthesis_init": ("synthesis", ("separate",)),
    "ista_residual": ("sparsification", ("overcomplete",)),
    "coding_precision": ("sparsification", ("majorizer",)),
    "mlp_ratio": ("sparsification", ("mlp",)),
}


@strict
class OperatorConfig(PreTrainedConfig):
    """What the layers of any model are made of; each model's configuration adds to it.

    Args:
        hidden_size: Width D of a token.
        num_hidden_layers: Depth L; one layer is one step on the objective.
        num_attention_heads: Number of subspaces K.
        head_dim: Dimension P of a subspace; ``None`` means D / K. K * P may differ from D.
        layer_norm_eps: Epsilon of the LayerNorms inside layers.
        hidden_dropout_prob: Dropout after the embedding and after the output matrix of MSSA.
        attention_probs_dropout_prob: Dropout on attention weights; TSSA has none.
        compression: ``mssa``, ``tssa`` (token statistics in place of attention, at a cost linear in
            the tokens; see :mod:`.tssa`), ``attention`` (ordinary q, k, v; ablation) or ``none``.
        mssa_output: How what the heads made returns to width D. ``learned`` (published matrix),
            ``tied`` (the derivation's [U_1, ..., U_K]), ``transpose`` (its transpose, needs
            K * P = D), ``fixed`` (random, frozen, saved) or ``identity`` (needs K * P = D).
        mssa_output_bias: Bias on the learned output matrix.
        mssa_sign: +1 adds the step (encoder), -1 subtracts it.
        mssa_skip: Add the step to the token itself (``raw``) or to its LayerNorm (``normed``).
        mssa_step: ``None`` for the published Z + MSSA, or c = kappa * gamma in (0, 1] for the
            derivation's (1 - c) Z + c MSSA, which sign -1 turns into (1 + c) Z - c MSSA.
        orthonormal_subspaces: Make each U_k orthonormal in the forward pass.
        attend_self: Let a token be averaged with itself as well as with others (published). With
            False the diagonal is masked; a token that has nothing else to attend to, as the first
            of a causal sequence, still attends to itself.
        sparsification: ``ista`` (published), ``overcomplete`` (T proximal steps from zero),
            ``majorizer`` (appendix A.3 of arXiv 2306.01129), ``linear`` (``D z`` alone, the
            decoder's), ``mlp`` (ablation) or ``none`` (attention only).
        step_size: eta of the proximal step.
        threshold: lambda of the proximal step; the operator subtracts eta * lambda.
        dictionary_init: Fresh dictionaries: ``kaiming`` (published) or ``orthogonal``, for which a
            step descends up to eta = 1 in place of about 1/8; see
            :func:`.dictionary.draw_dictionary`.
        learn_step_size: Learn eta, one scalar per layer, starting from ``step_size``.
        learn_threshold: Learn lambda likewise.
        activation: Proximal map: ``relu`` (non-negative codes) or ``soft_threshold``.
        ista_form: How the square step is computed; see :func:`.ista.ista`.
        dictionary_ratio: Atoms per width of the overcomplete dictionary.
        ista_iterations: Proximal steps T of ``overcomplete``.
        synthesis: ``tied`` returns D z, ``separate`` learns a second dictionary for the return.
        synthesis_init: A fresh second dictionary is drawn like the first (``dictionary``), or is
            ``zeros``: with ``ista_residual`` a fresh layer then is its compression step alone.
        ista_residual: Add the overcomplete block's output to its input.
        coding_precision: eps in alpha = D / (N eps^2) of the ``majorizer``.
        mlp_ratio: Hidden width of the ``mlp`` ablation over D.

    Raises:
        ValueError: Sizes that do not fit, a field that the chosen operators do not read, or a
            misspelt name. Other unknown names are kept, as Hugging Face's configurations do.
    """

    # What a subclass adds to: presets, names the constructor takes that are no fields, the choice
    # that reads a field, and fields by the numbers they may hold.
    presets: ClassVar[dict[str, dict[str, Any]]] = {}
    setters: ClassVar[frozenset[str]] = frozenset({"num_labels", "attn_implementation"})
    read_by: ClassVar[Readers] = READ_BY
    counts: ClassVar[tuple[str, ...]] = (
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "head_dim",
        "dictionary_ratio",
        "ista_iterations",
    )
    not_negative: ClassVar[tuple[str, ...]] = ("step_size", "threshold")
    positive: ClassVar[tuple[str, ...]] = ("layer_norm_eps", "coding_precision", "mlp_ratio")

    # Whether a token sees only those before it; the window of tokens that have an order, and the
    # steps in front of which it lies.
    is_causal: ClassVar[bool] = False
    window: ClassVar[int | None] = None
    window_at: ClassVar[str] = "compress"

    # Whether TSSA's memberships have a bias per head and position.
    membership_bias: ClassVar[bool] = False

    # A decoder's layer takes its two steps in the other order; ``linear`` may be D^T z.
    sparsify_first: ClassVar[bool] = False
    dictionary_transposed: ClassVar[bool] = False

    @property
    def head_lags(self) -> tuple[int, ...] | None:
        """Tokens that the keys of each head lag behind, ``None`` where none does."""
        return None

    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    head_dim: int | None = None
    layer_norm_eps: float | int = 1e-5
    hidden_dropout_prob: float | int = 0.0
    attention_probs_dropout_prob: float | int = 0.0

    compression: Literal["mssa", "tssa", "attention", "none"] = "mssa"
    mssa_output: Literal["learned", "tied", "transpose", "fixed", "identity"] = "learned"
    mssa_output_bias: bool = True
    mssa_sign: Literal[1, -1] = 1
    mssa_skip: Literal["raw", "normed"] = "raw"
    mssa_step: float | int | None = None
    orthonormal_subspaces: bool = False
    attend_self: bool = True

    sparsification: Literal["ista", "overcomplete", "majorizer", "linear", "mlp", "none"] = "ista"
    step_size: float | int = 0.1
    threshold: float | int = 0.1
    dictionary_init: Literal["kaiming", "orthogonal"] = "kaiming"
    learn_step_size: bool = False
    learn_threshold: bool = False
    activation: Literal["relu", "soft_threshold"] = "relu"
    ista_form: Literal["auto", "tokens", "gram"] = "auto"
    dictionary_ratio: int = 4
    ista_iterations: int = 2
    synthesis: Literal["tied", "separate"] = "tied"
    synthesis_init: Literal["dictionary", "zeros"] = "dictionary"
    ista_residual: bool = False
    coding_precision: float | int = 0.1
    mlp_ratio: int | float = 4

    def __post_init__(self, **kwargs):
        self._check(kwargs)
        super().__post_init__(**kwargs)

    def _check(self, unknown: Iterable[str]) -> None:
        """Refuse what cannot be built; ``unknown`` are names given that are no fields."""
        self._check_names(unknown)
        self._check_sizes()
        if self.head_dim is None:
            if self.hidden_size % self.num_attention_heads:
                raise ValueError(
                    f"hidden_size={self.hidden_size} is not a multiple of num_attention_heads="
                    f"{self.num_attention_heads}; change one of them or set head_dim."
                )
            self.head_dim = self.hidden_size // self.num_attention_heads
        self._check_operators()
        self._check_all_is_read()

    def _check_names(self, unknown: Iterable[str]) -> None:
        inherited = {field.name for field in fields(PreTrainedConfig)}
        own = [field.name for field in fields(self) if field.name not in inherited]
        for name in set(unknown) - self.setters:
            if near := difflib.get_close_matches(name, own, n=1, cutoff=0.8):
                raise ValueError(_unknown_field(type(self), name, near))

    def _check_sizes(self) -> None:
        for name in self.counts:
            value = getattr(self, name)
            if value is not None and not value >= 1:
                raise ValueError(f"{name}={value} must be at least 1.")
        for name in self.not_negative:
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name}={getattr(self, name)} must be finite and not negative.")
        for name in self.positive:
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}={getattr(self, name)} must be finite and positive.")
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be in [0, 1).")

    def _check_operators(self) -> None:
        assert self.head_dim is not None  # filled in by now
        inner = self.num_attention_heads * self.head_dim
        if (
            self.compression in ("mssa", "tssa")
            and self.mssa_output in ("transpose", "identity")
            and inner != self.hidden_size
        ):
            raise ValueError(
                f"mssa_output={self.mssa_output!r} needs heads * head_dim = hidden_size, but "
                f"{self.num_attention_heads} * {self.head_dim} = {inner} and hidden_size="
                f"{self.hidden_size}; use 'learned', 'tied' or 'fixed', or change head_dim."
            )
        if self.mssa_step is not None and not 0 < self.mssa_step <= 1:
            raise ValueError(f"mssa_step={self.mssa_step} must be in (0, 1], or None.")
        if self.orthonormal_subspaces and self.head_dim > self.hidden_size:
            raise ValueError(
                f"orthonormal_subspaces needs head_dim <= hidden_size, but head_dim="
                f"{self.head_dim} and hidden_size={self.hidden_size}."
            )
        at_zero = self.synthesis == "separate" and self.synthesis_init == "zeros"
        if at_zero and not self.ista_residual:
            raise ValueError(
                "synthesis_init='zeros' with ista_residual=False: every fresh layer would give "
                "zeros, from which nothing learns; set ista_residual=True, or leave synthesis_init "
                "at 'dictionary'."
            )
        if self.compression == self.sparsification == "none":
            raise ValueError(
                "compression and sparsification are both 'none', so that a layer would do nothing; "
                "choose one of them."
            )

    def _check_all_is_read(self) -> None:
        defaults = {field.name: field.default for field in fields(self)}
        for name, (chooser, choices) in self.read_by.items():
            value, choice = getattr(self, name), getattr(self, chooser)
            if value != defaults[name] and choice not in choices:
                raise ValueError(
                    f"{name}={value!r} changes nothing with {chooser}={choice!r}: only "
                    f"{' and '.join(map(repr, choices))} read it. Leave it out or change {chooser}."
                )

    @classmethod
    def from_preset(cls, name: str, **overrides) -> Self:
        """Configuration of a published size, by its name in ``presets``.

        Args:
            name: A key of ``presets``.
            overrides: Any field of this configuration, or ``num_labels``.

        Raises:
            ValueError: Unknown preset, or an override that is not a field.
        """
        if name not in cls.presets:
            raise ValueError(f"Unknown preset {name!r}; choose one of: {', '.join(cls.presets)}.")
        known = {field.name for field in fields(cls)} | cls.setters
        for unknown in overrides.keys() - known:
            near = difflib.get_close_matches(unknown, known, n=1)
            raise ValueError(_unknown_field(cls, unknown, near))
        return cls(**cls.presets[name] | overrides)


def _unknown_field(config: type, name: str, near: list[str]) -> str:
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return f"{name!r} is not a field of {config.__name__}{hint}"


__all__ = ["READ_BY", "OperatorConfig"]
