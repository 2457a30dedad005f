"""Work is done with the same outcome wherever; what a task raises comes back; a worker that dies is replaced."""

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from threadpoolctl import threadpool_info

from iclab.foundations import InvalidInputError
from iclab.studies.executors import Here, Task, workplace


def square(value):
    if value == 3:
        raise ValueError("three")
    return np.linalg.norm(np.full((50, 50), value) @ np.ones((50, 50))), max(
        (pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=1
    )


def die_once(marker):
    if not Path(marker).exists():
        Path(marker).write_text("dead")
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def always_die():
    os.kill(os.getpid(), signal.SIGKILL)


def save_when_asked(folder, index):
    """What a training does, without torch, which takes seconds to load in every process."""
    asked = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: asked.set())
    (folder / f"begun-{index}").touch()
    while not asked.is_set():
        time.sleep(0.05)
    signal.signal(signal.SIGTERM, before)
    time.sleep(0.3)
    (folder / f"saved-{index}").touch()
    raise KeyboardInterrupt


def _outcomes(place, tasks):
    found = {}
    place.run(tasks, found.__setitem__, lambda: None)
    return [found[i] for i in range(len(tasks))]


@pytest.fixture(scope="module")
def two():
    with workplace(2) as place:
        yield place


def test_here_and_in_processes_the_outcomes_are_the_same_bits(two):
    tasks = [Task(square, (value,)) for value in (1, 2, 3, 4)]
    here, there = _outcomes(Here(), tasks), _outcomes(two, tasks)
    for one, other in zip(here, there, strict=True):
        if isinstance(one, ValueError):
            assert str(one) == str(other) == "three"
        else:
            assert one == other
            assert one[1] == 1  # on one thread


def test_a_worker_that_dies_is_replaced_and_its_task_done(tmp_path):
    with workplace(2) as place:
        outcomes = _outcomes(place, [Task(die_once, (str(tmp_path / str(i)),)) for i in range(2)])
    assert all(isinstance(outcome, int) for outcome in outcomes)
    assert len(list(tmp_path.iterdir())) == 2


def test_pools_end_their_own_processes_alone():
    with workplace(2) as outer:
        [first] = _outcomes(outer, [Task(os.getpid)])
        with workplace(2) as inner:
            [other] = _outcomes(inner, [Task(os.getpid)])
        assert psutil.pid_exists(first)
        assert not psutil.pid_exists(other)
        assert _outcomes(outer, [Task(int, ("3",))]) == [3]


def test_workers_that_always_die_end_in_an_error():
    with workplace(2) as place, pytest.raises(InvalidInputError, match="keep ending early"):
        _outcomes(place, [Task(always_die)])


def test_here_is_looked_at_while_it_works():
    looks = []
    Here().run([Task(time.sleep, (1.2,))], lambda *_: None, lambda: looks.append(threading.current_thread()))
    assert looks
    assert threading.main_thread() not in looks


def test_interrupted_work_is_saved_and_none_begun_in_its_place(tmp_path):
    def interrupt():
        if len(list(tmp_path.iterdir())) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), workplace(2) as place:
        place.run([Task(save_when_asked, (tmp_path, i)) for i in range(4)], lambda *_: None, interrupt)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["begun-0", "begun-1", "saved-0", "saved-1"]
