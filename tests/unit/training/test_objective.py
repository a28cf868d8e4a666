import pytest
import torch
from torch import nn

from whitebox_transformers.training.objective import ClassificationLoss


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
