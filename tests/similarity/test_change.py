"""How representations and tangent kernels change between checkpoints."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import xarray as xr
from references.similarity import (
    orthonormal,
    slow_procrustes,
    slow_ranks,
    slow_tangent_kernel,
)
from scipy.linalg import subspace_angles

from neurodecode.exceptions import AlignmentError, DegenerateDataError
from neurodecode.representation import as_representation
from neurodecode.similarity import (
    cka,
    kernel_alignment,
    representation_change,
    tangent_change,
    tangent_kernel,
)


class TestChange:
    def test_nothing_changed(self):
        x = np.random.default_rng(0).normal(size=(60, 8))
        found = representation_change(x, x)
        assert float(found["relative_norm"]) == 0 and float(found["sign_kept"]) == 1
        assert float(found["cka"]) == pytest.approx(1) and float(found["alignment"]) == pytest.approx(1)
        np.testing.assert_allclose(found["rotation"], 0, atol=1e-6)

    def test_a_planted_rotation_of_the_main_plane(self):
        rng = np.random.default_rng(1)
        basis = np.linalg.qr(rng.normal(size=(200, 4)))[0]
        basis = np.linalg.qr(basis - basis.mean(0))[0]
        x = basis * [10, 9, 1e-3, 1e-4]
        turn = np.eye(4)
        c, s = np.cos(0.3), np.sin(0.3)
        turn[np.ix_([1, 2], [1, 2])] = [[c, -s], [s, c]]
        found = representation_change(x, x @ turn, n_components=2)
        np.testing.assert_allclose(found["rotation"], [0, 0.3], atol=1e-6)
        assert float(found["cka"]) == pytest.approx(1, abs=1e-9)
        assert float(found["procrustes"]) == pytest.approx(0, abs=1e-6)
        assert float(found["relative_norm"]) > 0.1

    def test_angles_and_shapes_equal_scipy_and_the_textbook(self):
        x = np.random.default_rng(5).normal(size=(50, 6)) * np.geomspace(1, 4, 6)
        y = x @ np.random.default_rng(6).normal(size=(6, 6)) + np.random.default_rng(7).normal(size=(50, 6))
        found = representation_change(x, y, n_components=3)
        a, b = x - x.mean(0), y - y.mean(0)
        axes = [np.linalg.svd(side)[2][:3].T for side in (a, b)]
        np.testing.assert_allclose(found["rotation"], np.sort(subspace_angles(*axes)), atol=1e-9)
        assert float(found["procrustes"]) == pytest.approx(slow_procrustes(x, y), abs=1e-9)
        assert float(found["relative_norm"]) == pytest.approx(np.linalg.norm(b - a) / np.linalg.norm(a), rel=1e-12)
        assert float(found["sign_kept"]) == np.mean(np.sign(x) == np.sign(y))
        k, m = (x @ x.T).ravel(), (y @ y.T).ravel()
        assert float(found["alignment"]) == pytest.approx(k @ m / np.linalg.norm(k) / np.linalg.norm(m), rel=1e-12)

    def test_turning_both_states_changes_nothing_and_turning_one_only_what_has_axes(self):
        x, y = np.random.default_rng(8).normal(size=(2, 50, 6))
        y, turn = x + 0.3 * y, orthonormal(6)
        one, both, half = (
            representation_change(a, b, n_components=2) for a, b in ((x, y), (x @ turn, y @ turn), (x, y @ turn))
        )
        for name in ("relative_norm", "cka", "procrustes", "alignment", "rotation"):
            np.testing.assert_allclose(both[name], one[name], atol=1e-6)
        assert float(half["cka"]) == pytest.approx(float(one["cka"]), abs=1e-9)
        assert float(half["relative_norm"]) > 2 * float(one["relative_norm"])
        assert float(half["rotation"].max()) > 2 * float(one["rotation"].max())

    def test_kernels_meet_by_label(self):
        rng = np.random.default_rng(9)
        x, names, order = rng.normal(size=(12, 3)), [f"s{at}" for at in range(12)], rng.permutation(12)
        y = x + 0.1 * rng.normal(size=x.shape)
        dims = ("stimulus", "stimulus_other")
        k, m = (xr.DataArray(side @ side.T, dict.fromkeys(dims, names), dims) for side in (x, y))
        value = kernel_alignment(x @ x.T, y @ y.T)
        assert value > 0.95
        assert kernel_alignment(k, m[order][:, order]) == pytest.approx(value, abs=1e-12)
        assert kernel_alignment(k.values, m.values[np.ix_(order, order)]) < 0.7
        assert kernel_alignment(7 * k, m + 3) == pytest.approx(value, abs=1e-12)
        with pytest.raises(AlignmentError, match="missing"):
            kernel_alignment(k, m[:10, :10])
        with pytest.raises(DegenerateDataError, match="NaN"):
            kernel_alignment(np.full((4, 4), np.nan), np.eye(4))

    def test_the_mean_makes_everything_alike_unless_taken_out(self):
        rng = np.random.default_rng(2)
        x, y = rng.normal(size=(2, 60, 8)) + 20
        found = representation_change(x, y)
        assert float(found["alignment"]) > 0.99
        assert float(found["cka"]) < 0.5

    def test_bad_inputs(self):
        x = np.random.default_rng(3).normal(size=(30, 4))
        with pytest.raises(AlignmentError, match="units"):
            representation_change(x, x[:, :3])
        with pytest.raises(DegenerateDataError, match="directions"):
            representation_change(x, x, n_components=5)
        with pytest.raises(DegenerateDataError, match="constant"):
            representation_change(np.ones((30, 4)), x)
        X = as_representation(x, stimulus=[f"s{at}" for at in range(30)], kind="network")
        assert float(representation_change(X, X[::-1], n_components=2)["relative_norm"]) == 0

    def test_kernel_alignment_is_cka(self):
        x, y = np.random.default_rng(4).normal(size=(2, 40, 6))
        assert kernel_alignment(x @ x.T, y @ y.T) == pytest.approx(cka(x, y), abs=1e-12)
        with pytest.raises(ValueError, match="symmetric"):
            kernel_alignment(np.triu(np.ones((4, 4))), np.eye(4))
        with pytest.raises(ValueError, match="square"):
            kernel_alignment(np.ones((4, 3)), np.eye(4))
        with pytest.raises(AlignmentError, match="same samples"):
            kernel_alignment(np.eye(3), np.eye(4))
        with pytest.raises(DegenerateDataError, match="centred"):
            kernel_alignment(np.ones((4, 4)), np.eye(4))


class Twolayer(torch.nn.Module):
    """f - f_0 of two linear layers, so that training starts at 0 whatever the weights are."""

    def __init__(self, scale, d=10, width=30):
        super().__init__()
        self.one, self.two = torch.nn.Linear(d, width, bias=False), torch.nn.Linear(width, d, bias=False)
        for part in (self.one, self.two):
            torch.nn.init.normal_(part.weight, std=scale)
        self.register_buffer("start", (self.two.weight @ self.one.weight).detach().clone())

    def forward(self, x):
        return self.two(self.one(x)) - x @ self.start.T


def trained(model, x, y, rate, most=4000):
    model = copy.deepcopy(model)
    descent = torch.optim.SGD(model.parameters(), lr=rate)
    for _ in range(most):
        descent.zero_grad()
        loss = (model(x) - y).square().sum() / len(x)
        if loss < 1e-3:
            break
        loss.backward()
        descent.step()
    assert loss < 0.01
    return model


class TestTangent:
    def test_equals_gradients_one_by_one(self):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 2)).double()
        x = torch.randn(5, 4, dtype=torch.float64)
        known = slow_tangent_kernel(model, x)
        np.testing.assert_allclose(tangent_kernel(model, x), known, rtol=1e-10)
        np.testing.assert_allclose(tangent_kernel(model, x, chunk=3), known, rtol=1e-10)
        parts = tangent_kernel(model, x, ["0."]) + tangent_kernel(model, x, ["2."])
        np.testing.assert_allclose(parts, known, rtol=1e-10)
        with pytest.raises(ValueError, match="no parameter starts with 'rnn'"):
            tangent_kernel(model, x, ["rnn"])

    def test_change_equals_kernels_one_by_one(self):
        torch.manual_seed(3)
        before, after = (
            torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1)) for _ in "ab"
        )
        before, after, x = before.double(), after.double(), torch.randn(7, 4, dtype=torch.float64)
        k, m = (slow_tangent_kernel(model, x) for model in (before, after))
        found = tangent_change(before, after, x)
        assert float(found["alignment"]) == pytest.approx(
            (k * m).sum() / np.linalg.norm(k) / np.linalg.norm(m), rel=1e-9
        )
        assert float(found["rank_after"]) == pytest.approx(slow_ranks(np.linalg.cholesky(m))["participation"], rel=1e-6)
        moved = [(a - b).detach().numpy().ravel() for a, b in zip(before.parameters(), after.parameters())]
        assert float(found["weight_change"]) == pytest.approx(np.linalg.norm(np.concatenate(moved)), rel=1e-9)
        order = [3, 1, 6, 0, 2, 5, 4]
        np.testing.assert_allclose(tangent_kernel(before, x[order]), k[np.ix_(order, order)], rtol=1e-9)
        turned = tangent_change(before, after, x[order])
        assert float(turned["alignment"]) == pytest.approx(float(found["alignment"]), rel=1e-12)

    def test_a_linear_readout_is_lazy_whatever_the_training(self):
        torch.manual_seed(1)
        features = torch.randn(4, 12)
        before, after = torch.nn.Linear(12, 3), torch.nn.Linear(12, 3)
        x = torch.tanh(torch.randn(20, 4) @ features)
        found = tangent_change(before, after, x)
        assert float(found["alignment"]) == pytest.approx(1, abs=1e-6)
        assert float(found["weight_change"]) > 1

    def test_small_weights_are_rich_and_large_ones_lazy(self):
        torch.manual_seed(2)
        x = torch.randn(40, 10)
        u, v = torch.randn(2, 10)
        y = torch.outer(x @ u, v) / 10
        said = {}
        for scale, rate in ((0.01, 0.02), (1.0, 0.002)):
            start = Twolayer(scale)
            said[scale] = tangent_change(start, trained(start, x, y, rate), x)
        assert float(said[0.01]["alignment"]) < 0.9
        assert float(said[0.01]["relative_weight_change"]) > 1
        assert float(said[1.0]["alignment"]) > 0.99
        assert float(said[1.0]["relative_weight_change"]) < 0.1

    def test_states_of_other_networks_are_refused(self):
        with pytest.raises(AlignmentError, match="parameters differ"):
            tangent_change(torch.nn.Linear(3, 1), torch.nn.Linear(3, 2), torch.eye(3))


def test_units_stand_in_the_same_places():
    x = np.random.default_rng(3).normal(size=(20, 5))
    names = [f"s{at}" for at in range(20)]

    def state(values, units, **more):
        return as_representation(values, stimulus=names, kind="network", unit={"name": units}, **more)

    before = state(x, list("abcde"))
    turned = state(x[:, ::-1], list("edcba"))
    with pytest.raises(AlignmentError, match=r"units of before in another order \('name' at 0: a and e\)"):
        representation_change(before, turned)
    assert float(representation_change(before, turned[:, ::-1])["relative_norm"]) == 0
    assert float(representation_change(before, state(x, list("vwxyz")))["relative_norm"]) == 0, "names of another state"
    dead = [np.where(np.arange(5) == at, np.nan, x) for at in (1, 3)]
    one, two = (state(values, list("abcde"), nan_policy="drop_targets") for values in dead)
    with pytest.raises(AlignmentError, match="masked units, and they are not the same"):
        representation_change(one, two)
    assert float(representation_change(one, one.copy(), n_components=2)["relative_norm"]) == 0
