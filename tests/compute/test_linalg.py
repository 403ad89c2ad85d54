"""Ridge algebra: against normal equations, primal against dual, the fused path against refitting."""

import numpy as np
import pytest
import torch
from references.linear import contiguous_folds, slow_ridge, slow_search

from neurodecode.compute import ridge_path
from neurodecode.compute.linalg import factorise, leave_one_out_r2, solve_ridge, spectral_weights
from neurodecode.compute.ridge_path import factorise_fold, path_r2

SHAPES = [(40, 7), (30, 30), (20, 60), (25, 1), (3, 50)]


def draw(n, p, t=5, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, p, generator=generator, dtype=torch.float64)
    y = x @ torch.randn(p, t, generator=generator, dtype=torch.float64) / p**0.5
    y += torch.randn(n, t, generator=generator, dtype=torch.float64)
    return x.to(dtype), y.to(dtype)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("solver", ["primal", "dual", "auto"])
def test_weights_are_those_of_the_normal_equations(shape, solver):
    x, y = draw(*shape)
    alpha = torch.tensor([0.01, 0.1, 1.0, 10.0, 1e4], dtype=torch.float64)
    expected, _ = slow_ridge(x.numpy(), y.numpy(), alpha.numpy(), intercept=False)
    np.testing.assert_allclose(solve_ridge(x, y, alpha, solver).numpy(), expected, rtol=1e-7, atol=1e-9)
    one, _ = slow_ridge(x.numpy(), y.numpy(), 3.0, intercept=False)
    np.testing.assert_allclose(solve_ridge(x, y, 3.0, solver).numpy(), one, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("solver", ["primal", "dual"])
def test_float32_is_within_its_tolerance_and_stays(shape, solver):
    x, y = draw(*shape)
    exact = solve_ridge(x, y, 1.0)
    found = solve_ridge(x.float(), y.float(), 1.0, solver)
    assert found.dtype == torch.float32
    assert float((found - exact).abs().max()) < 1e-4 * float(exact.abs().max())


def test_the_gradient_vanishes_at_the_solution():
    x, y = draw(30, 12)
    w = solve_ridge(x, y, 2.0)
    gradient = 2 * x.T @ (x @ w - y) + 2 * 2.0 * w
    assert float(gradient.abs().max()) < 1e-10


def test_no_penalty_is_least_squares_of_least_norm():
    x, y = draw(20, 35)
    x[:, 5] = x[:, 6]
    for solver in ("primal", "dual"):
        expected = np.linalg.lstsq(x.numpy(), y.numpy(), rcond=None)[0]
        np.testing.assert_allclose(solve_ridge(x, y, 0.0, solver).numpy(), expected, atol=1e-8)


def test_features_that_are_all_zero_give_zero_weights():
    for solver in ("primal", "dual"):
        assert torch.equal(solve_ridge(torch.zeros(5, 3), torch.ones(5, 2), 0.0, solver), torch.zeros(3, 2))


def test_badly_scaled_features_keep_their_small_band():
    x, y = draw(60, 20)
    scaled = torch.cat([1e6 * x[:, :10], x[:, 10:]], 1)
    scale = torch.cat([torch.full((10,), 1e6), torch.ones(10)]).double()
    np.testing.assert_allclose(
        (solve_ridge(scaled, y, 1e-6) * scale[:, None]).numpy(), solve_ridge(x, y, 0.0).numpy(), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("shape", [(43, 7), (30, 30), (24, 60), (200, 3)])
@pytest.mark.parametrize("centre", [True, False])
@pytest.mark.parametrize("solver", ["primal", "dual"])
def test_the_path_is_what_refitting_gives(shape, centre, solver):
    x, y = draw(*shape)
    x, y = x + 2.0, y - 3.0
    alphas = torch.tensor([100.0, 1.0, 0.05], dtype=torch.float64)
    folds = contiguous_folds(shape[0], 4)
    found = sum(
        path_r2(
            factorise_fold(x, torch.tensor(a), torch.tensor(b), alphas, centre=centre, solver=solver), y, centre=centre
        )
        for a, b in folds
    ) / len(folds)
    expected = slow_search(x.numpy(), y.numpy(), alphas.numpy(), folds, centre)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-8, atol=1e-9)


def test_penalties_may_be_walked_in_pieces(monkeypatch):
    x, y = draw(40, 10)
    alphas = torch.logspace(-2, 4, 13, dtype=torch.float64)
    train, test = (torch.tensor(side) for side in contiguous_folds(40, 3)[1])
    whole = path_r2(factorise_fold(x, train, test, alphas), y)
    monkeypatch.setattr(ridge_path, "STACK", 1)
    pieces = path_r2(factorise_fold(x, train, test, alphas, room=0), y)
    torch.testing.assert_close(pieces, whole, rtol=1e-12, atol=1e-12)


def test_held_out_samples_without_variance():
    x, y = draw(20, 4)
    alphas = torch.tensor([10.0, 0.1], dtype=torch.float64)
    train, test = torch.arange(19), torch.tensor([19])
    fold = factorise_fold(x, train, test, alphas)
    r2 = path_r2(fold, y)
    w = solve_ridge(x[train] - x[train].mean(0), y[train] - y[train].mean(0), 0.1)
    error = (y[test] - y[train].mean(0) - (x[test] - x[train].mean(0)) @ w).square()[0]
    torch.testing.assert_close(r2[1], 1 - error / y[train].var(0, correction=0))
    y[:, 0] = 3.3
    assert torch.equal(path_r2(fold, y)[:, 0], torch.zeros(2, dtype=torch.float64))


@pytest.mark.parametrize("shape", [(20, 5), (12, 30)])
@pytest.mark.parametrize("centre", [True, False])
def test_leaving_one_out_in_closed_form_is_leaving_out_one_after_another(shape, centre):
    x, y = draw(*shape)
    y[:, 0] = 0
    y[3, 0] = 1  # without that sample this target does not vary
    if centre:
        x, y = x - x.mean(0), y - y.mean(0)
    alphas = torch.tensor([100.0, 1.0, 0.01], dtype=torch.float64)
    slow = torch.zeros(3, y.shape[1], dtype=torch.float64)
    for row in range(len(x)):
        rest = torch.tensor([other for other in range(len(x)) if other != row])
        fold = factorise_fold(x, rest, torch.tensor([row]), alphas, centre=centre)
        slow += path_r2(fold, y.clone(), centre=centre) / len(x)
    for solver in ("primal", "dual"):
        fast = leave_one_out_r2(factorise(x, solver), y, alphas, centre=centre)
        torch.testing.assert_close(fast, slow, rtol=1e-7, atol=1e-8)


def test_leaving_one_out_says_where_it_has_no_closed_form():
    x, y = draw(10, 30)
    assert leave_one_out_r2(factorise(x), y, torch.tensor([1.0, 0.0])) is None
    x, y = draw(30, 10)
    assert leave_one_out_r2(factorise(x), y, torch.tensor([1.0, 0.0])).isfinite().all()


def test_inputs_are_left_as_they_were():
    x, y = draw(20, 4)
    before = x.clone(), y.clone()
    fold = factorise_fold(x, torch.arange(15), torch.arange(15, 20), torch.tensor([1.0]).double())
    path_r2(fold, y)
    leave_one_out_r2(factorise(x), y, torch.tensor([1.0]))
    spectral_weights(factorise(x, "dual"), y, torch.tensor(1.0))
    assert torch.equal(x, before[0])
    assert torch.equal(y, before[1])


def test_unknown_solver_names_the_known():
    with pytest.raises(ValueError, match="'primal', 'dual'"):
        solve_ridge(torch.eye(2), torch.eye(2), 1.0, solver="svd")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("solver", ["primal", "dual"])
def test_cuda_agrees_with_the_cpu(solver):
    x, y = draw(50, 80, dtype=torch.float32)
    torch.testing.assert_close(
        solve_ridge(x.cuda(), y.cuda(), 1.0, solver).cpu(), solve_ridge(x, y, 1.0, solver), rtol=1e-4, atol=1e-5
    )
