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
    orthonormal. Directions in which x'y is 0 are turned in an arbitrary way, which is the same for the same x'y.

    Examples
    --------
    >>> x = torch.eye(2, dtype=torch.float64)
    >>> rotation(x, x.flip(1))[0].round().tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    left, s, right = torch.linalg.svd(x.T @ y, full_matrices=False)
    return left @ right, s


def hyperalign(rows: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
    """Rotations of every set of rows to a common one, in three passes; g is the mean of the rotated rows.

    1. The set with most units (the first of them) is the reference; each other is turned to the mean of those that are
       turned already.
    2. Each is turned to the mean of the others as the first pass left them.
    3. Each is turned to the mean of all as the second pass left them.

    Haxby et al. (2011), Neuron 72, supplement; Guntupalli et al. (2016), Cerebral Cortex 26.
    """
    first = max(range(len(rows)), key=lambda at: rows[at].shape[1])
    order = [first, *(at for at in range(len(rows)) if at != first)]
    reference = rows[first]
    turned: list[Tensor] = [reference] * len(rows)
    for done, at in enumerate(order[1:], start=1):
        turned[at] = rows[at] @ rotation(rows[at], reference)[0]
        reference = (done * reference + turned[at]) / (done + 1)
    total = torch.stack(turned).sum(0)
    turned = [x @ rotation(x, (total - own) / (len(rows) - 1))[0] for x, own in zip(rows, turned)]
    common = torch.stack(turned).mean(0)
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
