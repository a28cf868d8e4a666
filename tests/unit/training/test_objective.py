import pytest
import torch
from torch import nn

from whitebox_transformers.training.objective import (
    ClassificationLoss,
    RegressionLoss,
    TokenLoss,
)


def smoothed_cross_entropy(logits, target, smoothing):
    """(1 - s) * (-sum q log p) + s * (-mean over classes of log p), image by image."""
    log_p = logits - logits.exp().sum(-1, keepdim=True).log()
    return (1 - smoothing) * -(target * log_p).sum(-1) + smoothing * -log_p.mean(-1)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_is_the_formula_and_pieces_add_up_to_the_whole(soft, smoothing):
    torch.manual_seed(0)
    logits = torch.randn(10, 7, dtype=torch.float64, requires_grad=True)
    target = torch.rand(10, 7, dtype=torch.float64).softmax(-1)
    labels = target.float() if soft else torch.arange(10) % 7
    if not soft:
        target = nn.functional.one_hot(labels, 7).double()
    expected = smoothed_cross_entropy(logits, target, smoothing).mean()
    loss = ClassificationLoss(smoothing)
    assert loss.count(labels) == 10
    whole = loss({"logits": logits}, labels, 10)
    torch.testing.assert_close(whole.double(), expected, rtol=1e-5, atol=1e-6)
    pieces = [
        loss({"logits": logits[part]}, labels[part], torch.tensor(10))
        for part in (slice(0, 3), slice(3, 10))
    ]
    torch.testing.assert_close(sum(pieces), whole)


@pytest.mark.parametrize("shifted", [False, True], ids=["in-place", "shifted"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_every_token_weighs_the_same_however_the_batch_is_cut(shifted, smoothing):
    """Against the formula, token by token; the pieces hold very different numbers of tokens."""
    torch.manual_seed(0)
    logits = torch.randn(5, 6, 9, requires_grad=True)
    labels = torch.randint(9, (5, 6))
    labels[0, 2:], labels[1], labels[:, 0] = -100, -100, -100
    terms = []
    for row in range(5):
        for place in range(1, 6):
            if labels[row, place] < 0:
                continue
            read = logits[row, place - 1 if shifted else place].double()
            target = nn.functional.one_hot(labels[row, place], 9).double()
            terms.append(smoothed_cross_entropy(read, target, smoothing))
    expected = torch.stack(terms).mean()
    (wanted,) = torch.autograd.grad(expected, logits)
    loss = TokenLoss(shifted, smoothing)
    parts = (slice(0, 2), slice(2, 3), slice(3, 5))
    count = sum(loss.count(labels[part]) for part in parts)
    assert count == len(terms)
    total = sum(loss({"logits": logits[part]}, labels[part], count) for part in parts)
    torch.testing.assert_close(total.double(), expected, rtol=1e-5, atol=1e-6)
    (found,) = torch.autograd.grad(total, logits)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


def test_piece_without_a_token_adds_nothing():
    logits, labels = torch.randn(2, 3, 4), torch.full((2, 3), -100)
    assert TokenLoss(shifted=True).count(labels) == 0
    assert TokenLoss(shifted=True)({"logits": logits}, labels, 7) == 0


def test_regression_is_the_squared_error():
    values, labels = torch.tensor([[1.0], [2.0], [5.0]]), torch.tensor([0.0, 4.0, 5.0])
    loss = RegressionLoss()
    assert loss.count(labels) == 3
    torch.testing.assert_close(loss({"logits": values}, labels, 3), torch.tensor(5 / 3))
