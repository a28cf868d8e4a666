"""Configuration of the CRATE family."""

import difflib
import math
from collections.abc import Iterable
from dataclasses import fields
from typing import Literal

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig
from transformers.backbone_utils import BackboneConfigMixin

from .presets import PRESETS

# Fields that count something.
COUNTS = (
    "num_channels",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "head_dim",
    "projection_size",
    "dictionary_ratio",
    "ista_iterations",
)

# Which choices of another field read a field. Setting it under any other choice would change
# nothing, in silence; a learned scalar would have no gradient, which distributed training refuses.
_DICTIONARIES = ("ista", "overcomplete", "majorizer")
READ_BY: dict[str, tuple[str, tuple[str, ...]]] = {
    "mssa_output": ("compression", ("mssa",)),
    "orthonormal_subspaces": ("compression", ("mssa",)),
    "mssa_sign": ("compression", ("mssa", "attention")),
    "mssa_skip": ("compression", ("mssa", "attention")),
    "mssa_step": ("compression", ("mssa", "attention")),
    "learn_step_size": ("sparsification", ("ista", "overcomplete")),
    "learn_threshold": ("sparsification", _DICTIONARIES),
    "activation": ("sparsification", _DICTIONARIES),
    "ista_form": ("sparsification", ("ista",)),
    "dictionary_ratio": ("sparsification", ("overcomplete",)),
    "ista_iterations": ("sparsification", ("overcomplete",)),
    "synthesis": ("sparsification", ("overcomplete",)),
    "ista_residual": ("sparsification", ("overcomplete",)),
    "coding_precision": ("sparsification", ("majorizer",)),
    "mlp_ratio": ("sparsification", ("mlp",)),
}

# Accepted by the constructor without being dataclass fields.
SETTERS = {"num_labels", "out_features", "out_indices", "attn_implementation"}


@strict
class CrateConfig(BackboneConfigMixin, PreTrainedConfig):
    """What a CRATE model is made of. Defaults are CRATE-Base as published.

    Args:
        image_size: Height and width the position table is made for; one number means square.
        patch_size: Height and width of a patch.
        num_channels: Channels of the image.
        hidden_size: Width D of a token.
        num_hidden_layers: Depth L; one layer is one step on the objective.
        num_attention_heads: Number of subspaces K.
        head_dim: Dimension P of a subspace; ``None`` means D / K. K * P may differ from D.
        patch_embedding: ``norm_linear`` (published: LayerNorm, Linear, LayerNorm), ``linear``, or
            ``conv`` (one strided convolution). On tiny patches the first LayerNorm of
            ``norm_linear`` removes brightness and contrast, which is much of the signal.
        pooling: Feature for the classifier: the class token, or the mean over all tokens
            including the class token (as in the authors' code).
        layer_norm_eps: Epsilon of the LayerNorms inside layers and patch embedding.
        classifier_norm_eps: Epsilon of the LayerNorm in front of the classifier.
        projection_size: Width of one linear map between that LayerNorm and the classifier, or
            ``None`` for none. The published segmentation checkpoint has one.
        hidden_dropout_prob: Dropout after the embedding and after the output matrix of MSSA.
        attention_probs_dropout_prob: Dropout on attention weights.
        position_init_std: Standard deviation of fresh position embeddings and class token; the
            authors draw them with standard deviation 1.
        compression: ``mssa``, ``attention`` (ordinary q, k, v; ablation) or ``none``.
        mssa_output: How subspace averages return to width D. ``learned`` (published matrix),
            ``tied`` (the derivation's [U_1, ..., U_K]), ``transpose`` (its transpose, needs
            K * P = D), ``fixed`` (random, frozen, saved) or ``identity`` (needs K * P = D).
        mssa_output_bias: Bias on the learned output matrix.
        mssa_sign: +1 adds the step (encoder), -1 subtracts it.
        mssa_skip: Add the step to the token itself (``raw``) or to its LayerNorm (``normed``).
        mssa_step: ``None`` for the published Z + MSSA, or c = kappa * gamma in (0, 1] for the
            derivation's (1 - c) Z + c MSSA.
        orthonormal_subspaces: Make each U_k orthonormal in the forward pass.
        sparsification: ``ista`` (published), ``overcomplete`` (T proximal steps from zero),
            ``majorizer`` (appendix A.3 of arXiv 2306.01129), ``mlp`` (ablation) or ``none``
            (attention only).
        step_size: eta of the proximal step.
        threshold: lambda of the proximal step; the operator subtracts eta * lambda.
        learn_step_size: Learn eta, one scalar per layer, starting from ``step_size``.
        learn_threshold: Learn lambda likewise.
        activation: Proximal map: ``relu`` (non-negative codes) or ``soft_threshold``.
        ista_form: How the square step is computed; see :func:`.ista.ista`.
        dictionary_ratio: Atoms per width of the overcomplete dictionary.
        ista_iterations: Proximal steps T of ``overcomplete``.
        synthesis: ``tied`` returns D z, ``separate`` learns a second dictionary for the return.
        ista_residual: Add the overcomplete block's output to its input.
        coding_precision: eps in alpha = D / (N eps^2) of the ``majorizer``.
        mlp_ratio: Hidden width of the ``mlp`` ablation over D.

    Raises:
        ValueError: Sizes that do not fit, a field that the chosen operators do not read, or a
            misspelt name. Other unknown names are kept, as Hugging Face's configurations do.
    """

    model_type = "crate"

    image_size: int | list[int] | tuple[int, int] = 224
    patch_size: int | list[int] | tuple[int, int] = 16
    num_channels: int = 3
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    head_dim: int | None = None
    patch_embedding: Literal["norm_linear", "linear", "conv"] = "norm_linear"
    pooling: Literal["cls", "mean"] = "cls"
    layer_norm_eps: float | int = 1e-5
    classifier_norm_eps: float | int = 1e-5
    projection_size: int | None = None
    hidden_dropout_prob: float | int = 0.0
    attention_probs_dropout_prob: float | int = 0.0
    position_init_std: float | int = 1.0

    compression: Literal["mssa", "attention", "none"] = "mssa"
    mssa_output: Literal["learned", "tied", "transpose", "fixed", "identity"] = "learned"
    mssa_output_bias: bool = True
    mssa_sign: Literal[1, -1] = 1
    mssa_skip: Literal["raw", "normed"] = "raw"
    mssa_step: float | int | None = None
    orthonormal_subspaces: bool = False

    sparsification: Literal["ista", "overcomplete", "majorizer", "mlp", "none"] = "ista"
    step_size: float | int = 0.1
    threshold: float | int = 0.1
    learn_step_size: bool = False
    learn_threshold: bool = False
    activation: Literal["relu", "soft_threshold"] = "relu"
    ista_form: Literal["auto", "tokens", "gram"] = "auto"
    dictionary_ratio: int = 4
    ista_iterations: int = 2
    synthesis: Literal["tied", "separate"] = "tied"
    ista_residual: bool = False
    coding_precision: float | int = 0.1
    mlp_ratio: int | float = 4

    _out_features: list[str] | None = None
    _out_indices: list[int] | None = None

    def __post_init__(self, **kwargs):
        self._check_names(kwargs)
        self._check_sizes()
        if self.head_dim is None:
            if self.hidden_size % self.num_attention_heads:
                raise ValueError(
                    f"hidden_size={self.hidden_size} is not a multiple of num_attention_heads="
                    f"{self.num_attention_heads}; change one of them or set head_dim."
                )
            self.head_dim = self.hidden_size // self.num_attention_heads
        self._check_image()
        self._check_operators()
        self._check_all_is_read()
        self.stage_names = ["stem"] + [f"stage{i + 1}" for i in range(self.num_hidden_layers)]
        self.set_output_features_output_indices(
            out_indices=kwargs.pop("out_indices", None),
            out_features=kwargs.pop("out_features", None),
        )
        super().__post_init__(**kwargs)

    def _check_names(self, unknown: Iterable[str]) -> None:
        inherited = {field.name for field in fields(PreTrainedConfig)}
        own = [field.name for field in fields(self) if field.name not in inherited]
        for name in set(unknown) - SETTERS:
            if near := difflib.get_close_matches(name, own, n=1, cutoff=0.8):
                raise ValueError(_unknown_field(name, near))

    def _check_sizes(self) -> None:
        for name in COUNTS:
            value = getattr(self, name)
            if value is not None and not value >= 1:
                raise ValueError(f"{name}={value} must be at least 1.")
        for name in ("step_size", "threshold", "position_init_std"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name}={getattr(self, name)} must be finite and not negative.")
        for name in ("layer_norm_eps", "classifier_norm_eps", "coding_precision", "mlp_ratio"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}={getattr(self, name)} must be finite and positive.")
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be in [0, 1).")

    def _check_image(self) -> None:
        for name in ("image_size", "patch_size"):
            value = getattr(self, name)
            if not isinstance(value, int):
                value = list(value)
                setattr(self, name, value)
            if len(_pair(value)) != 2 or min(_pair(value)) < 1:
                raise ValueError(
                    f"{name}={value} must be one positive number or [height, width] of them."
                )
        (height, width), (tall, wide) = _pair(self.image_size), _pair(self.patch_size)
        if height % tall or width % wide:
            raise ValueError(
                f"image_size {height}x{width} is not a multiple of patch_size {tall}x{wide}; "
                f"the nearest multiple is {nearest_multiple(height, tall)}x"
                f"{nearest_multiple(width, wide)}."
            )

    def _check_operators(self) -> None:
        assert self.head_dim is not None  # filled in by now
        inner = self.num_attention_heads * self.head_dim
        if (
            self.compression == "mssa"
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
        if self.compression == self.sparsification == "none":
            raise ValueError(
                "compression and sparsification are both 'none', so that a layer would do nothing; "
                "choose one of them."
            )

    def _check_all_is_read(self) -> None:
        defaults = {field.name: field.default for field in fields(self)}
        for name, (chooser, choices) in READ_BY.items():
            value, choice = getattr(self, name), getattr(self, chooser)
            if value != defaults[name] and choice not in choices:
                raise ValueError(
                    f"{name}={value!r} changes nothing with {chooser}={choice!r}: only "
                    f"{' and '.join(map(repr, choices))} read it. Leave it out or change {chooser}."
                )

    @property
    def grid_size(self) -> tuple[int, int]:
        """Rows and columns of patches the position table is made for."""
        (height, width), (tall, wide) = _pair(self.image_size), _pair(self.patch_size)
        return height // tall, width // wide

    @classmethod
    def from_preset(cls, name: str, **overrides) -> "CrateConfig":
        """Configuration of a published size, e.g. ``from_preset("crate-base", num_labels=10)``.

        Args:
            name: A key of ``PRESETS``.
            overrides: Any field of this configuration, or ``num_labels``.

        Raises:
            ValueError: Unknown preset, or an override that is not a field.
        """
        if name not in PRESETS:
            raise ValueError(f"Unknown preset {name!r}; choose one of: {', '.join(PRESETS)}.")
        known = {field.name for field in fields(cls)} | SETTERS
        for unknown in overrides.keys() - known:
            near = difflib.get_close_matches(unknown, known, n=1)
            raise ValueError(_unknown_field(unknown, near))
        if "id2label" not in overrides:
            overrides.setdefault("num_labels", 1000)
        return cls(**PRESETS[name] | overrides)


def _unknown_field(name: str, near: list[str]) -> str:
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return f"{name!r} is not a field of CrateConfig{hint}"


def nearest_multiple(length: int, patch: int) -> int:
    """The positive multiple of ``patch`` nearest to ``length``."""
    return max(round(length / patch), 1) * patch


def _pair(value: int | list[int] | tuple[int, ...]) -> tuple[int, ...]:
    return (value, value) if isinstance(value, int) else tuple(value)


__all__ = ["PRESETS", "CrateConfig"]
