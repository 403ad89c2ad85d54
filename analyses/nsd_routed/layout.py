"""How trials become rows: areas of voxels, standardised sessions, and the pictures for fitting and for testing."""

import numpy as np

from neurodecode.exceptions import DegenerateDataError

MOST_DRY = {"train": 600, "test": 100}
LEAST = 20  # training pictures, and test pictures
LEAST_REPEATS, LEAST_REPEATS_DRY = 3, 2
FAMILIES = {
    "early (V1-V3)": ("V1v", "V1d", "V2v", "V2d", "V3v", "V3d"),
    "hV4": ("hV4",),
    "bodies": ("EBA", "FBA-1", "FBA-2", "mTL-bodies"),
    "faces": ("OFA", "FFA-1", "FFA-2", "mTL-faces", "aTL-faces"),
    "places": ("OPA", "PPA", "RSC"),
    "words": ("OWFA", "VWFA-1", "VWFA-2", "mfs-words", "mTL-words"),
    "rest": ("rest",),
}


def first_area(areas):
    """The first area of every voxel, for tables that give each voxel one name."""
    names = areas["area"].values
    return np.where(areas.values.any(0), names[areas.values.argmax(0)], "none")


def families(areas):
    """Family of areas to boolean (unit,), for each hemisphere: ``left all``, ``left faces`` ... ``right rest``."""
    names, found = areas["area"].values, {}
    for side in ("left", "right"):
        mine = np.char.startswith(names, side)
        found[f"{side} all"] = areas.values[mine].any(0)
        for family, members in FAMILIES.items():
            found[f"{side} {family}"] = areas.values[np.isin(names, [f"{side} {one}" for one in members])].any(0)
    return found


def standardised(brain, train):
    """Every voxel with mean 0 and deviation 1 over the training pictures' trials of each session."""
    values, session = brain.values.astype(np.float32), brain["session"].values
    known = np.isin(brain["stimulus"].values, train)
    for one in np.unique(session):
        rows = session == one
        learnt = values[rows & known]
        if len(learnt) < 2:
            raise DegenerateDataError(f"session {one} has {len(learnt)} trials with training pictures; leave it out")
        spread = learnt.std(0)
        values[rows] = (values[rows] - learnt.mean(0)) / np.where(spread > 0, spread, 1)
    return brain.copy(data=values)


def sessions_read(design, shared, dry_run):
    """Sessions whose responses are read: all of the design; in a dry run the first that hold enough pictures."""
    there = sorted(design["SESSION"].unique().tolist())
    if not dry_run:
        return there
    for many in range(1, len(there)):
        train, test = chosen(names_of(design[design["SESSION"].isin(there[:many])]), shared, dry_run)
        if len(train) >= MOST_DRY["train"] and len(test) >= LEAST:
            return there[:many]
    return there


def names_of(design):
    """The picture of every trial, as responses call it."""
    return np.array([f"nsd{number:05d}" for number in design["73KID"]])


def chosen(seen, shared, dry_run):
    """Names of training and test pictures among those that were seen, each as often as it was."""
    names, counts = np.unique(seen, return_counts=True)
    common = np.isin(names, shared)
    train, test = names[~common], names[common & (counts >= (LEAST_REPEATS_DRY if dry_run else LEAST_REPEATS))]
    return (train[: MOST_DRY["train"]], test[: MOST_DRY["test"]]) if dry_run else (train, test)


def split(brain, shared, dry_run):
    """Names of training and test pictures: what only this person saw, and what all saw and this one three times."""
    train, test = chosen(brain["stimulus"].values, shared, dry_run)
    if min(len(train), len(test)) < LEAST:
        repeats = LEAST_REPEATS_DRY if dry_run else LEAST_REPEATS
        raise DegenerateDataError(
            f"{len(train)} training pictures and {len(test)} test pictures seen {repeats} times: {LEAST} of each are "
            "the least. Later sessions hold the third repeats; name all sessions (--set sessions=0)."
        )
    return train, test


def order(Y, names):
    """The samples in the order of the names."""
    place = {name: row for row, name in enumerate(Y["stimulus"].values.tolist())}
    return Y[[place[name] for name in names.tolist()]]
