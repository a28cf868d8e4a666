import pytest
import torch
from torch import nn

from whitebox_transformers.errors import UserError
from whitebox_transformers.training.objective import (
    ClassificationLoss,
    decaying_parameters,
    optimizer_class,
)
from whitebox_transformers.training.settings import TrainConfig


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
    whole = loss({"logits": logits}, labels)
    torch.testing.assert_close(whole.double(), expected, rtol=1e-5, atol=1e-6)
    entries = torch.tensor(labels.numel())  # what Trainer counts
    pieces = [
        loss({"logits": logits[part]}, labels[part], entries)
        for part in (slice(0, 3), slice(3, 10))
    ]
    torch.testing.assert_close(sum(pieces), whole)


def test_validation_is_not_smoothed():
    logits, labels = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    with torch.no_grad():
        found = ClassificationLoss(0.5)({"logits": logits}, labels)
    torch.testing.assert_close(found, nn.functional.cross_entropy(logits, labels))


def test_lion_step_is_its_formula():
    kind, options = optimizer_class(TrainConfig(steps=1, optimizer="lion", learning_rate=0.1))
    weight = nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = kind([weight], weight_decay=0.5, **options)
    value, momentum = weight.detach().clone(), torch.zeros(2)
    for gradient in (torch.tensor([0.3, -0.2]), torch.tensor([-0.01, 5.0])):
        weight.grad = gradient
        optimizer.step()
        value = value * (1 - 0.1 * 0.5) - 0.1 * (0.9 * momentum + 0.1 * gradient).sign()
        momentum = 0.99 * momentum + 0.01 * gradient
    torch.testing.assert_close(weight.detach(), value)


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, 4))
        self.position_embeddings = nn.Parameter(torch.zeros(1, 3, 4))
        self.dictionary = nn.Parameter(torch.zeros(4, 4))
        self.norm = nn.LayerNorm(4)
        self.linear = nn.Linear(4, 2)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("matrices", ["dictionary", "linear.weight"]),
        ("all", [name for name, _ in Small().named_parameters()]),
        (["^norm", "bias$"], ["norm.weight", "norm.bias", "linear.bias"]),
    ],
)
def test_decay_rule(rule, expected):
    assert decaying_parameters(Small(), rule) == expected


def test_decay_pattern_without_a_match_is_named():
    with pytest.raises(UserError, match="'mlp'"):
        decaying_parameters(Small(), ["mlp"])
