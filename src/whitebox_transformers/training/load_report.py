"""Loading without transformers' report of the weights that were not used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from transformers.utils import logging


@contextmanager
def without_load_report() -> Iterator[None]:
    """Errors alone: for callers that judge by themselves what is missing or left over."""
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)
