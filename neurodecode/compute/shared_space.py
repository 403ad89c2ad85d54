"""One space for several sets of units that saw the same samples: rotations, shared responses, canonical directions.

Every function takes centred rows x_i (n, p_i), the same n samples in every one, and gives a map w_i (p_i, k) for each
and the shared rows g (n, k). A map with orthonormal columns (or rows, where p_i < k) turns and projects; it does not
stretch.

Pure functions of tensors, float64.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

EPS = torch.finfo(torch.float64).eps


def rotation(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """R (p, q) with ``||x R - y||`` smallest among maps with orthonormal columns or rows, and singular values of x'y.

    ``R = U V'`` with ``x'y = U S V'`` (Schönemann 1966, Psychometrika 31). Where p is not q, the shorter side of R is
    orthonormal. With fewer rows than either has columns, U and V are found within the spans of x and y, and directions
    in which x'y is 0 are turned as little as can be (:func:`turned`); else in an arbitrary way, which is the same for
    the same x'y.

    Examples
    --------
    >>> x = torch.eye(2, dtype=torch.float64)
    >>> rotation(x, x.flip(1))[0].round().tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    p, q = x.shape[1], y.shape[1]
    if len(x) >= min(p, q):
        left, s, right = torch.linalg.svd(x.T @ y, full_matrices=False)
        return left @ right, s
    (places, here), (others, there) = thin(x), thin(y)
    left, inner, right = torch.linalg.svd(places.T @ others, full_matrices=False)
    rank = int((inner > EPS * max(p, q) * torch.linalg.norm(x) * torch.linalg.norm(y)).sum())
    s = torch.zeros(min(p, q), dtype=x.dtype, device=x.device)
    s[: len(inner)] = inner
    return turned(here @ left[:, :rank], there @ right[:rank].T), s


def thin(x: Tensor) -> tuple[Tensor, Tensor]:
    """Rows in coordinates of their span (n, r), and the orthonormal axes of these (p, r): ``x = places axes'``."""
    left, s, right = torch.linalg.svd(x, full_matrices=False)
    keep = s > EPS * max(x.shape) * s[0]
    return left[:, keep] * s[keep], right[keep].T


def turned(here: Tensor, there: Tensor) -> Tensor:
    """R (p, q) that takes orthonormal columns (p, r) to others (q, r), and turns all that is left as little as it can.

    In the joint span of both, what is orthogonal to ``here`` goes to what is orthogonal to ``there`` by the rotation
    nearest to the identity; outside of it nothing moves. The shorter side of R is orthonormal; unit i of a narrower
    set stands for unit i of the wider one.

    Examples
    --------
    >>> one = torch.eye(3, dtype=torch.float64)[:, :1]
    >>> turned(one, one.flip(0)).abs().round().tolist()
    [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    """
    p, q, r = len(here), len(there), here.shape[1]
    wide = max(p, q)
    here, there = (torch.cat([v, v.new_zeros(wide - len(v), r)]) for v in (here, there))
    joint = torch.linalg.qr(torch.cat([here, there], dim=1))[0]
    a, b = (torch.linalg.qr(joint.T @ v, mode="complete")[0][:, r:] for v in (here, there))
    left, _, right = torch.linalg.svd(a.T @ b)
    inner = (joint.T @ here) @ (joint.T @ there).T + a @ left @ right @ b.T
    inner.diagonal().sub_(1)
    found = (joint[:p] @ inner) @ joint[:q].T
    found.diagonal().add_(1)
    return found


def hyperalign(rows: Sequence[Tensor], k: int | None = None) -> tuple[list[Tensor], Tensor]:
    """Rotations of every set of rows to a common one, in three passes; g is the mean of the rotated rows.

    1. The set with most units (the first of them) is the reference; each other is turned to the mean of those that are
       turned already.
    2. Each is turned to the mean of the others as the first pass left them.
    3. Each is turned to the mean of all as the second pass left them.

    With ``k`` the maps end in the first k principal axes of g. Sets with more units than rows are brought to their span
    first, in which all three passes take place; without ``k`` the rest of their units is turned as little as can be.

    Haxby et al. (2011), Neuron 72, supplement; Guntupalli et al. (2016), Cerebral Cortex 26.
    """
    n, first = len(rows[0]), max(range(len(rows)), key=lambda at: rows[at].shape[1])
    if rows[first].shape[1] <= n:
        maps, shared = _three_passes(rows, first)
        if k is None:
            return maps, shared
        axes = torch.linalg.svd(shared, full_matrices=False)[2][:k].T
        return [w @ axes for w in maps], shared @ axes
    small: list[tuple[Tensor, Tensor | None]] = [thin(x) if x.shape[1] > n else (x, None) for x in rows]
    places, frame = thin(rows[first])
    width = max(k or 0, *(one.shape[1] for one, _ in small))
    lacking = width - places.shape[1]
    small[first] = (torch.cat([places, places.new_zeros(n, lacking)], dim=1), frame)
    inner, shared = _three_passes([one for one, _ in small], first)
    if k is not None:
        axes = torch.linalg.svd(shared, full_matrices=False)[2][:k].T
        inner = [w @ axes for w in inner]
        return [w if v is None else v @ w[: v.shape[1]] for w, (_, v) in zip(inner, small)], shared @ axes
    if lacking:
        frame = torch.linalg.qr(torch.cat([frame, torch.eye(len(frame), lacking).to(frame)], dim=1))[0]
    maps = [w @ frame.T if v is None else turned(v, frame @ w[: v.shape[1]].T) for w, (_, v) in zip(inner, small)]
    return maps, shared @ frame.T


def _three_passes(rows: Sequence[Tensor], first: int) -> tuple[list[Tensor], Tensor]:
    """Maps and mean of :func:`hyperalign`; ``first`` is as wide as any."""
    order = [first, *(at for at in range(len(rows)) if at != first)]
    reference = rows[first]
    placed: list[Tensor] = [reference] * len(rows)
    for done, at in enumerate(order[1:], start=1):
        placed[at] = rows[at] @ rotation(rows[at], reference)[0]
        reference = (done * reference + placed[at]) / (done + 1)
    total = torch.stack(placed).sum(0)
    placed = [x @ rotation(x, (total - own) / (len(rows) - 1))[0] for x, own in zip(rows, placed)]
    common = torch.stack(placed).mean(0)
    maps = [rotation(x, common)[0] for x in rows]
    return maps, torch.stack([x @ w for x, w in zip(rows, maps)]).mean(0)


def start(rows: Sequence[Tensor], k: int) -> Tensor:
    """Where the shared responses begin: the first k left singular vectors of all rows side by side, each set of norm 1.

    (n, k) of mean square 1. Nothing is drawn.
    """
    n = len(rows[0])
    kernel = torch.stack([x @ x.T / x.square().sum() for x in rows]).sum(0)
    vectors = torch.linalg.eigh(kernel)[1].flip(1)[:, :k]
    return _signed(vectors) * n**0.5


def shared_response(rows: Sequence[Tensor], k: int, max_iter: int, tol: float) -> tuple[list[Tensor], Tensor, list]:
    """Least squares: ``min sum_i ||x_i - g w_i'||^2`` with ``w_i'w_i = I``, by turns in w and in g.

    Chen et al. (2015), NeurIPS 28, eq. 1. Also gives the objective after every turn, which never rises.
    """
    g = start(rows, k)
    losses: list[float] = []
    power = sum(float(x.square().sum()) for x in rows)
    maps: list[Tensor] = []
    for _ in range(max_iter):
        maps = [rotation(x, g)[0] for x in rows]
        g = torch.stack([x @ w for x, w in zip(rows, maps)]).mean(0)
        losses.append(power - len(rows) * float(g.square().sum()))
        if len(losses) > 1 and losses[-2] - losses[-1] <= tol * power:
            break
    return maps, g, losses


def probabilistic_response(
    rows: Sequence[Tensor], k: int, max_iter: int, tol: float
) -> tuple[list[Tensor], Tensor, list, Tensor, Tensor]:
    """Expectation maximisation of ``x_i = g w_i' + noise``, g ~ N(0, C), noise of subject i ~ N(0, v_i I).

    Chen et al. (2015), NeurIPS 28, section 3.1. Gives maps, posterior mean of g, log likelihoods (rising), v
    (subjects,) and C (k, k).
    """
    n = len(rows[0])
    maps = [rotation(x, start(rows, k))[0] for x in rows]
    noise = torch.stack([x.square().mean() for x in rows])
    floor = EPS * noise
    covariance = torch.eye(k, dtype=rows[0].dtype, device=rows[0].device) * noise.mean()
    found: list[float] = []
    g, spread = _posterior(rows, maps, noise, covariance)
    for _ in range(max_iter):
        moment = n * spread + g.T @ g
        maps = [rotation(x, g)[0] for x in rows]
        noise = torch.stack([
            (x.square().sum() - 2 * ((x @ w) * g).sum() + moment.trace()) / x.numel() for x, w in zip(rows, maps)
        ]).maximum(floor)  # fmt: skip
        covariance = moment / n
        g, spread = _posterior(rows, maps, noise, covariance)
        found.append(_likelihood(rows, maps, noise, covariance))
        if len(found) > 1 and found[-1] - found[-2] <= tol * abs(found[-2]):
            break
    return maps, g, found, noise, covariance


def _posterior(
    rows: Sequence[Tensor], maps: Sequence[Tensor], noise: Tensor, covariance: Tensor
) -> tuple[Tensor, Tensor]:
    """Mean (n, k) and covariance (k, k) of the shared rows, given the data."""
    eye = torch.eye(len(covariance), dtype=covariance.dtype, device=covariance.device)
    precision = (1 / noise).sum()
    spread = covariance @ torch.linalg.inv(eye + precision * covariance)
    evidence = torch.stack([x @ w / v for x, w, v in zip(rows, maps, noise)]).sum(0)
    return evidence @ spread, (spread + spread.T) / 2


def _likelihood(rows: Sequence[Tensor], maps: Sequence[Tensor], noise: Tensor, covariance: Tensor) -> float:
    """Log density of all rows, less a constant."""
    n = len(rows[0])
    eye = torch.eye(len(covariance), dtype=covariance.dtype, device=covariance.device)
    _, spread = _posterior(rows, maps, noise, covariance)
    evidence = torch.stack([x @ w / v for x, w, v in zip(rows, maps, noise)]).sum(0)
    widths = torch.tensor([x.shape[1] for x in rows], dtype=noise.dtype, device=noise.device)
    volume = (widths * noise.log()).sum() + torch.linalg.slogdet(eye + (1 / noise).sum() * covariance)[1]
    power = sum(x.square().sum() / v for x, v in zip(rows, noise)) - ((evidence @ spread) * evidence).sum()
    return float(-0.5 * (n * volume + power))


def canonical(rows: Sequence[Tensor], k: int, alpha: float) -> tuple[list[Tensor], Tensor, Tensor]:
    """MAXVAR: g with orthonormal columns that ridge regressions of all sets reproduce best.

    ``g = first k eigenvectors of sum_i x_i (x_i'x_i + a_i I)^-1 x_i'``, ``w_i = (x_i'x_i + a_i I)^-1 x_i' g``, with
    ``a_i = alpha tr(x_i'x_i) / min(n, p_i)``. Also the eigenvalues divided by the number of sets: 1 where every set
    holds the direction.

    Kettenring (1971), Biometrika 58; Tenenhaus & Tenenhaus (2011), Psychometrika 76 (regularised).
    """
    parts, solved = [], []
    for x in rows:
        left, s, right = torch.linalg.svd(x, full_matrices=False)
        keep = s > EPS * max(x.shape) * s[0]
        left, s, right = left[:, keep], s[keep], right[keep]
        a = alpha * s.square().sum() / min(x.shape)
        parts.append(left * (s / (s.square() + a).sqrt()))
        solved.append((left, s / (s.square() + a), right))
    vectors, values, _ = torch.linalg.svd(torch.cat(parts, dim=1), full_matrices=False)
    g = _signed(vectors[:, :k])
    maps = [right.T @ (weight[:, None] * (left.T @ g)) for left, weight, right in solved]
    return maps, g, values[:k].square() / len(rows)


def regress(x: Tensor, g: Tensor, alpha: float) -> Tensor:
    """Ridge weights (p, k) of shared rows on one set, with the penalty of :func:`canonical`."""
    left, s, right = torch.linalg.svd(x, full_matrices=False)
    keep = s > EPS * max(x.shape) * s[0]
    left, s, right = left[:, keep], s[keep], right[keep]
    a = alpha * s.square().sum() / min(x.shape)
    return right.T @ ((s / (s.square() + a))[:, None] * (left.T @ g))


def _signed(vectors: Tensor) -> Tensor:
    """Columns turned so that the entry of largest size is positive."""
    top = vectors.abs().argmax(0)
    return vectors * vectors[top, torch.arange(vectors.shape[1], device=vectors.device)].sign()
