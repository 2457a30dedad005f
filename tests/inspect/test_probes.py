"""Truths about probes and read-outs: layers built by hand whose inside is known exactly."""

import numpy as np
import pytest
import torch
from torch import nn

from iclab.foundations import InvalidInputError
from iclab.inspect import nearest_steps, posterior_mean, probe, read_out, task_index
from iclab.inspect.ridge import leave_one_out
from iclab.models import Architecture, Transformer, TransformerPredictor
from iclab.predictors import FinitePoolBayes, GradientDescent, LeastSquares, Ridge
from iclab.prompts import FinitePool, Gaussian, Linear, PromptDistribution, Prompts

from .conftest import ARCHITECTURES, randomised

D, P = 3, 8
RATE, CURVATURE = 0.3, 0.1
LAW = PromptDistribution(Gaussian.isotropic(D), Linear())


def layers_of_gd_plus_plus(depth):
    """Tied weights W^PV = diag(−(curvature/rate) I, −1), W^KQ = diag(rate I, 0) (von Oswald et al. 2023)."""
    model = Transformer(Architecture.lsa(D, P, layers=depth)).double()
    with torch.no_grad():
        for block in model.blocks:
            block.attention.w_pv.zero_()
            block.attention.w_kq.zero_()
            block.attention.w_pv[0].diagonal()[:] = torch.tensor([-CURVATURE / RATE] * D + [-1.0], dtype=torch.float64)
            block.attention.w_kq[0].diagonal()[:] = torch.tensor([RATE] * D + [0.0], dtype=torch.float64)
    return TransformerPredictor(model)


def layers_of_descent(depth):
    """Columns (x, y, 1, w): heads of linear attention add −η Σ x x'w/i and η Σ y x/i to the w of every example."""
    width = 2 * (D + 1)
    model = Transformer(
        Architecture(
            dimension=D, max_points=P, width=width, layers=depth, heads=2, embedding="stacked", attention="linear",
            positions="none", mlp=False, layer_norm=False,
        )
    ).double()  # fmt: skip
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.read_in.weight[: D + 1, : D + 1] = torch.eye(D + 1)
        model.read_in.bias[D + 1] = 1
        for block in model.blocks:
            q, k, v = block.attention.qkv.weight.view(3, 2, D + 1, width)
            q[0, :D, D + 2 :] = k[0, :D, :D] = v[0, :D, :D] = v[1, :D, :D] = torch.eye(D)
            q[1, 0, D + 1] = k[1, 0, D] = 1
            out = block.attention.out.weight.view(width, 2, D + 1)
            out[D + 2 :, 0, :D], out[D + 2 :, 1, :D] = -RATE * torch.eye(D), RATE * torch.eye(D)
    return TransformerPredictor(model)


def test_layers_of_descent_hold_the_moment_and_then_every_iterate():
    prompts = LAW.sample(60, P, seed=0)
    steps = {f"w{k}": GradientDescent(k, RATE).weights for k in (1, 2, 3)}
    table = probe(
        layers_of_descent(3), prompts, {**steps, "moment": lambda p: steps["w1"](p) / RATE}, at="label", untrained=False
    )
    table = table.query("model == 'trained' and not control")
    for block in (0, 1, 2):
        held = table.query(f"block == {block} and target == 'w{block + 1}'")
        assert len(held) == P - 1
        assert (held["r2"] >= 1 - 1e-10).all()
    assert (table.query("block == 0 and target == 'moment'")["r2"] >= 1 - 1e-10).all()
    assert (table.query("block == 2 and target == 'w1' and position == 5")["r2"] < 0.99).all()


def test_a_linear_self_attention_layer_holds_the_moment_where_it_is_asked_for_a_fixed_query():
    # Scores e_j'W^KQ e_q = y_j for the query e_1, and W^PV hands on the inputs: Σ y_j x_j/i.
    model = Transformer(Architecture.lsa(D, P)).double()
    with torch.no_grad():
        attention = model.blocks[0].attention
        attention.w_pv.zero_()
        attention.w_kq.zero_()
        attention.w_pv[0, :D, :D] = torch.eye(D)
        attention.w_kq[0, D, 0] = 1
    prompts = LAW.sample(40, P, seed=1)
    queries = np.broadcast_to(np.eye(D)[0], prompts.xs.shape)
    prompts = Prompts(prompts.xs, prompts.ys, queries, prompts.targets)
    table = probe(model, prompts, "moment", "*.out", positions=range(1, P))
    own = table.query("model == 'trained'")
    assert (own.query("not control")["r2"] >= 1 - 1e-10).all()
    control = own.query("control")
    assert (control["r2"] < 3 * control["stderr"]).all()


def test_the_head_reads_the_iterates_of_gd_plus_plus_after_every_block():
    """Example j is corrected by those up to j, as causal layers do; written out token by token."""
    prompts = LAW.sample(5, P, seed=2)
    found = read_out(layers_of_gd_plus_plus(3), prompts, by="head")
    expected = np.zeros((4, 5, P))
    for b, position in np.ndindex(5, P):
        xs = np.vstack([prompts.xs[b, :position], prompts.queries[b, position]])
        ys = np.append(prompts.ys[b, :position], 0.0)
        for step in range(1, 4):
            new_xs, new_ys = xs.copy(), ys.copy()
            for t in range(position + 1):
                query = t == position
                count = max(position, 1) if query else t + 1
                for j in [*range(position), t] if query else range(t + 1):
                    score = RATE * (xs[j] @ xs[t]) / count
                    new_xs[t] -= CURVATURE / RATE * score * xs[j]
                    new_ys[t] -= score * ys[j]
            xs, ys = new_xs, new_ys
            expected[step, b, position] = ys[-1]
    np.testing.assert_allclose(found, expected, atol=1e-10)
    np.testing.assert_allclose(-found[1], GradientDescent(1, RATE)(prompts), atol=1e-10)
    np.testing.assert_allclose(found[3], layers_of_gd_plus_plus(3)(prompts), atol=1e-12)


def test_linear_read_outs_of_a_module_of_ones_own_are_those_of_its_parts():
    class Layers(nn.Module):
        """Knows x_q'X'y/i, which its first part hides."""

        def __init__(self):
            super().__init__()
            self.hides, self.tells = nn.Linear(1, 1).double(), nn.Identity()
            nn.init.zeros_(self.hides.weight)

        def forward(self, xs, ys):
            earlier = torch.tril(xs @ xs.mT, -1) @ ys[..., None]
            moment = earlier / torch.arange(1, P + 1)[:, None]
            return (self.tells(moment) + self.hides(moment))[..., 0]

    prompts = LAW.sample(200, P, seed=3)
    tells, hides = read_out(Layers(), prompts)  # in the order of their calls
    moments = np.einsum("bpd,bqd,bq,pq->bp", prompts.xs, prompts.xs, prompts.ys, np.tri(P, k=-1)) / np.arange(1, P + 1)
    assert np.corrcoef(tells.ravel(), moments.ravel())[0, 1] > 0.99
    assert np.ptp(hides, axis=1).max() < 1e-9
    with pytest.raises(InvalidInputError, match="transformer"):
        read_out(Layers(), prompts, by="head")


def test_linear_read_outs_find_the_prediction_and_its_algorithm():
    # One layer of averaging: its stream holds the prediction, so a linear read-out is it times the best factor.
    model = TransformerPredictor(layers_of_gd_plus_plus(1).model)
    prompts = LAW.sample(200, P, seed=3)
    [before, after] = read_out(model, prompts)
    moments = GradientDescent(1, 1.0)(prompts)
    factor = (after * moments).sum() / (moments**2).sum()
    assert np.corrcoef(after.ravel(), moments.ravel())[0, 1] > 0.99
    assert (
        abs(factor / ((prompts.targets * moments).sum() / (moments**2).sum()) - 1) < 0.1
    )  # learned from half of the prompts
    assert np.square(before).mean() < 0.1 * np.square(prompts.targets).mean()
    table = nearest_steps(
        np.stack([GradientDescent(3, RATE)(prompts), LeastSquares()(prompts)]),
        prompts,
        {"descent": {k: GradientDescent(k, RATE) for k in (1, 2, 3, 4)}, "ridge": {1.0: Ridge(1.0), 1e-9: Ridge(1e-9)}},
    )
    best = table.query("nearest and algorithm == 'descent'").set_index("block")
    assert best["setting"][0] == 3
    assert best["distance"][0] == 0.0
    assert abs(best["cosine"][0] - 1) < 1e-12
    ridge = table.query("block == 1 and nearest and algorithm == 'ridge'")
    assert ridge["setting"].item() == 1e-9
    assert ridge["distance"].item() < 1e-6


def test_leave_one_out_is_leaving_one_out():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((12, 4)), rng.standard_normal((12, 2))
    train = np.arange(12) < 9
    found = leave_one_out(x, y, train, np.array([0, 1]))
    for column, penalty in enumerate(found.penalties):
        scale = np.linalg.svd(x[:9] - x[:9].mean(0))[1][0] ** 2

        def predicted(rows, asked, at, column=column, scale=scale):
            centred = x[rows] - x[rows].mean(0)
            weights = np.linalg.solve(centred.T @ centred + at * scale * np.eye(4), centred.T @ y[rows, column])
            return (x[asked] - x[rows].mean(0)) @ weights + y[rows, column].mean()

        np.testing.assert_allclose(
            found.predicted[:, column] + y[:9, column].mean(), predicted(np.arange(9), np.arange(9, 12), penalty)
        )
        # At a vanishing penalty the shortcut is exact refitting; the chosen one is no worse by its own measure.
        left = [y[i, column] - predicted(np.delete(np.arange(9), i), [i], 1e-16)[0] for i in range(9)]
        hat = np.eye(9) - (x[:9] - x[:9].mean(0)) @ np.linalg.pinv(x[:9] - x[:9].mean(0)) - 1 / 9
        np.testing.assert_allclose(left, hat @ y[:9, column] / np.diag(hat), rtol=1e-6)


def test_targets_that_a_prompt_holds():
    pool = FinitePool.gaussian(3, D, seed=0)
    law = PromptDistribution(Gaussian.isotropic(D), pool, noise=0.5)
    prompts = law.sample(60, P, seed=4)
    model = TransformerPredictor(randomised(ARCHITECTURES["softmax"]).model)
    index = task_index(pool.pool)(prompts)
    np.testing.assert_allclose(np.einsum("bpm,md,bpd->bp", index, pool.pool, prompts.xs), prompts.targets, atol=1e-10)
    posterior = posterior_mean(law)(prompts)
    expected = FinitePoolBayes(pool.pool, 0.5, first="prior").weights(prompts)
    np.testing.assert_array_equal(posterior, expected)
    wanted = {
        "task": task_index(pool.pool),
        "posterior": posterior_mean(law),
        "last label": lambda p: np.roll(p.ys, 1, 1),
    }
    short = law.sample(60, 7, seed=4)
    table = probe(model, short, wanted, "embedding", at="label", untrained=False, positions=[3])
    # The token of the last example holds its label as it is.
    assert table.query("target == 'last label' and not control")["r2"].item() > 1 - 1e-10
    named = probe(model, short, ("weights", "norm", "noise_level"), "*.residual_out", positions=[6], untrained=False)
    assert set(named["target"]) == {"weights", "norm", "noise_level"}


@pytest.mark.parametrize("targets", ["w_OLS", ["moment", "w_OLS"], {"mine": "w_OLS"}])
def test_a_target_that_is_none_is_refused_with_those_that_are(targets):
    law = PromptDistribution(Gaussian.isotropic(2), Linear())
    model = randomised(Architecture.lsa(2, 4))
    with pytest.raises(InvalidInputError, match=r"moment, least_squares.*'w_OLS'.*Did you mean 'least_squares'\?$"):
        probe(model, law.sample(20, 4, seed=0), targets)


def test_a_target_in_the_embedding_is_read_as_well_before_training():
    model, prompts = randomised(ARCHITECTURES["softmax"]), LAW.sample(60, 7, seed=5)
    table = probe(model, prompts, {"query": lambda p: p.queries}, "embedding", positions=[4])
    found = table.query("not control").set_index("model")["r2"]
    assert (found > 1 - 1e-10).all()
    assert list(found.index) == ["trained", "untrained"]


def test_own_modules_are_probed_by_position(own):
    prompts = LAW.sample(40, 7, seed=6)
    table = probe(own, prompts, {"query": lambda p: p.queries}, "read.in", positions=[2], untrained=True)
    assert (table.query("not control")["r2"] > 1 - 1e-8).all()


def test_what_cannot_be_probed_is_refused():
    model, prompts = randomised(ARCHITECTURES["softmax"]), LAW.sample(16, 7, seed=5)
    refused = {
        "Did you mean 'least_squares'": lambda: probe(model, prompts, "least_square"),
        "at least 8": lambda: probe(model, LAW.sample(5, 7, seed=5), "moment"),
        r"shape \(16, 7\)": lambda: probe(model, prompts, {"own": lambda p: np.zeros(3)}),
        "below the prompts' 7": lambda: probe(model, prompts, "moment", positions=[7]),
        "linear functions": lambda: probe(model, LAW.sample(16, 2, seed=5), "weights"),
        "of the pool's tasks": lambda: probe(model, prompts, {"task": task_index(np.zeros((2, 3)))}),
    }
    for sentence, ask in refused.items():
        with pytest.raises(InvalidInputError, match=sentence):
            ask()
