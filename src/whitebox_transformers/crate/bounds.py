"""Numbers from outside are in range before they reach an embedding or a loss."""

import torch


def check_range(
    name: str,
    values: torch.Tensor,
    count: int,
    expected: str,
    training: bool,
    ignored: int | None = None,
) -> None:
    """Refuse an index outside 0 .. count - 1, by its place.

    Reading values waits for an accelerator, so that training on one leaves this to PyTorch, and
    a compiled or exported graph has no place for it.

    Args:
        name: What the indices are, for the error.
        values: Whole numbers, any shape, at least one.
        count: How many indices there are.
        expected: What the index is not; ends the error.
        training: Whether the model is in training mode.
        ignored: A number that is let through.

    Raises:
        ValueError: ``name[place] = value is not expected``.
    """
    unseen = torch.compiler.is_compiling() or values.is_meta
    if unseen or (training and values.device.type != "cpu"):
        return
    smallest, largest = (int(bound) for bound in torch.aminmax(values))
    if smallest >= 0 and largest < count:
        return
    outside = (values < 0) | (values >= count)
    if ignored is not None:
        outside &= values != ignored
    for place in outside.nonzero()[:1].tolist():
        spelt = ", ".join(map(str, place))
        raise ValueError(f"{name}[{spelt}] = {int(values[tuple(place)])} is not {expected}")


def check_finite(name: str, values: torch.Tensor, training: bool) -> None:
    """Refuse samples (B, ...) that hold NaN or infinity, by their number; as :func:`check_range`.

    Raises:
        ValueError: A sample does.
    """
    unseen = torch.compiler.is_compiling() or values.is_meta
    if unseen or (training and values.device.type != "cpu"):
        return
    broken = ~values.isfinite().flatten(1).all(dim=1)
    for index in broken.nonzero()[:1].flatten().tolist():
        raise ValueError(f"{name}[{index}] has values that are not finite; leave this sample out.")


def check_whole(name: str, values: torch.Tensor) -> None:
    """Refuse a type that cannot count.

    Raises:
        ValueError: Floating-point, complex or boolean values.
    """
    if values.is_floating_point() or values.is_complex() or values.dtype == torch.bool:
        raise ValueError(f"{name} has type {values.dtype}; expected whole numbers.")


__all__ = ["check_finite", "check_range", "check_whole"]
