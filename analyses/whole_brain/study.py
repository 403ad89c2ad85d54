"""Ridge on 200,000 simulated voxels from disk: predicted and actual peak memory, and what was planted."""

import json
import os
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import xarray as xr
import zarr

from neurodecode.compute.batching import batches
from neurodecode.compute.progress import progress
from neurodecode.compute.scores import pearson
from neurodecode.evaluation import study_tree
from neurodecode.evaluation.result import versions
from neurodecode.exceptions import NeurodecodeWarning
from neurodecode.linear import Ridge
from neurodecode.linear._capacity import allowed

CHUNK = 1024  # voxels that lie together on disk
SMALL = {"voxels": 3000, "features": 250, "samples": 200, "held_out": 100}
METHOD = """\
Features are white noise. One voxel in four follows them, with weights drawn from a normal distribution for all features
and as much noise as signal; the others are noise. Responses are written to disk in blocks. `Ridge.fit(weights=folder)`
reads them in blocks, chooses a penalty for each voxel inside the training samples, and writes coefficients to a file.

For such a world the best penalty is the number of features over the signal-to-noise ratio (1), and the error of ridge
regression with it is known for large problems (Dobriban and Wager 2018, theorem 2.1): with g = 1 - samples / features
it is (1 + g + sqrt((1 - g)^2 + 4)) / 2, of a variance of 2, which gives the planted r.
The peak is that of the process that fits and predicts (VmHWM); predicted is its peak before plus `memory_`.
"""
REFERENCES = ["Dobriban E, Wager S (2018). Annals of Statistics 46:247-279 (the error of ridge in high dimensions)."]


def run(job):
    size = job.sizes(SMALL)
    found = []
    for part in range(size["parts"]):
        folder = job.store(f"part {part + 1} of {size['parts']}")
        if not (folder / "found.json").is_file():
            simulate(folder, size, part, job.seed)
            said = json.dumps({"folder": str(folder), "size": size, "part": part, "seed": job.seed})
            subprocess.run([sys.executable, str(Path(__file__)), said], check=True)
        for name in () if size["keep"] else ("train.zarr", "test.zarr", "coef.npy"):
            shutil.rmtree(folder / name) if (folder / name).is_dir() else (folder / name).unlink(missing_ok=True)
        found.append({**json.loads((folder / "found.json").read_text()), **np.load(folder / "found.npz")})
    return report(job, size, found)


def features(size, seed):
    """Training and held-out features: white, float32."""
    rng, n = np.random.default_rng([seed, 0]), size["samples"] + size["held_out"]
    return rng.standard_normal((n, size["features"]), dtype=np.float32)


def planted(size, part):
    """Boolean, one a voxel of a part."""
    return np.arange(len(range(part, size["voxels"], size["parts"]))) % 4 == 0


def simulate(folder, size, part, seed):
    """Responses of a part on disk; a run that was stopped goes on at its first unfinished block."""
    x, follows, n, done, stores = features(size, seed), planted(size, part), size["samples"], folder / "simulated", {}
    for name, rows in (("train.zarr", n), ("test.zarr", len(x) - n)):
        shape = {"shape": (rows, len(follows)), "chunks": (rows, CHUNK), "dtype": "f4", "compressors": None}
        if not done.is_file():
            zarr.create_array(str(folder / name), overwrite=True, **shape)
        stores[name] = zarr.open_array(str(folder / name), mode="a")
    first = int(done.read_text()) if done.is_file() else 0
    for block in progress([one for one in batches(len(follows), CHUNK) if one.start >= first], "responses"):
        rng = np.random.default_rng([seed, 1, part, block.start])
        values = rng.standard_normal((len(x), block.stop - block.start), dtype=np.float32)
        w = rng.standard_normal((size["features"], follows[block].sum()), dtype=np.float32)
        values[:, follows[block]] += x @ w / np.float32(np.sqrt(size["features"]))
        stores["train.zarr"][:, block], stores["test.zarr"][:, block] = values[:n], values[n:]
        done.write_text(str(block.stop))


def fit(folder, size, part, seed):
    """Fit a part, predict its held-out samples, and write what was found beside it. Runs in a process of its own."""
    folder, n, best, x = Path(folder), size["samples"], size["features"], features(size, seed)
    y, truth = (zarr.open_array(str(folder / name), mode="r") for name in ("train.zarr", "test.zarr"))
    alphas, settings = best * 10.0 ** (np.arange(-4, 5) / 2), {"cv": size["folds"], "precision": size["precision"]}
    with warnings.catch_warnings():  # null voxels belong to the largest penalty
        warnings.filterwarnings("ignore", "The best penalty stands at the upper edge", NeurodecodeWarning)
        # What libraries load at first use, or get again after the system took it, is not the fit's: a peak before it.
        first = y[: min(n, 50), :16]
        Ridge(alphas, **settings).fit(x[: len(first), :8], first, weights=folder).predict(x[:8, :8])
        before, start = high_water(), time.perf_counter()
        model = Ridge(alphas, **settings, max_memory=allowed(size["limit"]) - before)
        model.fit(x[:n], y, weights=folder)
    seconds = time.perf_counter() - start
    held = np.lib.format.open_memmap(folder / "held.npy", mode="w+", dtype=np.float32, shape=truth.shape)
    model.predict(x[n:], out=held)
    r = np.concatenate([pearson(truth[:, block], held[:, block]) for block in batches(truth.shape[1], CHUNK)])
    (folder / "held.npy").unlink()
    np.savez(folder / "found.npz", r=r, alpha=model.alpha_)
    said = {"predicted": before + model.memory_, "before": before, "peak": high_water(), "fit_s": seconds,
            "seconds": time.perf_counter() - start, "selection": model.selection_dtype_}  # fmt: skip
    (folder / "found.json.part").write_text(json.dumps(said))
    os.replace(folder / "found.json.part", folder / "found.json")


def high_water():
    """The peak of this process, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def report(job, size, found):
    r, alpha = (np.concatenate([part.pop(key) for part in found]) for key in ("r", "alpha"))
    follows = np.concatenate([planted(size, part) for part in range(size["parts"])])
    g = 1 - size["samples"] / size["features"]
    wanted = float(np.sqrt(1 - (1 + g + np.sqrt((1 - g) ** 2 + 4)) / 4))
    # Voxels share their features: what those are like by chance moves all of them together.
    near, null = 2 / np.sqrt(size["samples"]), 4 / np.sqrt(size["held_out"] * (~follows).sum())
    peak, said = (max(part[key] for part in found) / 2**30 for key in ("peak", "predicted"))
    figures = [
        job.figure("r of planted voxels", r[follows].mean(), planted=wanted, low=wanted - near, high=wanted + near),
        job.figure("r of null voxels", r[~follows].mean(), planted=0.0, low=-null, high=null),
        job.figure("median penalty over the best", np.median(alpha[follows]) / size["features"], planted=1.0),
        job.figure("peak memory, GiB", peak, planted=said, low=0.0, high=allowed(size["limit"]) / 2**30),
    ]
    answer = (
        f"{len(r):,} voxels, {size['features']:,} features, {size['samples']:,} samples: peak {peak:.2f} GiB, "
        f"predicted {said:.2f} GiB, allowed {size['limit']}; {sum(part['seconds'] for part in found) / 60:.1f} minutes."
    )
    attrs = {
        "schema": "neurodecode.result/1", "question": job.study.question, "score": "r", "pool": "folds", "chance": 0.0,
        "estimator": "Ridge", "random_state": job.seed, "splits": "the last samples", "n_folds": 1,
        "n_samples": size["samples"] + size["held_out"], "n_permutations": 0, "degenerate": [], "dropped_targets": [],
        "assume_aligned": False, "allow_overlap": None, "leakage": [], "data": {}, "versions": versions(),
        "elapsed_s": sum(part["seconds"] for part in found), "notes": [answer], "parts": found,
    }  # fmt: skip
    values = {"score": ("unit", r), "score_fold": (("fold", "unit"), r[None]), "alpha": ("unit", alpha)}
    values["degenerate"] = ("unit", np.isnan(r))
    coords = {"roi": ("unit", np.where(follows, "planted", "null")), "fold": ["held-out samples"]}
    return study_tree(
        {"voxels": xr.Dataset(values, coords, attrs)}, question=job.study.question, answer=answer, figures=figures,
        method=METHOD, notes=[answer], references=REFERENCES, data_card="Drawn here, nothing is downloaded.",
    )  # fmt: skip


if __name__ == "__main__":
    fit(**json.loads(sys.argv[1]))
