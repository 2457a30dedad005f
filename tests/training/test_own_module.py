"""Modules of one's own train, resume, load and export like ours, look ahead no more, and run only if allowed."""

import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from iclab.estimators import InContextRegressor
from iclab.foundations import InvalidInputError
from iclab.models import TransformerPredictor, load
from iclab.prompts import shift
from iclab.training import Run, preset, read_config, train
from iclab.training.causality import check_causal

NETS = '''
import torch
from torch import nn

class Lstm(nn.Module):
    """Reads (x, label before it)."""

    def __init__(self, d, width=8, outputs=1, classes=False, dropout=0.0):
        super().__init__()
        self.classes = outputs if classes else None
        self.cell = nn.LSTM(d + outputs, width, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(width, outputs)
        self.unused = nn.Linear(2, 2)
        self.register_buffer("mask", torch.ones(3, dtype=torch.bool))
        self.register_buffer("seen", torch.tensor(0))

    def forward(self, xs, ys):
        if self.training:
            self.seen += 1
        if self.classes:
            ys = nn.functional.one_hot(ys, self.classes).to(xs.dtype)
        labels = ys if ys.ndim == 3 else ys[..., None]
        before = nn.functional.pad(labels[:, :-1], (0, 0, 1, 0))
        said = self.out(self.dropout(self.cell(torch.cat([xs, before], -1))[0]))
        return said if labels.shape[-1] > 1 else said[..., 0]

class Ahead(Lstm):
    """Knows labels from ``start`` on."""

    def __init__(self, d, start):
        super().__init__(d)
        self.start = start

    def forward(self, xs, ys):
        later = torch.arange(ys.shape[1]) >= self.start
        return super().forward(xs, ys) + 0.1 * ys * later

class Peeks(Lstm):
    def forward(self, xs, ys):
        return super().forward(xs, ys) + 0.1 * xs.sum((1, 2))[:, None]

class Mixes(Lstm):
    def forward(self, xs, ys):
        return super().forward(xs, ys) + 0.1 * ys.mean(0)

class Normalises(Lstm):
    """By statistics of the batch, which hold labels of all positions."""

    def __init__(self, d):
        super().__init__(d)
        self.norm = nn.BatchNorm1d(1)

    def forward(self, xs, ys):
        return self.norm(super().forward(xs, ys)[:, None])[:, 0]

class Cheats(Lstm):
    def forward(self, xs, ys):
        return super().forward(xs, ys) + 0.1 * ys * self.training

class Remembers(Lstm):
    calls = 0

    def forward(self, xs, ys):
        self.calls += 1
        return super().forward(xs, ys) + self.calls

class Undefined(Lstm):
    def forward(self, xs, ys):
        return super().forward(xs, ys) / 0 * 0

class Short(Lstm):
    def forward(self, xs, ys):
        return super().forward(xs, ys)[:, 1:]

class Raises(Lstm):
    def forward(self, xs, ys):
        raise KeyError("nothing here")

class Complex(Lstm):
    def forward(self, xs, ys):
        return super().forward(xs, ys) * (1 + 0j)

class Lazy(Lstm):
    def __init__(self, d):
        super().__init__(d)
        self.out = nn.LazyLinear(1)

class Frozen(Lstm):
    def __init__(self, d):
        super().__init__(d)
        self.requires_grad_(False)

class Constant(Lstm):
    def forward(self, xs, ys):
        return torch.zeros_like(ys)
'''
REAL = {"covariates": {"kind": "gaussian", "dimension": 3}}
SYMBOLS = {"kind": "markov_chains", "n_symbols": 4}
COMMON = {"n_train": 10, "steps": 12, "batch_size": 8, "n_evaluation": 16, "evaluate_every": 6, "checkpoint_every": 3}


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
    """A file of the user's in the current folder, under a name that no other test imports."""
    name = f"nets_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    yield name
    sys.modules.pop(name, None)


def config_of(module, net="Lstm", prompts=REAL, allow_code=True, **changes):
    arguments = changes.pop("arguments", {"d": 3})
    model = {"kind": "own", "object": f"{module}:{net}", "arguments": arguments}
    return read_config({"prompts": prompts, "model": model, **COMMON, **changes}, allow_code=allow_code)


def weights(run):
    return load_file(run.directory / "checkpoints" / str(run.step) / "model.safetensors")


@pytest.mark.parametrize("parts", [{}, {"arguments": {"d": 3, "dropout": 0.5}}], ids=["plain", "dropout"])
def test_it_trains_and_resumes_bit_for_bit(module, parts, tmp_path):
    config = config_of(module, **parts)
    whole = train(config, tmp_path / "whole")
    train(config, tmp_path / "stopped", until=lambda line: line["step"] == 6)
    torch.manual_seed(77)  # what else goes on in the process does not matter
    again = train(config, tmp_path / "stopped")
    assert again.finished
    assert weights(whole).keys() == weights(again).keys()
    for key, value in weights(whole).items():
        assert torch.equal(value, weights(again)[key]), key
    assert whole.predictor().model.net.seen == 12
    assert whole.predictor().model.net.mask.dtype == torch.bool


def test_its_weights_move_and_depend_on_the_seed(module, tmp_path):
    one = train(config_of(module), tmp_path / "one")
    other = train(config_of(module, seed=1), tmp_path / "other")
    start = train(config_of(module, optimizer={"kind": "sgd", "learning_rate": 1e-30}), tmp_path / "start")
    for run in (other, start):
        assert not torch.equal(weights(one)["net.out.weight"], weights(run)["net.out.weight"])


def test_sequences_are_predicted_by_logits(module, tmp_path):
    arguments = {"d": 0, "outputs": 4, "classes": True}
    run = train(config_of(module, prompts=SYMBOLS, arguments=arguments), tmp_path / "run")
    prompts = run.config.prompts.build().sample(3, 9, seed=4)
    said = run.predictor()(prompts)
    assert said.shape == (3, 9, 4)
    np.testing.assert_allclose(said.sum(-1), 1, rtol=1e-12)
    assert set(run.evaluations()) == {"step", "position", "mean", "stderr", "true_law"}


def test_shifted_queries_are_answered_one_by_one(module, tmp_path):
    run = train(config_of(module), tmp_path / "run")
    plain = run.config.prompts.build()
    prompts = plain.sample(4, 7, seed=4)
    shifted = shift("scale-query=2").apply(plain).sample(4, 7, seed=4)
    predictor = run.predictor()
    found = predictor(shifted)
    for i in range(7):
        xs = np.concatenate([shifted.xs[:, :i], shifted.queries[:, i : i + 1]], axis=1)
        alone = predictor(type(prompts)(xs, prompts.ys[:, : i + 1], xs, prompts.targets[:, : i + 1]))
        np.testing.assert_allclose(found[:, i], alone[:, i], rtol=1e-5, atol=1e-6)


def test_a_folder_runs_code_only_if_allowed(module, tmp_path):
    run = train(config_of(module), tmp_path / "run")
    run.export(tmp_path / "model")
    sys.modules.pop(module)
    for folder in (tmp_path / "run", tmp_path / "model"):
        with pytest.raises(InvalidInputError, match="--allow-code"):
            load(folder)
    with pytest.raises(InvalidInputError, match="--allow-code"):
        Run.open(tmp_path / "run").predictor()
    with pytest.raises(InvalidInputError, match="--allow-code"):
        train(config_of(module, allow_code=False), tmp_path / "other")
    assert module not in sys.modules
    assert not (tmp_path / "other").exists()
    prompts = run.config.prompts.build().sample(3, 9, seed=4)
    for folder in (tmp_path / "run", tmp_path / "model"):
        loaded = load(folder, allow_code=True)
        assert isinstance(loaded, TransformerPredictor)
        np.testing.assert_array_equal(loaded(prompts), run.predictor()(prompts))


def test_it_is_a_model_of_the_scikit_learn_facade(module, tmp_path):
    run = train(config_of(module), tmp_path / "run")
    prompts = run.config.prompts.build().sample(1, 9, seed=4)
    regressor = InContextRegressor(model=str(run.directory), allow_code=True)
    predicted = regressor.fit(prompts.xs[0, :8], prompts.ys[0, :8]).predict(prompts.xs[0, 8:])
    assert predicted.shape == (1,)
    assert np.isfinite(predicted).all()


@pytest.mark.parametrize(
    ("net", "arguments", "said"),
    [
        ("Ahead", {"d": 3, "start": 0}, "position 0 .* changes with its own label"),
        ("Ahead", {"d": 3, "start": 7}, "position 7 .* changes with its own label"),
        ("Peeks", {"d": 3}, "position 0 .* changes with inputs after its query"),
        ("Mixes", {"d": 3}, "change with other prompts of the batch"),
        ("Normalises", {"d": 3}, "change with other prompts of the batch while it is trained"),
        ("Cheats", {"d": 3}, "position 0 .* changes with its own label .* while it is trained"),
        ("Remembers", {"d": 3}, "change from call to call"),
        ("Undefined", {"d": 3}, "must predict finite numbers"),
        ("Short", {"d": 3}, r"shape \(11, 11\), one answer per position; \(11, 10\) was returned"),
        ("Raises", {"d": 3}, "must map inputs and labels to predictions; KeyError"),
        ("Complex", {"d": 3}, "must predict real numbers; complex64 was returned"),
        ("Lazy", {"d": 3}, "must make a module whose weights have shapes"),
        ("Frozen", {"d": 3}, "must have parameters that are trained; all are frozen"),
        ("Constant", {"d": 3}, "depend on none"),
        ("Lstm", {"d": 3, "depth": 2}, "must take the arguments given; TypeError"),
        ("Lstm", {"d": 4}, "must map inputs and labels to predictions; RuntimeError"),
        ("Nothing", {}, "importable module and an object in it"),
        ("nn.Identity", {}, "must make a torch.nn.Module with parameters"),
        ("torch.tensor", {"data": 1}, "must make a torch.nn.Module with parameters; a Tensor was made"),
    ],
)
def test_what_is_no_learner_is_refused_in_one_sentence_before_anything_is_written(
    module, net, arguments, said, tmp_path
):
    with pytest.raises(InvalidInputError, match=said) as caught:
        train(config_of(module, net, arguments=arguments), tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert net == "Constant" or not (tmp_path / "run").exists()


@pytest.mark.parametrize("mixer", ["softmax", "gla", "mesa", "lstm"])
def test_ours_pass_the_check(mixer):
    model = {"dimension": 3, "max_points": 12, "width": 8, "mixers": [mixer]}
    check_causal(read_config({"prompts": REAL, "model": model, **COMMON}))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": {"kind": "mine", "object": "a:b"}}, "kind of model must be one of own"),
        ({"model": {"kind": "own"}}, "must have the key 'object'"),
        ({"model": {"kind": "own", "object": "a:b", "width": 3}}, "must have only the keys"),
        ({"model": {"kind": "own", "object": "a:b", "dimension": 4}}, "same dimension; 3 and 4"),
        ({"model": {"kind": "own", "object": "a:b", "head": "classes"}}, "head must fit the labels|at least 2"),
    ],
)
def test_configurations_that_do_not_fit_are_refused(changes, said):
    with pytest.raises(InvalidInputError, match=said) as caught:
        read_config({"prompts": REAL, **COMMON, **changes})
    assert "\n" not in str(caught.value)


def test_the_command_line_runs_what_a_folder_names_only_if_told(module, tmp_path, iclab):
    train(config_of(module), tmp_path / "run")
    sys.modules.pop(module)
    command = ("evaluate", str(tmp_path / "run"), "--suite", "standard", "--prompts", "8", "--against", "none")
    code, _, err = iclab(*command)
    assert code == 2
    assert "--allow-code" in err
    assert module not in sys.modules
    code, _, err = iclab(*command, "--allow-code")
    assert code == 0, err


def test_a_preset_takes_a_module_of_ones_own_instead_of_its_transformer():
    config = preset("tiny", dimension=3, n_train=6, model={"kind": "own", "object": "mynet:Net"}, allow_code=True)
    assert config.model.object == "mynet:Net"
    assert config.optimizer == preset("tiny", dimension=3, n_train=6).optimizer
