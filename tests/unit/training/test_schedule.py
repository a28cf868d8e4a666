import pytest

from whitebox_transformers.errors import UserError
from whitebox_transformers.training.schedule import make_schedule
from whitebox_transformers.training.settings import TrainConfig


def test_epochs_become_steps():
    schedule = make_schedule(TrainConfig(epochs=2.5, batch_size=10, keep=[0, 0.5, 2]), 105)
    assert schedule.steps_per_epoch == 10
    assert schedule.steps == 25
    assert schedule.evaluate_every == schedule.checkpoint_every == 10
    assert schedule.keep == {0, 5, 20}


def test_stream_needs_steps():
    with pytest.raises(UserError, match=r"train\.steps"):
        make_schedule(TrainConfig(epochs=1), None)
    schedule = make_schedule(TrainConfig(steps=7, evaluate_every=5, keep=[3]), None)
    assert (schedule.steps, schedule.evaluate_every, schedule.keep) == (7, 5, {3})


def test_batch_larger_than_the_split_is_refused():
    with pytest.raises(UserError, match="9 training images"):
        make_schedule(TrainConfig(epochs=1, batch_size=10), 9, "images")


def test_warmup_as_long_as_the_run_is_refused():
    with pytest.raises(UserError, match="only 5"):
        make_schedule(TrainConfig(steps=5, warmup=5, batch_size=1), 100)


def test_processes_share_the_batch(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(UserError, match="3 processes"):
        make_schedule(TrainConfig(epochs=1, batch_size=8), 100)
