"""What a machine does to a run: each fault is made to happen, named, and the run goes on."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.learn.tiny_run import tiny_recipe
from transformers import TrainerCallback

from whitebox_transformers.errors import Terminated, UserError
from whitebox_transformers.training.run import train

pytestmark = pytest.mark.learn


class Fault(TrainerCallback):
    """Calls a function with the model at the end of a step, before its checkpoint."""

    def __init__(self, step, happen):
        self.step, self.happen = step, happen

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            self.happen(kwargs["model"])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    train(tiny_recipe(), folder)
    return folder


def goes_on(folder: Path, whole: Path, **keys) -> None:
    """The run that was stopped ends with the weights of the one that was not."""
    train(tiny_recipe(**keys), folder)
    found, expected = (load_file(f / "model.safetensors") for f in (folder, whole))
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def send(number, *pids):
    for pid in pids:
        os.kill(pid, number)


def workers():
    return [child.pid for child in multiprocessing.active_children()]


def test_sigterm_to_all_processes_of_a_job_ends_it_with_a_checkpoint(tmp_path, whole):
    folder = tmp_path / "run"
    terminate = Fault(4, lambda model: send(signal.SIGTERM, os.getpid(), *workers()))
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated, match="SIGTERM after step 5, with a checkpoint"):
        train(tiny_recipe(workers=1), folder, [terminate])
    assert signal.getsignal(signal.SIGTERM) is before
    assert (folder / "checkpoints/checkpoint-5/complete.json").is_file()
    goes_on(folder, whole)


def test_a_dead_worker_is_named_with_what_helps(tmp_path):
    kill = Fault(4, lambda model: send(signal.SIGKILL, *workers()))
    said = r"data worker died .*checkpoint-3 is intact; .* lower train\.workers \(is 1\)"
    # Small batches, or the worker would have made all of its epoch by then.
    with pytest.raises(UserError, match=said):
        train(tiny_recipe(workers=1, batch_size=8), tmp_path / "run", [kill])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("name", ["optimizer.pt", "trainer_state.json"])
def test_a_full_disk_leaves_the_last_good_checkpoint(name, tmp_path, whole):
    folder = tmp_path / "run"

    def fill(_):
        path = folder / "checkpoints" / "checkpoint-6" / name
        path.parent.mkdir()
        path.symlink_to("/dev/full")

    said = r"no room on the disk .* after step 6: .*checkpoint-3 is intact.*train\.checkpoints=1"
    with pytest.raises(UserError, match=said):
        train(tiny_recipe(), folder, [Fault(6, fill)])
    assert [path.name for path in folder.glob("checkpoints/checkpoint-*")] == ["checkpoint-3"]
    goes_on(folder, whole)


def test_a_lack_of_memory_names_the_keys_that_help(tmp_path, whole):
    folder = tmp_path / "run"

    def want_too_much(model):
        model.register_forward_pre_hook(lambda *_: torch.empty(1 << 48, dtype=torch.uint8))

    with pytest.raises(UserError, match="out of memory after step 4") as caught:
        train(tiny_recipe(), folder, [Fault(4, want_too_much)])
    message = str(caught.value)
    assert "train.recompute=true (is false)" in message
    assert "train.accumulate (is 2, of train.batch_size=48)" in message
    assert "checkpoint-3 is intact" in message
    goes_on(folder, whole, recompute=True)


def inflate(model):
    with torch.no_grad():
        model.crate.stack.layers[0].sparsify.ista.dictionary.mul_(1e30)


def spoil_gradient(model):
    model.classifier.linear.weight.register_hook(lambda gradient: gradient * float("inf"))


@pytest.mark.parametrize(
    ("happen", "said"),
    [
        (inflate, r"^loss is nan at step 5: the first layer whose output is not finite is "
                  r"crate\.stack\.layers\.0\.sparsify\.ista \(ISTA\), .* weights \S+e\+30"),
        (spoil_gradient, "^the gradient is not finite at step 5: .* classifier.linear.weight is"),
    ],
)  # fmt: skip
def test_numbers_that_are_none_stop_the_run_and_name_the_layer(happen, said, tmp_path, whole):
    folder = tmp_path / "run"
    with pytest.raises(UserError, match=said) as caught:
        train(tiny_recipe(), folder, [Fault(4, happen)])
    assert "train.learning_rate (0.01)" in str(caught.value)
    goes_on(folder, whole)
