"""Trainings of one architecture as one batched model, against one by one: CPU seconds, or on a GPU the clock."""

import time

import pytest
import torch

from iclab.training import preset, train, train_together

SEEDS = 16
# Width and prompts of a batch; the first two are within what sweeps batch by themselves.
SIZES = [(16, 8, 1.3), (64, 8, 1.1), (64, 32, 0.8)]


def _config(width, batch_size, seed, steps=60):
    model = {"width": width}
    return preset(
        "tiny",
        dimension=3,
        n_train=10,
        max_points=11,
        steps=steps,
        batch_size=batch_size,
        seed=seed,
        n_evaluation=8,
        precision="float32",
        model=model,
    )


def _seconds(work, clock):
    began = clock()
    work()
    return clock() - began


@pytest.mark.parametrize(("width", "batch_size", "least"), SIZES)
def test_eight_trainings_at_once(width, batch_size, least, tmp_path):
    configs = [_config(width, batch_size, seed) for seed in range(8)]
    train(configs[0], tmp_path / "warm")
    alone = _seconds(lambda: [train(c, tmp_path / f"alone{c.seed}") for c in configs], time.process_time)
    folders = [tmp_path / f"together{c.seed}" for c in configs]
    together = _seconds(lambda: train_together(configs, folders), time.process_time)
    ratio = alone / together
    print(
        f"\n8 trainings, width {width}, {batch_size} prompts: {alone:.1f} and {together:.1f} CPU s, {ratio:.2f} times"
    )
    assert ratio > least


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_sixteen_seeds_on_a_gpu_take_at_most_four_times_one(tmp_path):
    configs = [preset("tiny", dimension=5, n_train=10, steps=400, seed=seed, device="cuda") for seed in range(SEEDS)]
    train(configs[0], tmp_path / "warm")
    one = _seconds(lambda: train(configs[0], tmp_path / "one"), time.perf_counter)
    all_of_them = _seconds(
        lambda: train_together(configs, [tmp_path / f"{c.seed}" for c in configs]), time.perf_counter
    )
    print(f"\n{SEEDS} seeds at once: {all_of_them / one:.2f} times the time of one")
    assert all_of_them < 4 * one
