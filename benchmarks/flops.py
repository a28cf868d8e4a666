"""Floating-point operations of a forward pass, by formula.

Legend: B batch, N tokens, D width, L layers, V vocabulary, C classes, Q numbers of a patch.

A multiplication and an addition are two. Matrix products alone count, as usual; attention counts
all pairs, also where a causal mask leaves half of them out.
"""

from __future__ import annotations

from benchmarks.systems import Size

CONTENDERS = ("white", "folded", "transcription", "black")


def layer(kind: str, batch: int, tokens: int, width: int) -> int:
    """One layer, in any of its forms.

    Args:
        kind: ``white``, ``folded``, ``transcription``, ``black``; or ``decoder``, a white box's
            layer run backwards, whose dictionary is one product.
        batch: B.
        tokens: N.
        width: D.
    """
    attention = 2 * tokens * width
    square = {"folded": 3, "decoder": 3, "transcription": 5, "black": 12, "white": 3}[kind]
    per_token = 2 * (square * width**2 + attention)
    if kind != "white":
        return batch * tokens * per_token
    if batch * tokens >= width:  # M = I + eta (D - D^T D) is built, once
        return batch * tokens * per_token + 2 * width**3
    return batch * tokens * (per_token + 2 * width**2)


def forward(system: str, kind: str, size: Size) -> int:
    """A forward pass of a system; ``kind`` is one of ``CONTENDERS``."""
    return {"image": _image, "mae": _mae, "dino": _dino, "bert": _bert, "gpt": _gpt}[system](
        kind, size
    )


def training_step(system: str, kind: str, size: Size) -> int:
    """A training step, taken as three forward passes as they are in training."""
    count = forward(system, kind, size)
    if system == "image" and kind == "white":
        count -= _unread(kind, size)
    return 3 * count


def _unread(kind: str, size: Size) -> int:
    """What the last layer saves that makes the class token alone: all subspaces, one query."""
    tokens, width, batch = size.side**2 + 1, size.width, size.batch
    maps = {"folded": 2, "white": 3}[kind]  # the output matrix, and ISTA's product or products
    last = 2 * batch * (tokens * width**2 + 2 * tokens * width + maps * width**2)
    return layer(kind, batch, tokens, width) - last


def _patches(size: Size) -> int:
    return 2 * size.batch * size.side**2 * 3 * size.patch**2 * size.width


def _image(kind: str, size: Size) -> int:
    tokens, width, batch = size.side**2 + 1, size.width, size.batch
    around = _patches(size) + 2 * batch * width * size.classes
    layers = size.depth * layer(kind, batch, tokens, width)
    if kind == "folded":
        layers -= _unread(kind, size)
    return around + layers


def _dino(kind: str, size: Size) -> int:
    return _patches(size) + size.depth * layer(kind, size.batch, size.side**2 + 1, size.width)


def _mae(kind: str, size: Size) -> int:
    tokens, width, batch = size.side**2 + 1, size.width, size.batch
    visible = int((tokens - 1) * (1 - 0.75)) + 1
    encoder = size.depth * layer(kind, batch, visible, width)
    backwards = "black" if kind == "black" else "decoder"
    decoder = size.depth * layer(backwards, batch, tokens, width)
    pixels = 2 * batch * tokens * width * 3 * size.patch**2
    between = 2 * batch * visible * width**2 if kind == "black" else 0
    return _patches(size) + encoder + between + decoder + pixels


def _bert(kind: str, size: Size) -> int:
    scores = 2 * size.batch * size.length * (size.width**2 + size.width * size.vocabulary)
    return size.depth * layer(kind, size.batch, size.length, size.width) + scores


def _gpt(kind: str, size: Size) -> int:
    scores = 2 * size.batch * size.length * size.width * size.vocabulary
    return size.depth * layer(kind, size.batch, size.length, size.width) + scores
