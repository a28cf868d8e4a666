"""One product, whichever library computes it."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from whitebox_transformers.crate import products
from whitebox_transformers.crate.products import Linear, linear


@pytest.fixture(params=["as this machine", "oneDNN wherever it can"])
def library(request, monkeypatch) -> None:
    if request.param != "as this machine":
        possible = hasattr(torch.ops.mkldnn, "_linear_pointwise")
        monkeypatch.setattr(products, "onednn_is_faster", lambda: possible)
        monkeypatch.setattr(products, "LEAST", 1)


def operands(rows: tuple[int, ...], width: int, out: int, layout: str) -> list[torch.Tensor]:
    """Tokens, matrix and bias in float64, laid out in memory in one of several ways."""
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    x, weight, bias = draw(*rows, width), draw(out, width), draw(out)
    if layout == "transposed":
        x, weight = x.mT.contiguous().mT, weight.T.contiguous().T
    elif layout == "sliced":
        x, weight = draw(*rows, 2 * width)[..., ::2], draw(3 * out, width)[1::3]
    elif layout == "repeated":
        x, bias = draw(width).expand(*rows, width), draw(1).expand(out)
    return [x, weight, bias]


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("layout", ["plain", "transposed", "sliced", "repeated"])
@pytest.mark.parametrize("rows", [(5,), (1,), (2, 7), (2, 3, 1)])
@pytest.mark.parametrize("with_bias", [True, False])
def test_values_and_gradients_of_both_orders(rows, layout, with_bias) -> None:
    exact = [t.requires_grad_() for t in operands(rows, 6, 9, layout)[: 2 + with_bias]]
    found = [t.detach().to(torch.float32).requires_grad_() for t in exact]
    results = []
    for operation, inputs in ((F.linear, exact), (linear, found)):
        y = operation(*inputs)
        first = torch.autograd.grad(y.sin().sum() + y.sum(), inputs, create_graph=True)
        second = torch.autograd.grad(sum(g.square().sum() for g in first), inputs)
        results.append([y, *first, *second])
    torch.testing.assert_close([t.double() for t in results[1]], results[0], rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("library")
def test_what_is_not_plain_float32_is_left_to_pytorch() -> None:
    x, weight, bias = operands((3,), 4, 5, "plain")
    for dtype in (torch.float64, torch.bfloat16, torch.float16):
        cast = [t.to(dtype) for t in (x, weight, bias)]
        assert torch.equal(linear(*cast), F.linear(*cast))
    single = [t.float() for t in (x, weight, bias)]
    with torch.autocast("cpu"):
        assert linear(*single).dtype == torch.bfloat16
    assert linear(single[0][:0], *single[1:]).shape == (0, 5)
    assert linear(single[0][0], *single[1:]).shape == (5,)
    assert linear(single[0].to("meta"), single[1].to("meta")).shape == (3, 5)
    mapped = torch.func.vmap(lambda row: linear(row, single[1]))(single[0][:, None])
    torch.testing.assert_close(mapped, F.linear(single[0], single[1])[:, None])
    compiled = torch.compile(linear, fullgraph=True, backend="eager")
    assert torch.equal(compiled(*single), F.linear(*single))


@pytest.mark.usefixtures("library")
def test_a_module_like_pytorchs() -> None:
    module = Linear(6, 4)
    plain = torch.nn.Linear(6, 4)
    plain.load_state_dict(module.state_dict())
    x = torch.randn(2, 3, 6)
    for same in (module, copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        torch.testing.assert_close(same(x), plain(x))
    with FlopCounterMode(display=False) as counter:
        module(x)
        with torch.no_grad():
            module(x)
    assert counter.get_total_flops() == 2 * 2 * (6 * 6 * 4)
