"""Learning without labels from two networks: what DINO and SimDINO minimise.

DINO is arXiv 2104.14294, SimDINO arXiv 2502.10385. Legend: V views seen by the student, of which
the first G are the teacher's too; B images, D width of a feature, P width of the bottleneck, K
prototypes.
"""

import torch
import torch.nn.functional as F
from torch import nn
from transformers import initialization as init

from .products import Linear, linear
from .rates import coding_rate


class Prototypes(nn.Module):
    """Cosines with K directions: unit vectors (..., P) to (..., K).

    The weight-normed last layer of DINO, its norms fixed at 1.
    """

    def __init__(self, width: int, count: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(count, width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the directions as PyTorch draws a linear map."""
        bound = self.weight.shape[1] ** -0.5
        init.uniform_(self.weight, -bound, bound)

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        return linear(y, F.normalize(self.weight, dim=-1))


class HeadLinear(Linear):
    """A linear map of the head, which begins as DINO's do."""

    def reset_parameters(self) -> None:
        """Weights from a normal of deviation 0.02, biases 0."""
        init.trunc_normal_(self.weight, std=0.02)
        init.zeros_(self.bias)


class DistillationHead(nn.Module):
    """Features (..., D) to what two views of an image should agree in.

    Three linear maps with GELU, scaled to unit length (..., P); with the objective ``dino`` then
    cosines with the prototypes, (..., K).
    """

    def __init__(self, config):
        super().__init__()
        width, hidden = config.hidden_size, config.head_hidden_size
        self.mlp = nn.Sequential(
            HeadLinear(width, hidden),
            nn.GELU(),
            HeadLinear(hidden, hidden),
            nn.GELU(),
            HeadLinear(hidden, config.head_bottleneck_size),
        )
        self.prototypes = None
        if config.objective == "dino":
            self.prototypes = Prototypes(config.head_bottleneck_size, config.num_prototypes)

    def forward(self, feature: torch.Tensor) -> torch.Tensor:
        y = F.normalize(self.mlp(feature), dim=-1)
        return y if self.prototypes is None else self.prototypes(y)


class Centre(nn.Module):
    """A running mean of the teacher's outputs (..., K), which is taken off them.

    Outputs of a step are added up, whatever the number of pieces it is cut into and of processes
    that share it, and move the mean once, at its end.
    """

    mean: torch.Tensor

    def __init__(self, count: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(count))
        self._total: torch.Tensor | None = None
        self._rows = 0

    def reset_parameters(self) -> None:
        """Begin at 0."""
        init.zeros_(self.mean)

    def forward(self, outputs: torch.Tensor) -> torch.Tensor:
        return outputs.float() - self.mean

    @torch.no_grad()
    def see(self, outputs: torch.Tensor) -> None:
        """Remember outputs (..., K) of this step."""
        rows = outputs.detach().float().flatten(0, -2)
        total = rows.sum(0)
        self._total = total if self._total is None else self._total + total
        self._rows += len(rows)

    @torch.no_grad()
    def move(self, momentum: float) -> None:
        """``momentum`` of the old mean and the rest of this step's; nothing if none was seen."""
        if self._total is None:
            return
        seen = torch.cat([self._total, self._total.new_tensor([float(self._rows)])])
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(seen)
        self.mean.lerp_(seen[:-1] / seen[-1], 1 - momentum)
        self._total, self._rows = None, 0


def dino_loss(
    student: torch.Tensor,
    teacher: torch.Tensor,
    student_temperature: float,
    teacher_temperature: float,
) -> torch.Tensor:
    """Cross-entropy of the student's distribution under the teacher's, over pairs of views.

    The mean over images and over all pairs of a teacher's and a student's view that differ.

    Args:
        student: Outputs (V, B, K).
        teacher: Centred outputs (G, B, K) for the first G of these views.
        student_temperature: Divides ``student`` before the softmax.
        teacher_temperature: Divides ``teacher`` likewise.
    """
    aims = F.softmax(teacher.float() / teacher_temperature, dim=-1)
    logs = F.log_softmax(student.float() / student_temperature, dim=-1)
    return -_over_different_views(torch.einsum("gbk,vbk->gv", aims, logs)) / student.shape[1]


def simdino_loss(
    student: torch.Tensor,
    teacher: torch.Tensor,
    precision: float,
    weight: float,
    together: bool = False,
) -> torch.Tensor:
    """Half the squared distance of two views, less the coding rate of the student's features.

    The distance is the mean over images and pairs of views that differ, teacher's to student's;
    the rate R(Z) of :func:`.rates.coding_rate`, in nats, is that of the B images in one view, its
    mean over the first G views. It keeps the features apart in place of prototypes and centre.

    Args:
        student: Features of unit length (V, B, P).
        teacher: Likewise, (G, B, P), for the first G of these views.
        precision: eps of the rate.
        weight: gamma, by which the rate counts.
        together: Whether the rate is that of the images of all processes that train, which must
            have as many each; the mean of their gradients is then that of one process with all.

    Raises:
        ValueError: One image only, whose rate says nothing.
    """
    views, images = teacher.shape[:2]
    rated = of_all_processes(student[:views]) if together else student[:views]
    if rated.shape[1] < 2:
        raise ValueError("the objective 'simdino' compares images; a batch of 1 has nothing to.")
    cosines = torch.einsum("gbp,vbp->gv", teacher.float(), student.float()) / images
    distance = 1 - _over_different_views(cosines)
    return distance - weight * coding_rate(rated, precision).mean()


def of_all_processes(features: torch.Tensor) -> torch.Tensor:
    """Features (V, B, P) of every process side by side, (V, processes * B, P).

    Gradients reach this process's own, multiplied by the number of processes: whoever trains them
    together takes the mean of their gradients, where the sum is meant.
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return features
    processes = torch.distributed.get_world_size()
    own = features.detach().contiguous()
    parts = [torch.empty_like(own) for _ in range(processes)]
    torch.distributed.all_gather(parts, own)
    parts[torch.distributed.get_rank()] = own + processes * (features - own)
    return torch.cat(parts, dim=1)


def _over_different_views(pairs: torch.Tensor) -> torch.Tensor:
    """The mean of entries (G, V) whose two views are not the same."""
    aims, views = pairs.shape
    return (pairs.sum() - pairs.diagonal().sum()) / (aims * views - aims)


__all__ = ["Centre", "DistillationHead", "HeadLinear", "Prototypes", "dino_loss", "simdino_loss"]
