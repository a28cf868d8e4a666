"""Dictionaries: their atoms, fresh ones, and the linear map from codes back to tokens.

Legend: B batch, N tokens, D width, M atoms. Tokens are rows.
"""

import torch
from torch import nn
from transformers import initialization as init

from .products import linear


def draw_dictionary(dictionary: torch.Tensor, distribution: str = "kaiming") -> None:
    """Fill a dictionary in place.

    Args:
        dictionary: Atoms as columns, (D, M).
        distribution: ``kaiming``, uniform with variance 2 / D as the authors draw it, or
            ``orthogonal``: a random rotation, or with more atoms than width orthonormal rows. The
            largest eta with which a step is sure to descend, ``1 / ||D||^2``, is 1 for
            ``orthogonal`` and about 1/8 for a square ``kaiming``.
    """
    if distribution == "orthogonal":
        init.orthogonal_(dictionary)
        return
    # The fan-in is the width whatever the number of atoms; PyTorch's Kaiming initialiser would take
    # M and start an overcomplete dictionary sqrt(M / D) too small.
    bound = (6 / dictionary.shape[0]) ** 0.5
    init.uniform_(dictionary, -bound, bound)


class DictionaryBlock(nn.Module):
    """What every block on a dictionary shares: the atoms, and a place to see the coefficients."""

    def __init__(self, config, atoms: int):
        super().__init__()
        self.dictionary = nn.Parameter(torch.empty(config.hidden_size, atoms))
        self.distribution = config.dictionary_init
        # In the data path, so that a hook on it sees and may replace the coefficients.
        self.codes = nn.Identity()
        draw_dictionary(self.dictionary, self.distribution)

    def reset_parameters(self) -> None:
        """Fresh dictionary from the configured distribution."""
        draw_dictionary(self.dictionary, self.distribution)


class LinearDictionary(DictionaryBlock):
    """``D z``: coefficients back to what they stand for, without threshold, as in the decoder.

    Where the dictionary is orthogonal, ISTA with eta = 1 and lambda = 0 is ``D^T z`` for codes of
    any sign, of which this is the inverse. With ``dictionary_transposed`` it is ``D^T z`` itself.
    Shape: (B, N, D) to (B, N, D).
    """

    def __init__(self, config):
        super().__init__(config, atoms=config.hidden_size)
        self.transposed = config.dictionary_transposed

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        codes = self.codes(codes)
        return linear(codes, self.dictionary.T if self.transposed else self.dictionary)


__all__ = ["DictionaryBlock", "LinearDictionary", "draw_dictionary"]
