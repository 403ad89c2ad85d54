"""Results made by hand, in the layout that evaluation writes: what the reporting room is allowed to read."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

AREAS = ("EVC", "LOC", "PFS", "OPA", "PPA", "RSC", "FFA", "OFA", "STS", "EBA")
TRUTH = (0.45, 0.55, 0.13, 0.42, 0.58, 0.36, 0.22, 0.47, 0.31, 0.0)


def attrs(**changed):
    """attrs of a result as cross_validate leaves them."""
    said = {
        "schema": "neurodecode.result/1",
        "question": "Do the features predict the areas?",
        "score": "r",
        "pool": "predictions",
        "chance": None,
        "estimator": "Ridge(alphas=[1.0, 10.0, 100.0], cv=5)",
        "random_state": 0,
        "splits": "SplitBy('fold')",
        "n_folds": 7,
        "n_samples": 63,
        "n_permutations": 199,
        "p_min": 1 / 200,
        "exchangeability": "samples within fold",
        "degenerate": [],
        "dropped_targets": [],
        "assume_aligned": False,
        "allow_overlap": None,
        "leakage": [
            {"coord": "stimulus", "checked": True, "groups": 63, "shared": 0, "verdict": "nothing shared"},
            {"coord": "run", "checked": False, "groups": 0, "shared": 0, "verdict": "no such label"},
        ],
        "data": {
            "X": {"hash": "sha256:" + "a1" * 32, "kind": "network", "dataset": "object2vec", "shape": [63, 20]},
            "Y": {"hash": "sha256:" + "b2" * 32, "kind": "fmri", "dataset": "object2vec", "shape": [63, 400]},
        },
        "versions": {"neurodecode": "0.1.0", "numpy": "2.1.0", "python": "3.11.4"},
        "elapsed_s": 3.21,
        "ceiling_reason": None,
        "ceiling_definition": "square root of the explainable variance over repeats",
        "normalized_definition": "min(1, max(0, r)^2 / ceiling^2)",
        "notes": [],
        "command": None,
        "data_card": None,
    }
    return {**said, **changed}


def adjusted(p):
    """Benjamini-Hochberg, written down; NaN stay NaN."""
    out = np.full(len(p), np.nan)
    finite = np.flatnonzero(np.isfinite(p))
    order = finite[np.argsort(p[finite])]
    m, low = len(order), 1.0
    for rank in range(m, 0, -1):
        low = min(low, p[order[rank - 1]] * m / rank)
        out[order[rank - 1]] = low
    return out


def encoding(
    seed=0, per_area=40, ceiling=True, permutations=199, shift=0.0, geometry=True, dead=3, areas=AREAS, **changed
):
    """Voxels in areas with a planted score each, a null around 0, and a few dead voxels."""
    random = np.random.default_rng(seed)
    roi = np.repeat(areas, per_area)
    n = len(roi)
    truth = np.repeat(np.resize(TRUTH, len(areas)), per_area) + shift
    score = np.tanh(np.arctanh(np.clip(truth, -0.9, 0.9)) + 0.13 * random.standard_normal(n))
    folds = np.tanh(np.arctanh(score) + 0.2 * random.standard_normal((7, n)) + 0.08 * random.standard_normal((7, 1)))
    null = 0.12 * random.standard_normal((permutations, n)) * 0.8 + 0.05 * random.standard_normal((permutations, 1))
    where = random.permutation(n)[:dead]
    score[where], folds[:, where], null[:, where] = np.nan, np.nan, np.nan
    degenerate = np.zeros(n, dtype=bool)
    degenerate[where] = True
    p = (1 + (null >= score).sum(axis=0)) / (1 + permutations)
    p = np.where(degenerate, np.nan, p)
    most = np.nanmax(null, axis=1)
    p_max = np.where(degenerate, np.nan, (1 + (most[:, None] >= score).sum(axis=0)) / (1 + permutations))
    variables = {
        "score": ("unit", score),
        "score_fold": (("fold", "unit"), folds),
        "degenerate": ("unit", degenerate),
    }
    if permutations:
        variables |= {"null": (("permutation", "unit"), null), "p": ("unit", p), "p_fdr": ("unit", adjusted(p))}
        variables |= {"p_max": ("unit", p_max)}
    if ceiling:
        top = np.clip(0.75 + 0.06 * random.standard_normal(n), 0.05, 1)
        top[where] = np.nan
        variables |= {
            "ceiling": ("unit", top),
            "normalized": ("unit", np.minimum(1, np.maximum(0, score) ** 2 / top**2)),
        }
    said = attrs(degenerate=sorted(int(at) for at in where), n_permutations=permutations)
    if not ceiling:
        said |= {"ceiling_reason": "every picture was shown once", "ceiling_definition": None}
    unit = {"roi": ("unit", roi)}
    if geometry:
        unit |= volume(n, len(areas), said)
    return xr.Dataset(variables, coords={**unit, "fold": [f"set {at}" for at in range(7)]}, attrs={**said, **changed})


def volume(n, n_areas, said):
    """Voxel indices in a brain-like ellipsoid, areas as slabs from back to front, on a 3 mm grid with x flipped."""
    shape = (24, 28, 20)
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1).reshape(-1, 3)
    middle = (np.array(shape) - 1) / 2
    inside = grid[(((grid - middle) / (middle * 0.92)) ** 2).sum(axis=1) < 1]
    order = np.lexsort((inside[:, 2], inside[:, 0], inside[:, 1]))
    ijk = inside[order][np.linspace(0, len(inside) - 1, n).astype(int)]
    affine = np.array([[-3.0, 0, 0, 34.5], [0, 3.0, 0, -60.0], [0, 0, 3.0, -20.0], [0, 0, 0, 1]])
    said |= {"affine": affine.tolist(), "shape": list(shape)}
    xyz = ijk @ affine[:3, :3].T + affine[:3, 3]
    coords = {name: ("unit", ijk[:, axis]) for axis, name in enumerate("ijk")}
    return coords | {name: ("unit", xyz[:, axis]) for axis, name in enumerate("xyz")}


CLASSES = ("face", "house", "cat", "bottle", "scissors", "shoe", "chair", "scrambledpix")


def classification(seed=0, classes=CLASSES, right=0.72, permutations=199, **changed):
    """A decoder of classes in nine runs, with its confusions and a null at chance."""
    random = np.random.default_rng(seed)
    n, folds = len(classes), 9
    counts = np.zeros((n, n), dtype=int)
    per_fold = np.zeros(folds)
    for fold in range(folds):
        for true in range(n):
            answer = true if random.random() < right else random.integers(n)
            counts[true, answer] += 1
            per_fold[fold] += (answer == true) / n
    null = random.binomial(n * folds, 1 / n, (permutations, 1)) / (n * folds)
    score = np.array([per_fold.mean()])
    p = (1 + (null >= score).sum(axis=0)) / (1 + permutations)
    said = attrs(
        score="accuracy", chance=1 / n, pool="folds", estimator="LinearClassifier(kind='svm', C=0.01)", n_folds=folds,
        n_samples=n * folds, splits="SplitBy('run')", question="Which category does the person see?",
        ceiling_reason="a ceiling is not defined for accuracy", ceiling_definition=None, n_permutations=permutations,
        leakage=[{"coord": "run", "checked": True, "groups": folds, "shared": 0, "verdict": "nothing shared"}],
        data={
            "X": {"hash": "sha256:" + "c3" * 32, "kind": "fmri", "dataset": "haxby2001", "shape": [n * folds, 530],
                  "subject": "1"},
            "Y": {"hash": "sha256:" + "d4" * 32, "kind": "label", "dataset": "haxby2001", "shape": [n * folds]},
        },
    )  # fmt: skip
    return xr.Dataset(
        {
            "score": ("unit", score),
            "score_fold": (("fold", "unit"), per_fold[:, None]),
            "null": (("permutation", "unit"), null),
            "p": ("unit", p),
            "p_fdr": ("unit", p),
            "confusion": (("true", "predicted"), counts),
            "degenerate": ("unit", [False]),
        },
        coords={
            "unit_name": ("unit", ["category"]), "fold": [f"run {at + 1}" for at in range(folds)],
            "true": list(classes), "predicted": list(classes),
        },
        attrs={**said, **changed},
    )  # fmt: skip


def over_time(seed=0, areas=None, permutations=199, **changed):
    """Accuracy after the onset of a block: at chance before 3 s, high from 5 to 20 s."""
    random = np.random.default_rng(seed)
    times = np.arange(-2, 14) * 2.5
    shape = 1 / (1 + np.exp(-(times - 5))) - 1 / (1 + np.exp(-(times - 26) / 1.5))
    names = areas or ["category"]
    gain = np.linspace(0.5, 0.1, len(names))[:, None]
    folds = 0.125 + gain * shape + 0.06 * random.standard_normal((9, len(names), len(times)))
    null = 0.125 + 0.03 * random.standard_normal((permutations, len(names), len(times)))
    score = folds.mean(axis=0)
    most = null.max(axis=-1)
    p_max = (1 + (most[..., None] >= score).sum(axis=0)) / (1 + permutations)
    said = attrs(score="accuracy", chance=0.125, pool="folds", n_folds=9, n_samples=72, question="When?")
    coords = {"unit_name": ("unit", names)} if areas is None else {"roi": ("unit", list(names))}
    return xr.Dataset(
        {
            "score": (("unit", "time"), score),
            "score_fold": (("fold", "unit", "time"), folds),
            "null": (("permutation", "unit", "time"), null),
            "p_max": (("unit", "time"), p_max),
        },
        coords={**coords, "time": times, "fold": [f"run {at + 1}" for at in range(9)]},
        attrs={**said, **changed},
    )


def searchlight(seed=0):
    """Accuracy per voxel of one slice whose first voxel axis runs from right to left."""
    random = np.random.default_rng(seed)
    shape = (40, 20, 1)
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1).reshape(-1, 3)
    inside = (((grid[:, 0] - 19.5) / 19) ** 2 + ((grid[:, 1] - 18) / 18) ** 2 < 1) & (grid[:, 1] < 19)
    ijk = grid[inside]
    affine = np.array([[-3.1, 0, 0, 60.45], [0, 3.75, 0, -35.625], [0, 0, 3.75, 0], [0, 0, 0, 1]])
    xyz = ijk @ affine[:3, :3].T + affine[:3, 3]
    bump = np.exp(-((xyz[:, 0] - 25) ** 2 + (xyz[:, 1] + 5) ** 2) / 200)
    score = 0.125 + 0.5 * bump + 0.04 * random.standard_normal(len(ijk))
    p = np.clip(np.exp(-(score - 0.125) * 25), 1 / 1000, 1)
    dead = np.zeros(len(ijk), dtype=bool)
    dead[[40, 200]] = True
    score[dead], p[dead] = np.nan, np.nan
    coords = {name: ("unit", ijk[:, axis]) for axis, name in enumerate("ijk")}
    coords |= {name: ("unit", xyz[:, axis]) for axis, name in enumerate("xyz")}
    said = attrs(score="accuracy", chance=0.125, affine=affine.tolist(), shape=list(shape), n_samples=72)
    variables = {
        "score": ("unit", score),
        "p": ("unit", p),
        "p_fdr": ("unit", adjusted(p)),
        "degenerate": ("unit", dead),
    }
    return xr.Dataset(variables, coords=coords, attrs=said)


CARD = """# object2vec

One person (subj001) saw **isolated objects** on white, ten pictures per category.

- 63 categories, *mean over ten pictures*
- 1,870 voxels in ten areas

| file | meaning |
| --- | --- |
| `fmri_subj001.npz` | betas |

Recorded by Bonner & Epstein (2021), [Nature Communications](https://doi.org/10.1038/s41467-021-24368-2).
"""


def study(seed=0):
    """What a study returns: two feature spaces, a layer x area matrix, planted and published figures."""
    random = np.random.default_rng(seed)
    layers = ["conv1", *(f"stage{stage}.{block}" for stage in (1, 2, 3) for block in (0, 1, 2)), "fc"]
    depth = np.linspace(0, 1, len(layers))[:, None]
    prefer = np.linspace(0.1, 0.9, len(AREAS))[None]
    matrix = 0.55 * np.exp(-((depth - prefer) ** 2) / 0.3) * np.resize(TRUTH, len(AREAS)) * 1.8
    matrix = matrix + 0.02 * random.standard_normal(matrix.shape)
    root = xr.Dataset(
        {"matrix": (("layer", "roi"), matrix), "matrix_null95": (("layer", "roi"), np.full(matrix.shape, 0.1))},
        coords={"layer": layers, "roi": list(AREAS)},
    )
    alexnet, words = encoding(seed, ceiling=False), encoding(seed + 1, ceiling=False, shift=-0.12)
    found = alexnet["score"].groupby(alexnet["roi"]).mean()
    figures = [
        {"name": f"alexnet {area}", "planted": None, "found": float(found.sel(roi=area)), "low": None, "high": None,
         "published": published, "tolerance": 0.02}
        for area, published in (("EVC", 0.45), ("LOC", 0.55), ("PPA", 0.58))
    ]  # fmt: skip
    figures += [
        {"name": "haemodynamic lag (s)", "planted": 4.0, "found": 4.2, "low": 3.5, "high": 4.5},
        {"name": "receptive field, degrees from fixation", "planted": 2.0, "found": 3.9, "low": 1.5, "high": 2.5},
        {"name": "voxels kept", "planted": None, "found": 1870.0, "low": None, "high": None},
    ]
    tree = xr.DataTree.from_dict({"/": root, "/alexnet": alexnet, "/words": words})
    tree.attrs = {
        "title": "Objects in ten areas",
        "question": "Which features predict which area while a person looks at objects?",
        "answer": "AlexNet components predict LOC (r = .55, ceiling n/a, p = .005, 63 categories, one person).",
        "command": 'neurodecode run objects --data "$NEURODECODE_DATA" --out results/objects --seed 0',
        "figures": figures,
        "data_card": CARD,
        "method": "Ridge regression with a penalty per voxel, `w = (X'X + aI)^-1 X'y`, left-out sets predicted.",
        "references": [
            "Bonner MF, Epstein RA (2021). Nature Communications 12:4081. https://doi.org/10.1038/s41467-021-24368-2"
        ],
        "notes": ["The pictures were shown to the network at 32 x 32 pixels."],
        "study": "objects",
        "seed": 0,
        "sample_name": ["category", "categories"],
        "settings": {"permutations": 199},
    }
    return tree


@pytest.fixture(scope="session")
def make_encoding():
    return encoding


@pytest.fixture(scope="session")
def make_classification():
    return classification


@pytest.fixture(scope="session")
def make_over_time():
    return over_time


@pytest.fixture(scope="session")
def make_searchlight():
    return searchlight


@pytest.fixture(scope="session")
def make_study():
    return study


@pytest.fixture(scope="session")
def make_attrs():
    return attrs
