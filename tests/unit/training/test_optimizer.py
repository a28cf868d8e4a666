import pytest
import torch
from torch import nn

from whitebox_transformers.errors import UserError
from whitebox_transformers.training.optimizer import decaying_parameters, optimizer_class
from whitebox_transformers.training.settings import TrainConfig


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
