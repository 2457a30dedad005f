"""Muon orthogonalises as Newton-Schulz does, in whatever precision, and is torch's otherwise."""

import numpy as np
import pytest
import torch

from iclab.training.muon import Muon, orthogonalised

SHAPES = [(16, 16), (64, 16), (16, 48)]
OPTIONS = {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.1}


def matrices(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


def moved(optimizer, parameters, steps=5):
    """The parameters after steps with the same gradients."""
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        for parameter in parameters:
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizer.step()
    return torch.nn.utils.parameters_to_vector(parameters).detach()


def theirs(steps=5):
    parameters = matrices()
    return moved(torch.optim.Muon(parameters, **OPTIONS, adjust_lr_fn="match_rms_adamw"), parameters, steps)


def ours(precision, steps=5):
    parameters = matrices()
    return moved(Muon(parameters, precision=precision, **OPTIONS), parameters, steps)


def test_in_bfloat16_it_is_torchs_bit_for_bit():
    assert torch.equal(ours(torch.bfloat16), theirs())


@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_in_other_precisions_it_is_torchs_to_the_rounding_of_bfloat16(precision):
    """Of the way that the weights went; the quintic's slope at 0 of 3.4⁵ amplifies roundings of 2⁻⁸."""
    start = torch.nn.utils.parameters_to_vector(matrices()).detach()
    way = theirs() - start
    assert (ours(precision) - start - way).norm() < 0.03 * way.norm()
    assert not torch.equal(ours(precision), theirs())


def test_precisions_agree_to_their_rounding():
    """Float32 lies by rounding of 2⁻²⁴ off float64, which bfloat16 lies far more off."""
    exact, start = ours(torch.float64), torch.nn.utils.parameters_to_vector(matrices()).detach()
    off = {name: (ours(name) - exact).norm() / (exact - start).norm() for name in (torch.float32, torch.bfloat16)}
    assert off[torch.float32] < 1e-4
    assert off[torch.bfloat16] > 1e-3


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("precision", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-12)])
def test_singular_values_go_where_the_quintic_sends_them_and_vectors_stay(shape, precision, tolerance):
    """U'NS(M)V is diagonal for M = U S V', with the quintic's fifth iterate of S/‖S‖ on it."""
    matrix = torch.from_numpy(np.random.default_rng(3).normal(size=shape)).to(precision)
    u, values, vt = torch.linalg.svd(matrix.double(), full_matrices=False)
    x = values / values.norm()
    for _ in range(5):
        x = 3.4445 * x - 4.7750 * x**3 + 2.0315 * x**5
    result = orthogonalised(matrix)
    assert result.dtype == precision
    torch.testing.assert_close(u.mT @ result.double() @ vt.mT, torch.diag(x), rtol=0, atol=tolerance)
    # The polar factor U V' has ones there; all but the smallest values come near.
    assert (x[values > 0.1 * values[0]] - 1).abs().max() < 0.35


def test_an_orthogonal_matrix_keeps_its_directions_and_zero_stays_zero():
    rotation = torch.linalg.qr(torch.from_numpy(np.random.default_rng(5).normal(size=(8, 8)))).Q
    result = orthogonalised(rotation)
    torch.testing.assert_close(result / result.norm(), rotation / rotation.norm())
    assert torch.equal(orthogonalised(torch.zeros(4, 3)), torch.zeros(4, 3))


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_state_of_torchs_is_gone_on_with(precision):
    parameters = matrices()
    before = torch.optim.Muon(parameters, **OPTIONS, adjust_lr_fn="match_rms_adamw")
    moved(before, parameters, 3)
    after = Muon(parameters, precision=precision, **OPTIONS)
    after.load_state_dict(before.state_dict())
    for parameter in parameters:
        assert torch.equal(after.state[parameter]["momentum_buffer"], before.state[parameter]["momentum_buffer"])
    parameters[0].grad = None  # a weight without a gradient stays
    kept = parameters[0].clone()
    after.step()
    assert torch.equal(parameters[0], kept)
