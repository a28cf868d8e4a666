"""Interventions in text models: surgery on weights, whatever the padding and the cache."""

from __future__ import annotations

import copy

import pytest
import torch
from tests.unit.analysis.tiny_text import (
    PAD,
    padded,
    sentences,
    texts,
    tiny_crate_bert,
    tiny_crate_gpt,
)

from whitebox_transformers.analysis import Coefficient, Head, Step, intervene, neuron_statistics

HELP = {"position_embedding_type": "rotary", "window": 3, "attend_self": False, "final_norm": True}
ALPHA = {"sparsification": "overcomplete", "synthesis": "separate", "ista_residual": True}
MAKERS = {"gpt": tiny_crate_gpt, "bert": tiny_crate_bert}
EDITS = {
    "head": Head(1, 2).scale(-2.0),
    "coefficient": Coefficient(0, 3).set(1.5),
    "compress": Step(1, "compress").set(0.25),
    "sparsify": Step(0, "sparsify").scale(0.5),
}


def logits(model, **inputs) -> torch.Tensor:
    with torch.no_grad():
        return model(**inputs).logits


@pytest.mark.parametrize("name", MAKERS)
def test_a_head_and_an_atom_without_effect_are_columns_of_zeros(name: str) -> None:
    model = MAKERS[name](**ALPHA)
    ids = texts(2, 7).clamp(min=PAD + 1)
    atom = int(neuron_statistics(model, [{"input_ids": ids}])[2].energy.argmax())
    for change, part, columns in (
        (Head(1, 2).zero(), "compress.mssa.output.weight", slice(8, 12)),
        (Coefficient(2, atom).zero(), "sparsify.ista.synthesis", slice(atom, atom + 1)),
    ):
        cut = copy.deepcopy(model)
        layer = cut.crate.stack.layers[change.target.layer]
        layer.get_parameter(part).data[:, columns] = 0
        with intervene(model, change):
            found = logits(model, input_ids=ids)
        torch.testing.assert_close(found, logits(cut, input_ids=ids), rtol=1e-5, atol=1e-5)
        assert not torch.allclose(found, logits(model, input_ids=ids), atol=1e-4)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize(
    ("name", "changes"),
    [("gpt", {}), ("gpt", HELP), ("bert", {}), ("bert", HELP), ("bert", ALPHA)],
)
def test_padding_changes_nothing_about_an_intervention(name, changes, edit, side) -> None:
    """Also where the edit puts numbers on padding, next to the first or last word."""
    model, alone = MAKERS[name](**changes).double(), sentences(5, 9, 2)
    model.config.pad_token_id = PAD
    batch = padded(alone, side)
    with intervene(model, EDITS[edit]):
        together = logits(model, **batch)
        singly = [logits(model, input_ids=sentence[None])[0] for sentence in alone]
    for row, mask, expected in zip(together, batch["attention_mask"], singly, strict=True):
        torch.testing.assert_close(row[mask.bool()], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("changes", [{}, HELP, ALPHA], ids=["published", "help", "alpha"])
def test_generation_with_a_cache_continues_the_changed_model(changes: dict, edit: str) -> None:
    model, prompt = tiny_crate_gpt(**changes).double(), sentences(4)[0][None]
    said = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": PAD}
    with intervene(model, EDITS[edit]):
        cached = model.generate(prompt, **said, use_cache=True)
        plain = model.generate(prompt, **said, use_cache=False)
    assert torch.equal(cached, plain)
