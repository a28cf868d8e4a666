"""What a classifier calls its classes."""

from transformers import PreTrainedModel


def class_names(model: PreTrainedModel) -> dict[int, str]:
    """The name of every class by its number."""
    names = model.config.id2label
    assert names is not None  # a configuration without names is given two
    return {int(number): name for number, name in names.items()}
