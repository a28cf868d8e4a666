"""Labels are looked at before the model runs on them: shape, type, range.

Legend: B batch, N tokens, C classes.

A label of -100 is left out of the loss, as in all of Hugging Face's losses.
"""

import torch

from .bounds import check_range, check_whole

IGNORED = -100


def check_class_labels(
    labels: torch.Tensor, shape: tuple[int, ...], classes: int, training: bool
) -> None:
    """Class indices, one for each entry of ``shape``.

    Raises:
        ValueError: Another shape, numbers that are not whole, or a class outside 0 .. C - 1.
    """
    _check_shape("labels", labels, [shape])
    check_whole("labels", labels)
    expected = f"one of {classes} classes, 0 to {classes - 1}, or {IGNORED} to leave it out."
    check_range("labels", labels, classes, expected, training, ignored=IGNORED)


def check_sequence_labels(labels: torch.Tensor, batch: int, config, training: bool) -> torch.Tensor:
    """Labels of whole sequences, for the problem that the configuration names or they imply.

    Without ``config.problem_type`` a single label is regression, whole numbers are one class
    each, other numbers several classes each: the rule of Hugging Face's loss.

    Args:
        labels: Classes (B,), shares of each class (B, C), or targets of a regression, (B,) or
            (B, C).
        batch: B.
        config: Has ``problem_type`` and ``num_labels``.
        training: Whether the model is in training mode.

    Returns:
        The labels in the type that the loss takes.

    Raises:
        ValueError: They do not fit the problem.
    """
    classes, problem = config.num_labels, config.problem_type
    one_class = problem is None and classes > 1 and not labels.is_floating_point()
    if one_class or problem == "single_label_classification":
        if labels.dim() == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
        check_class_labels(labels, (batch,), classes, training)
        return labels
    each = [(batch,), (batch, 1)] if classes == 1 else [(batch, classes)]
    _check_shape("labels", labels, each)
    return labels if labels.is_floating_point() else labels.float()


def check_span(start: torch.Tensor, end: torch.Tensor, batch: int, training: bool) -> None:
    """Where answers start and end, (B,) or (B, 1); a place beyond the tokens is left out.

    Raises:
        ValueError: Another shape, numbers that are not whole, or a negative place, which
            Hugging Face's loss would take for the first token.
    """
    for name, positions in (("start_positions", start), ("end_positions", end)):
        _check_shape(name, positions, [(batch,), (batch, 1)])
        check_whole(name, positions)
        largest = torch.iinfo(positions.dtype).max
        check_range(name, positions, largest, "the place of a token.", training)


def _check_shape(name: str, values: torch.Tensor, shapes: list[tuple[int, ...]]) -> None:
    if tuple(values.shape) not in shapes:
        raise ValueError(
            f"{name} has shape {tuple(values.shape)}; expected {' or '.join(map(str, shapes))}."
        )


__all__ = ["check_class_labels", "check_sequence_labels", "check_span"]
