"""Learned positions whose training prompts begin at random ones: all of them are trained, by prompts of any share."""

import numpy as np
import pytest
import torch

from iclab.models import Architecture, Transformer, TransformerPredictor
from iclab.training import preset, train
from iclab.training.batches import Batches
from iclab.training.distributed import World

POINTS, TABLE = 7, 16


def _config(positions, **changes):
    model = {"positions": positions, "width": 16, "layers": 2}
    return preset("tiny", dimension=3, n_train=POINTS - 1, max_points=TABLE, steps=30, model=model, **changes)


@pytest.mark.parametrize("embedding", ["interleaved", "stacked"])
def test_a_prompt_that_begins_later_reads_the_later_rows(embedding):
    architecture = Architecture(dimension=3, max_points=TABLE, width=8, positions="shifted", embedding=embedding)
    model = Transformer(architecture).double()
    generator = torch.Generator().manual_seed(0)
    xs = torch.randn(4, POINTS, 3, dtype=torch.float64, generator=generator)
    ys = torch.randn(4, POINTS, dtype=torch.float64, generator=generator)
    shifted = model(xs, ys, starts=torch.tensor([0, 2, 5, 9]))
    assert model.positions is not None
    table = model.positions.weight.detach().clone()
    tokens = architecture.n_positions // TABLE
    for row, start in enumerate((0, 2, 5, 9)):
        with torch.no_grad():
            model.positions.weight.copy_(table.roll(-tokens * start, 0))
        torch.testing.assert_close(shifted[row], model(xs, ys)[row], rtol=1e-12, atol=1e-12)


def test_starts_are_uniform_and_a_process_draws_its_share_of_them():
    config = _config("shifted", batch_size=64, curriculum={"dimensions": None, "points": None})
    with Batches(config, World()) as all_of_them, Batches(config, World(1, 2)) as rest:
        starts = np.array([all_of_them.draw(step).starts for step in range(30)])
        np.testing.assert_array_equal(rest.draw(7).starts, starts[7, 32:])
        plain = Batches(_config("learned", batch_size=64), World())
        np.testing.assert_array_equal(plain.draw(7).xs[:, :3], all_of_them.draw(7).xs[:, :3])
        assert plain.draw(7).starts is None
    choices = TABLE - POINTS + 1
    counts = np.bincount(starts.ravel(), minlength=choices)
    assert len(counts) == choices
    expected = starts.size / choices
    assert ((counts - expected) ** 2 / expected).sum() < 29.6  # 0.05 % of χ² with 9 degrees of freedom


def test_every_position_is_trained_with_shifts_and_only_the_first_without(tmp_path):
    moved = {}
    for positions in ("shifted", "learned"):
        config = _config(positions, batch_size=8, n_evaluation=4)
        run = train(config, tmp_path / positions)
        before, after = Transformer(config.model, config.seed).positions, run.predictor().model.positions
        assert before is not None
        assert after is not None
        moved[positions] = (before.weight != after.weight).any(1)
    # The label of the last example is never read, hence 2P − 1 tokens.
    assert moved["shifted"][:-1].all()
    assert moved["learned"].tolist() == [i < 2 * POINTS - 1 for i in range(2 * TABLE)]


def test_a_shifted_model_reads_prompts_as_long_as_its_table():
    from iclab.foundations import InvalidInputError
    from iclab.prompts import Gaussian, Linear, PromptDistribution

    predictor = TransformerPredictor(Transformer(_config("shifted").model))
    prompts = PromptDistribution(Gaussian.isotropic(3), Linear()).sample(2, TABLE + 1, seed=0)
    with pytest.raises(InvalidInputError, match="at most the model's 16 positions; 17 were given"):
        predictor(prompts)
