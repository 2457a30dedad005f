"""Training ends where the theory says it must."""

import numpy as np
import pytest

from iclab import theory
from iclab.training import preset, train


@pytest.mark.parametrize("spectrum", [(1.5, 0.5), pytest.param((1.0, 1.0), marks=pytest.mark.slow)])
def test_linear_self_attention_ends_at_the_minimiser_of_theorem_4(spectrum, tmp_path):
    """Gradient descent on prompts with labels, query loss: the population loss is within 1 % of its minimum."""
    covariates = {"kind": "gaussian", "spectrum": spectrum}
    config = preset("lsa", dimension=2, n_train=8, covariates=covariates, steps=400, precision="float64")
    attention = train(config, tmp_path).predictor().model.blocks[0].attention
    parameters = theory.LSAParameters(attention.w_pv[0].detach().numpy(), attention.w_kq[0].detach().numpy())
    law = config.prompts.build().covariates
    least = theory.minimum_loss(law, 8)
    assert least <= theory.population_loss(parameters, law, 8) <= 1.01 * least
    a, u, U, b = parameters.blocks
    best = np.linalg.inv(theory.gamma(np.diag(spectrum), 8))
    np.testing.assert_allclose(u * U, best, atol=0.15 * best.max())
    np.testing.assert_allclose(np.outer(a, b), 0, atol=0.05)


def test_bfloat16_products_follow_float32(tmp_path):
    """The same prompts and start: losses differ by the rounding of the products (2⁻⁸), not more."""
    runs = {}
    for precision in ("float32", "bfloat16", "float64"):
        config = preset("tiny", dimension=3, n_train=6, steps=12, batch_size=16, precision=precision, n_evaluation=8)
        run = train(config, tmp_path / precision)
        runs[precision] = np.array([line["loss"] for line in run.metrics if "loss" in line])
        assert run.predictor()(config.prompts.build().sample(4, 7, seed=3)).dtype == np.float64
    np.testing.assert_allclose(runs["float32"], runs["float64"], rtol=1e-2)
    np.testing.assert_allclose(runs["bfloat16"], runs["float64"], rtol=5e-2)
    assert (runs["bfloat16"] != runs["float32"]).any()


@pytest.mark.slow
def test_two_linear_layers_beat_the_best_single_one(tmp_path):
    """The minimum over all single layers is known exactly; two layers end below it."""
    config = preset("deep-linear", dimension=3, n_train=12, steps=1000, n_evaluation=4000)
    last = train(config, tmp_path).metrics[-1]
    best = 2 * theory.minimum_loss(config.prompts.build().covariates, 12)
    assert last["error"][-1] + 5 * last["stderr"][-1] < best
