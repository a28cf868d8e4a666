"""What every test shares: one thread, no network, derandomized properties, optional references."""

import os
from pathlib import Path

import pytest

# Before transformers or datasets are imported: a test never asks the network.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("MPLBACKEND", "Agg")

import torch
from hypothesis import settings

settings.register_profile("suite", derandomize=True, max_examples=15, deadline=None)
settings.load_profile("suite")
torch.set_num_threads(1)


def _folder_from(variable: str, holds: str) -> Path:
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"{variable} is not set; it names the folder with {holds}")
    folder = Path(value)
    if not folder.is_dir():
        pytest.fail(f"{variable}={value} is not a folder; unset it or mend it")
    return folder


@pytest.fixture(scope="session")
def golden_dir() -> Path:
    """Folder with numbers of the authors' code; the test is skipped where there is none."""
    return _folder_from("WBT_GOLDEN", "numbers of the authors' code")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder with public data sets; the test is skipped where there is none."""
    return _folder_from("WBT_DATA", "public data sets")
