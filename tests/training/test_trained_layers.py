"""One layer of each mixer, trained, reaches the error of its exact learner: closed forms on x, w ~ N(0, I)."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from iclab.evaluation import error_curve
from iclab.predictors import Ridge
from iclab.training import read_config, train

pytestmark = pytest.mark.slow
D, N, NOISE = 5, 15, 0.5
K = np.arange(N + 1)
GAUSSIAN = {"covariates": {"kind": "gaussian", "dimension": D}}


def average(scale, forgetting):
    """Error / d of c Σ_j γ^{k−j} y_j x_j: 1 − 2 s_1 + s_1² + (d + 1) s_2, s_p = Σ_j (c γ^{k−j})^p."""
    weights = [scale * forgetting ** np.arange(k) for k in K]
    first, second = (np.array([(each**p).sum() for each in weights]) for p in (1, 2))
    return 1 - 2 * first + first**2 + (D + 1) * second


def best_average():
    """The forgetting average of least error over all positions."""
    found = minimize(lambda p: average(p[0], 1 / (1 + np.exp(-p[1]))).mean(), [0.1, 2.0], method="Nelder-Mead")
    return average(found.x[0], 1 / (1 + np.exp(-found.x[1])))


def best_retention():
    """The same at the γ of the first head, which is not trained."""
    found = minimize(lambda p: average(p[0], 1 - 2**-5).mean(), [0.1], method="Nelder-Mead")
    return average(found.x[0], 1 - 2**-5)


def best_linear():
    """Error / d of (c/k) Σ_j y_j x_j, 1 − 2c + c² (1 + (d + 1)/k), at the c of least error over all positions."""
    noise = (D + 1) / K[1:]
    scale = 1 / (1 + noise.mean())
    return np.array([1, *(1 - 2 * scale + scale**2 * (1 + noise))])


# Queries, keys, values and output of linear attention may end at a saddle at a larger rate.
RATES = {"linear": 5e-3}
CASES = {
    "linear": ({"mixers": ["linear"]}, GAUSSIAN, best_linear),
    "retention": ({"mixers": ["retention"]}, GAUSSIAN, best_retention),
    "delta": ({"mixers": ["delta"], "keys": "plain"}, GAUSSIAN, lambda: (1 - 1 / (D + 2)) ** K),
    "gated_delta": ({"mixers": ["gated_delta"], "keys": "plain"}, GAUSSIAN, lambda: (1 - 1 / (D + 2)) ** K),
    # Keys of norm 1 are Kaczmarz' on inputs of one length.
    "kaczmarz": (
        {"mixers": ["delta"]},
        {"covariates": {"kind": "hypercube", "dimension": D}},
        lambda: (1 - 1 / D) ** K,
    ),
    "gla": ({"mixers": ["gla"]}, GAUSSIAN, best_average),
    "mamba2": ({"mixers": ["mamba2"]}, GAUSSIAN, best_average),
    "mesa": ({"mixers": ["mesa"], "keys": "plain"}, {**GAUSSIAN, "noise": NOISE}, None),
}


@pytest.mark.parametrize("name", CASES)
def test_a_trained_layer_reaches_its_exact_learner(name, tmp_path):
    parts, prompts, line = CASES[name]
    columns = {"width": D + 1, "embedding": "stacked", "read_in": "identity", "positions": "none"}
    alone = {"layers": 1, "heads": 1, "mlp": False, "layer_norm": False, "bare": True, "convolution": 0}
    config = read_config(
        {
            "prompts": prompts,
            "model": {"dimension": D, "max_points": N + 1, **columns, **alone, **parts},
            "n_train": N,
            "steps": 1500,
            "batch_size": 256,
            "targets": "posterior_mean",
            "optimizer": {"kind": "adam", "learning_rate": RATES.get(name, 2e-2)},
            "schedule": {"decay": 0.7, "warmup": 20},
            "precision": "float32",
        }
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    run = train(config, tmp_path / "run")
    torch.set_num_threads(threads)
    law, many = config.prompts.build(), {"n_prompts": 20_000, "seed": 7}
    curve = error_curve(run.predictor(), law, N + 1, **many)
    exact = error_curve(Ridge(NOISE**2), law, N + 1, **many).mean / D if line is None else line()
    assert curve.mean[1:].mean() / D == pytest.approx(exact[1:].mean(), rel=0.05)
    assert (np.abs(curve.mean / D - exact) <= 0.05 * exact + 4 * curve.stderr / D).all()
