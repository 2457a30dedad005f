"""No leak passes the check, however small or well hidden, and nothing that looks at nothing ahead is refused."""

import numpy as np
import pytest
import torch
from torch import nn

from iclab.foundations import InvalidInputError
from iclab.models import OwnModel, OwnModule
from iclab.models.mixers import MIXERS
from iclab.training import read_config
from iclab.training.causality import check_causal

D, N, K = 3, 6, 4
REAL = {"covariates": {"kind": "gaussian", "dimension": D}}
CLASSES = {"covariates": {"kind": "categories", "count": D}, "tasks": {"kind": "lookup", "n_classes": K}}
SYMBOLS = {"kind": "markov_chains", "n_symbols": K}


class Honest(nn.Module):
    """Reads (x, label before it), and perhaps adds what it must not know."""

    def __init__(self, leak=None, d=D, outputs=1):
        super().__init__()
        self.cell = nn.LSTM(d + outputs, 8, batch_first=True)
        self.out = nn.Linear(8, outputs)
        self.drop = nn.Dropout(0.1)
        self.gate = nn.Parameter(torch.zeros(1))
        self.norm = nn.BatchNorm1d(1)
        self.outputs, self.leak = outputs, leak

    def forward(self, xs, ys):
        labels = ys[..., None] if self.outputs == 1 else nn.functional.one_hot(ys, self.outputs).to(xs.dtype)
        before = nn.functional.pad(labels[:, :-1], (0, 0, 1, 0))
        said = self.out(self.drop(self.cell(torch.cat([xs, before], -1))[0]))
        said = said[..., 0] if self.outputs == 1 else said
        return said if self.leak is None else said + self.leak(self, xs, labels[..., 0])


class Asked(Honest):
    """Answers queries itself: from all examples before them, and what ``wrong`` adds."""

    def __init__(self, wrong=None):
        super().__init__()
        self.wrong = wrong

    def forward(self, xs, ys, queries=None):
        asked = xs if queries is None else queries
        sums = torch.cumsum(ys[..., None] * xs, 1) - ys[..., None] * xs
        said = (sums * asked).sum(-1) * self.out.weight.mean() + self.out.bias
        return said if self.wrong is None or queries is None else said + self.wrong(xs, ys, queries)


def check(net, prompts=REAL, precision="float32", dtype=torch.float32):
    config = read_config(
        {
            "prompts": prompts,
            "model": {"kind": "own", "object": "nets:Net"},
            "n_train": N,
            "steps": 1,
            "precision": precision,
        },
        allow_code=True,
    )
    assert isinstance(config.architecture, OwnModel)
    torch.manual_seed(0)
    check_causal(config, OwnModule.around(net.to(dtype), config.architecture))


AT = torch.arange(N + 1)
LABEL, INPUT, PROMPTS = "its own label or one after it", "inputs after its query", "other prompts of the batch"
LEAKS = {
    "own label, 1e-9": (lambda m, xs, ys: 1e-9 * ys, f"position 0 .* {LABEL}"),
    "next input, 1e-9": (lambda m, xs, ys: 1e-9 * xs.sum(2).roll(-1, 1) * (AT < N), f"position 0 .* {INPUT}"),
    "at the last position": (lambda m, xs, ys: 1e-9 * ys * (AT == N), f"position {N} .* {LABEL}"),
    "beyond a threshold": (lambda m, xs, ys: 1e-3 * (ys.abs() - 30).relu(), f"{LABEL} .* 100 times as large"),
    "below a threshold": (lambda m, xs, ys: 1e-3 * (0.01 - ys.abs()).relu(), LABEL),
    "a step": (lambda m, xs, ys: 1e-9 * ys.sign(), LABEL),
    "outside autograd": (lambda m, xs, ys: torch.from_numpy(1e-9 * ys.detach().numpy()), LABEL),
    "mean of all positions": (lambda m, xs, ys: 1e-9 * ys.mean(1, keepdim=True), f"position 0 .* {LABEL}"),
    "norm of all inputs": (lambda m, xs, ys: 1e-9 * xs.norm(dim=(1, 2))[:, None], f"position 0 .* {INPUT}"),
    "behind a weight of zero": (lambda m, xs, ys: m.gate * ys, f"{LABEL} once its weights have moved"),
    "while it is trained": (lambda m, xs, ys: 1e-9 * ys * m.training, f"{LABEL} while it is trained"),
    "mean of the batch": (lambda m, xs, ys: 1e-9 * ys.mean(0), PROMPTS),
    "statistics of the batch": (lambda m, xs, ys: m.norm(xs[:, :1, 0]), f"{PROMPTS} while it is trained"),
    "labels of the prompt before": (lambda m, xs, ys: 1e-9 * ys.roll(1, 0).detach(), PROMPTS),
}


@pytest.mark.parametrize("leak", LEAKS)
def test_no_leak_passes(leak):
    rule, said = LEAKS[leak]
    with pytest.raises(InvalidInputError, match=said) as caught:
        check(Honest(rule))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("prompts", [CLASSES, SYMBOLS], ids=["classes", "symbols"])
def test_no_leak_of_classes_passes(prompts):
    d = 0 if prompts is SYMBOLS else D
    check(Honest(d=d, outputs=K), prompts)
    with pytest.raises(InvalidInputError, match="its own label"):
        check(Honest(lambda m, xs, ys: 1e-9 * ys[..., None], d, K), prompts)


QUERIES = {
    "inputs that were not asked": lambda xs, ys, queries: 1e-9 * xs.sum(2),
    "own label": lambda xs, ys, queries: 1e-9 * ys,
    "other queries": lambda xs, ys, queries: 1e-9 * queries.sum((1, 2))[:, None],
    "other queries, by a step": lambda xs, ys, queries: 1e-9 * torch.sign(queries).sum((1, 2))[:, None],
}


@pytest.mark.parametrize("wrong", QUERIES)
def test_no_leak_passes_where_queries_are_given(wrong):
    check(Asked())
    with pytest.raises(InvalidInputError, match="where queries are given"):
        check(Asked(QUERIES[wrong]))


class Transformed(Honest):
    """A causal convolution by Fourier transforms, whose rounding reaches every position."""

    def __init__(self, dtype=None):
        super().__init__()
        self.kernel, self.inside = nn.Parameter(torch.randn(N + 1)), dtype

    def forward(self, xs, ys):
        before, kernel = nn.functional.pad(ys[:, :-1], (1, 0)), self.kernel
        if self.inside:
            before, kernel = before.to(self.inside), kernel.to(self.inside)
        product = torch.fft.rfft(before, 2 * N + 2) * torch.fft.rfft(kernel, 2 * N + 2)
        return torch.fft.irfft(product, 2 * N + 2)[:, : N + 1].to(xs.dtype) + super().forward(xs, ys)


class Attends(Honest):
    """Softmax attention with a mask of −∞, and inputs that it writes to."""

    def forward(self, xs, ys):
        xs[..., 0] *= 2
        later = torch.ones(xs.shape[1], xs.shape[1], dtype=torch.bool).triu()
        weights = (xs @ xs.mT).masked_fill(later, -torch.inf).softmax(-1).nan_to_num()
        return (weights @ ys[..., None])[..., 0] * self.out.bias


class Single(Honest):
    """Keeps a state in single precision whatever its weights are."""

    def forward(self, xs, ys):
        before = nn.functional.pad(ys[:, :-1], (1, 0))[..., None]
        state = (torch.zeros(1, len(xs), 8), torch.zeros(1, len(xs), 8))
        said = self.out(self.cell(torch.cat([xs, before], -1), state)[0])[..., 0]
        return said if self.leak is None else said + self.leak(self, xs, ys)


class Untouched(Honest):
    """No derivative goes through it."""

    @torch.no_grad()
    def forward(self, xs, ys):
        return super().forward(xs, ys)


class Attacked(Honest):
    """Knows the labels while it is trained, and says so."""

    adversarial = True

    def forward(self, xs, ys):
        return super().forward(xs, ys) + (ys if self.training else 0)


HONEST = {
    "plain": Honest,
    "transforms": Transformed,
    "transforms in single precision": lambda: Transformed(torch.float32),
    "attention": Attends,
    "a state in single precision": Single,
    "no derivatives": Untouched,
    "trained by an adversary": Attacked,
}


@pytest.mark.parametrize("net", HONEST)
def test_what_looks_at_nothing_ahead_passes(net):
    check(HONEST[net]())


def test_it_is_checked_in_its_own_precision():
    check(Honest(), precision="float64", dtype=torch.float64)
    with pytest.raises(InvalidInputError, match="its own label"):
        check(Single(lambda m, xs, ys: 1e-3 * ys))


def test_the_model_is_left_as_it_was():
    net = Honest(lambda m, xs, ys: 0 * m.norm(xs[:, None, :, 0].detach()).sum(1) if not m.training else 0.0)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    check(net)
    for name, value in net.state_dict().items():
        assert value.dtype == before[name].dtype
        np.testing.assert_array_equal(value, before[name])


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize(
    ("mixer", "parts"),
    [
        ("softmax", {"embedding": "stacked"}),
        ("merged", {"embedding": "stacked", "read_in": "identity", "width": D + 1, "heads": 1, "positions": "none"}),
        ("softmax", {"positions": "alibi", "loops": 2, "inject": True}),
        ("linear", {"positions": "rotary", "head": "mean_variance", "width": 8}),
        *(pytest.param(mixer, {"embedding": "stacked"}, marks=pytest.mark.slow) for mixer in MIXERS),
    ],
)
def test_no_model_of_ours_is_refused(mixer, parts, precision):
    model = {"dimension": D, "max_points": N + 1, "width": 8, "heads": 2, "layers": 1, "mixers": [mixer], **parts}
    check_causal(read_config({"prompts": REAL, "model": model, "n_train": N, "steps": 1, "precision": precision}))
