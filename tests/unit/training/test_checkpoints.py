import pytest

from whitebox_transformers.training.batches import Position
from whitebox_transformers.training.checkpoints import (
    SEAL,
    complete_checkpoints,
    prune,
    remove_incomplete,
    seal,
)


def write(folder, step, sealed=True):
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "model.safetensors").write_bytes(b"0123")
    if sealed:
        seal(path, 1.5 * step, 2.5 * step, Position(1, step))
    return path


def steps(folder):
    return [checkpoint.step for checkpoint in complete_checkpoints(folder)]


def test_sealed_checkpoints_in_order_of_steps(tmp_path):
    for step in (100, 20, 3):
        write(tmp_path, step)
    assert steps(tmp_path) == [3, 20, 100]
    assert complete_checkpoints(tmp_path)[-1].position == Position(1, 100)
    assert complete_checkpoints(tmp_path)[-1].seconds == 150


def break_seal(path):
    (path / SEAL).unlink()


def truncate(path):
    (path / "model.safetensors").write_bytes(b"01")


def lose_file(path):
    (path / "model.safetensors").unlink()


@pytest.mark.parametrize("damage", [break_seal, truncate, lose_file])
def test_incomplete_ones_do_not_count_and_are_removed(tmp_path, damage):
    write(tmp_path, 1)
    broken = write(tmp_path, 2)
    damage(broken)
    assert steps(tmp_path) == [1]
    remove_incomplete(tmp_path)
    assert not broken.exists()
    assert steps(tmp_path) == [1]


def test_pruning_counts_complete_ones_only(tmp_path):
    for step in (1, 2, 3):
        write(tmp_path, step)
    write(tmp_path, 4, sealed=False)
    prune(tmp_path, 1)
    assert steps(tmp_path) == [3]
