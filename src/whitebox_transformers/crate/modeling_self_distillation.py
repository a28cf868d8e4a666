"""A student and a teacher around any backbone of images, and what they learn from each other.

Legend: B images, C channels, H x W pixels, D width, K outputs of the head; G global and V local
views.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn
from transformers.utils import ModelOutput
from transformers.utils.generic import can_return_tuple

from .bounds import check_finite
from .model_mixin import ModelMixin
from .self_distillation import (
    Centre,
    DistillationHead,
    HeadLinear,
    Prototypes,
    dino_loss,
    simdino_loss,
)


@dataclass
class SelfDistillationOutput(ModelOutput):
    """What a model returns that teaches itself.

    Args:
        loss: When views of the images were given.
        student_logits: The student's head on every view, (G + V, B, K), when views were given; K is
            the prototypes, or the bottleneck of ``simdino``.
        teacher_logits: The teacher's head on the global views, (G, B, K), or on one image each,
            (B, K); centred, with ``dino``.
        pooler_output: The teacher's feature, (B, D), of one image each.
        last_hidden_state: The teacher's last layer, likewise, and so are the following.
        hidden_states: When recorded.
        attentions: When recorded.
        z: Z^0 .. Z^L of a white box when recorded.
        z_half: Z^{l+1/2} of a white box when recorded.
    """

    loss: torch.Tensor | None = None
    student_logits: torch.Tensor | None = None
    teacher_logits: torch.Tensor | None = None
    pooler_output: torch.Tensor | None = None
    last_hidden_state: torch.Tensor | None = None
    hidden_states: tuple[torch.Tensor | None, ...] | None = None
    attentions: tuple[torch.Tensor | None, ...] | None = None
    z: tuple[torch.Tensor | None, ...] | None = None
    z_half: tuple[torch.Tensor | None, ...] | None = None


# What only training needs of a stored model; ``AutoModel`` and the classifiers leave it.
TRAINING_ONLY = [r"^student\.", r"^student_head\.", r"^head\.", r"^centre\."]


class SelfDistillation(ModelMixin):
    """What a ``...ForPreTraining`` class adds to its backbone's ``PreTrainedModel``.

    The teacher bears the base model's name, since it is what is kept: ``AutoModel`` and the
    classifiers find it there. It has no gradient; :meth:`update_teacher` moves it after every step
    of the optimiser.
    """

    backbone_class: ClassVar[type[nn.Module]]

    def __init__(self, config):
        super().__init__(config)
        backbone = self.backbone_class
        setattr(self, self.base_model_prefix, backbone(config))
        self.head = DistillationHead(config)
        self.student = backbone(config)
        self.student_head = DistillationHead(config)
        self.centre = Centre(config.num_prototypes) if config.objective == "dino" else None
        # What a schedule changes; what is stored is its end.
        self.teacher_temperature = config.teacher_temperature
        self.post_init()
        with torch.no_grad():  # the teacher begins as the student
            for theirs, ours in self._pairs():
                theirs.copy_(ours)
        self.train(self.training)

    def train(self, mode: bool = True):
        """As any module; the teacher stays in evaluation mode and has no gradient.

        Loading, which makes parameters anew, ends with a call of this.
        """
        super().train(mode)
        for module in (self.base_model, self.head):
            module.eval().requires_grad_(False)
        return self

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, HeadLinear | Prototypes | Centre):
            module.reset_parameters()

    def features(self, backbone: nn.Module, pixel_values: torch.Tensor, **kwargs):
        """The backbone's outputs, and the feature (B, D) that the head reads."""
        raise NotImplementedError

    @can_return_tuple
    def forward(
        self,
        pixel_values: torch.Tensor,
        local_pixel_values: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        **kwargs,
    ) -> SelfDistillationOutput:
        """Compare views of images, or let the teacher look at images.

        Args:
            pixel_values: Global views (B, G, C, H, W) with G >= 2, for the loss; or images
                (B, C, H, W), for the teacher alone.
            local_pixel_values: Local views (B, V, C, h, w), which the student alone sees.
            labels: Not read; batches of labelled images have them.
            kwargs: The backbone's recording requests; on images only.

        Raises:
            ValueError: Fewer than two global views, views of other images, or pixels that are not
                finite.
        """
        check_finite("pixel_values", pixel_values, self.training)
        if pixel_values.dim() == 4:
            outputs, feature = self.features(self.base_model, pixel_values, **kwargs)
            found = {key: outputs[key] for key in RECORDED if key in outputs}
            return SelfDistillationOutput(
                pooler_output=feature, teacher_logits=self._centred(self.head(feature)), **found
            )
        views = self._views(pixel_values, local_pixel_values)
        with torch.no_grad():
            outputs = self._logits(self.base_model, self.head, views[0])
            aims = self._centred(outputs)
        if self.training and self.centre is not None:
            self.centre.see(outputs)
        seen = torch.cat([self._logits(self.student, self.student_head, v) for v in views])
        return SelfDistillationOutput(
            loss=self._loss(seen, aims), student_logits=seen, teacher_logits=aims
        )

    def update_teacher(self, momentum: float) -> None:
        """``momentum`` of the teacher and the rest of the student; the centre moves as well.

        To be called once after every step of the optimiser.
        """
        teacher, student = (list(tensors) for tensors in zip(*self._pairs(), strict=True))
        with torch.no_grad():
            torch._foreach_lerp_(teacher, student, 1 - momentum)
        if self.centre is not None:
            self.centre.move(self.config.centre_momentum)

    def _views(
        self, pixel_values: torch.Tensor, local_pixel_values: torch.Tensor | None
    ) -> list[torch.Tensor]:
        if pixel_values.dim() != 5 or pixel_values.shape[1] < 2:
            raise ValueError(
                f"pixel_values has shape {tuple(pixel_values.shape)}; expected at least two global "
                "views of each image, (batch, 2, channels, height, width), or images (batch, "
                "channels, height, width)."
            )
        if local_pixel_values is None or not local_pixel_values.shape[1:2].numel():
            return [pixel_values]
        check_finite("local_pixel_values", local_pixel_values, self.training)
        if local_pixel_values.dim() != 5 or len(local_pixel_values) != len(pixel_values):
            raise ValueError(
                f"local_pixel_values has shape {tuple(local_pixel_values.shape)}; expected views "
                f"(batch, views, channels, height, width) of the same {len(pixel_values)} images."
            )
        return [pixel_values, local_pixel_values]

    def _logits(self, backbone: nn.Module, head: nn.Module, views: torch.Tensor) -> torch.Tensor:
        """The head's outputs on views (B, G, C, H, W), ordered (G, B, K)."""
        images, count = views.shape[:2]
        _, feature = self.features(backbone, views.transpose(0, 1).flatten(0, 1))
        return head(feature).unflatten(0, (count, images))

    def _loss(self, student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        config = self.config
        if self.centre is None:
            precision, weight = config.rate_precision, config.rate_weight
            return simdino_loss(student, teacher, precision, weight, together=self.training)
        return dino_loss(student, teacher, config.student_temperature, self.teacher_temperature)

    def _centred(self, outputs: torch.Tensor) -> torch.Tensor:
        return outputs if self.centre is None else self.centre(outputs)

    def _pairs(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Every tensor of the teacher beside the student's."""
        for theirs, ours in ((self.base_model, self.student), (self.head, self.student_head)):
            yield from zip(theirs.parameters(), ours.parameters(), strict=True)
            yield from zip(theirs.buffers(), ours.buffers(), strict=True)


RECORDED = ("last_hidden_state", "hidden_states", "attentions", "z", "z_half")


__all__ = ["TRAINING_ONLY", "SelfDistillation", "SelfDistillationOutput"]
