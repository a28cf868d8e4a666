import multiprocessing
import time
from contextlib import contextmanager

import pytest
from tests.learn.tiny_run import tiny_recipe

from whitebox_transformers.errors import UserError
from whitebox_transformers.training.lock import LOCK, alone_in
from whitebox_transformers.training.run import train

pytest.importorskip("fcntl", reason="locks are taken on POSIX systems only")
FORK = multiprocessing.get_context("fork")


def stay(folder, inside, child):
    """Stay in the folder until killed, perhaps beside a child that lives on."""
    with alone_in(folder):
        if child:
            FORK.Process(target=time.sleep, args=(5,)).start()
        inside.set()
        time.sleep(60)


@contextmanager
def another_process_in(folder, child=False):
    inside = FORK.Event()
    process = FORK.Process(target=stay, args=(folder, inside, child))
    process.start()
    try:
        assert inside.wait(30)
        yield process
    finally:
        process.kill()
        process.join()


def test_second_process_is_refused_in_one_line(tmp_path):
    with another_process_in(tmp_path) as process:
        with pytest.raises(UserError, match=rf"in use by process {process.pid} on ") as refused:
            train(tiny_recipe(), tmp_path)
        assert str(tmp_path) in str(refused.value)
        assert "\n" not in str(refused.value)
        assert [file.name for file in tmp_path.iterdir()] == [LOCK]


@pytest.mark.parametrize("child", [False, True], ids=["alone", "with-a-worker-that-lives-on"])
def test_killed_process_leaves_the_folder_free(tmp_path, child):
    with another_process_in(tmp_path, child) as process:
        process.kill()
        process.join()
        with alone_in(tmp_path):
            pass


def test_folder_is_free_after_an_error(tmp_path):
    with pytest.raises(KeyError), alone_in(tmp_path / "new"):
        raise KeyError
    assert (tmp_path / "new" / LOCK).read_text() == ""
    with another_process_in(tmp_path / "new"):
        pass
