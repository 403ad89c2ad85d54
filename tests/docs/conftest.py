"""What a reader of the pages has on the desk: small recordings, features, networks, people."""

from __future__ import annotations

import numpy as np
import pytest


def resting(as_representation):
    """Series of four regions in twelve people of two sites, and their ages."""
    rng, names = np.random.default_rng(8), [f"person{number}" for number in range(12)]
    sites = np.repeat(["here", "there"], 6)
    series = [as_representation(rng.normal(size=(30, 4)), stimulus=["rest"] * 30, kind="fmri",
                                sample={"subject": [name] * 30, "site": [site] * 30})
              for name, site in zip(names, sites)]  # fmt: skip
    age = as_representation(rng.uniform(8, 40, size=(12, 1)), stimulus=names, kind="features", sample={"site": sites})
    return {"recordings": series, "age": age}


def heard(as_representation):
    """The envelope of a sound in three runs, and three sensors that follow it 50 ms later."""
    rng, said = np.random.default_rng(9), {"stimulus": [f"bin{t}" for t in range(600)], "attrs": {"sfreq": 100.0}}
    runs = {"run": np.repeat([1, 2, 3], 200)}
    sound = rng.normal(size=(600, 1))
    noise = rng.normal(size=(600, 3))
    return {
        "sound": as_representation(sound, kind="features", sample=runs, **said),
        "sensors": as_representation(np.roll(sound, 5, axis=0) + noise, kind="eeg", sample=runs, **said),
    }


def looked(as_representation, brain):
    """Nine places of four features for each picture that was seen, and the recording they are read into."""
    row, col = np.divmod(np.arange(9), 3)
    places = as_representation(
        np.random.default_rng(10).normal(size=(len(brain), 9, 4)), stimulus=brain["stimulus"].values, kind="network",
        dims=("sample", "token", "unit"), token={"row": row, "col": col},
    )  # fmt: skip
    return {"places": places, "seen_by": brain}


def placed(brain):
    """The same recording with its units as neighbouring voxels."""
    places = {axis: ("unit", place) for axis, place in zip("ijk", np.argwhere(np.ones((len(brain[0]), 1, 1))).T)}
    return brain.assign_coords(places).assign_attrs(affine=np.diag([3.0, 3, 3, 1]).tolist())


@pytest.fixture(scope="session")
def desk():
    """What a reader of the catalogue has on the desk: a small recording, features, networks, people."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from neurodecode import attention, connectivity, evaluation, linear, representation
    from neurodecode.representation import concat, match
    from neurodecode.sources import eeg, fmri, network, simulated, stimuli, zoo

    world = simulated.scenes(48, random_state=11)
    areas = {"areas": ["face area", "language area"], "n_units": 3}
    once = simulated.person(world, n_repeats=1, n_runs=4, random_state=12, **areas)
    often = simulated.person(world, n_repeats=3, random_state=12, **areas)
    volumes = simulated.person(world, n_repeats=1, n_runs=4, random_state=12, time_series=True, **areas)
    words = world.words()
    space = {
        name: getattr(room, name)
        for room in (attention, connectivity, evaluation, linear, representation)
        for name in room.__all__
    }
    people = {name: simulated.person(world, random_state=seed, n_repeats=1, n_runs=4, subject=name, **areas)
              for seed, name in enumerate(("ann", "bob", "cid", "dan", "eve"))}  # fmt: skip
    features, brain = match(words, once)
    space |= {"np": np, "make_pipeline": make_pipeline, "StandardScaler": StandardScaler}
    space |= {"fmri": fmri, "network": network, "simulated": simulated, "features": features, "brain": brain}
    epochs = simulated.eeg(world, n_repeats=1, n_runs=4, sfreq=60.0, random_state=13)[:, ::4]
    strength = np.random.default_rng(6).uniform(size=len(epochs))
    space |= {"eeg": eeg, "epochs": epochs, "strength": strength}
    space |= {"model": linear.Ridge(alphas=10.0), "X": features, "Y": brain, "people": people}
    pictures = stimuli.to_tensor(world.pictures[:24])
    together = concat([match(features, one)[1] for one in people.values()])
    noise = np.random.default_rng(5).normal(size=features.shape)
    bare = features.drop_vars("space")
    space |= looked(representation.as_representation, brain)
    spaces = {"words": bare, "layers": bare.copy(data=bare.values + noise)}
    flicker = np.random.default_rng(7).normal(size=(5, 24, 3, 8))
    over_time = linear.Sliding(linear.LinearClassifier("lda", shrinkage=0.1))
    decoded = {name: evaluation.cross_validate(over_time, one, np.arange(24) % 2, 4, score="auc")
               for name, one in zip(people, flicker)}  # fmt: skip
    blood = {"features": simulated.at_onsets(words, volumes), "volumes": volumes}
    changes = {
        **dict.fromkeys(("Banded ridge", "Variance partition", "Stacked regression"), spaces),
        "Finite impulse response encoding": blood,
        "Canonical haemodynamic response, with derivatives": blood,
        "Sparse and smooth maps": {"brain": placed(brain)},
        "Temporal response functions": heard(representation.as_representation),
        "Network against network": {
            "model": zoo.small_conv(4, random_state=1), "other": zoo.small_conv(4, random_state=2), "pictures": pictures
        },
        "Permuted labels of a discriminant, in closed form": {
            "X": brain.assign_coords(half=("sample", np.tile(["first", "second"], len(brain) // 2)))
        },
        "Clusters over time": {"decoded": decoded},
        "Correlations between regions as features of a person": resting(representation.as_representation),
        "Noise ceiling from repeats": {"brain": often, "features": words},
        "Noise ceiling from other people": {"people": together},
        "A group of people": {"people": {name: match(features, one)[1] for name, one in people.items()}},
    }  # fmt: skip
    return space, changes
