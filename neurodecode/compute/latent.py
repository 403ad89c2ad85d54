"""Maps through few directions of the features: one engine, four ways to choose the directions.

Every row of ``DIRECTIONS`` takes centred ``x`` (n, p), ``y`` (n, t), a number k and a penalty a, and returns R (p, k)
and the strength of each direction. The engine then regresses y on the scores T = x R with the same penalty:

    W = R (T'T + a R'R)^-1 T'y

| row | directions R | source |
|---|---|---|
| pcr | first right singular vectors of x | Massy 1965 |
| pls | first left singular vectors of x'y, deflated | Wold 1975; Hoskuldsson 1988 |
| cca | left singular vectors of the whitened x'y, times (x'x + a I)^-1/2 | Hotelling 1936; Vinod 1976 |
| rrr | ridge weights, times right singular vectors of the fit | Izenman 1975; Mukherjee & Zhu 2011 |
"""

from __future__ import annotations

import torch
from torch import Tensor


def pcr(x: Tensor, y: Tensor, k: int, alpha: float) -> tuple[Tensor, Tensor]:
    """Directions of largest variance of x; y is not looked at."""
    _, s, right = _svd(x)
    return right[:k].T, s[:k]


def pls(x: Tensor, y: Tensor, k: int, alpha: float) -> tuple[Tensor, Tensor]:
    """Directions of largest covariance with y, each found after the scores before it are taken out of x and y."""
    x, y = x.clone(), y.clone()
    weights, loadings, strength = [], [], []
    for _ in range(k):
        left, s, _ = torch.linalg.svd(x.T @ y, full_matrices=False)
        w = left[:, 0]
        score = x @ w
        power = score @ score
        if not bool(power > 0):
            break
        loading = x.T @ score / power
        weights.append(w)
        loadings.append(loading)
        strength.append(s[0])
        x -= torch.outer(score, loading)
        y -= torch.outer(score, y.T @ score / power)
    w, loads = torch.stack(weights, 1), torch.stack(loadings, 1)
    return w @ torch.linalg.pinv(loads.T @ w), torch.stack(strength)


def cca(x: Tensor, y: Tensor, k: int, alpha: float) -> tuple[Tensor, Tensor]:
    """Directions whose scores correlate best with some combination of the targets."""
    ux, sx, vx = _svd(x)
    uy, sy, _ = _svd(y)
    shrink_x, shrink_y = (sx.square() + alpha).rsqrt(), (sy.square() + alpha).rsqrt()
    left, s, _ = torch.linalg.svd((shrink_x * sx)[:, None] * (ux.T @ uy) * (shrink_y * sy), full_matrices=False)
    return vx.T @ (shrink_x[:, None] * left[:, :k]), s[:k].clamp(0, 1)


def rrr(x: Tensor, y: Tensor, k: int, alpha: float) -> tuple[Tensor, Tensor]:
    """Directions that carry most of what ridge regression of y on x fits."""
    left, s, right = _svd(x)
    spectral = left.T @ y
    # Fitted values of the augmented problem [x; sqrt(a) I]: their right singular vectors are directions of targets.
    _, strength, turn = torch.linalg.svd((s / (s.square() + alpha).sqrt())[:, None] * spectral, full_matrices=False)
    weights = right.T @ ((s / (s.square() + alpha))[:, None] * spectral)
    return weights @ turn[:k].T, strength[:k]


DIRECTIONS = {"pcr": pcr, "pls": pls, "cca": cca, "rrr": rrr}


def most_components(kind: object, x: Tensor, y: Tensor, alpha: float) -> int:
    """How many directions there are: the rank of x, and for cca and rrr at most that of y."""
    rank = len(_svd(x)[1])
    return min(rank, len(_svd(y)[1])) if kind in (cca, rrr) else rank


def through(x: Tensor, y: Tensor, rotations: Tensor, alpha: float) -> Tensor:
    """Weights (k, t) of the scores ``x @ rotations``: ridge regression in the chosen directions."""
    scores = x @ rotations
    moments = scores.T @ scores + alpha * (rotations.T @ rotations)
    return torch.linalg.lstsq(
        moments, scores.T @ y, driver="gelsd" if moments.device.type == "cpu" else "gels"
    ).solution


def _svd(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Thin, without the directions at rounding level."""
    left, s, right = torch.linalg.svd(x, full_matrices=False)
    keep = s > torch.finfo(x.dtype).eps * max(x.shape) * s.amax() if s.numel() else s > 0
    return left[:, keep], s[keep], right[keep]
