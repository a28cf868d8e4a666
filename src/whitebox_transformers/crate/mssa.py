"""MSSA: the compression step, attention whose query, key and value are one projection.

Legend: B batch, N tokens, D width, K heads (subspaces), P head width. Tokens are rows.

From the gradient of the coding rate in subspaces U_1..U_K (arXiv 2306.01129, equations 9 to 12, and
again in arXiv 2311.13110): with the projections ``w_k = Z U_k`` every head averages,
``SSA_k(Z) = softmax(w_k w_k^T / sqrt(P)) w_k``, and the K averages return to width D by an output
matrix, in the derivation [U_1, ..., U_K], in the published network a learned one. The scale
``1 / sqrt(P)`` is the authors' code's.
"""

import torch
from torch import nn
from transformers import initialization as init
from transformers.utils.generic import maybe_autocast

from .attention import SelfAttention, StepOutput
from .products import Linear, linear


class Subspaces(Linear):
    """u = U^T z for all subspaces at once: (B, N, D) to (B, N, K * P), no bias.

    Rows k*P to (k+1)*P - 1 of the weight are U_k^T. With ``orthonormal`` every U_k is replaced
    by the orthonormal basis of its span that a Cholesky factor gives, differentiably.
    """

    def __init__(self, width: int, heads: int, head_dim: int, orthonormal: bool):
        super().__init__(width, heads * head_dim, bias=False)
        self.heads, self.head_dim, self.orthonormal = heads, head_dim, orthonormal

    def effective_weight(self) -> torch.Tensor:
        """The matrix that is applied, (K * P, D): the weight, or its orthonormal form."""
        if not self.orthonormal:
            return self.weight
        with maybe_autocast(self.weight.device.type, enabled=False):
            # The Gram matrix squares the condition number, too much for float32 where P nears D.
            wide = torch.float32 if self.weight.device.type == "mps" else torch.float64
            rows = self.weight.to(wide).view(self.heads, self.head_dim, -1)
            factor = torch.linalg.cholesky(rows @ rows.mT)
            basis = torch.linalg.solve_triangular(factor, rows, upper=False)
            return basis.flatten(0, 1).to(self.weight.dtype)

    def bases(self) -> torch.Tensor:
        """U_1..U_K as applied, (K, D, P)."""
        return self.effective_weight().view(self.heads, self.head_dim, -1).mT

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return linear(z, self.effective_weight())


class FixedOutput(nn.Module):
    """A random output matrix that is saved but never trained: (B, N, K * P) to (B, N, D)."""

    weight: torch.Tensor

    def __init__(self, inner: int, width: int):
        super().__init__()
        self.register_buffer("weight", torch.empty(width, inner))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the matrix as a fresh Linear's."""
        bound = self.weight.shape[1] ** -0.5
        init.uniform_(self.weight, -bound, bound)

    def forward(self, averages: torch.Tensor) -> torch.Tensor:
        return linear(averages, self.weight)


class TiedOutput(nn.Module):
    """[U_1, ..., U_K] (``tied``) or its transpose (``transpose``) as the output matrix."""

    def __init__(self, transpose: bool):
        super().__init__()
        self.transpose = transpose

    def forward(self, averages: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return linear(averages, weight if self.transpose else weight.T)


class SubspaceStep(SelfAttention):
    """A step that projects on subspaces and returns from them, (B, N, D) to (B, N, D).

    What the heads make of the projections is up to the subclass. The output matrix is the
    configuration's ``mssa_output``. With ``first_token_only`` the step is that of the first token,
    (B, 1, D).
    """

    def __init__(self, config, layer_idx: int = 0):
        super().__init__(config, layer_idx)
        width, inner = config.hidden_size, self.num_heads * self.head_dim
        self.subspaces = Subspaces(
            width, self.num_heads, self.head_dim, config.orthonormal_subspaces
        )
        if config.mssa_output == "learned":
            self.output = StepOutput(inner, width, bias=config.mssa_output_bias)
        elif config.mssa_output == "fixed":
            self.output = FixedOutput(inner, width)
        elif config.mssa_output == "identity":
            self.output = nn.Identity()
        else:
            self.output = TiedOutput(transpose=config.mssa_output == "transpose")

    def forward(
        self,
        z: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        first_token_only: bool = False,
        **kwargs,
    ) -> torch.Tensor:
        u = self.subspaces(z)
        w = u.unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2)
        query = w[:, :, :1] if first_token_only else w
        averages = self.averages(query, w, w, attention_mask, **kwargs)
        if isinstance(self.output, TiedOutput):
            step = self.output(averages, self.subspaces.effective_weight())
        else:
            step = self.output(averages)
        return self.dropout(step)


class MSSA(SubspaceStep):
    """Multi-head subspace self-attention, (B, N, D) to (B, N, D).

    Attention runs through ``ALL_ATTENTION_FUNCTIONS`` with one tensor as query, key and value, and
    a cache of past tokens holds that one tensor.
    """


__all__ = ["MSSA", "FixedOutput", "SubspaceStep", "Subspaces", "TiedOutput"]
