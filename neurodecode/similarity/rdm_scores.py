"""How alike two dissimilarity matrices are, on vectors of pairs: rows of one array with rows of the other.

Every row of ``RDM_SCORES`` takes (m, pairs) and (k, pairs) and gives (m, k); a function of one's own may also take two
vectors and give a number. The pairs of both are the same pairs in
the same order (``match_rdms``, then ``upper``). A pair that is NaN on one side is left out on both. A vector that says
nothing (constant, or zero where an angle is taken) scores NaN, and ``why_undefined`` says so in words. Scores of order
take dissimilarities that differ by rounding only as ties (``tied``).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from .._names import lookup
from ..compute.rank import kendall_tau_a as _tau_a
from ..compute.rank import ranks

Score = Callable[[np.ndarray, np.ndarray], np.ndarray]
NEAR = 1e-12  # share of the largest dissimilarity below which a difference of two is rounding


def pearson(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pearson correlation of dissimilarities: for distances that are measured on a common interval scale.

    Parameters
    ----------
    a : (m, pairs) or (pairs,), b : (k, pairs) or (pairs,).

    Returns
    -------
    (m, k) in [-1, 1], without the axis of a vector that was given alone. 0 for unrelated matrices, NaN for a constant
    one.

    Examples
    --------
    >>> pearson(np.array([1.0, 2.0, 3.0]), np.array([[2.0, 4.0, 6.0], [1.0, 1.0, 1.0]])).round(6).tolist()
    [1.0, nan]
    """
    return _paired(lambda x, y: _cosines(_centred(x), _centred(y)), a, b, constant=True)


def spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Spearman correlation: Pearson's of the ranks, ties sharing theirs. For dissimilarities of unknown monotone scale.

    A model that predicts ties gains over one that decides between all pairs; take ``kendall_tau_a`` then (Nili et al.
    2014). Parameters and returns as ``pearson``; differences that are rounding are ties (see ``tied``).

    Examples
    --------
    >>> spearman(np.array([1.0, 2.0, 30.0]), np.array([2.0, 4.0, 6.0])).round(6).item()
    1.0
    """
    return _paired(lambda x, y: _cosines(_centred(ranks(x)), _centred(ranks(y))), a, b, constant=True, order=True)


def kendall_tau_a(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Kendall's tau-a: the share of pairs of dissimilarities that both order alike, less those ordered oppositely.

    Ties count as undecided, so a model of few levels is not favoured. Parameters and returns as ``pearson``; with ties
    the largest value is below 1. Differences that are rounding are ties (see ``tied``).

    Source: Nili et al. 2014, PLoS Computational Biology 10, "Comparing RDMs".

    Examples
    --------
    >>> kendall_tau_a(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 2.0])).round(6).item()
    0.666667
    """
    return _paired(_tau_a, a, b, constant=True, order=True)


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine of the angle between dissimilarities: for distances whose zero means no difference (crossnobis).

    Parameters and returns as ``pearson``; NaN for a vector of zeros only. Distances that are not cross-validated
    are all positive, and then unrelated matrices score far above 0.

    Examples
    --------
    >>> cosine(np.array([1.0, 0.0, 0.0]), np.array([1.0, 1.0, 0.0])).round(6).item()
    0.707107
    """
    return _paired(_cosines, a, b, constant=False)


def whitened_cosine(a: np.ndarray, b: np.ndarray, covariance: np.ndarray | None = None) -> np.ndarray:
    r"""Cosine after whitening by the covariance that estimated distances have among each other.

    Distances that share a stimulus share its noise. With patterns of independent noise and no true difference, the
    covariance of the pairs is proportional to ``V = (C S C') * (C S C')``, elementwise, C the contrasts of all pairs
    and S the covariance of the noise between stimuli. The score is ``a' V^-1 b / sqrt(a' V^-1 a  b' V^-1 b)``. With S
    the identity, ``V = 2 I + M M'`` with M which stimuli a pair has, and sums by stimulus are enough:
    ``2 a' V^-1 b = a' b - r_a' r_b / n + s_a s_b / (2 n^2)``, r the row sums of the matrices and s the sum of these. It
    is the linear CKA of the second moments that belong to the distances.

    Parameters
    ----------
    a : (m, pairs) or (pairs,), b : (k, pairs) or (pairs,), squared distances, crossnobis for unbiased ones.
    covariance : (n, n) covariance of the noise between stimuli; None for the identity.

    Returns
    -------
    As ``pearson``. 0 on average for unrelated cross-validated distances; well above 0 for distances that are not.

    Raises
    ------
    ValueError : the number of pairs is that of no number of stimuli; a covariance that is not positive definite or of
        another size; pairs missing and a covariance given.

    Source: Diedrichsen, Berlot, Mur, Schütt, Shahbazi and Kriegeskorte 2021, Neurons, Behavior, Data analysis, and
    Theory 5(3), "Comparing representational geometries using whitened unbiased-distance-matrix similarity".

    Examples
    --------
    >>> d = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.5])
    >>> whitened_cosine(d, 3 * d).round(6).item()
    1.0
    """
    return _whitened(a, b, covariance, centre=False)


def whitened_pearson(a: np.ndarray, b: np.ndarray, covariance: np.ndarray | None = None) -> np.ndarray:
    """Like ``whitened_cosine``, of the deviations from the mean distance: a common offset changes nothing.

    Examples
    --------
    >>> d = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.5])
    >>> whitened_pearson(d, 3 * d + 2).round(6).item()
    1.0
    """
    return _whitened(a, b, covariance, centre=True)


RDM_SCORES: dict[str, Score] = {
    "spearman": spearman,
    "pearson": pearson,
    "kendall": kendall_tau_a,
    "cosine": cosine,
    "whitened_cosine": whitened_cosine,
    "whitened_pearson": whitened_pearson,
}

#: Other words for a row.
SAME: dict[str, str] = {"kendall_tau_a": "kendall", "kendall tau-a": "kendall", "tau-a": "kendall"}
ANGLES = ("cosine", "whitened_cosine")
ORDERS = ("spearman", spearman, "kendall", kendall_tau_a, *SAME)


def rdm_score(how: str | Score, argument: str = "how") -> Score:
    """The row of ``RDM_SCORES`` called ``how``, or one made of a function. ``kendall`` is also ``kendall_tau_a``.

    Examples
    --------
    >>> rdm_score("spearman") is spearman
    True
    >>> rdm_score(lambda a, b: float(a @ b))(np.ones((2, 3)), np.ones((1, 3))).tolist()
    [[3.0], [3.0]]
    """
    row: Score = lookup(RDM_SCORES, SAME.get(how, how) if isinstance(how, str) else how, argument)
    return row if row in RDM_SCORES.values() or isinstance(row, Called) else Called(row, argument)


class Called:
    """A function of one's own as a row of the table: of two vectors, or of rows with rows, as the first call shows.

    Parameters
    ----------
    function : (pairs,) and (pairs,) to a number, or (m, pairs) and (k, pairs) to (m, k).

    Raises
    ------
    ValueError : it does neither; what it gave is said.
    """

    def __init__(self, function: Callable[..., Any], argument: str = "how"):
        self.function = function
        self.name = f"{argument}={getattr(function, '__name__', type(function).__name__)}"
        self.of_vectors: bool | None = None

    def __call__(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        left, right = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
        x, y = np.atleast_2d(left), np.atleast_2d(right)
        if self.of_vectors is None and len(x) and len(y):
            self._learn(x[:1], y[:1])
        if self.of_vectors or not (len(x) and len(y)):
            found = np.array([[float(self.function(one, two)) for two in y] for one in x])
        else:
            found = np.asarray(self.function(x, y), dtype=np.float64)
            if found.shape != (len(x), len(y)):
                raise ValueError(f"{self._said} For {x.shape} and {y.shape} it gave the shape {found.shape}.")
        return found.reshape((*left.shape[:-1], *right.shape[:-1]))

    @property
    def _said(self) -> str:
        return (
            f"{self.name}: expected a function of two vectors (pairs,) that gives a number, or of (m, pairs) and "
            "(k, pairs) that gives (m, k)."
        )

    def _learn(self, x: np.ndarray, y: np.ndarray) -> None:
        outcome = ""
        for given, wanted in (((x, y), (1, 1)), ((x[0], y[0]), ())):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # what is not meant for rows may complain of them
                    found = np.asarray(self.function(*(side.copy() for side in given)))
            except Exception as error:
                outcome = f"failed with {type(error).__name__}: {error}"
                continue
            if found.shape == wanted and found.dtype.kind in "biuf":
                self.of_vectors = wanted == ()
                return
            outcome = f"gave {'no number' if found.shape == () else f'the shape {found.shape}'}"
        raise ValueError(f"{self._said} With two vectors of {x.shape[1]} pairs it {outcome.rstrip('.')}.")


def why_undefined(how: str | Score, vectors: np.ndarray) -> list[str | None]:
    """For each row, why it can have no score, or None.

    Examples
    --------
    >>> why_undefined("spearman", np.array([[1.0, 1.0, 1.0], [1.0, 2.0, 3.0]]))
    ['all 3 dissimilarities are equal', None]
    """
    out: list[str | None] = []
    for row in np.atleast_2d(np.asarray(vectors, dtype=np.float64)):
        kept = row[np.isfinite(row)]
        if len(kept) < 2:
            out.append(f"only {len(kept)} of {len(row)} dissimilarities were measured")
        elif not kept.any():
            out.append(f"all {len(kept)} dissimilarities are 0")
        elif how not in ANGLES and _constant(tied(kept[None])[0] if how in ORDERS else kept):
            out.append(f"all {len(kept)} dissimilarities are equal")
        else:
            out.append(None)
    return out


def embedded(how: str, vectors: np.ndarray) -> np.ndarray:
    """Vectors whose inner products are the scores: ``embedded(how, a) @ embedded(how, b).T == score(a, b)``.

    For resampling subjects or weighting models the work of ranking, centring and whitening is then done once. Not for
    ``kendall``, and not with missing pairs. Undefined rows are NaN.

    Parameters
    ----------
    how : ``"spearman"``, ``"pearson"``, ``"cosine"``, ``"whitened_cosine"`` or ``"whitened_pearson"``.
    vectors : (m, pairs), without NaN.

    Returns
    -------
    (m, pairs) float64 of length 1.

    Examples
    --------
    >>> a, b = np.array([[1.0, 5.0, 2.0]]), np.array([[2.0, 3.0, 9.0]])
    >>> np.allclose(embedded("whitened_cosine", a) @ embedded("whitened_cosine", b).T, whitened_cosine(a, b))
    True
    """
    ways: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "spearman": lambda x: _centred(ranks(tied(x))),
        "pearson": _centred,
        "cosine": lambda x: x,
        "whitened_cosine": _white,
        "whitened_pearson": lambda x: _white(_centred(x)),
    }
    way = lookup(ways, how, "how", callables=False)
    x = np.atleast_2d(np.asarray(vectors, dtype=np.float64))
    if not np.isfinite(x).all():
        raise ValueError(
            "some pairs are missing, so ranks and whitening depend on the partner; use rdm_score(how)(a, b)."
        )
    undefined = ~x.any(axis=1) if how in ANGLES else _constant(x)
    found = way(x)
    length = np.sqrt((found * found).sum(axis=1))
    undefined = undefined | (length == 0)
    out: np.ndarray = found / np.where(undefined, np.nan, length)[:, None]
    return out


def tied(vectors: np.ndarray) -> np.ndarray:
    """Vectors in which entries that differ by rounding are equal: gaps up to ``NEAR`` times the largest entry.

    Pairs of the same two kinds of patterns (categories, a design) have the same dissimilarity, but sums of floating
    point numbers depend on where they stand, so that it comes out as several numbers. Their order would be one of
    chance, and another one for every order of the stimuli.

    Parameters
    ----------
    vectors : (m, pairs), NaN left as it is.

    Returns
    -------
    (m, pairs); the vectors themselves where nothing differs by so little.

    Examples
    --------
    >>> tied(np.array([[0.1 + 0.2, 0.3, 5.0]]))[0].tolist()
    [0.3, 0.3, 5.0]
    """
    out = x = np.asarray(vectors, dtype=np.float64)
    for at, row in enumerate(x):
        ordered = np.sort(row)
        finite = ordered[np.isfinite(ordered)]
        if len(finite) < 2:
            continue
        gaps = np.diff(finite)
        limit = NEAR * max(abs(float(finite[0])), abs(float(finite[-1])))
        if not ((gaps > 0) & (gaps <= limit)).any():
            continue
        first = np.concatenate([[True], gaps > limit])
        kinds, lowest = np.cumsum(first) - 1, finite[first]
        out = x.copy() if out is x else out
        known = np.isfinite(row)
        out[at, known] = lowest[kinds[np.searchsorted(finite, row[known])]]
    return out


def stimuli_of(pairs: int) -> int:
    """How many stimuli have so many pairs.

    Examples
    --------
    >>> stimuli_of(6)
    4
    """
    n = round((1 + (1 + 8 * pairs) ** 0.5) / 2)
    if n * (n - 1) // 2 != pairs or n < 2:
        raise ValueError(f"{pairs} is no number of pairs of stimuli; expected n (n - 1) / 2, as upper(rdm) gives them.")
    return n


def row_sums(vectors: np.ndarray, n: int) -> np.ndarray:
    """Sums of the rows of the matrices that vectors of pairs stand for: (m, pairs) -> (m, n).

    Examples
    --------
    >>> row_sums(np.array([[1.0, 2.0, 3.0]]), 3).tolist()
    [[3.0, 4.0, 5.0]]
    """
    out = np.zeros((len(vectors), n))
    at = 0
    for i in range(n - 1):
        block = vectors[:, at : at + n - 1 - i]
        out[:, i + 1 :] += block
        out[:, i] += block.sum(axis=1)
        at += n - 1 - i
    return out


def _paired(score: Score, a: np.ndarray, b: np.ndarray, constant: bool, order: bool = False) -> np.ndarray:
    """Rows with rows; groups of rows that lack the same pairs go together. ``order``: only the order counts."""
    left, right = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    x, y = np.atleast_2d(left), np.atleast_2d(right)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise ValueError(f"a has shape {left.shape} and b {right.shape}; expected (m, pairs) and (k, pairs).")
    out = np.full((len(x), len(y)), np.nan)
    for rows, columns, kept in _groups(np.isfinite(x), np.isfinite(y)):
        one, two = (x, y) if kept is None else (x[np.ix_(rows, kept)], y[np.ix_(columns, kept)])
        if one.shape[1] < 2:
            continue
        one, two = (tied(one), tied(two)) if order else (one, two)
        flat = [_silent(part, constant) for part in (one, two)]
        with np.errstate(invalid="ignore", divide="ignore"):
            found = score(one, two)
        found = np.where(flat[0][:, None] | flat[1][None], np.nan, np.clip(found, -1.0, 1.0))
        if kept is None:
            out = found
        else:
            out[np.ix_(rows, columns)] = found
    shape = (*left.shape[:-1], *right.shape[:-1])
    return out.reshape(shape)


def _groups(x: np.ndarray, y: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, np.ndarray | None]]:
    """Rows of x, rows of y, and the positions of the pairs that both have; None for all of everything."""
    if x.all() and y.all():
        return [(np.arange(len(x)), np.arange(len(y)), None)]
    parts = []
    for side in (x, y):
        kinds, which = np.unique(side, axis=0, return_inverse=True)
        parts.append([(np.flatnonzero(which.reshape(-1) == k), np.asarray(kinds[k])) for k in range(len(kinds))])
    return [(rows, columns, np.flatnonzero(p & q)) for rows, p in parts[0] for columns, q in parts[1]]


def _constant(x: np.ndarray) -> np.ndarray:
    """Whether a vector has no variation beyond rounding."""
    low, high = x.min(axis=-1), x.max(axis=-1)
    out: np.ndarray = high - low <= 16 * np.finfo(np.float64).eps * np.maximum(np.abs(low), np.abs(high))
    return out


def _silent(x: np.ndarray, constant: bool) -> np.ndarray:
    """Rows without a score: constant ones, or those of zeros only."""
    return _constant(x) if constant else np.asarray(~x.any(axis=1))


def _centred(x: np.ndarray) -> np.ndarray:
    out: np.ndarray = x - x.mean(axis=-1, keepdims=True)
    return out


def _cosines(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    lengths = [np.sqrt(np.einsum("ij,ij->i", side, side)) for side in (x, y)]
    out: np.ndarray = (x @ y.T) / lengths[0][:, None] / lengths[1][None]
    return out


def _whitened(a: np.ndarray, b: np.ndarray, covariance: np.ndarray | None, centre: bool) -> np.ndarray:
    pairs = np.asarray(a).shape[-1]
    n = stimuli_of(pairs)
    if covariance is not None:
        spread = _weights(np.asarray(covariance, dtype=np.float64), n)
        if not (np.isfinite(a).all() and np.isfinite(b).all()):
            raise ValueError("pairs are missing and a covariance of the stimuli is given; leave out stimuli instead.")

        def score(x: np.ndarray, y: np.ndarray) -> np.ndarray:
            moments = [_moments(_centred(side) if centre else side, spread, n) for side in (x, y)]
            return _cosines(moments[0], moments[1])

        return _paired(score, a, b, constant=centre)
    x, y = (np.atleast_2d(np.asarray(side, dtype=np.float64)) for side in (a, b))
    if x.shape[1:] == y.shape[1:] and np.isfinite(x).all() and np.isfinite(y).all():
        return _paired(lambda p, q: _white_cosines(p, q, n, centre), a, b, constant=centre)
    return _paired_missing(x, y, n, centre).reshape((*np.shape(a)[:-1], *np.shape(b)[:-1]))


def _white_cosines(x: np.ndarray, y: np.ndarray, n: int, centre: bool) -> np.ndarray:
    """The closed form: inner products, less what the stimuli explain of them."""
    sums = []
    for side in (x, y):
        r = row_sums(side, n)
        total = r.sum(axis=1, keepdims=True)
        # a' V^-1 b of constant vectors and of means follows from the sums alone, so nothing is centred in memory
        mean = total / (n * (n - 1)) if centre else np.zeros_like(total)
        sums.append((r - (n - 1) * mean, total - n * (n - 1) * mean, mean))
    (r, s, m), (q, t, k) = sums
    pairs = n * (n - 1) // 2
    cross = x @ y.T - pairs * (m @ k.T) - (r @ q.T) / n + (s @ t.T) / (2 * n * n)
    own = []
    for side, (r_, s_, m_) in zip((x, y), sums):
        square = np.einsum("ij,ij->i", side, side) - pairs * m_[:, 0] ** 2
        own.append(square - np.einsum("ij,ij->i", r_, r_) / n + s_[:, 0] ** 2 / (2 * n * n))
    out: np.ndarray = cross / np.sqrt(own[0])[:, None] / np.sqrt(own[1])[None]
    return out


def _paired_missing(x: np.ndarray, y: np.ndarray, n: int, centre: bool) -> np.ndarray:
    """Pairs missing: the inverse of the part of V that is left, by the matrix inversion lemma, n x n."""
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"a has {x.shape[1]} pairs and b {y.shape[1]}; expected the same.")
    out = np.full((len(x), len(y)), np.nan)
    first, second = np.triu_indices(n, 1)
    for rows, columns, kept in _groups(np.isfinite(x), np.isfinite(y)):
        at = np.arange(x.shape[1]) if kept is None else kept
        if len(at) < 2:
            continue
        sides = [x[np.ix_(rows, at)], y[np.ix_(columns, at)]]
        flat = [_silent(side, centre) for side in sides]
        sides = [_centred(side) for side in sides] if centre else sides
        incidence = np.zeros((len(at), n))
        incidence[np.arange(len(at)), first[at]] = 1.0
        incidence[np.arange(len(at)), second[at]] = 1.0
        inner = np.linalg.inv(2 * np.eye(n) + incidence.T @ incidence)
        sums = [side @ incidence for side in sides]
        cross = sides[0] @ sides[1].T - sums[0] @ inner @ sums[1].T
        own = [(side * side).sum(axis=1) - ((r @ inner) * r).sum(axis=1) for side, r in zip(sides, sums)]
        with np.errstate(invalid="ignore", divide="ignore"):
            found = np.clip(cross / np.sqrt(own[0])[:, None] / np.sqrt(own[1])[None], -1.0, 1.0)
        out[np.ix_(rows, columns)] = np.where(flat[0][:, None] | flat[1][None], np.nan, found)
    return out


def _white(x: np.ndarray) -> np.ndarray:
    """``V^-1/2 x`` up to a factor: what the stimuli explain is scaled down to what is left over."""
    n = stimuli_of(x.shape[1])
    r = row_sums(x, n)
    mean = r.sum(axis=1, keepdims=True) / (n * (n - 1))
    first, second = np.triu_indices(n, 1)
    explained = (r - (n - 1) * mean) / max(n - 2, 1)
    part = explained[:, first] + explained[:, second]
    return x + ((2.0 / n) ** 0.5 - 1.0) * part + ((1.0 / n) ** 0.5 - 1.0) * mean


def _weights(covariance: np.ndarray, n: int) -> np.ndarray:
    """(n, n) W = S^-1 - S^-1 1 1' S^-1 / (1' S^-1 1), by its square root's rows: W = L L'."""
    if covariance.shape != (n, n) or not np.allclose(covariance, covariance.T):
        raise ValueError(
            f"covariance has shape {covariance.shape}; expected a symmetric ({n}, {n}), stimuli x stimuli."
        )
    values, vectors = np.linalg.eigh(covariance)
    if values[0] <= np.finfo(np.float64).eps * n * max(values[-1], 0.0):
        raise ValueError("covariance is not positive definite; add to its diagonal, or leave it out.")
    root = vectors / np.sqrt(values)
    whole = root.T @ np.ones(n)
    whole /= np.linalg.norm(whole)
    out: np.ndarray = root - np.outer(root @ whole, whole)
    return out


def _moments(x: np.ndarray, root: np.ndarray, n: int) -> np.ndarray:
    """Whitened, centred second moments of distances, flattened: (m, pairs) -> (m, n * n)."""
    from .rdms import square

    return np.asarray(root.T @ square(x, n) @ root).reshape(len(x), -1)
