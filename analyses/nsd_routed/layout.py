"""How trials become rows: areas of voxels, standardised sessions, and the pictures for fitting and for testing."""

import numpy as np

from neurodecode.exceptions import DegenerateDataError

MOST_DRY = {"train": 600, "test": 100}
LEAST_REPEATS = 3


def first_area(areas):
    """The first area of every voxel, for tables that give each voxel one name."""
    names = areas["area"].values
    return np.where(areas.values.any(0), names[areas.values.argmax(0)], "none")


def standardised(brain):
    """Every voxel with mean 0 and deviation 1 within each session."""
    values, session = brain.values.astype(np.float32), brain["session"].values
    for one in np.unique(session):
        rows = session == one
        spread = values[rows].std(0)
        values[rows] = (values[rows] - values[rows].mean(0)) / np.where(spread > 0, spread, 1)
    return brain.copy(data=values)


def split(brain, shared, dry_run):
    """Names of training and test pictures: what only this person saw, and what all saw and this one three times."""
    names, counts = np.unique(brain["stimulus"].values, return_counts=True)
    common = np.isin(names, shared)
    train, test = names[~common], names[common & (counts >= LEAST_REPEATS)]
    if dry_run:
        train, test = train[: MOST_DRY["train"]], test[: MOST_DRY["test"]]
    if len(train) < 20 or len(test) < 20:
        raise DegenerateDataError(
            f"{len(train)} training pictures and {len(test)} test pictures seen {LEAST_REPEATS} times: 20 of each are "
            "the least. Later sessions hold the third repeats; name all sessions (sessions = 0)."
        )
    return train, test


def order(Y, names):
    """The samples in the order of the names."""
    place = {name: row for row, name in enumerate(Y["stimulus"].values.tolist())}
    return Y[[place[name] for name in names.tolist()]]
