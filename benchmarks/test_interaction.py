"""What people wait for: a change in the explorer, a fit of many rows. Run with ``pytest -n 0 benchmarks``."""

import numpy as np
import pytest
from hugging_face import seconds_of

from iclab.estimators import InContextRegressor
from iclab.explore import PANELS
from iclab.explore.pictures import picture


def least(call):
    """Least CPU seconds of five calls, after one that imports what it needs."""
    call()
    return min(seconds_of(call) for _ in range(5))


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.name)
def test_a_change_at_fifty_dimensions(panel):
    """Bar: numbers and picture within a fifth of a second."""
    settings = panel.settings | {"dimension": 50}
    seconds = least(lambda: picture(panel, panel.compute(settings))._mime_())
    print(f"{panel.name}: {seconds:.3f} CPU seconds")
    assert seconds < 0.2


@pytest.mark.parametrize("model", ["ridge", "least_squares"])
def test_hundred_thousand_rows(model):
    """Bar: 20 columns within a fifth of a second."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((100_000, 20))
    y = X @ rng.standard_normal(20) + rng.standard_normal(100_000)
    seconds = least(lambda: InContextRegressor(model, noise=0.1).fit(X, y))
    print(f"{model}: {seconds:.3f} CPU seconds")
    assert seconds < 0.2
