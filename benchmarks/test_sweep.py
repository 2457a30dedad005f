"""What a sweep adds to its trainings: cells, digests, folders, judging and the table."""

import time

from iclab.studies.grid import Grid, Judging, sweep
from iclab.studies.lab import Lab
from iclab.training import train

BASE = {
    "preset": "tiny",
    "dimension": 2,
    "n_train": 4,
    "steps": 120,
    "batch_size": 8,
    "n_evaluation": 8,
    "precision": "float32",
    "model": {"width": 16, "layers": 1, "heads": 1},
}


def test_a_sweep_of_200_cells_adds_less_than_a_twentieth_to_its_trainings(tmp_path):
    grid = Grid(BASE, {"seed": list(range(200))})
    train(grid.cells[0].config, tmp_path / "warm")  # what is done once, however many trainings follow
    began = time.process_time()
    for i, cell in enumerate(grid.cells):
        train(cell.config, tmp_path / "alone" / str(i))
    alone = time.process_time() - began
    began = time.process_time()
    result = sweep(grid, Lab(tmp_path / "sweep", lambda *_: None), Judging(n_prompts=2))
    together = time.process_time() - began
    assert result.table["seed"].nunique() == 200
    print(f"\n200 trainings {alone:.1f} CPU s, their sweep {together:.1f}: {together / alone - 1:+.1%}")
    assert together < 1.05 * alone
