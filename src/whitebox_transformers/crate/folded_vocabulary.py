"""The vocabulary matrix for inference, one token at a time.

Legend: D width, V vocabulary, S non-zero coordinates of a token.

Writing one token means reading the whole matrix (V, D), most of the numbers of a small model. Here
the V numbers of a coordinate lie side by side, which a product with one token reads faster than
rows of D. And where Z^L comes from ISTA with nothing in between, most coordinates of a token are
exactly zero: then only the S rows of the others need be read.
"""

import torch
import torch.nn.functional as F
from torch import nn

from .products import linear

# Above this share the gain is small and was not measured well: with (50304, 768) numbers the sum of
# rows took 0.61 of a plain product's time at a share of 0.5, and of the CPU time of one thread 0.77
# at 0.8 and 0.82 at 0.9.
WORTHWHILE = 0.8


class FoldedVocabulary(nn.Linear):
    """The scores of ``head``, whose weight it takes over and lays out anew: (..., D) to (..., V).

    What the weight is tied to stays tied. With ``skip_zeros`` a single token of float32 on the CPU
    is multiplied by the rows alone that meet its non-zero coordinates.
    """

    def __init__(self, head: nn.Linear, skip_zeros: bool = False):
        super().__init__(head.in_features, head.out_features, bias=False, device="meta")
        head.weight.data = head.weight.data.T.contiguous().T
        self.weight, self.skip_zeros = head.weight, skip_zeros

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        single = z.numel() == self.in_features and z.device.type == "cpu"
        if self.skip_zeros and single and not torch.compiler.is_compiling():
            token = z.flatten()
            (places,) = token.nonzero(as_tuple=True)
            if len(places) <= WORTHWHILE * len(token):
                return row_sum(self.weight.T, places, token[places]).view(*z.shape[:-1], -1)
        return F.linear(z, self.weight) if single else linear(z, self.weight)


def row_sum(rows: torch.Tensor, places: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """``sum_s factors[s] * rows[places[s]]``, without a copy of the rows.

    Args:
        rows: (D, V), contiguous.
        places: Which rows, (S,).
        factors: (S,), of the rows' type.

    Returns:
        (V,).
    """
    width, columns = rows.shape
    # One thread sums one bag: so each gets a stretch of the columns.
    threads = torch.get_num_threads()
    stretches = threads if columns % threads == 0 else 1
    parts = rows.view(width * stretches, columns // stretches)
    bags = places * stretches + torch.arange(stretches)[:, None]
    sums = F.embedding_bag(
        bags.flatten(),
        parts,
        offsets=torch.arange(stretches) * len(places),
        mode="sum",
        per_sample_weights=factors.repeat(stretches),
    )
    return sums.flatten()


__all__ = ["FoldedVocabulary", "row_sum"]
