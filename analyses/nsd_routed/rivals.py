"""Rivals that are linear in fixed features: every token at its place, the mean of the tokens, the class token."""

import numpy as np
import torch
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neurodecode.compute.batching import batches
from neurodecode.compute.device import resolve
from neurodecode.compute.progress import progress
from neurodecode.exceptions import IntegrityError
from neurodecode.linear import Ridge
from neurodecode.representation import content_hash, load, save

ALPHAS = 10.0 ** np.arange(-2, 7)
FOLDS = 3
CHUNK = 1 << 30  # bytes of tokens of all pictures that are held at a time
LEAST = 1e-6  # of the largest eigenvalue: components below are rounding
READ = 64  # pictures at a time


def predictions(X, classes, Y, n, settings, job):
    """Name to predictions for the pictures after the first ``n``; each is kept on disk as soon as it is there."""
    makers = {
        "flattened ridge": lambda: components(X, n, settings["device"]),
        "mean ridge": lambda: standard(means(X), n),
        "class token ridge": lambda: standard(classes, n),
    }
    key = f"{content_hash(Y)} {X.attrs['weights']} {X.attrs['layers']} {n}"
    return {
        name: kept(job.store("rivals") / f"{name}.zarr", key, Y[n:], lambda make=make: ridge(make(), Y, n, settings))
        for name, make in makers.items()
        if name in settings["rivals"]
    }


def ridge(features, Y, n, settings):
    """Predictions of ridge with a penalty for each unit, chosen on the training pictures."""
    model = Ridge(ALPHAS, cv=FOLDS, device=settings["device"]).fit(features[:n], Y.values[:n])
    return np.asarray(model.predict(features[n:]), dtype=float)


def kept(path, key, like, make):
    """What was made before from the same responses and tokens, checked by its sums; else it is made now, and kept."""
    if path.exists():
        try:
            found = load(path)
        except IntegrityError:
            found = None
        if found is not None and found.attrs.get("key") == key:
            return found.values
    values = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    save(like.copy(data=values).assign_attrs(key=key), path)
    return values


def standard(values, n):
    """Mean 0 and deviation 1 over the training pictures."""
    return make_pipeline(StandardScaler()).fit(values[:n]).transform(values)


def means(X):
    """Mean over the tokens that lie on the picture, (sample, unit)."""
    counted = np.flatnonzero(X["attended"].values[0])
    parts = [
        X.isel(sample=some).values[:, counted].mean(1, dtype=np.float32)
        for some in progress(list(batches(len(X), READ)), "mean tokens")
    ]
    return np.concatenate(parts)


def components(X, n, device=None, chunk=CHUNK):
    """All principal components of the standardised tokens, (sample, components), from one pass over the disk.

    Every feature of every place has mean 0 and deviation 1 over the first ``n`` samples. With G = Z Z' of those and
    its eigenvectors V, values l: components are Z Z_n' V / sqrt(l), in which ridge is ridge on the tokens themselves.
    They are brought to the scale of one place.
    """
    where = resolve(device)
    counted = np.flatnonzero(X["attended"].values[0])
    step = max(1, chunk // (4 * len(X) * X.sizes["unit"]))
    gram = torch.zeros(len(X), n, device=where, dtype=torch.float64)
    for some in progress(list(batches(len(counted), step)), "flattened tokens: parts"):
        values = torch.from_numpy(X.isel(token=counted[some]).values.reshape(len(X), -1)).to(where).float()
        mean, spread = values[:n].mean(0), values[:n].std(0, correction=0)
        values = (values - mean) / torch.where(spread > 0, spread, torch.ones_like(spread))
        gram += values @ values[:n].T
    gram /= len(counted)
    square = (gram[:n] + gram[:n].T) / 2
    size, turn = torch.linalg.eigh(square)
    sound = size > LEAST * size[-1]
    return (gram @ (turn[:, sound] / size[sound].sqrt())).float().cpu().numpy()
