"""Reads abide_ho_timeseries: region series of 452 people, one person at a time, and who they are."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from neurodecode.exceptions import IntegrityError
from neurodecode.representation import as_representation

DATASET = "abide_ho_timeseries"
PER_SD = 2000.0  # what the stored integers are divided by
EYES = {1: "open", 2: "closed"}


def load(folder: Path) -> dict:
    """``series``: people one after the other, each volumes x 111 regions; ``people``: 452 x (age, motion, n_volumes).

    Both carry ``subject``, ``site``, ``diagnosis`` (autism, control), ``sex``, ``eyes``, ``age`` (years), ``motion``
    (mean framewise displacement, mm) and ``n_volumes`` on sample. ``series`` can be gone through again and again.
    """
    table = pd.read_csv(folder / "phenotypic.csv")
    with np.load(folder / "timeseries.npz") as stored:
        offsets, subjects, regions = (stored[key] for key in ("offsets", "subject_id", "roi_id"))
    if table["SUB_ID"].tolist() != subjects.tolist() or table["n_volumes"].tolist() != np.diff(offsets).tolist():
        raise IntegrityError(f"{DATASET}: phenotypic.csv and timeseries.npz are not about the same people in one order")
    who = {
        "subject": subjects.astype(str),
        "site": table["SITE_ID"].to_numpy(str),
        "diagnosis": np.where(table["DX_GROUP"] == 1, "autism", "control"),
        "sex": np.where(table["SEX"] == 1, "male", "female"),
        "eyes": table["EYE_STATUS_AT_SCAN"].map(EYES).fillna("not said").to_numpy(str),
        "age": table["AGE_AT_SCAN"].to_numpy(float),
        "motion": table["func_mean_fd"].to_numpy(float),
        "n_volumes": table["n_volumes"].to_numpy(int),
    }
    people = as_representation(
        np.stack([who[key] for key in ("age", "motion", "n_volumes")], axis=1).astype(float),
        stimulus=who["subject"],
        kind="features",
        sample=who,
        unit={"variable": ["age", "motion", "n_volumes"], "units": ["years", "mm", "volumes"]},
        attrs={"quantity": "of a person", "dataset": DATASET},
    )
    return {"series": Series(folder / "timeseries.npz", regions, who), "people": people}


class Series:
    """The recordings of all people, read from the file one after the other each time they are gone through."""

    def __init__(self, path: Path, regions: np.ndarray, who: dict[str, np.ndarray]):
        self.path, self.regions, self.who = path, regions, who

    def __len__(self) -> int:
        return len(self.who["subject"])

    def __iter__(self) -> Iterator[xr.DataArray]:
        with zipfile.ZipFile(self.path) as archive, archive.open("z_int16.npy") as stream:
            version = np.lib.format.read_magic(stream)
            reader = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
            shape, by_columns, dtype = reader(stream)
            if by_columns or shape != (int(self.who["n_volumes"].sum()), len(self.regions)):
                raise IntegrityError(f"{DATASET}: z_int16 has the shape {shape} and does not fit the other arrays")
            for person, n in enumerate(self.who["n_volumes"].tolist()):
                size = n * len(self.regions) * dtype.itemsize
                values = np.frombuffer(stream.read(size), dtype).reshape(n, -1)
                yield as_representation(
                    values.astype(np.float32) / np.float32(PER_SD),
                    stimulus=[f"volume {volume}" for volume in range(n)],
                    kind="fmri",
                    sample={key: np.repeat(entry[person], n) for key, entry in self.who.items()},
                    unit={"region": self.regions.astype(int)},
                    attrs={"quantity": "BOLD, z-scored", "units": "1", "dataset": DATASET},
                )
