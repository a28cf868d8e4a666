import pytest
import torch
from torch import nn
from transformers import BertConfig, BertForMaskedLM, GPT2Config, GPT2LMHeadModel

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


def tiny_gpt2():
    return GPT2LMHeadModel(GPT2Config(n_embd=4, n_layer=1, n_head=1, n_positions=3, vocab_size=5))


def tiny_bert():
    sizes = {"hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = BertConfig(**sizes, intermediate_size=6, vocab_size=5, max_position_embeddings=3)
    return BertForMaskedLM(config)


@pytest.mark.parametrize(
    ("make", "positions", "tokens"),
    [
        (tiny_gpt2, "transformer.wpe.weight", "transformer.wte.weight"),
        (
            tiny_bert,
            "bert.embeddings.position_embeddings.weight",
            "bert.embeddings.word_embeddings.weight",
        ),
    ],
    ids=["gpt2", "bert"],
)
def test_matrices_of_text_models_are_all_but_positions(make, positions, tokens):
    model = make()
    decaying = decaying_parameters(model, "matrices")
    large = [name for name, value in model.named_parameters() if value.ndim >= 2]
    assert positions in large
    assert decaying == [name for name in large if name != positions]
    assert tokens in decaying


def test_adamw_takes_the_recipes_eps():
    _, options = optimizer_class(TrainConfig(steps=1, eps=1e-6, betas=[0.9, 0.98]))
    assert options["eps"] == 1e-6
    assert options["betas"] == (0.9, 0.98)
