"""From finished pieces to a result: scores, p values, ceilings, confusion, and the record of what was done."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import xarray as xr

from ..compute.scores import is_constant
from .blocks import Piece, Problem, score_outcomes
from .ceilings import LEAST_EXPLAINABLE, fit_ceiling, normalize
from .result import SCHEMA, jsonable, significance, spread, versions

log = logging.getLogger("neurodecode")
DATA_ATTRS = ("quantity", "units", "sfreq", "tr", "history", "affine", "shape", "space", "model", "pool")


def assemble(
    problem: Problem,
    todo: list[Piece],
    found: dict[str, dict[str, Any]],
    X: Any,
    Y: Any,
    ceiling: Any,
    chance: float | None,
    row_units: dict[str, Any],
    keep: bool,
    attrs: dict[str, Any],
) -> xr.Dataset:
    """Put the pieces together; see ``cross_validate`` for what the Dataset holds."""
    data, score = problem.data, problem.score
    outcomes = _outcomes(problem, todo, found)
    truths = [data.truth[fold.test] for fold in problem.folds]
    by_fold, pooled = score_outcomes(problem, truths, outcomes)
    assert by_fold is not None
    rows = score.needs == "rows" or problem.placed
    kept, n_units = (np.arange(pooled.shape[0]), pooled.shape[0]) if rows else (data.kept, data.n_units)
    units = {key: np.asarray(value) for key, value in (row_units if rows else data.units).items()}
    extra = _extra(problem, X, pooled.ndim - 1)
    dims = ("unit", *extra)
    coords: dict[str, Any] = {key: ("unit", value) for key, value in units.items()}
    coords.update({name: values for name, values in extra.items() if values is not None})
    coords["fold"] = [fold.name for fold in problem.folds]

    full = spread(pooled, kept, n_units, 0)
    variables: dict[str, Any] = {
        "score": (dims, full),
        "score_fold": (("fold", *dims), spread(by_fold, kept, n_units, 1)),
    }
    reasons = _degenerate(problem, pooled, by_fold, outcomes, kept)
    listed = sorted(place for places in reasons.values() for place in places)
    flags = np.zeros(n_units, dtype=bool)
    flags[listed] = True
    variables["degenerate"] = (("unit",), flags)
    dropped = sorted(set(range(data.n_units)) - set(data.kept.tolist()))
    if dropped and not rows:
        variables["dropped"] = (("unit",), np.isin(np.arange(n_units), dropped))
    if attrs["n_permutations"]:
        null = spread(_null(todo, found, pooled.shape), kept, n_units, 1)
        variables["null"] = (("permutation", *dims), null)
        variables.update({key: (dims, value) for key, value in significance(full, null, score.higher).items()})
    if ceiling is not None:
        variables.update(_ceiling(ceiling, units, full, score.name, dims, reasons, attrs))
    if data.classes is not None and pooled.ndim == 1 and not problem.placed:
        variables["confusion"] = (("true", "predicted"), _confusion(problem, outcomes))
        coords["true"] = coords["predicted"] = data.classes
    if keep:
        kept_variables, kept_coords = _predictions(problem, outcomes, rows, extra)
        variables.update(kept_variables)
        coords.update(kept_coords)

    together = data.n_samples if problem.pool == "predictions" else np.mean([len(fold.test) for fold in problem.folds])
    counts = np.bincount(data.truth[:, 0]) if data.classes is not None else np.ones(1)
    if chance is None and score.chance is not None:
        chance = score.chance(counts, float(together))
    notes = attrs["notes"]
    if listed:
        said = f"{len(listed)} of {n_units} units have no score and are left out of means: " + "; ".join(
            f"{len(places)} {reason}" for reason, places in reasons.items()
        )
        log.info(said)
        notes.append(said)
    if dropped:
        said = f"{len(dropped)} of {data.n_units} targets are not finite and were dropped"
        log.info(said)
        notes.append(said)
    hashes = attrs.pop("hashes")
    attrs.update(
        schema=SCHEMA, chance=chance, n_folds=len(problem.folds), n_samples=data.n_samples, degenerate=listed,
        degenerate_reasons=reasons, dropped_targets=dropped, versions=versions(),
        data={"X": describe_data(X, hashes["X"]), "Y": describe_data(Y, hashes["Y"])},
    )  # fmt: skip
    home = X if problem.placed else Y
    for key in ("affine", "shape"):
        if isinstance(home, xr.DataArray) and key in home.attrs:
            attrs[key] = home.attrs[key]
    return xr.Dataset(variables, coords, jsonable(attrs))


def _outcomes(problem: Problem, todo: list[Piece], found: dict[str, dict[str, Any]]) -> list[dict[str, np.ndarray]]:
    """Predictions of every fold, blocks of targets side by side."""
    outcomes = []
    for number in range(len(problem.folds)):
        parts = [found[piece.name] for piece in todo if piece.fold == number]
        first = parts[0]["prediction"]
        joined = {"prediction": np.concatenate([part["prediction"] for part in parts], axis=1) if parts[1:] else first}
        if "decision" in parts[0]:
            joined["decision"] = parts[0]["decision"]
        outcomes.append(joined)
    return outcomes


def _null(todo: list[Piece], found: dict[str, dict[str, Any]], shape: tuple[int, ...]) -> np.ndarray:
    """(permutation, unit, ...): batches of permutations one below the other, blocks of targets side by side."""
    blocks: dict[int, list[np.ndarray]] = {}
    for piece in todo:
        if piece.orders is not None:
            blocks.setdefault(piece.targets.start, []).append(found[piece.name]["null"])
    null = np.concatenate([np.concatenate(parts, axis=0) for _, parts in sorted(blocks.items())], axis=1)
    return null.reshape(-1, *shape)


def _extra(problem: Problem, X: Any, count: int) -> dict[str, np.ndarray | None]:
    """Names and coordinates of the dimensions of the scores after ``unit``: time, and time of testing."""
    known = list(problem.data.extra.items())[:count]
    for name in ("time", "time_test")[len(known) : count]:
        times = X.coords["time"].values if isinstance(X, xr.DataArray) and "time" in X.coords else None
        known.append((name, times))
    return dict(known)


def _degenerate(
    problem: Problem, pooled: np.ndarray, by_fold: np.ndarray, outcomes: list[dict[str, np.ndarray]], kept: np.ndarray
) -> dict[str, list[int]]:
    """Units without a score, by reason, as positions among all units."""

    def over(values: np.ndarray) -> np.ndarray:
        return np.asarray(values.reshape(len(values), -1).any(axis=1))

    lost = over(~np.isfinite(pooled))
    if problem.score.needs != "values":
        return {"cannot be scored": kept[lost].tolist()} if lost.any() else {}
    data = problem.data
    constant = over(is_constant(data.truth))
    reasons = {"constant target": lost & constant}
    rest = lost & ~constant
    if problem.pool == "folds":
        in_fold = np.zeros(len(rest), dtype=bool)
        for fold in problem.folds:
            in_fold |= over(is_constant(data.truth[fold.test]))
        reasons["constant in the test samples of a fold (pool='predictions' would score it)"] = rest & in_fold
        rest &= ~in_fold
    flat = np.zeros(len(rest), dtype=bool)
    parts = [outcome["prediction"] for outcome in outcomes]
    for part in parts if problem.pool == "folds" else [np.concatenate(parts)]:
        flat |= over(is_constant(part))
    reasons["constant prediction"] = rest & flat
    reasons["score not finite"] = rest & ~flat
    return {reason: kept[places].tolist() for reason, places in reasons.items() if places.any()}


def _ceiling(
    ceiling: Any, units: dict[str, np.ndarray], full: np.ndarray, kind: str, dims: tuple[str, ...],
    reasons: dict[str, list[int]], attrs: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    values = fit_ceiling(ceiling, units, full.shape, kind)
    share, text = normalize(full, values, kind)
    # A prediction without variation explains nothing; that is a score of 0 where something could be explained.
    flat = reasons.get("constant prediction", [])
    share[flat] = normalize(np.zeros_like(full[flat]), values[flat], kind)[0]
    said = ceiling.attrs if isinstance(ceiling, xr.DataArray) else {}
    explainable = values**2 if kind == "r" else values
    with np.errstate(invalid="ignore"):
        low = int((~(explainable >= LEAST_EXPLAINABLE)).sum())
    attrs["ceiling_reason"] = said.get("reason")
    attrs["ceiling_definition"] = said.get("definition")
    attrs["normalized_definition"] = text
    if kind in ("r", "r2", "explained_variance"):
        attrs["n_below_ceiling_floor"] = low
        attrs["ceiling_floor"] = LEAST_EXPLAINABLE
    return {"ceiling": (dims, values), "normalized": (dims, share)}


def _confusion(problem: Problem, outcomes: list[dict[str, np.ndarray]]) -> np.ndarray:
    data = problem.data
    assert data.classes is not None
    counts = np.zeros((len(data.classes), len(data.classes)), dtype=np.int64)
    for fold, outcome in zip(problem.folds, outcomes):
        np.add.at(counts, (data.truth[fold.test, 0], outcome["prediction"][:, 0]), 1)
    return counts


def _predictions(
    problem: Problem, outcomes: list[dict[str, np.ndarray]], rows: bool, extra: dict[str, np.ndarray | None]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """``prediction`` and ``truth`` in the order of the samples; never tested samples are NaN (labels: empty)."""
    data = problem.data
    parts = np.concatenate([outcome["prediction"] for outcome in outcomes])
    places = np.concatenate([fold.test for fold in problem.folds])
    truth = data.truth if data.classes is None else data.classes[data.truth]
    said = parts if data.classes is None else data.classes[parts]
    if len(places) == data.n_samples:
        predicted = np.empty(said.shape, dtype=said.dtype)
    else:
        predicted = np.full((data.n_samples, *said.shape[1:]), "" if said.dtype.kind in "US" else np.nan)
        predicted = predicted.astype(said.dtype) if said.dtype.kind in "US" else predicted
    predicted[places] = said
    coords: dict[str, Any] = {}
    if data.frame is not None:
        coords = {str(key): ("sample", coord.values) for key, coord in data.frame.coords.items()}
    unit = "unit"
    if problem.placed:
        variables = {"prediction": (("sample", "unit"), predicted), "truth": (("sample",), truth[:, 0])}
        return variables, coords
    if rows:
        # Scores of whole rows have units of their own; the targets then stand on another dimension.
        unit = "target"
        coords.update({f"target_{key}": (unit, values) for key, values in data.units.items()})
    if data.classes is None:
        predicted = spread(predicted, data.kept, data.n_units, 1)
        truth = spread(truth, data.kept, data.n_units, 1)
    names = ("sample", unit, *extra)
    variables = {
        "prediction": (names[: predicted.ndim], predicted),
        "truth": (names[: truth.ndim], truth),
    }
    return variables, coords


def describe_data(array: Any, content: str) -> dict[str, Any]:
    """What an array was: digest of its content, shape, kind, data set, and the attributes a report shows."""
    found: dict[str, Any] = {"hash": content, "shape": list(np.shape(array)), "kind": None, "dataset": None}
    if isinstance(array, xr.DataArray):
        found.update(kind=array.attrs.get("kind"), dataset=array.attrs.get("dataset"), dims=list(map(str, array.dims)))
        found.update({key: array.attrs[key] for key in DATA_ATTRS if key in array.attrs})
        found["shape"] = list(array.shape)
        if "shape" in array.attrs:
            found["volume_shape"] = array.attrs["shape"]
    return found
