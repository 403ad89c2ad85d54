"""The study of natural scenes on a miniature: the same folders and files, responses planted, everything found."""

from __future__ import annotations

import shutil
import sys

import numpy as np
import pytest
import torch
import xarray as xr

from neurodecode import studies
from neurodecode.attention import Training
from neurodecode.exceptions import CapacityError, DownloadError, IntegrityError, ResumeError
from neurodecode.reporting.document import compose
from neurodecode.reporting.summary import opened

nibabel = pytest.importorskip("nibabel")
pytest.importorskip("netCDF4")
transformers = pytest.importorskip("transformers")

PATCH, SIDE = 14, 8
PIXELS = PATCH * SIDE - 9  # the middle of the last row and column of tokens lies beside the picture, as with 425 pixels
GRID = (6, 5, 4)
N_VALUES = 4
MOVING = {"left": ("FFA-1", "EBA"), "right": ("FFA-1", "EBA")}
STAYING = {"left": ("V1v",), "right": ("V1v",)}
N_TRAIN, N_TEST, N_SESSIONS = 320, 60, 6
BESIDE = 5  # vertices that do not count
RIVALS = ("flattened ridge", "spatial x feature", "convolution", "class token ridge", "mean ridge")
FAMILIES = {"prf-visualrois": {"V1v": 1}, "floc-faces": {"FFA-1": 2}, "floc-bodies": {"EBA": 1}}


def planted(rng):
    """Pictures with one thing for each of three names, and what each thing carries."""
    n = N_TRAIN + N_TEST
    pictures = rng.normal(128, 12, (n, PIXELS, PIXELS, 3))
    marks = np.linalg.qr(rng.normal(size=(PATCH * PATCH * 3, 3 * (1 + N_VALUES))))[0].T
    marks = marks.reshape(3, 1 + N_VALUES, PATCH, PATCH, 3) * np.sqrt(PATCH * PATCH * 3)
    carried, places = {}, {}
    for number, name in enumerate(("FFA-1", "EBA", "V1v")):
        values = carried[name] = rng.normal(size=(n, N_VALUES))
        place = rng.integers(0, SIDE - 1, size=(n, 2)) if name != "V1v" else np.tile([3, 3], (n, 1))
        places[name] = place
        for row in range(n):
            thing = 30 * marks[number, 0] + 14 * np.tensordot(values[row], marks[number, 1:], 1)
            down, across = place[row] * PATCH
            pictures[row, down : down + PATCH, across : across + PATCH] += thing
    return np.clip(np.rint(pictures), 0, 255).astype(np.uint8), carried, places


def surface(home, betas, side, areas, rng):
    """The same responses on the common surface, behind vertices of no interest; labels on a surface of one's own."""
    from netCDF4 import Dataset

    common = home / "nsddata" / "freesurfer" / "fsaverage" / "label"
    own = home / "nsddata" / "freesurfer" / "subj01" / "label"
    steps = home / "nsddata" / "ppdata" / "subj01" / "transforms"
    target = home / "nsddata_betas" / "ppdata" / "subj01" / "fsaverage" / betas.name
    for folder in (common, own, steps, target):
        folder.mkdir(parents=True)

    def write(path, values):
        values = np.asarray(values, np.float32)
        nibabel.save(nibabel.MGHImage(values.reshape(len(values), 1, 1, *values.shape[1:]), np.eye(4)), path)

    for code, where in (("lh", "left"), ("rh", "right")):
        mine = np.flatnonzero((side == where).ravel())
        step = rng.permutation(len(mine) + BESIDE)  # which vertex of one's own lies at each of the common surface
        write(common / f"{code}.nsdgeneral.mgz", np.r_[np.zeros(BESIDE), np.ones(len(mine))])
        write(steps / f"{code}.white-to-fsaverage.mgz", step + 1)
        for family in ("prf-visualrois", "floc-bodies", "floc-faces", "floc-places", "floc-words"):
            values = np.zeros(len(step))
            for name, number in FAMILIES.get(family, {}).items():
                values[step[BESIDE:]] += number * (areas.ravel()[mine] == name)
            write(own / f"{code}.{family}.mgz", values)
        for path in sorted(betas.glob("*.hdf5")):
            with Dataset(path) as file:
                values = file.variables["betas"][:].data.transpose(0, 3, 2, 1).reshape(-1, side.size)[:, mine] / 300
            values = np.concatenate([np.full((len(values), BESIDE), 99.0), values], axis=1).T
            write(target / f"{code}.{path.stem}.mgh", values)


@pytest.fixture(scope="module")
def miniature(tmp_path_factory):
    """A folder of data sets with subj01 of NSD, and a folder with a small DINOv2 of random weights."""
    from netCDF4 import Dataset
    from scipy.io import savemat

    rng = np.random.default_rng(20)
    root = tmp_path_factory.mktemp("data")
    home = root / "nsd" / "nsddata" / "ppdata" / "subj01"
    regions = home / "func1pt8mm" / "roi"
    regions.mkdir(parents=True)
    (home / "behav").mkdir()
    pictures, carried, places = planted(rng)
    stimuli = root / "nsd" / "nsddata_stimuli" / "stimuli" / "nsd"
    stimuli.mkdir(parents=True)
    with Dataset(stimuli / "nsd_stimuli.hdf5", "w") as file:
        for name, size in zip("nhwc", pictures.shape):
            file.createDimension(name, size)
        file.createVariable("imgBrick", "u1", tuple("nhwc"))[:] = pictures
    shared = np.sort(rng.choice(len(pictures), N_TEST, replace=False))
    design = root / "nsd" / "nsddata" / "experiments" / "nsd"
    design.mkdir(parents=True)
    savemat(design / "nsd_expdesign.mat", {"sharedix": shared[None] + 1})
    areas = np.full(GRID, "rest", dtype=object)
    side = np.where(np.arange(GRID[0]) < 3, "left", "right")[:, None, None] * np.ones(GRID, dtype=object)
    for k, name in enumerate(("FFA-1", "EBA", "V1v")):
        areas[:, :, k] = name
    affine = np.diag([-1.8, 1.8, 1.8, 1.0])

    def write(name, values):
        nibabel.save(nibabel.Nifti1Image(values.astype(np.int16), affine), regions / f"{name}.nii.gz")

    write("nsdgeneral", np.ones(GRID))
    for code, where in (("lh", "left"), ("rh", "right")):
        mine = side == where
        write(f"{code}.nsdgeneral", np.where(mine, 1, -1))
        for family in ("prf-visualrois", "floc-bodies", "floc-faces", "floc-places", "floc-words"):
            values = np.where(mine, 0, -1)
            for name, number in FAMILIES.get(family, {}).items():
                values = np.where(mine & (areas == name), number, values)
            write(f"{code}.{family}", values)
    signal = np.zeros((len(pictures), *GRID))
    for name, values in carried.items():
        here = areas == name
        found = values @ rng.normal(size=(N_VALUES, here.sum()))
        signal[:, here] = found / found.std(0)
    trials = np.concatenate([np.repeat(shared, 3), np.repeat(np.setdiff1d(np.arange(len(pictures)), shared), 2)])
    trials = rng.permutation(trials)
    lines = ["SUBJECT\tSESSION\tRUN\tTRIAL\t73KID\t10KID"]
    betas = root / "nsd" / "nsddata_betas" / "ppdata" / "subj01" / "func1pt8mm" / "betas_fithrf_GLMdenoise_RR"
    betas.mkdir(parents=True)
    for session, rows in enumerate(np.array_split(trials, N_SESSIONS), start=1):
        lines += [f"1\t{session}\t1\t{t + 1}\t{row + 1}\t{row + 1}" for t, row in enumerate(rows)]
        values = 2 + signal[rows] + 0.5 * rng.normal(size=(len(rows), *GRID))
        with Dataset(betas / f"betas_session{session:02d}.hdf5", "w") as file:
            for name, size in zip("tzyx", (len(rows), *GRID[::-1])):
                file.createDimension(name, size)
            file.createVariable("betas", "i2", tuple("tzyx"))[:] = np.rint(300 * values.transpose(0, 3, 2, 1))
    surface(root / "nsd", betas, side, areas, rng)
    np.savez(root / "places.npz", **places)
    (home / "behav" / "responses.tsv").write_text("\n".join(lines) + "\n")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        size = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_ratio": 2}
        config = transformers.Dinov2Config(**size, patch_size=PATCH, image_size=PATCH * SIDE, initializer_range=0.2)
        transformers.Dinov2Model(config).save_pretrained(root / "dinov2")
    return root


def run(root, out, **settings):
    given = {"backbone": str(root / "dinov2"), "revision": "", **settings}
    return studies.run_study("nsd_routed", data=root, out=out, dry_run=True, settings=given)


@pytest.fixture(scope="module")
def tree(miniature, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(studies, "write_result", lambda *_: None)  # its page, which takes longest, is drawn once below
        return run(miniature, tmp_path_factory.mktemp("nsd_routed"))


def found(tree, area, what):
    return next(row["found"] for row in tree.attrs["figures"] if row["name"] == f"{area}: {what}")


def of_area(tree, name, area):
    """Normalised accuracy of one encoder, mean over the units of an area."""
    part = tree[name].to_dataset()
    side, roi = area.split(" ", 1)
    return float(np.nanmean(part["normalized"].values[part["roi"].values == f"{side} {roi}"]))


def test_the_planted_table_is_found(tree):
    """Where things move, routing is far above all; where a thing stays, a fixed map is as good and above ridge."""
    for side in ("left", "right"):
        for name in MOVING[side]:
            score = {one: of_area(tree, one, f"{side} {name}") for one in ("routed", *RIVALS)}
            assert score["routed"] >= 0.65
            assert score["routed"] >= 0.5 + max(score[rival] for rival in RIVALS)
        for name in STAYING[side]:
            score = {one: of_area(tree, one, f"{side} {name}") for one in ("routed", *RIVALS)}
            assert score["routed"] >= score["spatial x feature"] - 0.05
            assert score["spatial x feature"] >= score["flattened ridge"] + 0.05
            assert max(score["mean ridge"], score["class token ridge"]) < 0.3
        assert found(tree, f"{side} faces", "routed − best rival, normalised") > 0.5
        assert abs(found(tree, f"{side} early (V1-V3)", "routed − best rival, normalised")) < 0.1
        assert abs(float(tree["routed"]["score"].values[tree["routed"]["roi"].values == f"{side} rest"].mean())) < 0.15


def test_attention_lies_on_the_thing_that_an_area_reads(tree, miniature):
    places = np.load(miniature / "places.npz")
    shown = tree["attention"].to_dataset()
    near = []
    for name in shown["query"].values.tolist():
        roi = name.split(" ")[1]
        if roi in ("FFA-1", "EBA"):
            at = shown["attention"].sel(query=name).values.argmax(1)
            rows = [int(one.removeprefix("nsd")) - 1 for one in shown["stimulus"].values.tolist()]
            away = np.abs(np.stack(np.divmod(at, SIDE), 1) - places[roi][rows]).max(1)
            near += (away <= 1).tolist()
    assert len(near) == 24 and np.mean(near) >= 0.95


def test_the_page_names_areas_and_what_was_predicted_before_the_start(tree):
    text = compose(opened(tree), tree, variants=1)
    assert "left FFA-1" in text and "without a row" in text and "of memory" in text
    assert "waiting for tokens" in text


def test_fitted_to_other_responses_it_falls_to_chance(tree):
    shuffled = tree["shuffled"]
    assert abs(np.nanmean(shuffled["score"].values)) < 0.1 and np.nanmean(shuffled["normalized"].values) <= 0.03
    assert np.nanmean(tree["routed"]["score"].values) > 0.3
    assert "r = " in tree.attrs["answer"] and "of other pictures" in tree.attrs["answer"]


def test_places_beside_the_picture_are_never_attended(tree):
    weights = tree["attention"].to_dataset()
    beside = (weights["row"] == SIDE - 1) | (weights["col"] == SIDE - 1)
    assert int(beside.sum()) == 2 * SIDE - 1
    assert float(weights["attention"].values[:, :, beside.values].max()) == 0
    np.testing.assert_allclose(weights["attention"].sum("token"), 1, atol=1e-5)


def test_areas_that_are_not_there_have_no_score(tree):
    gains = tree["gains"].to_dataset()
    assert gains.sizes["area"] == 50
    lacking = gains["n"].values == 0
    assert lacking.sum() == 50 - 8
    assert np.isnan(gains["difference"].values[:, lacking]).all() and np.isnan(gains["p_fdr"].values[:, lacking]).all()
    assert not any(row["name"].startswith("left PPA") for row in tree.attrs["figures"])


class Stopped(BaseException):
    """What a killed process looks like from inside."""


def test_a_run_that_is_killed_goes_on_where_it_was(miniature, tmp_path, monkeypatch, parts):
    """Killed among the tokens, then among the fits: nothing is computed twice, and the figures are those of one run."""
    from neurodecode.compute import training

    monkeypatch.setattr(studies, "write_result", lambda *_: None)
    quick = {"epochs": 3, "rivals": ["spatial x feature", "mean ridge"], "resamples": 20}
    whole = run(miniature, tmp_path / "whole", **quick)
    out, pictures, epochs = tmp_path / "killed", [], []

    def keep(folder, number, values, said, real=parts.shards.keep):
        if number == 3 and len(pictures) == 3:
            pictures.append(0)
            raise Stopped
        pictures.append(len(values))
        real(folder, number, values, said)

    def write(*given, real=training._write, **named):
        epochs.append(1)
        real(*given, **named)
        if len(epochs) == 5:
            raise Stopped

    def loaded(study, real=studies._load):
        module = real(study)
        sys.modules[f"{module.__name__}.shards"].keep = keep
        return module

    monkeypatch.setattr(studies, "_load", loaded)
    monkeypatch.setattr(training, "_write", write)
    with pytest.raises(Stopped):
        run(miniature, out, **quick)
    assert pictures == [64, 64, 64, 0] and not epochs
    with pytest.raises(Stopped):
        run(miniature, out, **quick)
    assert sum(pictures) == N_TRAIN + N_TEST and len(epochs) == 5
    again = run(miniature, out, **quick)
    assert sum(pictures) == N_TRAIN + N_TEST and len(epochs) == 9  # three fits of three epochs, one each
    assert again.attrs["figures"] == whole.attrs["figures"]
    stored = out / "dry-run" / "blocks" / "tokens" / "shard_0002.npy"
    raw = bytearray(stored.read_bytes())
    raw[len(raw) // 2] ^= 1
    stored.write_bytes(raw)
    assert run(miniature, out, **quick).attrs["figures"] == whole.attrs["figures"]
    assert sum(pictures) == N_TRAIN + N_TEST + 64


def test_blocks_and_fits_are_put_together(miniature, tmp_path, monkeypatch):
    monkeypatch.setattr(studies, "write_result", lambda *_: None)
    some = {"blocks": [1, 2], "members": 2, "epochs": 1, "shuffled": False, "resamples": 20}
    tree = run(miniature, tmp_path, **some)
    assert any("mean of 4 fits" in note for note in tree.attrs["notes"])
    assert len(list((tmp_path / "dry-run" / "blocks" / "fits" / "routed").glob("*.pt"))) == 4
    assert set(tree["gains"]["rival"].values) == set(RIVALS)


def test_the_common_surface_gives_the_same_units(miniature, tmp_path, monkeypatch):
    """Vertices carry the responses of the voxels, so that scores of a linear rival agree area by area."""
    monkeypatch.setattr(studies, "write_result", lambda *_: None)
    some = {"epochs": 1, "rivals": ["class token ridge"], "shuffled": False, "resamples": 20}
    one, two = (run(miniature, tmp_path / space, space=space, **some) for space in ("func1pt8mm", "fsaverage"))
    assert two["routed"].sizes["unit"] == np.prod(GRID) and "vertex" in two["routed"].coords
    assert two["routed"]["vertex"].values.min() == BESIDE
    for area in ("left FFA-1", "right EBA", "left V1v"):
        np.testing.assert_allclose(
            of_area(one, "class token ridge", area), of_area(two, "class token ridge", area), atol=0.01
        )


def test_a_dry_run_reads_the_sessions_that_it_needs(miniature, tmp_path, monkeypatch):
    """The others must be there, and are not opened: here they hold nothing that could be read."""
    root = tmp_path / "data"
    shutil.copytree(miniature, root)
    for session in (4, 5, 6):
        next((root / "nsd").glob(f"**/betas_session{session:02d}.hdf5")).write_bytes(b"")

    def loaded(study, real=studies._load):
        module = real(study)
        sys.modules[f"{module.__name__}.layout"].MOST_DRY |= {"train": 80, "test": 30}
        return module

    monkeypatch.setattr(studies, "_load", loaded)
    monkeypatch.setattr(studies, "write_result", lambda *_: None)
    tree = run(root, tmp_path / "out", epochs=1, rivals=["mean ridge"], shuffled=False, resamples=20)
    note = next(note for note in tree.attrs["notes"] if note.startswith("A dry run"))
    assert "3 of 6 sessions" in note or "2 of 6 sessions" in note
    assert 20 <= tree["routed"].attrs["n_samples"] <= 30
    with pytest.raises(OSError, match="betas_session"):
        studies.run_study(
            "nsd_routed", data=root, out=tmp_path / "whole",
            settings={"backbone": str(root / "dinov2"), "revision": "", "epochs": 1, "width": 32, "heads": 2},
        )  # fmt: skip


def test_sessions_of_a_long_recording_are_as_few_as_hold_enough_pictures(parts):
    """Ten thousand pictures three times in forty sessions: a dry run takes some of them, a run all."""
    import pandas as pd

    rng = np.random.default_rng(0)
    seen = rng.permutation(np.repeat(np.arange(1, 10_001), 3))
    design = pd.DataFrame({"SESSION": np.repeat(np.arange(1, 41), 750), "73KID": seen})
    shared = np.array([f"nsd{number:05d}" for number in range(1, 1001)])
    layout = parts.layout
    read = layout.sessions_read(design, shared, True)
    assert read == list(range(1, len(read) + 1)) and 1 < len(read) <= 6
    for sessions, enough in ((read, True), (read[:-1], False)):
        train, test = layout.chosen(layout.names_of(design[design["SESSION"].isin(sessions)]), shared, True)
        assert (len(train) >= layout.MOST_DRY["train"] and len(test) >= layout.LEAST) == enough
    assert layout.sessions_read(design, shared, False) == list(range(1, 41))
    few = design[design["SESSION"] <= 2]
    assert layout.sessions_read(few, shared, True) == [1, 2]


def test_missing_files_are_named_before_anything_is_computed(miniature, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(miniature, root)
    gone = next((root / "nsd").glob("**/betas_session03.hdf5"))
    gone.rename(gone.with_suffix(".part"))
    with pytest.raises(
        IntegrityError, match=r"1 of 22 files are not in .*/nsd: nsddata_betas/.*/betas_session03\.hdf5"
    ):
        run(root, tmp_path / "out")
    next((root / "nsd").glob("**/lh.floc-faces.nii.gz")).unlink()
    with pytest.raises(
        IntegrityError, match=r"2 of 22 .*roi/lh\.floc-faces\.nii\.gz, .*s3://natural-scenes-dataset/nsd"
    ):
        run(root, tmp_path / "out")
    next((root / "nsd").glob("**/lh.white-to-fsaverage.mgz")).unlink()
    with pytest.raises(IntegrityError, match=r"1 of 29 .*transforms/lh\.white-to-fsaverage\.mgz"):
        run(root, tmp_path / "surface", space="fsaverage")
    (root / "nsd").rename(root / "natural-scenes")
    with pytest.raises(IntegrityError, match="natural-scenes itself holds nsddata: name that folder nsd"):
        run(root / "natural-scenes", tmp_path / "inside")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(
        IntegrityError, match=r"17 of 17 files .*responses\.tsv.* and 11 more. There is no folder nsd in .*terms"
    ):
        studies.run_study("nsd_routed", data=tmp_path / "nothing", out=tmp_path / "other", dry_run=True)
    with pytest.raises(ValueError, match="no person 'subj09'; it has subj01"):
        run(miniature, tmp_path / "person", subject="subj09")
    assert not (tmp_path / "out" / "dry-run" / "blocks").exists()


def test_what_cannot_be_is_refused_before_it_starts(miniature, tmp_path):
    with pytest.raises(CapacityError, match=r"does not fit in memory.*rivals="):
        run(miniature, tmp_path / "memory", max_memory=1e4)
    with pytest.raises(CapacityError, match=r"too long.*routed .*ridge .*--set device=cuda"):
        run(miniature, tmp_path / "time", most_hours=1e-9)
    assert not (tmp_path / "time" / "dry-run" / "blocks").exists()
    with pytest.raises(ValueError, match="rivals="):
        run(miniature, tmp_path / "name", rivals=["ridge"])


@pytest.mark.parametrize("n", [500, 2800, 9000])
def test_what_ridge_asks_for_is_in_what_is_predicted(parts, n):
    """At as many components as pictures the exact ridge on all tokens is the largest thing that is not a fit."""
    from neurodecode.linear import _capacity

    folds = ((n - n // 3, n // 3),) * parts.rivals.FOLDS
    penalties = len(parts.rivals.ALPHAS)
    job = _capacity.Job(n=n, p=n, t=15_724, penalties=penalties, folds=folds, itemsize=4, solver="auto")
    asked = _capacity.plan(job, "1000 GiB").peak
    predicted = parts.budget.ridge_bytes(n, 961, 768, True)
    assert asked <= 1.1 * predicted
    if n == 9000:
        assert predicted < 1.5 * asked
    for width in (768, 4 * 768):
        small = _capacity.Job(n=n, p=width, t=15_724, penalties=penalties, folds=folds, itemsize=4, solver="auto")
        assert _capacity.plan(small, "1000 GiB").peak <= 1.1 * parts.budget.ridge_bytes(n, 961, width, False)


def test_without_the_hub_it_says_how_to_bring_the_weights(parts, monkeypatch):
    def away(*_, **__):
        raise OSError("We couldn't connect to 'https://huggingface.co'")

    monkeypatch.setattr(parts.tokens.network, "load_hub", away)
    settings = studies.find_study("nsd_routed").settings
    with pytest.raises(DownloadError, match=r"hf download facebook/dinov2-base --revision \w{40} .*--set backbone="):
        parts.tokens.load_backbone(settings, False, 0)


@pytest.fixture(scope="module")
def parts():
    study = studies.find_study("nsd_routed")
    studies._load(study)
    return sys.modules["neurodecode_study_nsd_routed"]


def test_a_picture_of_425_pixels_has_31_by_31_tokens_of_which_30_by_30_count(parts):
    rows, cols, counted = parts.tokens.grid_of((425, 425), 14)
    assert (rows, cols, int(counted.sum())) == (31, 31, 900)
    said = parts.tokens.padded((np.full((1, 425, 425, 3), 255, np.uint8),), 14)["pixel_values"]
    assert said.shape == (1, 3, 434, 434)
    assert (said[..., 425:] == 0).all() and (said[..., 425:, :] == 0).all()
    np.testing.assert_allclose(
        said[0, :, 0, 0], (1 - np.array([0.485, 0.456, 0.406])) / [0.229, 0.224, 0.225], rtol=1e-5
    )


@pytest.mark.parametrize(("kind", "registers"), [("Dinov2", 0), ("Dinov2WithRegisters", 4)])
def test_what_is_read_is_the_query_projection(parts, tmp_path, kind, registers):
    """Tokens on disk are those computed by hand from the block before: LayerNorm, then the query weights."""
    config = getattr(transformers, f"{kind}Config")(
        hidden_size=8, num_hidden_layers=3, num_attention_heads=2, patch_size=14, image_size=42, initializer_range=0.3
    )
    model = getattr(transformers, f"{kind}Model")(config).eval()
    pixels = np.random.default_rng(0).integers(0, 255, (70, 40, 33, 3)).astype(np.uint8)
    names = np.array([f"nsd{row:05d}" for row in range(1, 71)])
    chosen = Held(pixels)
    X, classes = parts.shards.tokens_of(model, chosen, names, {"blocks": [1, 3], "device": "cpu"}, tmp_path / "tokens")
    assert X.shape == (70, 3 * 3, 16) and classes.shape == (70, 16)
    with torch.no_grad():
        said = parts.tokens.padded(pixels, 14)
        states = model(**said, output_hidden_states=True).hidden_states
        for at, block in enumerate((2, 0)):
            layer = model.encoder.layer[block]
            attention = getattr(layer.attention, "attention", layer.attention)
            project = getattr(attention, "q_proj", None) or attention.query
            asked = layer.norm1(states[block]) @ project.weight.T + project.bias
            mine = X.isel(unit=slice(8 * at, 8 * at + 8)).values.astype(np.float32)
            np.testing.assert_allclose(mine, asked[:, 1 + registers :].numpy(), atol=5e-3)
            np.testing.assert_allclose(classes[:, 8 * at : 8 * at + 8], states[block + 1][:, 0].numpy(), atol=5e-3)
    assert X["layer"].values[0].startswith("encoder.layer.2.") and X["layer"].values[-1].startswith("encoder.layer.0.")
    rows, tokens, units = [69, 3], [4, 0], [9, 2, 15]
    np.testing.assert_array_equal(X[rows, tokens, units].values, X.values[np.ix_(rows, tokens, units)])
    assert X[5, 2].values.shape == (16,)
    for wrong in ([4], [], [1, 1]):
        with pytest.raises(ValueError, match="3 blocks"):
            parts.tokens.layers_of(model, wrong)
    model.layernorm.weight.data += 1
    with pytest.raises(ResumeError, match="weights differ"):
        parts.shards.tokens_of(model, chosen, names, {"blocks": [1, 3], "device": "cpu"}, tmp_path / "tokens")


class Held:
    """Pictures in memory, as those on disk are asked."""

    def __init__(self, values):
        self.values, self.shape, self.ndim, self.dtype = values, values.shape, 4, values.dtype

    def __len__(self):
        return len(self.values)

    def __getitem__(self, rows):
        return self.values[rows]

    def at(self, rows):
        return Held(self.values[rows])


def test_components_are_ridge_on_all_tokens(parts):
    from sklearn.preprocessing import StandardScaler

    from neurodecode.linear import Ridge

    rng = np.random.default_rng(0)
    X = xr.DataArray(rng.normal(size=(50, 6, 5)).astype(np.float32), dims=("sample", "token", "unit"))
    X = X.assign_coords(attended=(("sample", "token"), np.broadcast_to(np.arange(6) < 4, (50, 6))))
    Y = rng.normal(size=(40, 3))
    flat = X.values[:, :4].reshape(50, -1)
    flat = StandardScaler().fit(flat[:40]).transform(flat)
    found = parts.rivals.components(X, 40, chunk=1000)
    for alpha in (0.1, 10.0):
        same = Ridge(4 * alpha).fit(flat[:40], Y).predict(flat[40:])  # four places are brought to the scale of one
        np.testing.assert_allclose(Ridge(alpha).fit(found[:40], Y).predict(found[40:]), same, atol=1e-4)
    np.testing.assert_allclose(parts.rivals.means(X), X.values[:, :4].mean(1), rtol=1e-5)


def test_the_convolution_has_eleven_by_eleven_places_and_is_penalised_by_norms(parts):
    maps = parts.convolution.Maps(4, 2, 31, 31)
    assert maps.width == 2 * 11 * 11 and maps(torch.zeros(1, 961, 4)).shape == (1, 1, 242)
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(60, 9, 3)), rng.normal(size=(60, 2))
    look = {"channels": 2, "max_epochs": 30, "random_state": 0, "training": Training(learning_rate=0.03)}
    free, held = (parts.convolution.ConvolutionEncoder(penalty=one, **look).fit(X, Y) for one in (0.0, 10.0))
    norms = [sum(float(one.norm().detach()) for one in fit.module_.parameters()) for fit in (free, held)]
    assert norms[1] < 0.5 * norms[0] and free.predict(X).shape == (60, 2)


def test_trials_of_test_pictures_do_not_reach_the_standardisation(parts):
    rng = np.random.default_rng(0)
    names = np.repeat([f"nsd{one:05d}" for one in range(60)], 3)
    brain = xr.DataArray(
        rng.normal(3, 2, size=(180, 4)),
        dims=("sample", "unit"),
        coords={"stimulus": ("sample", names), "session": ("sample", np.tile([1, 2, 3], 60))},
    )
    train, test = parts.layout.split(brain, names[-90:], False)
    assert not set(train) & set(test) and len(train) == len(test) == 30
    other = brain.copy(data=np.where(np.isin(names, test)[:, None], brain.values + 50, brain.values))
    one, two = (parts.layout.standardised(each, train) for each in (brain, other))
    known = np.isin(names, train)
    np.testing.assert_array_equal(one.values[known], two.values[known])
    for session in (1, 2, 3):
        part = one.values[known & (one["session"].values == session)]
        np.testing.assert_allclose([part.mean(0), part.std(0) - 1], 0, atol=1e-5)


def test_resampled_differences_are_right_where_the_answer_is_known(parts):
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(300, 6))
    good, bad = truth + rng.normal(size=truth.shape), truth + 3 * rng.normal(size=truth.shape)
    members = np.array([[True] * 3 + [False] * 3, [False] * 3 + [True] * 3, [False] * 6])
    whole = parts.tests.resampled_r(truth, good, np.full((1, 300), 1 / 300))[0]
    np.testing.assert_allclose(whole, [np.corrcoef(truth[:, k], good[:, k])[0, 1] for k in range(6)])
    mixed = {"routed": np.concatenate([good[:, :3], bad[:, 3:]], 1), "other": bad}
    table = parts.tests.differences(truth, mixed, "routed", ["other"], members, 200, rng)
    assert table["low"][0, 0] > 0.2 and table["p"][0, 0] < 0.02
    assert table["difference"][0, 1] == 0 and table["p"][0, 1] == 1
    assert np.isnan(table["difference"][0, 2]) and np.isnan(table["p_fdr"][0, 2])


def test_the_published_settings_are_the_defaults():
    settings = studies.find_study("nsd_routed").settings
    expected = {
        "width": 768, "heads": 16, "hidden": 1024, "epochs": 15, "batch": 16, "learning_rate": 5e-4,
        "weight_decay": 1e-4, "clip": 0.1, "dropout": 0.1, "blocks": [1], "channels": 256, "penalty": 0.02,
    }  # fmt: skip
    assert {key: settings[key] for key in expected} == expected
