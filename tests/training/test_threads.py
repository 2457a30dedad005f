"""A training on a CPU has no more threads than it gains from."""

from dataclasses import replace

import pytest
import torch

from iclab.training import preset
from iclab.training.threads import gaining_threads, threads_of

D20 = {"dimension": 20, "n_train": 40, "max_points": 41}


@pytest.fixture
def cores(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(8)
    yield 8
    torch.set_num_threads(before)


def fixed(name, precision="float32", **sizes):
    return preset(name, **sizes).with_(precision=precision)


def test_small_products_have_one_thread_and_large_ones_several(cores):
    assert threads_of(fixed("tiny")) == 1
    assert threads_of(fixed("columns")) == 1
    assert 1 < threads_of(fixed("base", **D20)) <= cores
    assert threads_of(fixed("base", **D20).with_(batch_size=10_000)) == cores


def test_products_that_take_less_time_have_fewer_threads(cores):
    numbers = [threads_of(fixed("base", precision, **D20)) for precision in ("bfloat16", "float32")]
    assert numbers == sorted(numbers)


def test_depth_makes_no_product_larger(cores):
    config = fixed("base", **D20)
    deeper = config.with_(model=replace(config.model, layers=48))
    assert threads_of(deeper) == threads_of(config)


def test_the_environments_number_is_kept(cores, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert threads_of(fixed("tiny")) == cores


def test_afterwards_torch_has_its_own_number_again(cores):
    with gaining_threads(fixed("tiny")) as threads:
        assert torch.get_num_threads() == threads == 1
    assert torch.get_num_threads() == cores
