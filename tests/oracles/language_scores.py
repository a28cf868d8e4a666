"""Cross-entropy over long texts, one forward pass for every single prediction.

Which tokens a prediction may see follows from the definition alone: the first ``context``
positions form a window, then every ``stride`` positions form one, and a window reads ``context``
tokens up to its end.
"""

from __future__ import annotations

import torch


def last_position_of(position: int, positions: int, context: int, stride: int) -> int:
    """One past the last position of the window that scores ``position``."""
    if position < context:
        return min(context, positions)
    return min(positions, context + ((position - context) // stride + 1) * stride)


def causal_nats(model, tokens: list[int], context: int, stride: int) -> list[float]:
    """-log p of tokens 1, 2, ... of a text."""
    nats, positions = [], len(tokens) - 1
    for position in range(positions):
        end = last_position_of(position, positions, context, stride)
        seen = tokens[max(0, end - context) : position + 1]
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([seen])).logits[0, -1].double()
        nats.append(-logits.log_softmax(-1)[tokens[position + 1]].item())
    return nats


def pseudo_log_likelihood_nats(
    model, tokens: list[int], before: list[int], after: list[int], mask: int, room: int, stride: int
) -> list[float]:
    """-log p of every token of a text when it alone is hidden."""
    nats = []
    for position in range(len(tokens)):
        end = last_position_of(position, len(tokens), room, stride)
        begin = max(0, end - room)
        shown = [*before, *tokens[begin:end], *after]
        shown[len(before) + position - begin] = mask
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([shown])).logits[0].double()
        row = logits[len(before) + position - begin].log_softmax(-1)
        nats.append(-row[tokens[position]].item())
    return nats
