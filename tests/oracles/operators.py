"""Plain transcriptions of the two operators and of one whole classifier.

Written from the published formulas as they stand: explicit softmax attention, three products in
ISTA, nothing fused. Tokens are rows. The tests compare the library with these, and the benchmarks
time against them.
"""

import torch
import torch.nn.functional as F


def subspace_attention(y, subspaces, heads, scale=None, causal=False):
    """softmax(W_k W_k^T / sqrt(p)) W_k for every head k, concatenated: (B, N, D) to (B, N, KP).

    Causal: a token averages itself and those before it.
    """
    batch, tokens, _ = y.shape
    w = y @ subspaces.T
    w = w.reshape(batch, tokens, heads, -1).permute(0, 2, 1, 3)
    scale = w.shape[-1] ** -0.5 if scale is None else scale
    scores = w @ w.transpose(-1, -2) * scale
    if causal:
        later = torch.ones(tokens, tokens, dtype=torch.bool, device=y.device).triu(1)
        scores = scores.masked_fill(later, -torch.inf)
    weights = torch.softmax(scores, dim=-1)
    return (weights @ w).permute(0, 2, 1, 3).reshape(batch, tokens, -1)


def ista(v, dictionary, eta, lam):
    """relu(v + eta (D^T v - D^T D v) - eta lambda), three products."""
    dictionary_v = v @ dictionary.T
    gram_v = dictionary_v @ dictionary
    correlation = v @ dictionary
    return F.relu(v + eta * (correlation - gram_v) - eta * lam)


def ista_from_zero(v, dictionary, eta, lam, steps):
    """T proximal steps on (1/2)|v - D a|^2 + lam |a|_1, a >= 0, from a = 0; D is (D, M)."""
    codes = torch.zeros(*v.shape[:-1], dictionary.shape[1], dtype=v.dtype)
    for _ in range(steps):
        gradient = (codes @ dictionary.T - v) @ dictionary
        codes = F.relu(codes - eta * gradient - eta * lam)
    return codes


def majorizer(v, dictionary, lam, eps):
    """Appendix A.3: relu((1 + 4 / (9 (1 + alpha))) D^T v - 4 lam / (9 alpha))."""
    tokens, width = v.shape[-2:]
    alpha = width / (tokens * eps**2)
    return F.relu((1 + 4 / (9 * (1 + alpha))) * (v @ dictionary) - 4 * lam / (9 * alpha))


def patches(pixels, size):
    """b c (h p1) (w p2) -> b (h w) (p1 p2 c)."""
    batch, channels, height, width = pixels.shape
    x = pixels.reshape(batch, channels, height // size, size, width // size, size)
    return x.permute(0, 2, 4, 3, 5, 1).reshape(batch, -1, size * size * channels)


def classify(p, pixels, *, patch, heads, depth, eta=0.1, lam=0.1):
    """Logits of the published classifier from the library's parameters by name.

    Args:
        p: ``dict(model.named_parameters())`` of a CrateForImageClassification.
        pixels: (B, channels, height, width) of the configured size.
    """

    def norm(x, name, eps=1e-5):
        return F.layer_norm(x, x.shape[-1:], p[f"{name}.weight"], p[f"{name}.bias"], eps)

    def linear(x, name):
        return F.linear(x, p[f"{name}.weight"], p[f"{name}.bias"])

    embed = "crate.embeddings.patch_embeddings"
    z = norm(patches(pixels, patch), f"{embed}.norm_in")
    z = norm(linear(z, f"{embed}.projection"), f"{embed}.norm_out")
    cls = p["crate.embeddings.cls_token"].expand(len(z), -1, -1)
    z = torch.cat([cls, z], dim=1) + p["crate.embeddings.position_embeddings"]
    for index in range(depth):
        layer = f"crate.stack.layers.{index}"
        y = norm(z, f"{layer}.compress.norm")
        averages = subspace_attention(y, p[f"{layer}.compress.mssa.subspaces.weight"], heads)
        z = z + linear(averages, f"{layer}.compress.mssa.output")
        v = norm(z, f"{layer}.sparsify.norm")
        z = ista(v, p[f"{layer}.sparsify.ista.dictionary"], eta, lam)
    return linear(norm(z[:, 0], "classifier.norm"), "classifier.linear")
