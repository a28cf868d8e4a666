"""What a class is that stands in front of a ``PreTrainedModel``: a type checker has to know."""

from typing import TYPE_CHECKING

from transformers import PreTrainedModel

ModelMixin = PreTrainedModel if TYPE_CHECKING else object

__all__ = ["ModelMixin"]
