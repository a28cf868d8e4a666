"""Folded models: the same outputs from fewer products, for inference only."""

import copy
import functools
import inspect
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, cast, overload

import torch
from torch import nn

from .block import CrateLayer
from .folded_layers import folded_parts
from .folded_vocabulary import FoldedVocabulary
from .modeling_crate_gpt import CrateGPTForCausalLM
from .modeling_family import FamilyPreTrainedModel
from .modeling_self_distillation import SelfDistillation
from .outputs_text import CrateCausalLMOutput

Model = TypeVar("Model", bound=FamilyPreTrainedModel)

HOW_TO_GO_ON = (
    "A folded model is for inference only: its matrices are products of the trained ones. "
    "Go on with the model that was passed to fold(); fold() left it unchanged."
)


class FoldedModelError(RuntimeError):
    """A folded model was asked to train, save or record; the message says how to go on."""


class ForInferenceOnly(nn.Module):
    """What no folded model does, refused with the way on.

    A folded classifier whose feature is the class token computes that alone in its last layer.
    """

    sparing_in_evaluation = True

    def refuse(self, kwargs: Mapping[str, Any]) -> None:
        """Refuse labels and requests to record, given to a call.

        Raises:
            FoldedModelError: There are any.
        """
        for name in ("labels", "start_positions", "end_positions"):
            if kwargs.get(name) is not None:
                raise FoldedModelError(f"{name} were given to a folded model. {HOW_TO_GO_ON}")
        asked = sorted(key for key, on in kwargs.items() if key.startswith("output_") and on)
        if asked:
            raise FoldedModelError(f"{', '.join(asked)} asked of a folded model. {HOW_TO_GO_ON}")

    def train(self, mode: bool = True):
        """Stay in evaluation mode; asking for training is an error."""
        if mode:
            raise FoldedModelError(f"train() was called on a folded model. {HOW_TO_GO_ON}")
        return super().train(False)

    def requires_grad_(self, requires_grad: bool = True):
        """Stay frozen; asking for gradients of the parameters is an error."""
        if requires_grad:
            raise FoldedModelError(f"requires_grad_() on a folded model. {HOW_TO_GO_ON}")
        return super().requires_grad_(False)

    def save_pretrained(self, *args, **kwargs):
        """Refused: the folded matrices cannot be unfolded again."""
        raise FoldedModelError(f"save_pretrained() of a folded model. {HOW_TO_GO_ON}")

    def push_to_hub(self, *args, **kwargs):
        """Refused, as saving is."""
        raise FoldedModelError(f"push_to_hub() of a folded model. {HOW_TO_GO_ON}")


# transformers makes push_to_hub an attribute, which no method can override by its type.
class FoldedCrateGPTForCausalLM(ForInferenceOnly, CrateGPTForCausalLM):  # pyright: ignore[reportIncompatibleVariableOverride]
    """A language model folded by :func:`fold`: same scores, same caches, inference only.

    The model itself, with other steps in its layers; it generates as the original does.
    """

    def __init__(self, model: CrateGPTForCausalLM, skip_zeros: bool = False):
        # The weights drawn here would all be replaced.
        with torch.device("meta"):
            super().__init__(copy.deepcopy(model.config))
        # Together, so that tied weights stay tied.
        copied = copy.deepcopy((model.crate.embeddings, model.crate.norm, model.lm_head))
        self.crate.embeddings, self.crate.norm, head = copied
        self.lm_head = FoldedVocabulary(head, skip_zeros)
        ours, theirs = self.crate.stack.layers, copy.deepcopy(model.crate.stack.layers)
        for layer, source in zip(ours, cast(Iterable[CrateLayer], theirs), strict=True):
            layer.compress, layer.sparsify = folded_parts(source, self.config)  # pyright: ignore[reportArgumentType]
        self.generation_config = copy.deepcopy(model.generation_config)
        self.requires_grad_(False)
        self.eval()

    @functools.wraps(CrateGPTForCausalLM.forward)
    def forward(self, *args, **kwargs) -> CrateCausalLMOutput:
        self.refuse(kwargs)
        return super().forward(*args, **kwargs)


@functools.cache
def folded_class(kind: type[FamilyPreTrainedModel]) -> type[FamilyPreTrainedModel]:
    """``kind`` for inference only; its layers are the same, with other steps in them."""
    _, *names = inspect.signature(kind.forward).parameters

    @functools.wraps(kind.forward)
    def forward(self, *args, **kwargs):
        self.refuse(dict(zip(names, args, strict=False)) | kwargs)
        return kind.forward(self, *args, **kwargs)

    described = f"``{kind.__name__}`` folded by :func:`fold`: same outputs, inference only."
    return type(
        f"Folded{kind.__name__}",
        (ForInferenceOnly, kind),
        {"forward": forward, "__doc__": described, "__module__": __name__},
    )


def with_folded_steps(model: Model) -> Model:
    """A copy of any model of the family whose layers take their steps folded."""
    folded = copy.deepcopy(model)
    folded.__class__ = cast(Any, folded_class)(type(model))
    for layer in list(folded.modules()):
        if isinstance(layer, CrateLayer):
            # A decoder's layers have a configuration of their own.
            config = None if layer.compress is None else layer.compress.mssa.config
            layer.compress, layer.sparsify = folded_parts(layer, config)  # pyright: ignore[reportAttributeAccessIssue]
    nn.Module.requires_grad_(folded, False)
    return folded.eval()


@overload
def fold(
    model: CrateGPTForCausalLM, dtype: torch.dtype | None = None, skip_zeros: bool = False
) -> FoldedCrateGPTForCausalLM: ...


@overload
def fold(model: Model, dtype: torch.dtype | None = None) -> Model: ...  # pyright: ignore[reportOverlappingOverload]


@torch.no_grad()
def fold(model, dtype=None, skip_zeros=False):
    """A copy of a model for inference: fewer products, same outputs.

    Every system folds: classifiers, masked autoencoders, encoders (of a DINO run the teacher's, as
    ``CrateDinoModel``), backbones, and the language models with each of their heads.

    Args:
        model: The model; left unchanged.
        dtype: Type of the folded weights, e.g. ``torch.bfloat16``; by default the model's own.
        skip_zeros: Of a language model whose last layer is ISTA without a final LayerNorm: score
            a single token on the CPU by the rows of the vocabulary matrix that meet its non-zero
            coordinates. Sums in another order, so that scores agree up to rounding.

    Returns:
        The folded model, frozen, in evaluation mode, on the model's device.

    Raises:
        FoldedModelError: The model is folded already.
        TypeError: No model of the family, or a student and its teacher together.
        ValueError: ``skip_zeros`` of a model whose last representation has no exact zeros.
    """
    if isinstance(model, ForInferenceOnly):
        raise FoldedModelError(f"fold() was given a folded model. {HOW_TO_GO_ON}")
    if skip_zeros:
        _check_zeros(model)
    if isinstance(model, CrateGPTForCausalLM):
        folded = FoldedCrateGPTForCausalLM(model, skip_zeros)
    elif isinstance(model, SelfDistillation):
        raise TypeError(
            f"fold() was given {type(model).__name__}, a student and its teacher; fold the encoder "
            f"that is kept: CrateDinoModel.from_pretrained(folder), or model.base_model."
        )
    elif isinstance(model, FamilyPreTrainedModel):
        folded = with_folded_steps(model)
    else:
        raise TypeError(
            f"fold() was given {type(model).__name__}; it folds the models of this library."
        )
    nn.Module.to(folded, model.device, dtype or model.dtype)
    return folded


def _check_zeros(model: nn.Module) -> None:
    if not isinstance(model, CrateGPTForCausalLM):
        raise ValueError(
            f"skip_zeros=True is for CrateGPTForCausalLM, not {type(model).__name__}; leave it out."
        )
    sparsification, final_norm = model.config.sparsification, model.config.final_norm
    if sparsification != "ista" or final_norm:
        raise ValueError(
            f"skip_zeros=True needs exact zeros at the vocabulary matrix: sparsification='ista' "
            f"and final_norm=False, but this model has {sparsification!r} and {final_norm}; leave "
            f"it out."
        )


__all__ = [
    "FoldedCrateGPTForCausalLM",
    "FoldedModelError",
    "ForInferenceOnly",
    "fold",
]
