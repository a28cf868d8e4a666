"""The window adds weighted neighbours of the same document, and nothing else."""

from __future__ import annotations

import pytest
import torch

from whitebox_transformers.crate import CrateBertConfig, CrateGPTConfig
from whitebox_transformers.crate.block import CrateLayer
from whitebox_transformers.crate.window import Window

SIZES = {"vocab_size": 11, "hidden_size": 6, "num_attention_heads": 2, "num_hidden_layers": 1,
         "pad_token_id": None, "bos_token_id": None, "eos_token_id": None}  # fmt: skip


def window(causal: bool, width: int) -> Window:
    config = (CrateGPTConfig if causal else CrateBertConfig)(**SIZES, window=width)
    module = Window(config).double()
    generator = torch.Generator().manual_seed(width)
    torch.nn.init.normal_(module.weight, generator=generator)
    return module


def draw(batch: int, count: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, count, 6, generator=generator, dtype=torch.float64)


def neighbours(causal: bool, width: int) -> range:
    return range(1 - width, 1) if causal else range(-(width // 2), width // 2 + 1)


def written_out(z, weight, offsets, documents):
    """One token and one offset at a time; ``documents`` (B, N) numbers them, -1 is padding."""
    rows = []
    for tokens, document in zip(z, documents, strict=True):
        row = []
        for t in range(len(tokens)):
            total = tokens[t]
            for w, offset in zip(weight, offsets, strict=True):
                there = t + offset
                if 0 <= there < len(tokens) and document[there] == document[t] != -1:
                    total = total + w * tokens[there]
            row.append(total)
        rows.append(torch.stack(row))
    return torch.stack(rows)


def positions_of(documents: torch.Tensor) -> torch.Tensor:
    """0, 1, 2, ... in each document, -1 on padding."""
    positions = torch.full_like(documents, -1)
    for row in range(len(documents)):
        for document in documents[row].unique():
            if document != -1:
                inside = documents[row] == document
                positions[row, inside] = torch.arange(int(inside.sum()))
    return positions


CASES = [(True, 2), (True, 3), (True, 5), (False, 3), (False, 5)]


@pytest.mark.parametrize(("causal", "width"), CASES)
@pytest.mark.parametrize("count", [1, 2, 7])
def test_one_document_a_row_needs_no_positions(causal: bool, width: int, count: int) -> None:
    module, z = window(causal, width), draw(2, count).requires_grad_()
    whole = torch.zeros(2, count, dtype=torch.long)
    expected = written_out(z, module.weight, neighbours(causal, width), whole)
    torch.testing.assert_close(module(z), expected)
    parts = [z, module.weight]
    found = torch.autograd.grad((module(z) * draw(2, count, 1)).sum(), parts)
    wanted = torch.autograd.grad((expected * draw(2, count, 1)).sum(), parts)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(module(z, torch.arange(count)[None]), expected)


@pytest.mark.parametrize(("causal", "width"), CASES)
def test_it_does_not_reach_into_another_document_or_padding(causal: bool, width: int) -> None:
    documents = torch.tensor([[0, 0, 0, 1, 1, 2, 3, 3, 3], [-1, -1, 0, 0, 0, 0, 0, -1, -1]])
    module, z = window(causal, width), draw(2, 9)
    expected = written_out(z, module.weight, neighbours(causal, width), documents)
    found = module(z, positions_of(documents))
    real = documents != -1
    torch.testing.assert_close(found[real], expected[real])


@pytest.mark.parametrize("width", [2, 3])
def test_it_starts_as_the_identity_with_a_weight_for_every_place(width: int) -> None:
    module = Window(CrateGPTConfig(**SIZES, window=width))
    z = draw(2, 5).float()
    assert torch.equal(module(z), z)
    assert module.weight.shape == (width, 6)
    module(z).square().sum().backward()
    assert (module.weight.grad.abs().sum(-1) > 0).all()


@pytest.mark.parametrize(
    ("config", "value", "message"),
    [
        (CrateGPTConfig, 1, "window=1 must be at least 2"),
        (CrateGPTConfig, -3, "window=-3 must be at least 2"),
        (CrateBertConfig, 4, "window=4 must be an odd number from 3"),
        (CrateBertConfig, 1, "window=1 must be an odd number from 3"),
    ],
)
def test_a_window_that_is_none_is_refused(config, value: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config(**SIZES, window=value)


@pytest.mark.parametrize("fields", [{}, {"window": 3, "sparsification": "none"}])
def test_a_window_in_front_of_nothing_is_refused(fields: dict) -> None:
    with pytest.raises(ValueError, match="window_at='both' changes nothing"):
        CrateGPTConfig(**SIZES, window_at="both", **fields)


def test_each_step_has_a_window_of_its_own() -> None:
    layer = CrateLayer(CrateGPTConfig(**SIZES, window=3, window_at="both"))
    assert layer.compress.window is not layer.sparsify.window
    assert CrateLayer(CrateGPTConfig(**SIZES, window=3)).sparsify.window is None
