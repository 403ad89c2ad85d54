"""How much a representation changed: two states of one network, or one area before and after learning."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import xarray as xr

from .._numbers import whole
from ..exceptions import AlignmentError, DegenerateDataError
from ..representation import Labels, check_same_labels, plain
from .kernels import cka
from .shapes import procrustes
from .spaces import pair_up


def kernel_alignment(K: Any, L: Any, center: bool = True) -> float:
    r"""Alignment of two kernels of the same samples.

        A = <K, L>_F / (||K||_F ||L||_F)

    from -1 to 1 (0 to 1 for kernels without negative eigenvalues), 1 where one is a multiple of the other. ``center``
    takes the means of rows and columns out first; otherwise a common mean activity makes everything alike. For
    K = XX', L = YY' and centred kernels it is linear CKA. Against a task take ``L = Y Y'`` with Y the targets, one
    column a class (kernel-target alignment).

    Parameters
    ----------
    K, L : (n, n) symmetric; labelled ones (stimulus, stimulus_other) meet by label, plain ones by position.

    Raises
    ------
    ValueError : not square, or not symmetric. AlignmentError : other samples. DegenerateDataError : a kernel that is 0
        (once centred).

    Source: Cristianini et al. 2001, NeurIPS 14; Cortes, Mohri and Rostamizadeh 2012, JMLR 13 (centred).

    Examples
    --------
    >>> y = np.array([[1.0], [1.0], [-1.0], [-1.0]])
    >>> kernel_alignment(y @ y.T, 3 * y @ y.T + 5)
    1.0
    """
    if isinstance(K, xr.DataArray) and isinstance(L, xr.DataArray):
        ours, theirs = (side["stimulus"].values.astype(str).tolist() for side in (K, L))
        check_same_labels(sorted(ours), sorted(theirs), "stimulus", ("K", "L"))
        order = [theirs.index(name) for name in ours]
        L = plain(L)[np.ix_(order, order)]
    k, m = (_kernel(side, name) for side, name in ((K, "K"), (L, "L")))
    if k.shape != m.shape:
        raise AlignmentError(f"K is of {len(k)} samples and L of {len(m)}; both must be of the same samples.")
    if center:
        k, m = (side - side.mean(0) - side.mean(1)[:, None] + side.mean() for side in (k, m))
    size = np.linalg.norm(k) * np.linalg.norm(m)
    if size <= np.finfo(float).eps * len(k) * np.linalg.norm(_kernel(K, "K")) * np.linalg.norm(_kernel(L, "L")):
        raise DegenerateDataError("one kernel is 0" + (" once it is centred" if center else "") + "; nothing to align.")
    return float(np.clip((k * m).sum() / size, -1, 1))


def representation_change(before: Any, after: Any, n_components: int = 5) -> xr.Dataset:
    r"""How far a representation moved between two checkpoints: its size, its shape, its main axes.

    - ``relative_norm``: ||B - A||_F / ||A||_F of centred rows: 0 nothing moved; needs the same units in the same places
    - ``cka``, ``procrustes``: what is left of the change when rotations do not count (1 and 0: nothing)
    - ``rotation(component)``: principal angles (radians, rising) between the spans of the first principal components
    - ``alignment``: <AA', BB'> / norms, not centred: the representation alignment of the rich-lazy literature
    - ``sign_kept``: share of entries, not centred, whose sign is the same

    Parameters
    ----------
    before, after : (samples, units) of the same samples and as many units. Labelled arrays meet by stimulus.
    n_components : number of principal components whose span is followed; at most samples - 1 and units.

    Returns
    -------
    Dataset with these variables.

    Raises
    ------
    AlignmentError : other samples; another number of units, the same units in another order, or others masked.
    DegenerateDataError : not finite, nothing varies, fewer
        directions than ``n_components``.

    Source: Liu et al. 2024, ICLR (rich and lazy learning by connectivity structure), section 3; Björck and Golub 1973,
    Mathematics of Computation 27 (angles).

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(30, 6))
    >>> found = representation_change(x, 2 * x, n_components=2)
    >>> float(found["relative_norm"]), round(float(found["cka"]), 9), bool(found["rotation"].max() < 1e-6)
    (1.0, 1.0, True)
    """
    n_components = whole(n_components, "n_components", least=1)
    x, y = pair_up(before, after)
    if x.width != y.width:
        raise AlignmentError(
            f"before has {x.width} units and after {y.width}; two states of one network have the same."
        )
    check_places(before, after)
    a, b = x.centred, y.centred
    if not (bool(x.power > 0) and bool(y.power > 0)):
        raise DegenerateDataError("one of the states is constant over samples; there is no shape to compare.")
    axes = []
    for side, name in ((a, "before"), (b, "after")):
        _, s, right = torch.linalg.svd(side, full_matrices=False)
        rank = int((s > torch.finfo(s.dtype).eps * max(side.shape) * s[0]).sum())
        if n_components > rank:
            raise DegenerateDataError(
                f"n_components={n_components}, and {name} has {rank} directions. Lower n_components."
            )
        axes.append(right[:n_components])
    return xr.Dataset(
        {
            "relative_norm": float(torch.linalg.norm(b - a) / torch.linalg.norm(a)),
            "cka": cka(x, y),
            "procrustes": procrustes(x, y),
            "rotation": ("component", _angles(axes[0], axes[1])),
            "alignment": kernel_alignment(_gram(x.raw), _gram(y.raw), center=False),
            "sign_kept": float((x.raw.sign() == y.raw.sign()).double().mean()),
        },
        attrs={"units_of_rotation": "radian"},
    )


def check_places(before: Any, after: Any) -> None:
    """Raise where labels say that the units of both states do not stand in the same places."""
    if not (isinstance(before, xr.DataArray) and isinstance(after, xr.DataArray)):
        return
    one, two = (Labels.of(side, "unit").coords for side in (before, after))
    hidden = [np.asarray(side.get("masked", np.zeros(before.sizes["unit"])), dtype=bool) for side in (one, two)]
    if not np.array_equal(hidden[0], hidden[1]):
        raise AlignmentError(
            f"before has {hidden[0].sum()} and after {hidden[1].sum()} masked units, and they are not the same; "
            "leave out of both what either lacks."
        )
    for name in sorted(set(one) & set(two) - {"masked"}):
        ours, theirs = one[name].astype(str), two[name].astype(str)
        if not np.array_equal(ours, theirs) and np.array_equal(np.sort(ours), np.sort(theirs)):
            at = int(np.flatnonzero(ours != theirs)[0])
            raise AlignmentError(
                f"after has the units of before in another order ({name!r} at {at}: {ours[at]} and {theirs[at]}), and "
                "a change is that of each unit. Bring them to one order, for example with sortby on both sides."
            )


def _angles(one: torch.Tensor, two: torch.Tensor) -> np.ndarray:
    """Principal angles between the spans of orthonormal rows; small ones from their sines."""
    cosine = torch.linalg.svdvals(one @ two.T).clamp(0, 1)
    sine = torch.linalg.svdvals(two - two @ one.T @ one).flip(0).clamp(0, 1)
    return torch.where(cosine > 0.5**0.5, sine.asin(), cosine.acos()).cpu().numpy()


def _gram(x: torch.Tensor) -> np.ndarray:
    return np.asarray((x @ x.T).cpu().numpy())


def _kernel(given: Any, name: str) -> np.ndarray:
    k = np.asarray(plain(given), dtype=np.float64)
    if k.ndim != 2 or k.shape[0] != k.shape[1]:
        raise ValueError(f"{name} has the shape {k.shape}; expected a square matrix, samples by samples.")
    if not np.isfinite(k).all():
        raise DegenerateDataError(f"{name} holds NaN or infinity.")
    if not np.allclose(k, k.T, rtol=1e-5, atol=1e-8 * max(float(np.abs(k).max()), 1e-300)):
        raise ValueError(f"{name} is not symmetric, so it is no kernel.")
    return k
