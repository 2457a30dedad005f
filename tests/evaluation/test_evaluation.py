"""Curves, comparisons and streams: closed forms, calibration, and independence of how the work was split."""

import os

import joblib
import numpy as np
import pytest
from scipy.stats import ttest_1samp

from iclab.evaluation import (
    Histogram,
    Moments,
    Suite,
    accumulate,
    compare,
    differences,
    error_curve,
    least_squares_risk,
    lsa_error,
    nearest_algorithm,
)
from iclab.evaluation.compare import PairedDifferences, interval
from iclab.evaluation.curves import SquaredErrors
from iclab.evaluation.streaming import chunk_size
from iclab.foundations import InvalidInputError
from iclab.predictors import FAST, Averaging, LeastSquares, Ridge, TrainedLSA, Zero, predictor
from iclab.prompts import (
    Affine,
    Gaussian,
    IndependentQueries,
    Linear,
    LinearPlusQuadratic,
    PromptDistribution,
    Prompts,
    RandomDiagonal,
    shift,
)
from iclab.theory import (
    expected_risk,
    minimizer,
    optimal_learner,
    quadratic_law,
    theorem5_risk,
)

LAMBDA = np.array([[1.0, 0.3, 0.1], [0.3, 0.7, -0.2], [0.1, -0.2, 0.5]])
N = 25_000


def agree(curve, position, exact):
    assert abs(curve.mean[position] - exact) <= 4 * curve.stderr[position] + 1e-20


def test_least_squares_against_its_closed_forms():
    identity = np.eye(6)
    curve = error_curve(LeastSquares(), PromptDistribution(Gaussian(identity), Linear(), 0.5), 16, n_prompts=N, seed=1)
    for m in (0, 1, 2, 3, 10, 12, 15):  # near m = d the variance is infinite or nearly so
        agree(curve, m, least_squares_risk(identity, identity, m, 0.25))


def test_least_squares_under_covariate_shift():
    query = np.diag([2.0, 1.0, 0.5])
    base = PromptDistribution(Gaussian(LAMBDA), Linear(), 0.4, changes=(IndependentQueries(query),))
    curve = error_curve(LeastSquares(), base, 14, n_prompts=N, seed=2)
    for m in (9, 11, 13):
        agree(curve, m, least_squares_risk(LAMBDA, query, m, 0.16))


@pytest.mark.parametrize("covariates", [Gaussian(LAMBDA), RandomDiagonal.exponential(3, 1.5)], ids=["fixed", "random"])
def test_trained_layer_against_its_exact_risk(covariates):
    curve = error_curve(
        TrainedLSA(minimizer(covariates, 8)), PromptDistribution(covariates, Linear()), 13, n_prompts=N, seed=3
    )
    for m in (1, 5, 8, 12):
        agree(curve, m, expected_risk(covariates, 8, m))


@pytest.mark.parametrize(
    "name", ["noise=0.7", "scale-x=0.5", "scale-query=2", "scale-y=3", "noise=1+covariance=2", "independent-query"]
)
def test_trained_layer_under_shifts(name):
    base = PromptDistribution(Gaussian(LAMBDA), Linear(), 0.2)
    member = shift(name)
    learner = optimal_learner(Gaussian(LAMBDA), 8)
    curve = error_curve(TrainedLSA(minimizer(Gaussian(LAMBDA), 8)), member.apply(base), 8, n_prompts=N, seed=4)
    for m in (1, 4, 7):
        agree(curve, m, lsa_error(learner, member, base, m))


def test_trained_layer_on_a_quadratic_task():
    w, v = np.array([1, -1, 0.5]), np.array([0.3, 0.2, -0.4])
    base = PromptDistribution(Gaussian(LAMBDA), LinearPlusQuadratic(w, v, 0.5, LAMBDA))
    curve = error_curve(TrainedLSA(minimizer(Gaussian(LAMBDA), 6)), base, 9, n_prompts=N, seed=5)
    agree(curve, 8, theorem5_risk(LAMBDA, 6, 8, *quadratic_law(LAMBDA, w, v, 0.5)))
    assert np.isclose(theorem5_risk(LAMBDA, 6, 8, *quadratic_law(LAMBDA, w, v, 0.5)), 0.552022836188)


def test_bayes_ridge_against_its_closed_form():
    # The posterior variance averaged over contexts, by an independent simulation of contexts alone.
    s, m = 0.6, 5
    xs = np.random.default_rng(0).multivariate_normal(np.zeros(3), LAMBDA, size=(N, m))
    gram = np.einsum("bpi,bpj->bij", xs, xs) + s**2 * np.eye(3)
    exact = s**2 * np.einsum("ij,bji->b", LAMBDA, np.linalg.inv(gram))
    curve = error_curve(Ridge.bayes(s), PromptDistribution(Gaussian(LAMBDA), Linear(), s), m + 1, n_prompts=N, seed=6)
    spread = np.hypot(curve.stderr[m], exact.std() / np.sqrt(N))
    assert abs(curve.mean[m] - exact.mean()) < 4 * spread


def test_bayes_beats_every_other_predictor_on_its_own_law():
    base = PromptDistribution(Gaussian(LAMBDA), Linear(), 0.6)
    others = {"bayes": Ridge.bayes(0.6), "ls": LeastSquares(), "ridge": Ridge(0.1), "averaging": Averaging()}
    table = differences(others, {"base": base}, 8, baseline="bayes", n_prompts=20_000, seed=7)
    finite = table.query("position > 0 and not (predictor == 'ls' and 2 <= position <= 4)")
    assert (finite["lower"] > 0).all()


def test_intervals_of_paired_differences_cover():
    d, n_train, repetitions, n_prompts = 8, 8, 2000, 400
    base = PromptDistribution(Gaussian.isotropic(d), Linear(), 0.5)
    learner = optimal_learner(Gaussian.isotropic(d), n_train)
    exact = lsa_error(learner, shift("standard"), base, n_train) - d  # less the error of zero
    measure = PairedDifferences(("zero", Zero()), (("lsa", TrainedLSA(minimizer(Gaussian.isotropic(d), n_train))),))
    # The same law drawn in bulk: an address per prompt would cost ten times as much.
    rng = np.random.default_rng(0)
    values = np.empty((n_prompts, repetitions))
    for row in values:
        xs, w = rng.standard_normal((repetitions, n_train + 1, d)), rng.standard_normal((repetitions, d))
        targets = np.einsum("bpd,bd->bp", xs, w)
        ys = targets + 0.5 * rng.standard_normal(targets.shape)
        row[:] = measure(Prompts(xs, ys, xs, targets))[:, 0, n_train]
    moments = Moments.of(values)
    for level in (0.5, 0.8, 0.95, 0.99):
        lower, upper = interval(moments, level)
        covered = np.mean((lower <= exact) & (exact <= upper))
        # Three standard errors of a share of 2000, and 0.5 % that skewed errors cost at 400 prompts.
        assert abs(covered - level) < 3 * np.sqrt(level * (1 - level) / repetitions) + 0.005, level


def test_differences_report_the_interval_of_their_moments():
    base = PromptDistribution(Gaussian.isotropic(3), Linear(), 0.5)
    both = {"zero": Zero(), "averaging": Averaging()}
    row = differences(both, {"base": base}, 6, baseline="zero", n_prompts=400, seed=3, level=0.9).iloc[5]
    prompts = base.sample(400, 6, seed=3)
    samples = ((Averaging()(prompts) - prompts.targets) ** 2 - prompts.targets**2)[:, 5]
    expected = ttest_1samp(samples, 0.0).confidence_interval(0.9)
    np.testing.assert_allclose([row["lower"], row["upper"]], [expected.low, expected.high], rtol=1e-9)


def test_pairing_is_sharper_than_the_two_curves_apart():
    base = PromptDistribution(Gaussian.isotropic(4), Linear(), 0.3)
    both = {"a": Ridge(0.09), "b": Ridge(0.1)}
    apart = compare(both, {"x": base}, 7, n_prompts=2000, seed=0)
    paired = differences(both, {"x": base}, 7, baseline="a", n_prompts=2000, seed=0)
    means = apart.pivot_table(index="position", columns="predictor", values="mean")
    np.testing.assert_allclose(paired["mean"], means["b"] - means["a"], atol=1e-12)
    assert paired["stderr"].iloc[6] < 0.1 * apart["stderr"].iloc[6]


def test_moments_merge_like_one_sample():
    samples = np.random.default_rng(1).normal(1e6, 1.0, size=(1000, 3))
    whole = Moments.of(samples)
    merged = Moments.of(samples[:7]).merge(Moments.of(samples[7:400])).merge(Moments.of(samples[400:]))
    np.testing.assert_allclose(merged.mean, samples.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(merged.stderr, samples.std(axis=0, ddof=1) / np.sqrt(1000), rtol=1e-9)
    assert merged.n == whole.n == 1000


def test_quantiles_to_their_stated_accuracy():
    samples = np.random.default_rng(2).chisquare(1, size=(20_001, 2)) * [1e-9, 1e4]
    histogram = Histogram.of(samples[:5000]).merge(Histogram.of(samples[5000:]))
    for level in (0.05, 0.5, 0.95):
        np.testing.assert_allclose(histogram.quantile(level), np.quantile(samples, level, axis=0), rtol=0.02)
    assert Histogram.of(np.zeros((4, 1))).quantile(0.5)[0] == 0


def test_median_where_the_mean_is_infinite():
    base = PromptDistribution(Gaussian.isotropic(4), Linear(), 1.0)
    curve = error_curve(LeastSquares(), base, 6, n_prompts=3000, seed=0, quantiles=(0.25, 0.5))
    assert np.isinf(least_squares_risk(np.eye(4), np.eye(4), 4, 1.0))
    assert 0 < curve.quantiles[0.25][4] < curve.quantiles[0.5][4] < curve.mean[4]


def test_workers_do_not_change_a_bit():
    base = PromptDistribution(Gaussian(LAMBDA), Linear(), 0.3)
    predictors = {"ls": LeastSquares(), "averaging": Averaging()}
    one = compare(predictors, {"x": base}, 9, n_prompts=1700, seed=1, quantiles=[0.5], n_jobs=1)
    two = compare(predictors, {"x": base}, 9, n_prompts=1700, seed=1, quantiles=[0.5], n_jobs=2)
    assert one.equals(two)


@pytest.mark.parametrize(
    "processes", [pytest.param(False, marks=pytest.mark.slow, id="threads"), pytest.param(True, id="processes")]
)
def test_a_dask_cluster_does_not_change_a_bit(processes):
    from distributed import Client, LocalCluster

    base = PromptDistribution(Gaussian(LAMBDA), Linear(), 0.3)
    alone = error_curve(LeastSquares(), base, 9, n_prompts=1700, seed=1, quantiles=[0.5])
    with (
        LocalCluster(
            n_workers=2 if processes else 1,
            threads_per_worker=1 if processes else 2,
            processes=processes,
            host="127.0.0.1" if processes else None,
            dashboard_address="127.0.0.1:0",
        ) as cluster,
        Client(cluster) as client,
        joblib.parallel_config("dask"),
    ):
        there = error_curve(LeastSquares(), base, 9, n_prompts=1700, seed=1, quantiles=[0.5])
        assert len(client.run(os.getpid)) == (2 if processes else 1)
        assert (os.getpid() in client.run(os.getpid).values()) is not processes
    np.testing.assert_array_equal(there.mean, alone.mean)
    np.testing.assert_array_equal(there.stderr, alone.stderr)
    np.testing.assert_array_equal(there.quantiles[0.5], alone.quantiles[0.5])


def test_memory_does_not_grow_with_the_number_of_prompts():
    import tracemalloc

    base = PromptDistribution(Gaussian(LAMBDA), Linear())

    def peak(n_prompts):
        tracemalloc.start()
        error_curve(Averaging(), base, 20, n_prompts=n_prompts, seed=0)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    assert peak(20_000) < 1.3 * peak(2_000)


@pytest.mark.slow
def test_a_million_prompts_stay_under_a_gibibyte():
    import psutil

    base = PromptDistribution(Gaussian.isotropic(5), Linear())
    seen = []
    process = psutil.Process(os.getpid())
    before = process.memory_info().rss
    curve = error_curve(
        LeastSquares(),
        base,
        11,
        n_prompts=1_000_000,
        seed=0,
        progress=lambda *_: seen.append(process.memory_info().rss),
    )
    assert max(seen) - before < 2**29
    for m in (1, 2, 3, 4):
        agree(curve, m, 5.0 - m)


def test_chunks_depend_on_the_shape_alone():
    assert chunk_size(101, 20) == 512
    assert chunk_size(10_000, 20) == 10
    assert chunk_size(10**7, 20) == 1


def test_curve_is_the_plain_mean():
    base = PromptDistribution(Gaussian(LAMBDA), Linear(), 0.3)
    prompts = base.sample(300, 5, seed=9)
    errors = (LeastSquares()(prompts) - prompts.targets) ** 2
    curve = error_curve(LeastSquares(), base, 5, n_prompts=300, seed=9)
    np.testing.assert_allclose(curve.mean, errors.mean(axis=0), rtol=1e-12, atol=1e-30)
    np.testing.assert_allclose(curve.stderr, errors.std(axis=0, ddof=1) / np.sqrt(300), rtol=1e-10, atol=1e-30)


def test_suite_knows_its_zero_errors():
    table = Suite.named("all", 4).run({"zero": Zero()}, 5, n_prompts=2000, seed=0)
    known = table[table["zero"].notna()]
    assert known["distribution"].nunique() > 25
    z = (known["mean"] - known["zero"]) / known["stderr"]
    assert np.abs(z).max() < 5


def test_paper_suite_runs_for_every_fast_predictor():
    fast = {name: predictor(name, 3, 6) for name in FAST}
    table = Suite.named("paper", 3).run(fast, 7, n_prompts=64, seed=0)
    assert np.isfinite(table["mean"]).all()
    assert set(table["predictor"]) == set(FAST)


def test_a_distribution_and_a_predictor_of_ones_own():
    class Mine:
        """x on the unit circle, h(x) = x_1, under twenty lines and without registration."""

        dimension = 2

        def sample(self, n_prompts, n_points, *, seed, step=0, start=0, stream="evaluation"):
            base = PromptDistribution(Affine(Gaussian.isotropic(2), 2.0), Linear()).sample(
                n_prompts, n_points, seed=seed, step=step, start=start, stream=stream
            )
            xs = base.xs / np.linalg.norm(base.xs, axis=-1, keepdims=True)
            return type(base)(xs, xs[..., 0], xs, xs[..., 0])

    def first_coordinate(prompts):
        return np.where(np.arange(prompts.n_points) > 0, prompts.queries[..., 0], 0.0)

    curve = error_curve(first_coordinate, Mine(), 3, n_prompts=2000, seed=0)
    agree(curve, 0, 0.5)
    assert (curve.mean[1:] == 0).all()


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda base: error_curve(Zero(), base, 3, n_prompts=1, seed=0), "n_prompts must be at least 2"),
        (lambda base: error_curve(Zero(), base, 0, n_prompts=4, seed=0), "n_points must be at least 1"),
        (lambda base: error_curve(Zero(), base, 3, n_prompts=4, seed=0, quantiles=[1.5]), "between 0 and 1"),
        (lambda base: error_curve(lambda p: p.ys[:, :1], base, 3, n_prompts=4, seed=0), "one prediction per prompt"),
        (lambda base: error_curve(lambda p: p.ys * np.nan, base, 3, n_prompts=4, seed=0), "finite predictions"),
        (lambda base: compare({}, {"x": base}, 3, n_prompts=4, seed=0), "at least one member"),
        (lambda base: differences({"a": Zero()}, {"x": base}, 3, baseline="b", n_prompts=4, seed=0), "baseline must"),
        (lambda base: compare([Zero()], {"x": base}, 3, n_prompts=4, seed=0), "predictors must map names"),
        (lambda base: compare({"a": Zero()}, base, 3, n_prompts=4, seed=0), "distributions must map names"),
        (lambda base: compare({"a": Zero()}, {"x": type(base)}, 3, n_prompts=4, seed=0), "dimension and sample"),
        (lambda base: compare({"a": Zero}, {"x": base}, 3, n_prompts=4, seed=0), "not its class"),
        (lambda base: nearest_algorithm(Zero(), [Zero()], {"x": base}, 3, seed=0), "candidates must map names"),
        (lambda base: Suite.named("grag", 3), "Did you mean 'garg'"),
    ],
)
def test_bad_input(call, sentence):
    with pytest.raises(InvalidInputError, match=sentence):
        call(PromptDistribution(Gaussian(LAMBDA), Linear()))


@pytest.mark.parametrize("part", ["xs", "ys", "queries", "targets"])
@pytest.mark.parametrize("name", ["standard", "scale-query=2"])
def test_a_predictor_that_works_in_place_changes_no_error(part, name):
    def careless(prompts):
        getattr(prompts, part)[:] = 0.0
        return np.zeros(prompts.ys.shape)

    honest = {"zero": Zero(), "ridge": Ridge(1.0)}
    distributions = {name: shift(name).apply(PromptDistribution(Gaussian(LAMBDA), Linear()))}
    expected = compare(honest, distributions, 5, n_prompts=64, seed=0).set_index(["predictor", "position"])["mean"]
    table = compare({"careless": careless, **honest}, distributions, 5, n_prompts=64, seed=0)
    found = table.set_index(["predictor", "position"])["mean"]
    for learner in honest:
        assert (found[learner] == expected[learner]).all()
    assert (found["careless"] == expected["zero"]).all()
    verdicts = nearest_algorithm(Ridge(1.0), {"careless": careless, **honest}, distributions, 3, seed=0).verdicts
    assert set(verdicts["closest"][1:]) == {"ridge"}


def test_accumulate_any_measure():
    measure = SquaredErrors((("zero", Zero()),))
    [found] = accumulate(measure, PromptDistribution(Gaussian(LAMBDA), Linear()), 2, n_prompts=600, seed=0)
    assert found.mean.shape == (1, 2)
    assert found.n == 600


def test_a_shift_named_twice_is_run_once():
    base = PromptDistribution(Gaussian.isotropic(2), Linear())
    once, twice = (
        Suite("mine", base, ("standard",) * times).run({"zero": Zero()}, 3, n_prompts=4, seed=0) for times in (1, 2)
    )
    assert twice.equals(once)


def test_an_empty_suite_is_refused():
    with pytest.raises(InvalidInputError, match="at least one shift"):
        Suite("none", PromptDistribution(Gaussian.isotropic(2), Linear()), ()).run(
            {"zero": Zero()}, 3, n_prompts=4, seed=0
        )


@pytest.mark.parametrize(
    ("learner", "jobs", "why"),
    [
        (3, None, "cannot be called"),
        (lambda prompts: 1j * prompts.ys, None, "real numbers"),
        (lambda prompts: None, None, "array of real numbers"),
        (Zero(), 0, "n_jobs"),
    ],
)
def test_what_cannot_be_judged_is_refused(learner, jobs, why):
    distribution = PromptDistribution(Gaussian.isotropic(2), Linear())
    with pytest.raises(InvalidInputError, match=why):
        error_curve(learner, distribution, 3, n_prompts=4, seed=0, n_jobs=jobs)


def test_exact_risks_are_plain_numbers():
    risks = [least_squares_risk(np.eye(3), np.eye(3), m, 0.5) for m in range(8)]
    assert {type(risk) for risk in risks} == {float}
    assert risks == [3.0, 2.5, np.inf, np.inf, np.inf, 1.5, 0.75, 0.5]
