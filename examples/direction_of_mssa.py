"""Does Z + MSSA(Z) compress? It depends on which rate is asked.

Tokens in tight clusters, orthonormal subspaces, the derivation's own output matrix. The step
towards the average of similar tokens lowers the `published` rate, which looks at directions, and
raises the `definition` rate, which also looks at lengths. Subtracting does the opposite to lengths.

    python examples/direction_of_mssa.py
"""

import torch

from whitebox_transformers.crate.attention import attention_weights
from whitebox_transformers.crate.rates import compression_rate, published_compression_rate

WIDTH, HEADS, HEAD_WIDTH, TOKENS, CLUSTERS = 48, 6, 8, 100, 5


def rates(z: torch.Tensor, u: torch.Tensor) -> dict[str, float]:
    """Both conventions of R^c for tokens z (N, D) and bases u (K, D, P)."""
    return {
        "definition": compression_rate(z, u).item(),
        "published": published_compression_rate(z @ u).item(),
    }


def clustered_tokens() -> torch.Tensor:
    """Tokens (N, D) of a few tight clusters, mean 0 and variance 1 along the width."""
    centres = torch.randn(CLUSTERS, WIDTH)
    tokens = centres[torch.arange(TOKENS) % CLUSTERS] + 0.3 * torch.randn(TOKENS, WIDTH)
    return torch.nn.functional.layer_norm(tokens, (WIDTH,))


def compare() -> dict[str, dict[str, float]]:
    """Rates of Z, Z + MSSA(Z) and Z - MSSA(Z)."""
    torch.manual_seed(0)
    basis, _ = torch.linalg.qr(torch.randn(WIDTH, HEADS * HEAD_WIDTH))
    u = basis.view(WIDTH, HEADS, HEAD_WIDTH).transpose(0, 1)  # (K, D, P)
    z = clustered_tokens()
    w = z @ u  # (K, N, P)
    weights = attention_weights(w[None], w[None], mask=None, scaling=HEAD_WIDTH**-0.5)[0]
    step = (weights @ w @ u.mT).sum(0)  # (N, D)
    return {
        "Z": rates(z, u),
        "Z + MSSA(Z)": rates(z + step, u),
        "Z - MSSA(Z)": rates(z - step, u),
    }


if __name__ == "__main__":
    for name, values in compare().items():
        numbers = (f"{convention} {value:6.1f}" for convention, value in values.items())
        print(f"{name:12}", "   ".join(numbers))
