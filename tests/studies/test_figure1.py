"""Figure 1: observations read off errors whose answer is known, models at hand, bands."""

from importlib.resources import files

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats

from iclab.studies.figure1 import figures
from iclab.studies.figure1.checks import CONFIDENCE, weigh
from iclab.studies.figure1.measure import Settings, measure
from iclab.studies.figure1.models import describe
from iclab.studies.figure1.questions import QUESTIONS, SUCCESS, size
from iclab.studies.lab import Lab
from iclab.studies.measuring import FAMILIES, OWN, SIZE, panels
from iclab.studies.study import Record, Verdict, ask, plain
from iclab.studies.trainings import Trained
from iclab.theory import expected_risk
from iclab.training import preset, read_config, train

LENGTHS = (4, 6, 8)
PANELS = panels((1.0, 4.0, 9.0))
MODELS = pd.DataFrame(
    {"embedding": "interleaved", "family": "random", "n_train": LENGTHS, "learned": True, "steps": 1, "labels_seen": 1}
).assign(papers_size=True)
# What the paper sees in the errors.
PAPER = [question.name for question in QUESTIONS if question.source and question.name != "size"]


def _errors(level, *, spike=1.0, spike_decay=0.0, prompts=400, seed=0, seeds=(1.0,)):
    """Exponential errors around ``level(family, n, c)`` times that of a training seed; beyond N spiked."""
    rng = np.random.default_rng(seed)
    errors = {}
    for family in FAMILIES:
        for n in LENGTHS:
            for panel in PANELS:
                means = np.full(9, level(family, n, panel.c))
                means[n + 1 :] *= 1 + spike * (panel.c**-spike_decay)
                draws = rng.exponential(size=(prompts, 9)) * means
                errors[family, n, panel] = np.array([draws * each for each in seeds])
    return errors


def _checks(errors, name="", seed=0):
    table = weigh(errors, PANELS, LENGTHS, seed)
    return table[table["observation"] == name] if name else table


def _answers(errors, embedding="interleaved"):
    tables = {"checks": _checks(errors), "models": MODELS.assign(embedding=embedding)}
    tables |= {"missing": MODELS[:0], "spread": pd.DataFrame({"beyond": [], "ratio": []})}
    return ask(QUESTIONS, tables)


def _of(errors):
    return {name: answer.verdict for name, answer in _answers(errors).items() if name in PAPER}


def _as_the_paper_says(family, n, c):
    if family == "fixed" and c > 1:
        return 0.6 * c
    return 0.2 * c if c == 9 else 0.03 * c * (4 / n) ** 2


def test_a_world_in_which_the_paper_is_right():
    errors = _errors(_as_the_paper_says, spike=8.0, spike_decay=0.8)
    assert set(_of(errors).values()) == {Verdict.CONFIRMED}
    # Models that read columns are not the paper's.
    columns = _answers(errors, embedding="stacked")
    assert {columns[name].verdict for name in PAPER} == {Verdict.MEASURED}
    assert columns["fails"].met == 6


def test_a_world_in_which_every_model_is_least_squares():
    verdicts = _of(_errors(lambda *_: 1e-9, spike=0.0))
    assert verdicts.pop("succeeds") is Verdict.CONFIRMED
    assert {verdicts.pop(name) for name in ("fails", "short_of_least_squares")} == {Verdict.REFUTED}
    # Alike in truth, and so neither better nor worse.
    assert set(verdicts.values()) == {Verdict.UNDECIDED}


@pytest.mark.parametrize(
    ("level", "verdict"),
    [(0.5, Verdict.CONFIRMED), (0.1, Verdict.REFUTED), (SUCCESS, Verdict.UNDECIDED)],
    ids=["above", "below", "on the line"],
)
def test_an_answer_flips_across_its_line(level, verdict):
    answer = _answers(_errors(lambda family, n, c: level * c))["fails"]
    assert answer.verdict is verdict
    assert answer.total == 2 * len(LENGTHS)


def test_what_one_seed_shows_another_may_not():
    """The same prompts, and seeds whose errors differ by ten: their mean is on neither side of the line."""
    one = _errors(lambda family, n, c: 0.5 * c, prompts=1000)
    three = _errors(lambda family, n, c: 0.5 * c, prompts=1000, seeds=(0.2, 2.0, 0.8))
    np.testing.assert_allclose(_checks(one, "fails")["value"], _checks(three, "fails")["value"])
    assert [_of(errors)["fails"] for errors in (one, three)] == [Verdict.CONFIRMED, Verdict.UNDECIDED]
    # A factor common to a seed leaves its ratios alone.
    wide = [rows["value_high"] / rows["value_low"] for rows in (_checks(one, "rises"), _checks(three, "rises"))]
    np.testing.assert_allclose(*wide, rtol=1e-6)


def test_several_seeds_widen_the_interval_as_students_t_has_it():
    """Variance over prompts / B + variance over seeds / S, and Satterthwaite's degrees of freedom, by hand."""
    errors = _errors(lambda family, n, c: 0.5 * c, seeds=(0.9, 1.0, 1.1))
    row = _checks(errors, "fails").query("n_train == 6 and c == 9").iloc[0]
    samples = errors["fixed", 6, PANELS[-1]][:, :, 6] / 9
    prompts, seeds = np.var(samples.mean(axis=0), ddof=1) / 400, np.var(samples.mean(axis=1), ddof=1) / 3
    quantile = stats.t.ppf((1 + CONFIDENCE) / 2, 2 * (prompts + seeds) ** 2 / seeds**2)
    assert np.isclose(row["value_high"] - row["value_low"], 2 * quantile * np.sqrt(prompts + seeds))


def test_longer_training_is_compared_at_one_length():
    """A longer-trained model that is better only because it is asked with more examples does not help."""
    errors = _errors(lambda *_: 1.0, prompts=2000)
    for values in errors.values():
        values *= 0.5 ** np.arange(9)
    # A spike of 1 doubles what lies beyond the shorter N alone.
    assert _of(errors)["longer_is_better"] is Verdict.UNDECIDED


def test_an_observation_that_no_model_can_show_has_no_cases():
    errors = {key: values for key, values in _errors(lambda *_: 0.1).items() if key[:2] == ("fixed", 4)}
    answers = _answers(errors)
    without = {name for name in PAPER if not answers[name].total}
    assert without == {"random_is_better", "short_of_least_squares", "longer_is_better"}
    assert set(_of({}).values()) == {Verdict.UNDECIDED}


def test_a_spike_of_known_height_is_measured():
    spikes = _checks(_errors(lambda *_: 0.1, spike=2.0, prompts=5_000), "rises", seed=1)
    # N = 4 has 5 and 6 beyond, N = 6 has 7 and 8 (9 is not tested): means of two independent errors over one.
    np.testing.assert_allclose(spikes["value"], 3.0, rtol=4 * np.sqrt(1.5 / 5_000))
    width = np.log(spikes["value_high"] / spikes["value_low"])
    np.testing.assert_allclose(width, 2 * stats.norm.ppf((1 + CONFIDENCE) / 2) * np.sqrt(1.5 / 5_000), rtol=0.1)


@pytest.mark.parametrize("seed", range(3))
def test_noise_alone_is_no_spike(seed):
    answers = _answers(_errors(lambda *_: 0.1, spike=0.0, seed=seed))
    # N = 8 was tested at its own length only, so it has no check.
    for name, checks in (("rises", 2 * 4 * 2), ("ratio_shrinks", 2 * 2), ("difference_shrinks", 2 * 2)):
        assert (answers[name].met, answers[name].total) == (0, checks)


def test_the_same_errors_are_counted_at_a_second_line():
    """At 15 % of the zero predictor's no model fails by one line, and all do by the other."""
    answers = _answers(_errors(lambda family, n, c: 0.15 * c, prompts=4000))
    assert answers["fails"].verdict is Verdict.REFUTED
    counts = {name: answers[name].numbers["met_at_0.1"] for name in ("fails", "succeeds", "short_of_least_squares")}
    assert counts == {"fails": 6, "succeeds": 0, "short_of_least_squares": 3}


@pytest.mark.parametrize(("spike", "spikes"), [(0.6, 0), (2.0, 16)], ids=["a rise", "a spike"])
def test_a_rise_counts_as_a_spike_when_it_doubles_the_error(spike, spikes):
    answer = _answers(_errors(lambda *_: 0.1, spike=spike, prompts=4000))["rises"]
    assert (answer.verdict, answer.numbers["met_at_2"]) == (Verdict.CONFIRMED, spikes)


def test_a_ratio_that_falls_may_hide_a_difference_that_grows():
    """Errors at N in units of c³, spikes of c^(−1/2) times them: the ratio falls with c, the difference grows."""
    errors = _errors(lambda family, n, c: 0.001 * c**3, spike=9.0, spike_decay=0.5)
    answers = _answers(errors)
    assert answers["ratio_shrinks"].verdict is Verdict.CONFIRMED
    assert answers["difference_shrinks"].verdict is Verdict.REFUTED
    np.testing.assert_allclose(_checks(errors, "difference_shrinks")["value"], 0.009 * (1 - 9**2.5), rtol=0.3)
    # Where only the spike depends on c, both fall.
    both = _answers(_errors(lambda *_: 0.1, spike=9.0, spike_decay=0.5, prompts=2000))
    assert both["difference_shrinks"].verdict is Verdict.CONFIRMED


def test_seeds_matter_beyond_n_when_they_spread_more_there():
    question = next(question for question in QUESTIONS if question.name == "seeds")
    for times, verdict in ((2.1, Verdict.CONFIRMED), (1.9, Verdict.REFUTED)):
        spread = pd.DataFrame({"beyond": [False, True], "ratio": [0.5, 0.5 * times]})
        assert question.ask({"spread": spread}).verdict is verdict


def test_the_limits_of_the_layer_are_those_of_theory():
    criterion = next(question for question in QUESTIONS if question.name == "succeeds").criterion
    test = OWN["random"].covariates(5)
    for family, stated in (("random", "33 % when trained"), ("fixed", "300 % on the fixed")):
        limit = expected_risk(OWN[family].covariates(5), np.inf, np.inf, test) / 5
        assert f"{limit:.0%}".replace("%", " %") == " ".join(stated.split()[:2])
        assert stated.partition(" on ")[0] in criterion


SIZES = {
    "dimension": 2,
    "n_train": (3, 4),
    "max_context": 6,
    "preset": "tiny",
    "overrides": {"steps": 2, "batch_size": 4, "n_evaluation": 4},
    "n_prompts": 60,
}
GIVEN = {"dimension": 2, "max_points": 7, "batch_size": 4, "n_evaluation": 4}


def _measured(folder, **changes):
    return measure(Settings(**SIZES | changes), Lab(folder, lambda *_: None))


def _drawn(tables, *names, **changes):
    record = Record("figure1", "", plain(vars(Settings(**SIZES | changes))), tables, ask(QUESTIONS, tables))
    return {name: figures.FIGURES[name](record) for name in names or figures.FIGURES}


def test_models_at_hand_are_used_and_missing_ones_left_out(tmp_path):
    train(preset("tiny", n_train=3, steps=3, **GIVEN), tmp_path / "runs" / "mine")
    train(preset("tiny", n_train=4, steps=2, covariates="random-exponential", **GIVEN), tmp_path / "runs" / "other")
    stated = {"reuse": (str(tmp_path / "runs" / "mine"),), "train_missing": False, "learned_at_n": 1e-9}
    tables = _measured(tmp_path, **stated)
    models = tables["models"]
    assert models[["family", "n_train"]].to_numpy().tolist() == [["fixed", 3], ["random", 4]]
    assert models["origin"].str.contains("mine").to_list() == [True, False]
    assert models[["steps", "wanted_steps"]].to_numpy().tolist() == [[3, 2], [2, 2]]
    assert not models["learned"].any()
    assert tables["checks"].empty
    assert tables["missing"][["family", "n_train"]].to_numpy().tolist() == [["fixed", 4], ["random", 3]]
    legend = [text.get_text() for text in _drawn(tables, "errors")["errors"].legends[0].get_texts()]
    assert sum("no model" in text for text in legend) == sum("not learned" in text for text in legend) == 2
    # What others leave in the folder changes nothing, though it differs in fewer settings.
    train(preset("tiny", n_train=3, steps=4, **GIVEN), tmp_path / "runs" / "longer")
    pd.testing.assert_frame_equal(_measured(tmp_path, **stated)["models"], models, check_exact=True)
    # Only a run of the very configuration will do where nothing else is said; here that is one of them.
    strict = _measured(tmp_path, train_missing=False)
    assert strict["models"]["family"].to_list() == ["random"]


def test_the_command_for_a_missing_model_trains_what_was_wanted(tmp_path):
    overrides = SIZES["overrides"] | {"model": {"embedding": "stacked", "attention": "linear"}}
    command = _measured(tmp_path, train_missing=False, overrides=overrides, n_train=(3,))["missing"].iloc[0]["command"]
    _, _, name, *options, _, _ = command.split()
    changes = dict(option.split("=", 1) for option in options if option != "--set")
    config = read_config({"preset": name}, {key: yaml.safe_load(value) for key, value in changes.items()})
    wanted = {"dimension": 2, "n_train": 3, "max_points": 7, "covariates": "identity"}
    assert config == preset("tiny", **wanted, **overrides)


def test_without_any_model_the_references_remain(tmp_path):
    tables = _measured(tmp_path, train_missing=False)
    assert set(tables["curves"]["family"]) == {"least squares"}
    assert tables["checks"].empty
    assert len(_drawn(tables)) == 3


def test_what_else_differs_between_short_and_long_training_is_counted(tmp_path):
    plain_curriculum = {"dimensions": None, "points": None, "examples_per_dimension": None}
    given = GIVEN | {"covariates": "random-exponential", "curriculum": plain_curriculum}
    train(preset("tiny", n_train=3, steps=4, **given), tmp_path / "runs" / "short")
    train(preset("tiny", n_train=4, steps=2, **given), tmp_path / "runs" / "long")
    runs = tuple(str(tmp_path / "runs" / name) for name in ("short", "long"))
    answer = ask(QUESTIONS, _measured(tmp_path, reuse=runs, train_missing=False))["longer_is_better"]
    # 2 steps of 5 points against 4 steps of 4.
    assert answer.numbers["steps_longest_to_shortest"] == 0.5
    assert answer.numbers["labels_seen_longest_to_shortest"] == 0.625


def test_bands_part_seeds_from_prompts(tmp_path):
    changes = {"training_seeds": (0, 1, 2), "n_train": (3,)}
    tables = _measured(tmp_path, **changes)
    curves, bands = tables["curves"], tables["bands"]
    at = "inputs == 'random-exponential' and c == 4 and family == 'random' and position == 5"
    band, curve = bands.query(at).iloc[0], curves.query(at)
    means = curve["mean"].to_numpy()
    assert band["seeds"] == len(means) == 3
    np.testing.assert_allclose(
        band[["mean", "lowest", "highest"]].astype(float), [means.mean(), means.min(), means.max()]
    )
    assert band["deviation"] == pytest.approx(means.std(ddof=1))
    # The seeds answer the same prompts, so averaging them leaves the error over prompts about as it was.
    assert curve["stderr"].min() * 0.9 < band["stderr"] < curve["stderr"].max() * 1.1
    spread = tables["spread"].set_index("beyond")
    beyond = bands[bands["position"] > bands["n_train"]]
    assert spread.loc[True, "range"] == ((beyond["highest"] - beyond["lowest"]) / beyond["mean"]).median()
    assert spread["points"].to_list() == [2 * 4 * 3, 2 * 4 * 3]
    for figure in _drawn(tables, **changes).values():
        assert figure.axes


@pytest.mark.parametrize("part", [None, *SIZE, "embedding"])
def test_one_wrong_part_is_another_size_than_the_papers(part, tmp_path):
    """All parts at once are the paper's; 4 heads, 6 layers, width 128 or columns are not."""
    other = {"width": 128, "layers": 6, "heads": 4, "embedding": "stacked"}
    model = {**SIZE, "embedding": "interleaved"} | ({part: other[part]} if part else {})
    settings = Settings(dimension=2, n_train=(3,), max_context=4, overrides={"model": model})
    found = {each: Trained(tmp_path, settings.configuration(each), "", "") for each in settings.models}
    assert set(describe(settings, found)["papers_size"]) == {part is None}


def test_models_of_the_papers_size_are_counted():
    for alike, verdict in (([True, True], "confirmed"), ([True, False], "in part"), ([False], "refuted")):
        assert size({"models": pd.DataFrame({"papers_size": alike})}).verdict == verdict


def test_the_preset_of_the_papers_profile_has_the_papers_size():
    settings = Settings(
        **yaml.safe_load(files("iclab.studies.profiles").joinpath("paper.yaml").read_text())["studies"]["figure1"]
    )
    model = settings.configuration(settings.models[0]).model
    assert {part: getattr(model, part) for part in SIZE} == SIZE
