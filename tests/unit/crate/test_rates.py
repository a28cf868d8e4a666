"""The rates equal their formulas, keep their bounds, and stay finite where formulas are not."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracles import rates as oracle
from torch.utils._python_dispatch import TorchDispatchMode

from whitebox_transformers.crate import rates

SHAPES = [(5, 12), (12, 5), (9, 9), (1, 6), (6, 1), (33, 8)]
few = settings(derandomize=True, max_examples=25, deadline=None)


def tokens(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def near(actual: torch.Tensor, expected: torch.Tensor, tolerance: float = 1e-10) -> None:
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_rates_and_gradients_are_the_formulas(n: int, d: int) -> None:
    z, u = tokens(n, d), tokens(3, d, 4, seed=1)
    columns, bases = z.T, list(u)
    near(rates.coding_rate(z, 0.3), oracle.coding_rate(columns, 0.3))
    raw, unit = rates.coding_rates(z, 0.3)
    near(raw, oracle.coding_rate(columns, 0.3))
    near(unit, oracle.coding_rate(columns / columns.norm(dim=0), 0.3))
    near(rates.compression_rate(z, u, 0.3), oracle.compression_rate(columns, bases, 0.3))
    near(
        rates.rate_reduction(z, u, 0.3),
        oracle.coding_rate(columns, 0.3) - oracle.compression_rate(columns, bases, 0.3),
    )
    near(rates.coding_rate_gradient(z, 0.3).T, oracle.coding_rate_gradient(columns, 0.3))
    near(
        rates.compression_rate_gradient(z, u, 0.3).T,
        oracle.compression_rate_gradient(columns, bases, 0.3),
    )


@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_exact_gradients_are_autograd(n: int, d: int) -> None:
    z, u = tokens(2, n, d).requires_grad_(), tokens(3, d, 4, seed=1)
    (rate,) = torch.autograd.grad(rates.coding_rate(z, 0.2).sum(), z)
    near(rates.coding_rate_gradient(z.detach(), 0.2), rate, 1e-11)
    (compression,) = torch.autograd.grad(rates.compression_rate(z, u, 0.2).sum(), z)
    near(rates.compression_rate_gradient(z.detach(), u, 0.2), compression, 1e-11)


@pytest.mark.parametrize(("norm", "p"), [("l0", 0), ("l1", 1)])
def test_sparse_rate_reduction_subtracts_the_weighted_norm(norm: str, p: int) -> None:
    z, u = tokens(7, 10).relu(), tokens(2, 10, 5, seed=1)
    expected = oracle.sparse_rate_reduction(z.T, list(u), 0.1, 0.7, p)
    near(rates.sparse_rate_reduction(z, u, 0.1, sparsity_weight=0.7, norm=norm), expected)
    with pytest.raises(ValueError, match="'l2'; expected 'l0' or 'l1'"):
        rates.sparse_rate_reduction(z, u, norm="l2")


@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_supervised_rates_weigh_each_group_by_its_share(n: int, d: int) -> None:
    z = tokens(n, d)
    soft = tokens(3, n, seed=2).sigmoid()
    near(
        rates.supervised_compression_rate(z, soft, 0.4),
        oracle.supervised_compression_rate(z.T, list(soft), 0.4),
    )
    labels = torch.arange(n) % 2
    hard = [(labels == k).double() for k in range(2) if (labels == k).any()]
    near(
        rates.supervised_rate_reduction(z, labels, 0.4),
        oracle.coding_rate(z.T, 0.4) - oracle.supervised_compression_rate(z.T, hard, 0.4),
    )


def test_a_group_without_members_adds_nothing_and_has_finite_slopes() -> None:
    z = tokens(4, 6)
    members = torch.zeros(2, 4, dtype=torch.float64)
    members[0] = 1
    members.requires_grad_()
    rate = rates.supervised_compression_rate(z, members)
    near(rate, rates.coding_rate(z))
    rate.backward()
    assert members.grad is not None
    assert members.grad.isfinite().all()


def test_batches_equal_single_samples() -> None:
    z, u, w = tokens(2, 3, 7, 8), tokens(4, 8, 2, seed=1), tokens(2, 3, 4, 7, 2, seed=2)
    labels = torch.arange(7) % 3
    for index in torch.cartesian_prod(torch.arange(2), torch.arange(3)).tolist():
        i = tuple(index)
        near(rates.coding_rate(z)[i], rates.coding_rate(z[i]))
        near(rates.compression_rate(z, u)[i], rates.compression_rate(z[i], u))
        near(
            rates.published_compression_rate(w)[i],
            oracle.published_compression_rate(list(w[i]), 0.01),
        )
        near(
            rates.supervised_rate_reduction(z, labels)[i],
            rates.supervised_rate_reduction(z[i], labels),
        )
        near(
            rates.compression_rate_gradient(z, u)[i],
            rates.compression_rate_gradient(z[i], u),
        )
    none, no_labels = z[:0], labels.expand(0, 3, 7)
    for empty in (rates.rate_reduction(none, u), rates.supervised_rate_reduction(none, no_labels)):
        assert empty.shape == (0, 3)
    assert rates.coding_rate(z[:, :0]).shape == (2, 0)


sizes = st.integers(1, 12)


@few
@given(n=sizes, d=sizes, seed=st.integers(0, 99), eps=st.sampled_from([0.05, 0.1, 1.0, 3.0]))
def test_both_gram_matrices_give_the_same_rate(n: int, d: int, seed: int, eps: float) -> None:
    z = tokens(n, d, seed=seed)
    # Z and Z^T share their singular values; their alphas differ by (d/n)^2, undone by eps.
    near(rates.coding_rate(z, eps), rates.coding_rate(z.T, eps * n / d), 1e-9)


@few
@given(n=st.integers(2, 20), p=sizes, k=st.integers(1, 4), seed=st.integers(0, 99))
def test_published_rate_keeps_its_bounds(n: int, p: int, k: int, seed: int) -> None:
    w = tokens(k, n, p, seed=seed)
    upper = 0.5 * k * p * math.log(1 + 1 / 0.01)
    lower = 0.5 * k * math.log(1 + p / 0.01)
    assert lower - 1e-9 <= rates.published_compression_rate(w) <= upper + 1e-9
    same = w[:, :1].expand(k, n, p)
    near(rates.published_compression_rate(same), torch.tensor(lower, dtype=torch.float64))


@few
@given(n=sizes, d=sizes, seed=st.integers(0, 99))
def test_the_order_of_tokens_does_not_matter(n: int, d: int, seed: int) -> None:
    z, u = tokens(n, d, seed=seed), tokens(2, d, 3, seed=seed + 1)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    near(rates.coding_rate(z[order]), rates.coding_rate(z), 1e-9)
    near(rates.compression_rate(z[order], u), rates.compression_rate(z, u), 1e-9)


@few
@given(n=sizes, d=sizes, seed=st.integers(0, 99))
def test_one_subspace_that_is_everything_reduces_nothing(n: int, d: int, seed: int) -> None:
    z = tokens(n, d, seed=seed)
    near(rates.rate_reduction(z, torch.eye(d, dtype=z.dtype)[None]), torch.zeros(()).double())


def test_tight_frames_reach_the_published_bound() -> None:
    frame = torch.linalg.qr(tokens(32, 8))[0].mT.reshape(1, 8, 32).mT  # orthonormal columns
    hadamard = torch.tensor([[1.0]])
    for _ in range(3):
        hadamard = torch.cat(
            [torch.cat([hadamard, hadamard], 1), torch.cat([hadamard, -hadamard], 1)]
        )
    w = hadamard.repeat(4, 1)[None].double()  # 32 tokens, every direction equally often
    bound = torch.tensor(0.5 * 8 * math.log(101), dtype=torch.float64)
    near(rates.published_compression_rate(w), bound)
    assert rates.published_compression_rate(frame) < bound


class LargestMatrix(TorchDispatchMode):
    """Remembers the most entries any tensor made inside had."""

    def __init__(self) -> None:
        super().__init__()
        self.entries = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(tensor, torch.Tensor):
                self.entries = max(self.entries, tensor.numel())
        return result


@contextmanager
def nothing_above(entries: int) -> Iterator[None]:
    with LargestMatrix() as seen:
        yield
    assert 0 < seen.entries <= entries


def test_only_the_small_gram_matrix_is_ever_made() -> None:
    n, d, k, p = 200, 12, 2, 6
    long = tokens(n, d).requires_grad_()
    u, w = tokens(k, d, p, seed=1), tokens(k, n, p, seed=2).requires_grad_()
    labels = torch.arange(n) % k
    with nothing_above(k * n * d):  # N x N would be 40000
        rates.coding_rate(long).backward()
        rates.compression_rate(long, u).backward()
        rates.published_compression_rate(w).backward()
        rates.supervised_rate_reduction(long, labels).backward()
        rates.compression_rate_gradient(long.detach(), u)
        rates.coding_rate_gradient(long.detach())
    wide = tokens(d, n).requires_grad_()
    with nothing_above(k * n * d):  # d x d would be 40000
        rates.coding_rate(wide).backward()
        rates.coding_rate_gradient(wide.detach())
        rates.supervised_rate_reduction(wide, torch.arange(d) % k).backward()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_low_precision_loses_nothing_beyond_its_input(dtype: torch.dtype) -> None:
    z, u = tokens(20, 16, dtype=dtype), tokens(2, 16, 8, seed=1, dtype=dtype)
    w = tokens(2, 20, 8, seed=2, dtype=dtype)

    def measured(z: torch.Tensor, u: torch.Tensor, w: torch.Tensor) -> list[torch.Tensor]:
        return [
            rates.coding_rate(z),
            rates.compression_rate(z, u),
            rates.published_compression_rate(w),
            rates.supervised_rate_reduction(z, torch.arange(20) % 3),
            rates.coding_rate_gradient(z),
            rates.compression_rate_gradient(z, u),
            rates.sparse_rate_reduction(z, u, norm="l1"),
        ]

    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = measured(z, u, w)
    exact = measured(z.double(), u.double(), w.double())
    for value, expected in zip(found, exact, strict=True):
        assert value.dtype is torch.float32
        torch.testing.assert_close(value.double(), expected, rtol=2e-6, atol=1e-5)


def test_gradients_flow_under_autocast() -> None:
    z = tokens(2, 20, 16, dtype=torch.bfloat16).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rates.coding_rate(z).sum().backward()
    exact = rates.coding_rate_gradient(z.detach().double())
    assert z.grad is not None
    assert z.grad.dtype is torch.bfloat16
    torch.testing.assert_close(z.grad.double(), exact, rtol=1e-2, atol=1e-3)


def degenerate() -> dict[str, torch.Tensor]:
    """Token sets (N, 768) on which a float32 or textbook computation breaks."""
    one = tokens(1, 768, dtype=torch.float32)
    ragged = tokens(197, 768, dtype=torch.float32)
    ragged[::3] = 0
    return {
        "one token": one,
        "identical tokens": (30 * one).expand(197, 768),
        "rank two": 30 * tokens(197, 2, dtype=torch.float32) @ tokens(2, 768, dtype=torch.float32),
        "zero rows": ragged,
        "all zero": torch.zeros(197, 768),
        "one zero token": torch.zeros(1, 768),
        "huge": 1e15 * tokens(4, 768, dtype=torch.float32),
        "tiny": 1e-30 * ragged,
    }


@pytest.mark.parametrize("case", degenerate())
def test_degenerate_tokens_have_finite_rates_and_slopes(case: str) -> None:
    z = degenerate()[case].clone().requires_grad_()
    u = tokens(2, 768, 16, seed=1, dtype=torch.float32)
    heads = z.view(z.shape[0], 12, 64).transpose(0, 1)
    for rate in (
        rates.coding_rate(z),
        rates.coding_rate(rates.unit_norm(z)),
        sum(rates.coding_rates(z)),
        rates.compression_rate(z, u),
        rates.published_compression_rate(heads),
        rates.supervised_rate_reduction(z, torch.arange(z.shape[0]) % 3),
    ):
        (slope,) = torch.autograd.grad(rate, z, retain_graph=True)
        assert rate.isfinite()
        assert slope.isfinite().all()
    assert rates.coding_rate_gradient(z.detach()).isfinite().all()
    assert rates.compression_rate_gradient(z.detach(), u).isfinite().all()


def test_identical_tokens_have_the_rate_of_their_one_direction() -> None:
    z = degenerate()["identical tokens"]
    exact = 0.5 * math.log1p(768 / 0.01 * float(z[0].double().square().sum()))
    assert rates.coding_rate(z).item() == pytest.approx(exact, rel=1e-5)
    assert rates.coding_rate(torch.zeros(3, 5)).item() == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rates.coding_rate(torch.zeros(0, 4)), r"\(0, 4\); expected \(\.\.\., N, d\)"),
        (lambda: rates.coding_rate(torch.zeros(4)), r"\(4,\); expected"),
        (lambda: rates.published_compression_rate(torch.zeros(3, 2)), r"\(\.\.\., K, N, P\)"),
        (lambda: rates.coding_rate(torch.zeros(2, 2).long()), "torch.int64; expected real"),
        (lambda: rates.coding_rate(torch.full((3, 4), torch.nan)), "NaN or infinite"),
        (lambda: rates.coding_rate(torch.full((1, 4), torch.inf)), "NaN or infinite"),
        (lambda: rates.coding_rate(torch.ones(3, 4), eps=0.0), "eps is 0.0"),
        (lambda: rates.coding_rate_gradient(torch.ones(3, 4), eps=-0.1), "eps is -0.1"),
        (lambda: rates.published_compression_rate(torch.ones(1, 2, 3), -1.0), "-1.0; expected"),
        (lambda: rates.compression_rate(torch.ones(3, 4), torch.ones(2, 5, 2)), "d = 4"),
        (lambda: rates.supervised_rate_reduction(torch.ones(3, 4), torch.ones(2)), "N = 3"),
        (lambda: rates.supervised_rate_reduction(torch.ones(3, 4), torch.ones(3)), "one axis"),
        (
            lambda: rates.supervised_rate_reduction(torch.ones(3, 4), torch.tensor([0, -1, 1])),
            "negative",
        ),
        (
            lambda: rates.supervised_compression_rate(
                torch.full((3, 4), torch.nan), torch.tensor([0, 1, 1])
            ),
            "NaN or infinite",
        ),
        (
            lambda: rates.supervised_compression_rate(
                torch.ones(3, 4), torch.full((2, 3), torch.nan)
            ),
            "NaN",
        ),
        (lambda: rates.nonzero_share(torch.zeros(0, 4)), "no axis empty"),
        (lambda: rates.subspace_bases(torch.ones(10, 4), 3), "10 rows .* 3 subspaces"),
    ],
)
def test_impossible_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_bases_are_the_columns_of_the_projection() -> None:
    weight, z = tokens(6, 5), tokens(7, 5, seed=1)
    u = rates.subspace_bases(weight, heads=2)
    assert u.shape == (2, 5, 3)
    near(z @ u[1], (z @ weight.T)[:, 3:])


def test_nonzero_share_counts_exact_zeros() -> None:
    z = torch.tensor([[[0.0, 1.0], [0.0, 0.0]], [[1e-30, -2.0], [3.0, -0.0]]])
    assert rates.nonzero_share(z).tolist() == [0.25, 0.75]


def test_the_authors_plotting_code() -> None:
    folder = os.environ.get("WBT_GOLDEN")
    if folder is None:
        pytest.skip("WBT_GOLDEN is not set")
    from safetensors.torch import load_file

    golden = load_file(Path(folder) / "coding_rate.safetensors")
    rate = rates.published_compression_rate(golden["subspace_tokens"], eps_squared=0.01)
    torch.testing.assert_close(rate.mean(), golden["mean"], rtol=1e-5, atol=0)
    torch.testing.assert_close(rate.std(), golden["std"], rtol=1e-4, atol=0)
