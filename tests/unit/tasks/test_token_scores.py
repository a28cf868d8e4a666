import math
from types import SimpleNamespace

import pytest
import torch

from whitebox_transformers.tasks.token_scores import token_rows, token_scores


def test_scores_are_sums_over_tokens_not_means_over_sequences():
    """Two sequences of very different length, worked out token by token."""
    torch.manual_seed(0)
    logits = torch.randn(2, 4, 3)
    labels = torch.tensor([[0, 2, 1, 1], [-100, 1, -100, -100]])
    nats, right, tokens = 0.0, 0, 0
    for row in range(2):
        for place in range(4):
            label = int(labels[row, place])
            if label < 0:
                continue
            scores = logits[row, place].double()
            nats -= float(scores[label] - scores.exp().sum().log())
            right += int(scores.argmax() == label)
            tokens += 1
    found = token_scores(token_rows(logits, labels).double(), SimpleNamespace(bytes=12))
    assert found["tokens"] == tokens == 5
    assert found["loss"] == pytest.approx(nats / tokens, rel=1e-6)
    assert found["perplexity"] == pytest.approx(math.exp(nats / tokens), rel=1e-6)
    assert found["bits_per_byte"] == pytest.approx(nats / math.log(2) / 12, rel=1e-6)
    assert found["accuracy"] == pytest.approx(right / tokens)


def test_perplexity_of_a_diverged_model_is_still_a_number():
    rows = torch.tensor([[1e6, 1.0, 0.0]], dtype=torch.float64)
    assert math.isfinite(token_scores(rows, SimpleNamespace(bytes=1))["perplexity"])
