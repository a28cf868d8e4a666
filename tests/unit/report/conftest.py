import importlib.util
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location(
    "synthetic", Path(__file__).with_name("synthetic.py")
)
synthetic = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(synthetic)


@pytest.fixture
def make_report():
    """Builds a full report of invented numbers: ``make_report(layers, heads, grid)``."""
    return synthetic.report


@pytest.fixture
def make_picture():
    """Builds an image: ``make_picture(height, width)``."""
    return synthetic.picture


@pytest.fixture
def measured():
    """Invented statistics of a four-layer model, its validation set and the control."""
    return {
        "control": synthetic.statistics(4, 0.0),
        "train": synthetic.statistics(4, 1.0),
        "validation": synthetic.statistics(4, 0.9),
    }
