import multiprocessing
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest
from tests.learn.tiny_run import tiny_recipe

from whitebox_transformers.data.config import DataConfig
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
    with pytest.raises(KeyError), alone_in(tmp_path):
        raise KeyError
    assert list(tmp_path.iterdir()) == []
    with another_process_in(tmp_path):
        pass


def test_folders_in_which_nothing_was_written_are_gone(tmp_path):
    with pytest.raises(FileNotFoundError), alone_in(tmp_path / "runs" / "new"):
        raise FileNotFoundError
    assert list(tmp_path.iterdir()) == []


def test_what_was_written_stays(tmp_path):
    with alone_in(tmp_path / "runs" / "new"):
        (tmp_path / "runs" / "new" / "file").write_text("here")
    assert [file.name for file in (tmp_path / "runs" / "new").iterdir()] == ["file"]


def test_a_refused_run_leaves_nothing(tmp_path):
    missing = DataConfig(source="folder", path=str(tmp_path / "missing"))
    recipe = replace(tiny_recipe(), data=missing)
    with pytest.raises(UserError, match="does not exist"):
        train(recipe, tmp_path / "runs" / "new")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file/run cannot be written: Not a directory"):
        train(tiny_recipe(), tmp_path / "file" / "run")


def count_alone(folder, total, rounds):
    """Add to a number in a file that only who is alone in the folder may touch."""
    for _ in range(rounds):
        while True:
            try:
                with alone_in(folder):
                    number = int(total.read_text())
                    total.write_text(str(number + 1))
                break
            except UserError:
                pass


def test_nobody_slips_in_while_the_folder_is_removed(tmp_path):
    total = tmp_path / "total"
    total.write_text("0")
    arguments = (tmp_path / "runs" / "new", total, 200)
    processes = [FORK.Process(target=count_alone, args=arguments) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert total.read_text() == "600"
