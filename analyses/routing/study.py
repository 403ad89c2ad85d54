"""Four encoders of a simulated brain on the same folds: which areas gain from looking for things, by paired tests."""

import tomllib
import warnings

import numpy as np
import xarray as xr
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neurodecode import evaluation
from neurodecode.attention import GaussianFieldEncoder, RoutedEncoder, SpatialFeatureEncoder
from neurodecode.compute.device import single_thread
from neurodecode.evaluation import gains
from neurodecode.exceptions import NeurodecodeWarning
from neurodecode.linear import Ridge
from neurodecode.representation import Labelled, as_representation, average_repeats, match
from neurodecode.sources import simulated

from .verdicts import VERDICTS, gaining, verdicts

CEILING = {"V1": 0.80, "V2": 0.80, "face area": 0.80, "house area": 0.80, "language area": 0.80}
PLANTED = {
    "V1": "place",
    "V2": "place",
    "face area": "content",
    "house area": "content",
    "language area": "content",
    "null area": "nothing",
}
SMALL = {"scenes": 240, "units": 6, "epochs": 4, "permutations": 9}
SIDE = 8
CELLS = 2
RIVALS = ("flattened ridge", "spatial x feature", "mean ridge")
SHARE = 0.1
SHOWN = 6


def run(job):
    with single_thread(), warnings.catch_warnings():
        # Where nothing answers, and where a pool or a mean says nothing, the best penalty is the largest of any grid.
        known = "(edge of the grid|no p value can be below|equal to an earlier)"
        warnings.filterwarnings("ignore", f".*{known}", NeurodecodeWarning)
        return study(job, SMALL if job.dry_run else job.settings)


def study(job, size):
    world = simulated.scenes(size["scenes"], random_state=job.seed)
    brain = simulated.person(world, n_units=size["units"], ceiling=CEILING, random_state=job.seed)
    tokens, Y = match(patches(world), average_repeats(brain))
    common = {
        "splits": KFold(6), "score": "r", "pool": "predictions", "random_state": job.seed,
        "ceiling": evaluation.repeat_ceiling(brain),
    }  # fmt: skip
    results = {}
    for name, (encoder, X, permutations) in encoders(tokens, size, job.seed).items():
        results[name] = evaluation.cross_validate(
            encoder, X, Y, store=job.store(name), permutations=permutations,
            question=f"How well does the encoder called {name} predict each unit?", **common,
        )  # fmt: skip
    table = gains(results, "routed", RIVALS)
    found = verdicts(results, table)
    areas = table["area"].values.tolist()
    table["verdict"] = "area", [found[area] for area in areas]
    table["planted"] = "area", [PLANTED[area] for area in areas]
    looking, peaks = attention(world, tokens, Y, size, job.seed)
    fields, recovered = receptive_fields(tokens, Y)
    right = sum(found[area] == PLANTED[area] for area in areas)
    figures = [job.figure("areas called what was planted", right, planted=len(areas), low=len(areas), high=len(areas))]
    figures += [
        job.figure(f"{area}: {name}, r", score)
        for name, result in results.items()
        for area, score in zip(areas, evaluation.area_means(result)["mean"].sel(area=areas).values)
    ]
    figures += [
        job.figure(f"{area}: routed − {rival}", table["difference"].values[row, column])
        for row, rival in enumerate(RIVALS)
        for column, area in enumerate(areas)
    ]
    figures += [job.figure(name, value) for name, value in {**peaks, **recovered}.items()]
    nodes = {
        "gains": table,
        "attention": looking,
        "maps of places": static_maps(tokens, Y, size, job.seed),
        "fields": fields,
    }
    return evaluation.study_tree(
        {**results, **nodes},
        answer=sentence(found, table, right),
        figures=figures,
        main=list(results),
        sample_name=["scene", "scenes"],
        **tomllib.loads((job.study.folder / "study.toml").read_text(encoding="utf-8"))["page"],
    )


def patches(world):
    """The fixed patch embedding: patches of one degree, each 2 x 2 cells of Gabor energy, mean and spread of colour."""
    n, cells = len(world), SIDE * CELLS
    energy = simulated.energy(world.pictures, size=cells).values
    pixels = world.pictures.sizes["row"] // cells
    cut = world.pictures.values.reshape(n, cells, pixels, cells, pixels, 3) / 255.0
    colour = np.concatenate([cut.mean((2, 4)), cut.std((2, 4))], axis=3)
    grid = np.concatenate([energy.transpose(0, 2, 3, 1), colour], axis=3)
    grid = grid.reshape(n, SIDE, CELLS, SIDE, CELLS, -1).transpose(0, 1, 3, 2, 4, 5)
    row, col = np.divmod(np.arange(SIDE * SIDE), SIDE)
    said = ["energy"] * energy.shape[1] + ["colour"] * colour.shape[3]
    return as_representation(
        grid.reshape(n, SIDE * SIDE, -1).astype(np.float32),
        stimulus=world.stimulus,
        kind="features",
        dims=("sample", "token", "unit"),
        token={"row": row, "col": col},
        unit={"space": said * CELLS**2},
        attrs={"quantity": "fixed patch embedding", "dataset": "simulated"},
    )


def encoders(tokens, size, seed):
    """Name to (encoder, what it reads, permutations)."""
    alphas = 10.0 ** np.arange(0, 6)
    flat = tokens.values.reshape(len(tokens), -1)
    ridge = make_pipeline(Labelled(StandardScaler()), Ridge(alphas, cv=3))
    look = {"max_epochs": size["epochs"], "random_state": seed}
    return {
        "routed": (RoutedEncoder(width=64, n_heads=4, **look), tokens, 0),
        "flattened ridge": (ridge, like(tokens, flat), 0),
        "spatial x feature": (SpatialFeatureEncoder(**look), tokens, 0),
        "mean ridge": (ridge, like(tokens, tokens.values.mean(1)), size["permutations"]),
    }


def like(tokens, values):
    return as_representation(
        values, stimulus=tokens["stimulus"].values, kind="features", attrs={"dataset": "simulated"}
    )


def held_out(n):
    """The last sixth is looked at, the rest is fitted."""
    return np.arange(n - n // 6), np.arange(n - n // 6, n)


def attention(world, tokens, Y, size, seed):
    """Attention on scenes that were not fitted, what masking costs, and how often a peak lies on the thing."""
    train, test = held_out(len(tokens))
    encoder = encoders(tokens, size, seed)["routed"][0].fit(tokens[train], Y[train])
    lost = encoder.token_importance(tokens[test], Y[test], share=SHARE, random_state=seed)
    seen = encoder.attention(tokens[test])
    there = world[test]
    peaks = which_of_two(there, seen)
    for kind in ("face", "house"):
        on, by_chance = peaks_on(there, seen.sel(query=seen["query"] == f"{kind} area").values[:, 0], kind)
        peaks[f"{kind} area: peak of attention on the {kind}, share of scenes"] = on
        peaks[f"{kind} area: the same with scenes exchanged"] = by_chance
    both = np.flatnonzero(there.present("face") & there.present("house"))[:SHOWN]
    pictures = there.pictures.values[both]
    node = xr.Dataset(
        {
            "picture": (("sample", "pixel_row", "pixel_column", "channel"), pictures),
            "attention": (("sample", "query", "token"), seen.values[both]),
            "drop": ("query", lost["drop"].values),
            "drop_random": ("query", lost["drop_random"].values),
        },
        coords={
            "query": seen["query"].values.astype(str),
            "stimulus": ("sample", there.stimulus[both]),
            "row": ("token", tokens["row"].values),
            "col": ("token", tokens["col"].values),
        },
        attrs={
            "shows": "attention", "title": "Attention on scenes that were not fitted", "share": SHARE, "score": "r",
            "how_chosen": "Scenes: the first six held-out ones with both a face and a house.",
        },
    )  # fmt: skip
    return node, peaks


def peaks_on(world, weights, kind):
    """Share of scenes with one thing of a kind where attention peaks in its box, half a patch wider; and exchanged."""
    objects = world.objects[world.objects["kind"] == kind]
    counts = objects.groupby("scene").size()
    one = objects[objects["scene"].isin(counts.index[counts == 1])]
    edge = world.pictures.sizes["row"] / SIDE
    at = weights[one["scene"].to_numpy()].argmax(1)
    down, across = ((part + 0.5) * edge for part in np.divmod(at, SIDE))
    box = {key: one[key].to_numpy() for key in ("row0", "row1", "column0", "column1")}

    def inside(y, x):
        good = (y >= box["row0"] - edge / 2) & (y <= box["row1"] + edge / 2)
        return (good & (x >= box["column0"] - edge / 2) & (x <= box["column1"] + edge / 2)).mean()

    return inside(down, across), np.mean([inside(np.roll(down, k), np.roll(across, k)) for k in range(1, len(at))])


def which_of_two(world, seen):
    """Where a face and a house are both there: how much more of its attention an area gives to its own kind."""
    edge = world.pictures.sizes["row"] / SIDE
    centre = (np.arange(SIDE) + 0.5) * edge
    both = np.flatnonzero(world.present("face") & world.present("house"))
    found = {}
    for own, other in (("face", "house"), ("house", "face")):
        maps = seen.sel(query=seen["query"] == f"{own} area").values[:, 0].reshape(-1, SIDE, SIDE)
        lead = []
        for scene in both:
            boxes = world.boxes(scene)
            mean = {}
            for kind in (own, other):
                inside = np.zeros((SIDE, SIDE), dtype=bool)
                for box in boxes[boxes["kind"] == kind].itertuples():
                    down = (centre >= box.row0 - edge / 2) & (centre <= box.row1 + edge / 2)
                    inside |= down[:, None] & ((centre >= box.column0 - edge / 2) & (centre <= box.column1 + edge / 2))
                mean[kind] = maps[scene][inside].mean()
            lead.append(mean[own] > mean[other])
        found[f"{own} area: more attention on a place of the {own} than of the {other}, share of scenes"] = np.mean(
            lead
        )
    return found


def static_maps(tokens, Y, size, seed):
    """The map of places that the static encoder settles on for each area."""
    train, _ = held_out(len(tokens))
    found = encoders(tokens, size, seed)["spatial x feature"][0].fit(tokens[train], Y[train]).map_
    coords = {
        "query": found["query"].values.astype(str),
        "row": ("token", found["row"].values), "col": ("token", found["col"].values),
    }  # fmt: skip
    attrs = {"shows": "fields", "title": "Places that the static encoder reads"}
    return xr.Dataset({"map": (("query", "token"), found.values)}, coords, attrs)


def receptive_fields(tokens, Y):
    """Gaussian pools of V1 and V2, and how they agree with those that were planted."""
    early = Y[:, np.isin(Y["roi"].values, ["V1", "V2"])]
    train, _ = held_out(len(tokens))
    encoder = GaussianFieldEncoder(
        sizes=(0.35, 0.7, 1.4), alphas=(1.0, 30.0, 1000.0), cv=3, degrees=1.0, nonlinearity=None
    ).fit(tokens[train], early[train])
    roi = early["roi"].values
    node = xr.Dataset(
        {"x": ("unit", encoder.x_), "y": ("unit", encoder.y_), "size": ("unit", encoder.size_)},
        coords={"roi": ("unit", roi), "hemi": ("unit", early["hemi"].values)},
        attrs={
            "shows": "fields", "title": "Receptive fields of V1 and V2", "field": float(SIDE),
            "about": "Centres lie on the grid of patches, one degree apart.",
        },
    )  # fmt: skip
    found = {}
    for axis, values in (("x", encoder.x_), ("y", encoder.y_)):
        planted = early[f"planted_{axis}"].values
        for area in ("V1", "V2"):
            mine = roi == area
            found[f"{area}: field centres against planted, {axis}, r"] = np.corrcoef(values[mine], planted[mine])[0, 1]
    return node, found


def sentence(found, table, right):
    """What the tests say, area by area, no more."""
    parts = []
    for verdict in VERDICTS:
        areas = [area for area in table["area"].values.tolist() if found[area] == verdict]
        if areas:
            parts.append(f"{', '.join(areas)}: {verdict}")
    sure = [
        f"{area} ({float(table['difference'].sel(area=area).min()):+.2f})".replace("-", "\N{MINUS SIGN}")
        for area in gaining(table)
    ]
    ending = (
        f"Routing beats all three other encoders in {', '.join(sure)}" if sure else "Routing beats all others nowhere"
    )
    return (
        f"In one simulated person {right} of {len(found)} areas are called what was planted ({'; '.join(parts)}). "
        + ending
        + (" (r above the best of them, p(FDR) < .05)." if sure else ".")
    )
