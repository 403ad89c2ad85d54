"""The study of natural scenes on a miniature: the same folders and files, responses planted, everything found."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

from neurodecode import studies
from neurodecode.exceptions import CapacityError, IntegrityError
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
FAMILIES = {"prf-visualrois": {"V1v": 1}, "floc-faces": {"FFA-1": 2}, "floc-bodies": {"EBA": 1}}


def planted(rng):
    """Pictures with one thing for each of three names, and what each thing carries."""
    n = N_TRAIN + N_TEST
    pictures = rng.normal(128, 12, (n, PIXELS, PIXELS, 3))
    marks = np.linalg.qr(rng.normal(size=(PATCH * PATCH * 3, 3 * (1 + N_VALUES))))[0].T
    marks = marks.reshape(3, 1 + N_VALUES, PATCH, PATCH, 3) * np.sqrt(PATCH * PATCH * 3)
    carried = {}
    for number, name in enumerate(("FFA-1", "EBA", "V1v")):
        values = carried[name] = rng.normal(size=(n, N_VALUES))
        place = rng.integers(0, SIDE - 1, size=(n, 2)) if name != "V1v" else np.tile([3, 3], (n, 1))
        for row in range(n):
            thing = 30 * marks[number, 0] + 14 * np.tensordot(values[row], marks[number, 1:], 1)
            down, across = place[row] * PATCH
            pictures[row, down : down + PATCH, across : across + PATCH] += thing
    return np.clip(np.rint(pictures), 0, 255).astype(np.uint8), carried


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
    pictures, carried = planted(rng)
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


def test_the_planted_table_is_found(tree):
    """Areas whose things move gain from routing over everything; the area whose thing stays does not need it."""
    for side in ("left", "right"):
        for name in MOVING[side]:
            area = f"{side} {name}"
            assert found(tree, area, "routed, r") > 0.6
            for rival in ("spatial x feature", "flattened ridge", "mean ridge"):
                assert found(tree, area, f"routed − {rival}") > 0.2
        for name in STAYING[side]:
            area = f"{side} {name}"
            assert found(tree, area, "routed, r") > 0.6
            assert abs(found(tree, area, "routed − spatial x feature")) < 0.1
        assert abs(found(tree, f"{side} rest", "routed, r")) < 0.15


def test_the_page_names_areas_and_what_was_predicted_before_the_start(tree):
    text = compose(opened(tree), tree, variants=1)
    assert "left FFA-1" in text and "without a row" in text and "of memory" in text


def test_fitted_to_other_responses_it_falls_to_chance(tree):
    shuffled = tree["shuffled"]["score"].values
    assert abs(np.nanmean(shuffled)) < 0.1
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


def test_tokens_are_on_disk_and_the_run_goes_on_from_there(tree, miniature, tmp_path, monkeypatch):
    from neurodecode.sources import network

    monkeypatch.setattr(studies, "write_result", lambda *_: None)
    first = tmp_path / "first"
    again = run(miniature, first, epochs=1, shuffled=False)
    stored = first / "dry-run" / "blocks" / "tokens"
    assert (stored / "info.json").is_file()
    monkeypatch.setattr(network, "StoreSink", None)  # a second pass through the network would fail
    once_more = run(miniature, first, epochs=1, shuffled=False)
    assert once_more.attrs["figures"] == again.attrs["figures"]


def test_a_missing_file_is_named_before_anything_is_computed(miniature, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(miniature, root)
    gone = next((root / "nsd").glob("**/betas_session03.hdf5"))
    gone.rename(gone.with_suffix(".part"))
    with pytest.raises(IntegrityError, match=r"betas_session03\.hdf5 is not in"):
        run(root, tmp_path / "out")
    gone.with_suffix(".part").rename(gone)
    next((root / "nsd").glob("**/lh.floc-faces.nii.gz")).unlink()
    with pytest.raises(IntegrityError, match=r"lh\.floc-faces\.nii\.gz"):
        run(root, tmp_path / "out")
    assert not (tmp_path / "out" / "dry-run" / "blocks").exists()


def test_what_cannot_be_is_refused_before_it_starts(miniature, tmp_path):
    with pytest.raises(CapacityError, match="does not fit in memory"):
        run(miniature, tmp_path / "memory", max_memory=1e4)
    with pytest.raises(CapacityError, match="too long"):
        run(miniature, tmp_path / "time", most_hours=1e-9)
    assert not (tmp_path / "time" / "dry-run" / "blocks").exists()


@pytest.fixture(scope="module")
def parts():
    study = studies.find_study("nsd_routed")
    studies._load(study)
    import sys

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


def test_the_query_projection_is_the_one_that_was_asked_for(parts):
    config = transformers.Dinov2Config(hidden_size=8, num_hidden_layers=3, num_attention_heads=2, patch_size=14)
    model = transformers.Dinov2Model(config)
    last = parts.tokens.query_layer(model, 1)
    assert "layer.2." in last and isinstance(model.get_submodule(last), torch.nn.Linear)
    assert "layer.0." in parts.tokens.query_layer(model, 3)
    with pytest.raises(ValueError, match="3 blocks"):
        parts.tokens.query_layer(model, 4)


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
        "weight_decay": 1e-4, "clip": 0.1, "dropout": 0.1, "block": 1,
    }  # fmt: skip
    assert {key: settings[key] for key in expected} == expected
