"""Cross-validation: fit on some samples, predict the others, score, and write down everything that was done."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from .. import __version__
from .._numbers import whole
from ..compute.random import check_random_state
from ..exceptions import DegenerateDataError, NeurodecodeWarning
from .assemble import assemble
from .blocks import Problem, answers_over, can_permute_labels, can_stack, pieces
from .distribution import work
from .exchange import exchangeability
from .leakage import audit, check_neighbours
from .pairing import Pair, pair
from .resume import BlockStore, describe, digest
from .scores import Score, column_sets, resolve_score
from .splits import Fold, resolve_splits

log = logging.getLogger("neurodecode")
KEEP = ("prediction",)
BESIDE = 1 << 20  # bytes: smaller arrays are not worth a thread


def cross_validate(
    est: Any,
    X: Any,
    Y: Any,
    splits: Any = None,
    *,
    score: Any,
    pool: str = "folds",
    permutations: int = 0,
    random_state: Any = None,
    ceiling: Any = None,
    assume_aligned: bool = False,
    allow_overlap: str | None = None,
    client: Any = None,
    store: str | Path | None = None,
    by: str | None = None,
    blocks: Any = None,
    permute: str | None = None,
    groups: Any = None,
    gap: int | None = None,
    nan_policy: str = "raise",
    keep: str | tuple[str, ...] = (),
    target_block: int | None = None,
    question: str | None = None,
    chance: float | None = None,
    data_card: str | None = None,
    command: str | None = None,
) -> xr.Dataset:
    r"""Predict held-out samples with an estimator, score the predictions, and say how far chance would get.

    For every fold a fresh clone of ``est`` is fitted on the training samples alone, scaling, selection and all, and
    predicts the test samples. With ``permutations`` everything is fitted again on targets that changed places, and
    ``p = (b + 1) / (n + 1)`` with b of n permuted scores at least as large as the observed one.

    Parameters
    ----------
    est : scikit-learn estimator or pipeline with ``fit`` and ``predict``; it is cloned, never changed.
    X : (sample, unit[, ...]) what is predicted from, labelled or plain.
    Y : (sample, unit[, time]) numbers, or (sample,) class labels such as ``X["category"]``.
    splits : a splitter (``SplitBy("run")``, any of scikit-learn), a list of (train, test) positions, a number of
        folds, or None; ``splits.default_splits`` says what the last two become.
    score : a name in ``SCORES``, or a function (truth, predicted) -> one number per target.
    pool : ``"folds"``: the score is the mean over folds; ``"predictions"``: it is computed once over all held-out
        predictions. The two differ; ``score_fold`` is always there.
    permutations : number of permuted data sets, 0 for none.
    random_state : seed of permutations and of an estimator that has none; None draws and records one to permute.
    ceiling : noise ceiling per unit on the scale of the score, e.g. from ``repeat_ceiling``.
    assume_aligned : accept arrays whose sample labels cannot be compared or differ; recorded.
    allow_overlap : reason to accept the same stimulus, run or subject in training and test; recorded.
    client : a ``dask.distributed`` client; the same pieces then run on its workers.
    store : folder for finished pieces. A job that was stopped goes on from there with the same numbers.
    by : for scores of whole rows (identification, top-k), the unit coordinate that groups targets: one score each.
    blocks, permute : how targets may change places, see ``exchange.exchangeability``.
    groups : coordinate or labels for scikit-learn splitters that need groups.
    gap : samples left out around a held-out stretch, where folds are cut from a series by default.
    nan_policy : ``"drop_targets"`` leaves out targets that are not finite, and lists them.
    keep : ``"prediction"`` keeps ``prediction`` and ``truth`` in the result.
    target_block : targets fitted together; None chooses by size. Only for estimators whose targets stand alone.
    question, data_card, command : text for the report. chance : replaces the chance level of the score.

    Returns
    -------
    Dataset: ``score`` (unit), ``score_fold`` (fold, unit), ``degenerate`` (unit); ``null`` (permutation, unit), ``p``,
    ``p_fdr``, ``p_max`` (unit) of ``score``; ``ceiling``, ``normalized`` (unit); ``confusion`` (true, predicted) of a
    classifier; where asked ``prediction`` and ``truth`` (sample, unit). Units carry the coordinates of Y. A target
    whose score cannot be computed is NaN and listed in ``attrs["degenerate"]``.

    Raises
    ------
    TypeError : ``est`` is no estimator.
    AlignmentError, TimingError : X and Y are not about the same samples.
    LeakageError : something stands in training and test.
    DegenerateDataError : too few samples, classes or values that are not finite.
    ResumeError : ``store`` holds the pieces of another job.

    Examples
    --------
    >>> from sklearn.linear_model import LinearRegression
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(40, 3))
    >>> Y = X @ rng.normal(size=(3, 2))
    >>> result = cross_validate(LinearRegression(), X, Y, 5, score="r", pool="predictions")
    >>> result["score"].values.round(3).tolist()
    [1.0, 1.0]

    Source: Varoquaux et al. 2017, NeuroImage 145 (cross-validation); Phipson and Smyth 2010 (p values).
    """
    row = resolve_score(score, _check_estimator(est))
    block = None if target_block is None else whole(target_block, "target_block", least=1)
    keep_predictions = _check_options(pool, permutations, keep)
    seed = _seed(random_state, store, int(permutations) > 0)
    est = est if seed is None else seeded(est, seed)
    data = pair(
        X, Y, classifier=row.needs in ("labels", "decision"), assume_aligned=assume_aligned, nan_policy=nan_policy
    )
    folds, text, splitter = resolve_splits(
        splits, data.frame, data.n_samples, labels=data.labels, groups=groups, gap=gap
    )
    leakage = audit(X, Y, folds, text, allow_overlap)
    notes = check_neighbours(data.frame, splitter, text) + _check_folds(data, folds, row, pool, keep_predictions)
    sets, row_units = _row_sets(data, row, by)
    over, closed = answers_over(est), can_permute_labels(est, data)
    row_units = _places(X, row, over) or row_units
    problem = Problem(est, data, tuple(folds), row, pool, sets, can_stack(est, data), over, closed)
    orders, drawn = _permutations(problem, X, Y, blocks, permute, int(permutations), seed)
    todo, folds_hash = pieces(problem, orders, block), _folds_hash(problem)
    said = (folds_hash, text, seed, orders, by, nan_policy, assume_aligned)
    with _digests(X, Y) as digests:
        job = {} if store is None else _job(problem, digests(), *said)
        found, resumed = work(problem, todo, job, store, client)
        hashes = digests()
    notes += _told([*drawn.pop("notes"), *merged([note for one in found.values() for note in one["notes"]])])
    attrs = {
        **drawn, "question": question, "score": row.name, "pool": pool, "estimator": estimator_text(est),
        "random_state": seed, "splits": text, "folds_hash": folds_hash,
        "assume_aligned": bool(assume_aligned), "allow_overlap": allow_overlap, "leakage": leakage, "hashes": hashes,
        "elapsed_s": float(sum(one["elapsed"] for one in found.values())), "notes": notes, "command": command,
        "data_card": data_card, "pieces": {"total": len(todo), "resumed": resumed},
    }  # fmt: skip
    return assemble(problem, todo, found, X, Y, ceiling, chance, row_units, keep_predictions, attrs)


def _told(notes: list[str]) -> list[str]:
    """The notes, each of which has been said as a warning to who called the caller."""
    for note in notes:
        warnings.warn(note, NeurodecodeWarning, stacklevel=3)
    return notes


def merged(notes: list[str]) -> list[str]:
    """Notes of several fits, each told once; those that differ in numbers alone count as one.

    Examples
    --------
    >>> merged(["at the edge for 10% of targets", "at the edge for 12% of targets", "a constant feature"])
    ['at the edge for 10% of targets (1 more alike, with other numbers)', 'a constant feature']
    """
    alike: dict[str, list[str]] = {}
    for note in dict.fromkeys(notes):
        alike.setdefault(re.sub(r"[-+]?\d[\d.,]*(?:e[-+]?\d+)?%?", "#", note), []).append(note)
    return [
        same[0] + (f" ({len(same) - 1} more alike, with other numbers)" if same[1:] else "") for same in alike.values()
    ]


def _check_estimator(est: Any) -> bool:
    """Whether it is a classifier; refuse what cannot be cloned and fitted in every fold."""
    from sklearn.base import is_classifier

    if isinstance(est, type) or not all(hasattr(est, name) for name in ("fit", "predict", "get_params")):
        what = f"the class {est.__name__}" if isinstance(est, type) else f"a {type(est).__name__}"
        raise TypeError(
            f"cross_validate fits an estimator anew in every fold and was given {what}. Pass a scikit-learn estimator "
            "or a pipeline with every step that learns from data: make_pipeline(Labelled(StandardScaler()), Ridge())"
        )
    try:
        return bool(is_classifier(est))
    except AttributeError:
        return bool(getattr(est, "_estimator_type", None) == "classifier")


def _check_options(pool: str, permutations: int, keep: str | tuple[str, ...]) -> bool:
    """Whether predictions are kept."""
    if pool not in ("folds", "predictions"):
        raise ValueError(f"pool={pool!r} is not known; choose 'folds' (mean of folds) or 'predictions' (all together)")
    whole(permutations, "permutations")
    kept = (keep,) if isinstance(keep, str) else tuple(keep)
    if set(kept) - set(KEEP):
        raise ValueError(f"keep={keep!r} is not known; choose {KEEP[0]!r}")
    return bool(kept)


def _check_folds(data: Pair, folds: list[Fold], score: Score, pool: str, keep: bool) -> list[str]:
    """Refuse folds that cannot be fitted or scored, before anything is fitted; return what the result should note."""
    tested = np.zeros(data.n_samples, dtype=int)
    for fold in folds:
        np.add.at(tested, fold.test, 1)
    never = int((tested == 0).sum())
    if pool == "predictions" or keep:
        why = "pool='predictions'" if pool == "predictions" else "keep='prediction'"
        if (tested > 1).any():
            raise ValueError(
                f"{int((tested > 1).sum())} samples are tested more than once: {why} needs one prediction per sample; "
                "use a splitter whose test sets do not overlap, or pool='folds'"
            )
        if pool == "predictions" and never:
            raise ValueError(
                f"{never} of {data.n_samples} samples are never tested: {why} scores all of them together; "
                "use pool='folds', or leave those samples out"
            )
    together = min(len(fold.test) for fold in folds) if pool == "folds" else data.n_samples
    if together < score.fewest:
        advice = "; use fewer folds or pool='predictions'" if pool == "folds" else ""
        raise DegenerateDataError(
            f"score {score.name!r} needs at least {score.fewest} samples together and gets {together}{advice}"
        )
    if data.classes is not None:
        _check_classes(data, folds, score, pool)
    return [f"{never} of {data.n_samples} samples are never tested"] if never else []


def _check_classes(data: Pair, folds: list[Fold], score: Score, pool: str) -> None:
    assert data.classes is not None
    code, count = data.truth[:, 0], len(data.classes)
    for fold in folds:
        for side, places in (("training", fold.train), ("test", fold.test)):
            missing = np.flatnonzero(np.bincount(code[places], minlength=count) == 0)
            if len(missing) and (side == "training" or (score.needs == "decision" and pool == "folds")):
                names = ", ".join(str(name) for name in data.classes[missing][:5])
                raise DegenerateDataError(
                    f"fold {fold.name!r} has no {side} sample of class {names}; "
                    "stratify (StratifiedKFold), use fewer folds"
                    + (", or pool='predictions'" if side == "test" else ", or leave rare classes out")
                )


def _seed(random_state: Any, store: str | Path | None, needed: bool) -> int | None:
    """The seed as a number that can be written down; a resumed job without one takes that of its first run."""
    if random_state is None and not needed:
        return None
    if isinstance(random_state, (int, np.integer)) and not isinstance(random_state, bool):
        check_random_state(int(random_state))
        return int(random_state)
    if random_state is None and store is not None:
        theirs = BlockStore.read_job(store)
        if theirs is not None and theirs.get("random_state") is not None:
            return int(theirs["random_state"])
    return int(check_random_state(random_state).integers(0, 2**31 - 1))


def seeded(est: Any, seed: int) -> Any:
    """The estimator, or a copy in which every ``random_state`` that is None is the seed: all fits draw the same.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> seeded(LogisticRegression(), 3).random_state, seeded(LogisticRegression(random_state=1), 3).random_state
    (3, 1)
    """
    from sklearn.base import clone

    given = est.get_params()
    none = [key for key, value in given.items() if key.split("__")[-1] == "random_state" and value is None]
    return clone(est).set_params(**dict.fromkeys(none, seed)) if none else est


def _row_sets(data: Pair, score: Score, by: str | None) -> tuple[list[np.ndarray], dict[str, Any]]:
    """The targets that a score of whole rows takes together, and the labels of its answers."""
    if score.needs != "rows":
        if by is not None:
            raise ValueError(f"by={by!r} groups targets for scores of whole rows; {score.name!r} scores every target")
        return [], {}
    sets, units = column_sets({key: value[data.kept] for key, value in data.units.items()}, len(data.kept), by)
    if any(len(places) < 2 for places in sets):
        raise DegenerateDataError(f"score {score.name!r} compares rows of at least 2 targets; a set of them has only 1")
    return sets, units


def _places(X: Any, score: Score, over: tuple[str, ...]) -> dict[str, Any]:
    """Labels of the answers where they stand for units of X, as those of a searchlight; empty where they do not."""
    if over != ("unit",):
        return {}
    if score.needs == "rows":
        raise ValueError(
            f"score {score.name!r} compares rows of targets, and every place here predicts one; choose 'r'"
        )
    if not isinstance(X, xr.DataArray):
        return {"unit_name": np.asarray([str(place) for place in range(X.shape[1])])}
    named = {str(key): entry.values for key, entry in X.coords.items() if entry.dims == ("unit",)}
    return named or {"unit_name": np.asarray([str(place) for place in range(X.sizes["unit"])])}


def _permutations(
    problem: Problem, X: Any, Y: Any, blocks: Any, permute: str | None, n: int, seed: int | None
) -> tuple[np.ndarray | None, dict[str, Any]]:
    """Orders of the targets, and what the result says of them."""
    said: dict[str, Any] = {"n_permutations": n, "exchangeability": None, "p_min": None, "notes": []}
    if n == 0 or seed is None:
        return None, said
    data = problem.data
    labelled = [array for array in (X, Y) if isinstance(array, xr.DataArray)]
    attrs = [dict(array.attrs) for array in labelled]
    if permute is None and any("time" in array.dims for array in labelled):
        permute = "shuffle"  # samples are epochs around events, not bins of a recording
    exchange = exchangeability(
        data.frame, data.n_samples, attrs=attrs, labels=data.labels, blocks=blocks, permute=permute
    )
    smallest = exchange.smallest_p(data.n_samples, n, data.labels)
    said.update(exchangeability=exchange.text, p_min=smallest)
    if smallest > 0.05:
        said["notes"].append(
            f"no p value can be below {smallest:.3g} with {n} permutations ({exchange.text}); "
            "at least 19 different ones are needed for p <= .05"
        )
    return exchange.orders(data.n_samples, n, seed), said


def estimator_text(est: Any) -> str:
    """The repr of an estimator, whole, without addresses of memory.

    Examples
    --------
    >>> from sklearn.svm import LinearSVC
    >>> estimator_text(LinearSVC(C=0.01))
    'LinearSVC(C=0.01)'
    """
    from sklearn.base import BaseEstimator

    text = BaseEstimator.__repr__(est, N_CHAR_MAX=100_000) if isinstance(est, BaseEstimator) else repr(est)
    return re.sub(r" at 0x[0-9a-f]+", "", re.sub(r"\s*\n\s*", " ", text))


@contextmanager
def _digests(X: Any, Y: Any) -> Iterator[Callable[[], dict[str, str]]]:
    """What waits for the digests: those of large arrays take as long as fitting them, and are taken beside it."""

    def take() -> dict[str, str]:
        return {"X": digest(X), "Y": digest(Y)}

    if sum(getattr(array, "nbytes", 0) for array in (X, Y)) < BESIDE:
        found = take()
        yield lambda: found
    else:
        with ThreadPoolExecutor(1) as beside:
            yield beside.submit(take).result


def _folds_hash(problem: Problem) -> str:
    return digest(np.asarray([(fold.name, digest(fold.train), digest(fold.test)) for fold in problem.folds]))


def _job(
    problem: Problem, hashes: dict[str, str], folds_hash: str, text: str, seed: int | None, orders: np.ndarray | None,
    by: str | None, nan_policy: str, assume_aligned: bool,
) -> dict[str, Any]:  # fmt: skip
    """What makes this job this one: a store refuses to mix it with another."""
    return {
        "X": hashes["X"],
        "Y": hashes["Y"],
        "estimator": describe(problem.est),
        "splits": text,
        "folds": folds_hash,
        "score": describe(problem.score.compute) if problem.score.name not in ("r", "accuracy") else problem.score.name,
        "pool": problem.pool,
        "by": by,
        "permutations": 0 if orders is None else len(orders),
        "orders": None if orders is None else digest(orders),
        "random_state": seed if orders is not None else None,
        "nan_policy": nan_policy,
        "assume_aligned": bool(assume_aligned),
        "version": __version__,
    }
