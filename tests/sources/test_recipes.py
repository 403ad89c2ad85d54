"""Recipes: every shipped one is well formed, finds what is wrong on disk, and reads what is right."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from neurodecode._shipped_paths import checkout, shipped
from neurodecode.exceptions import AlignmentError, DownloadError, IntegrityError, UnsafeFileError
from neurodecode.sources import recipes
from neurodecode.sources.headers import array_header
from neurodecode.sources.inventory import Finding, rows_of
from neurodecode.sources.pickled import read_dictionary
from neurodecode.sources.recipes import check_data, default_root, fetch_data, list_data, open_recipe, recipe_names

LOCAL = (
    "celegans_nsm2023",
    "cifar10_images",
    "cifar10_resnets",
    "eeg_motor_hands_feet",
    "eeg_oddball_p300",
    "eeg_p300_speller",
    "haxby2001_slice",
    "object2vec_objects",
    "vangerven2010_digits",
)
BY_HAND = ("nsd", "object2vec", "things_eeg2")

RECIPE = """
title = "a toy"
kind = "fmri"
licence = "toy licence"
licence_text = "Play with it."
citation = "Nobody (2020)."
{more}

[[file]]
path = "a.npy"
size = {size}
sha256 = "{sha}"
{urls}

[[array]]
file = "a.npy"
dims = ["trial", "voxel"]
shape = [3, -1]
dtype = "float32"
"""


@pytest.fixture
def toy(tmp_path):
    """A recipe folder, a data folder that fits it, and how to write the recipe again with changes."""
    data = tmp_path / "data" / "toy"
    data.mkdir(parents=True)
    np.save(data / "a.npy", np.arange(12, dtype=np.float32).reshape(3, 4))
    content = (data / "a.npy").read_bytes()
    home = tmp_path / "recipes" / "toy"
    home.mkdir(parents=True)

    right, length = hashlib.sha256(content).hexdigest(), len(content)

    def write(more="", urls="", sha=right, size=length, text=None):
        text = text or RECIPE.format(more=more, urls=urls, sha=sha, size=size)
        (home / "recipe.toml").write_text(text, encoding="utf-8")
        return open_recipe(home, tmp_path / "data")

    write.data, write.home, write.root = data, home, tmp_path / "data"
    return write


def states(findings):
    return {one.path: one.state for one in findings}


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_is_whole(name):
    recipe = open_recipe(name, root="nowhere")
    assert recipe.title and recipe.citation and recipe.licence and recipe.licence_text.strip()
    assert recipe.card.startswith(f"# {name}\n")
    assert recipe.citation.split()[0] in recipe.card
    assert recipe.sources and all("repository" in source for source in recipe.sources)
    assert recipe.files or recipe.layout
    assert recipe.state()[0] == "absent"
    for file in recipe.files:
        assert file.size and len(file.sha256 or "") == 64, file.path
    if recipe.how == "by hand":
        assert recipe.note
    for path in recipe.home.iterdir():
        assert path.name in ("card.md", "recipe.toml", "prepare.py", "pictures.sha256"), path
        assert path.name != "__init__.py"


def test_the_recipes_that_were_asked_for_are_there():
    assert {*LOCAL, *BY_HAND, "haxby2001"} <= set(recipe_names())


def test_shipped_folders_are_found_in_a_checkout_and_in_a_wheel(monkeypatch, tmp_path):
    import neurodecode._shipped_paths as places

    assert shipped("datasets") == checkout() / "datasets"
    monkeypatch.setattr(places, "_PACKAGE", tmp_path / "site-packages" / "neurodecode")
    assert shipped("datasets") == tmp_path / "site-packages" / "neurodecode" / "_shipped" / "datasets"
    assert recipe_names() == []
    with pytest.raises(ValueError, match="lost its datasets"):
        open_recipe("haxby2001_slice", "nowhere")


def test_an_unknown_name_lists_the_names_and_the_nearest():
    with pytest.raises(ValueError, match=r"'habxy2001'.*Did you mean 'haxby2001'.*celegans_nsm2023, .*recipe\.toml"):
        open_recipe("habxy2001", root="nowhere")


def test_the_default_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("NEURODECODE_DATA", str(tmp_path / "there"))
    assert default_root() == tmp_path / "there"
    monkeypatch.delenv("NEURODECODE_DATA")
    (tmp_path / "shared" / "data").mkdir(parents=True)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(recipes, "checkout", lambda: None)
    assert default_root() == tmp_path / "shared" / "data"
    monkeypatch.setattr(recipes, "checkout", lambda: tmp_path / "elsewhere" / "clone")
    assert default_root() == tmp_path / "shared" / "data"
    (tmp_path / "elsewhere" / "shared" / "data").mkdir(parents=True)
    assert default_root() == tmp_path / "elsewhere" / "shared" / "data"
    shutil.rmtree(tmp_path / "shared")
    shutil.rmtree(tmp_path / "elsewhere")
    monkeypatch.setenv("NEURODECODE_CACHE", str(tmp_path / "my cache"))
    assert default_root() == tmp_path / "my cache" / "data"
    monkeypatch.delenv("NEURODECODE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr(recipes.sys, "platform", "linux")
    assert default_root() == tmp_path / "xdg" / "neurodecode" / "data"


def test_a_recipe_is_frozen_and_knows_its_folder(toy):
    recipe = toy()
    with pytest.raises(FrozenInstanceError):
        recipe.name = "other"
    assert recipe.folder == toy.data
    assert open_recipe(toy.home, toy.data).folder == toy.data, "the folder itself serves as root"
    assert open_recipe(toy.home / "recipe.toml", toy.root).name == "toy"
    assert recipe.path("a.npy") == toy.data / "a.npy"
    with pytest.raises(IntegrityError, match=r"toy: b\.npy is not in"):
        recipe.path("b.npy")


def test_a_check_says_ok_and_finds_every_fault(toy):
    recipe = toy()
    assert states(recipe.check(deep=True)) == {"a.npy": "ok"}
    assert recipe.state() == ("complete", "a toy")
    recipe.require_files()

    content = bytearray((toy.data / "a.npy").read_bytes())
    content[-1] ^= 1
    (toy.data / "a.npy").write_bytes(content)
    assert states(recipe.check()) == {"a.npy": "ok"}, "a quick check looks at sizes only"
    wrong = recipe.check(deep=True)[0]
    assert wrong.state == "wrong sha256"
    assert "expected" in wrong.detail and "found" in wrong.detail

    (toy.data / "a.npy").write_bytes(content[:-4])
    assert recipe.check()[0].state == "wrong size"
    assert recipe.state()[0] == "partial"
    with pytest.raises(IntegrityError, match=r"a\.npy is wrong size \(expected \d+ bytes, found \d+\)"):
        recipe.require_files()

    (toy.data / "a.npy").unlink()
    assert recipe.check()[0].state == "missing"
    assert recipe.state()[0] == "absent"
    with pytest.raises(IntegrityError, match=r"a\.npy is missing.*NEURODECODE_DATA"):
        recipe.load()


def test_another_root_can_be_checked(toy, tmp_path):
    assert states(toy().check(tmp_path / "empty")) == {"a.npy": "missing"}


def test_shapes_are_checked(toy):
    recipe = toy()
    np.save(toy.data / "a.npy", np.zeros((4, 3), np.float32))
    deep = {one.detail: one.state for one in recipe.check(deep=True)}
    assert deep["expected 3 trial x voxel float32, found (4, 3) float32"] == "wrong shape"
    (toy.data / "a.npy").write_bytes(b"nothing of the kind")
    assert "unreadable" in {one.state for one in recipe.check(deep=True)}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"more": 'colour = "red"'}, "colour"),
        ({"more": 'how = "magic"'}, "how = 'magic'; choose one of files, nilearn, by hand"),
        ({"urls": 'urls = ["https://example.org/a.npy"]', "sha": ""}, "address but no sha256"),
        ({"more": 'folder = "../elsewhere"'}, "leads out of the data folder"),
        ({"text": "title = 3 4"}, "not well formed"),
        ({"text": 'title = "only a title"'}, "not well formed"),
    ],
)
def test_a_slip_in_a_recipe_is_named(toy, change, words):
    with pytest.raises(ValueError, match=words):
        toy(**change)


def test_a_recipe_without_reader_says_where_the_files_are(toy):
    with pytest.raises(ValueError, match=r"no prepare\.py"):
        toy().load()


def test_prepare_is_run_with_its_options_and_the_data_set_is_named(toy):
    (toy.home / "prepare.py").write_text(
        "import numpy as np, xarray as xr\n"
        "def load(folder, times=1):\n"
        "    return {'brain': xr.DataArray(times * np.load(folder / 'a.npy'), dims=('sample', 'unit'))}\n"
    )
    brain = toy().load(times=2)["brain"]
    assert brain.attrs["dataset"] == "toy"
    assert float(brain[2, 3]) == 22.0
    with pytest.raises(TypeError, match="colour"):
        toy().load(colour=1)


def test_rows_for_the_command_line(toy):
    toy()
    rows = check_data(toy.home, toy.root, deep=True)
    assert {row["state"] for row in rows} == {"ok"}
    assert set(rows[0]) == {"name", "state", "detail"}
    listed = list_data("nowhere")
    assert [row["name"] for row in listed] == recipe_names()
    assert all({"name", "state", "detail"} <= set(row) for row in listed)


def test_a_full_folder_is_one_row_and_a_lost_file_of_it_has_its_own(tmp_path):
    home = tmp_path / "recipes" / "many"
    home.mkdir(parents=True)
    folder = tmp_path / "data" / "many" / "pictures"
    folder.mkdir(parents=True)
    lines = []
    for n in range(30):
        (folder / f"{n:02d} é.bin").write_bytes(bytes([n]))
        lines.append(f"{hashlib.sha256(bytes([n])).hexdigest()} 1 pictures/{n:02d} é.bin\n")
    (home / "sums").write_text("".join(lines), encoding="utf-8")
    text = RECIPE.split("[[file]]")[0].format(more='manifest = "sums"')
    (home / "recipe.toml").write_text(text, encoding="utf-8")
    rows = check_data(home, tmp_path / "data", deep=True)
    assert rows == [{"name": "pictures/", "state": "ok", "detail": "30 files, size and sha256 as in the recipe"}]
    (folder / "07 é.bin").unlink()
    rows = check_data(home, tmp_path / "data", deep=True)
    assert len(rows) == 30
    assert [row["name"] for row in rows if row["state"] != "ok"] == ["pictures/07 é.bin"]


def test_fetching_what_is_complete_asks_nothing(toy):
    toy()
    assert {row["state"] for row in fetch_data(toy.home, toy.root)} == {"ok"}
    assert not (toy.data / "licence_accepted.json").exists()


def test_fetching_what_has_no_address_says_so(toy):
    recipe = toy()
    (toy.data / "a.npy").unlink()
    with pytest.raises(DownloadError, match=r"toy cannot be fetched.*no public address"):
        fetch_data(recipe.home, toy.root, accept_licence=True)
    for name in BY_HAND:
        with pytest.raises(DownloadError, match=f"{name} cannot be fetched"):
            fetch_data(name, toy.root, accept_licence=True)


def test_fetching_asks_for_the_licence_first_and_then_for_the_files(toy, monkeypatch):
    recipe = toy(urls='urls = ["http://127.0.0.1:1/a.npy"]')
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    content = (toy.data / "a.npy").read_bytes()
    (toy.data / "a.npy").unlink()
    with pytest.raises(DownloadError, match=r"toy licence\n\nPlay with it\."):
        fetch_data(recipe.home, toy.root)
    with pytest.raises(DownloadError, match="no connection to 127"):
        fetch_data(recipe.home, toy.root, accept_licence=True, retries=0)
    assert json.loads((toy.data / "licence_accepted.json").read_text())["licence"] == "toy licence"

    def served(urls, path, sha256, size, **_):
        assert list(urls) == ["http://127.0.0.1:1/a.npy"]
        path.write_bytes(content)

    monkeypatch.setattr(recipes, "fetch_file", served)
    assert {row["state"] for row in fetch_data(recipe.home, toy.root)} == {"ok"}


class Nilearn:
    """Stands in for nilearn.datasets: writes a small subject where nilearn would."""

    def __init__(self, fail=False):
        self.fail, self.calls = fail, []

    def fetch_haxby(self, data_dir, verbose, subjects):
        from pathlib import Path

        self.calls.append(subjects)
        if self.fail:
            raise OSError("no route to host")
        for subject in subjects:
            home = Path(data_dir) / "haxby2001" / f"subj{subject}"
            home.mkdir(parents=True)
            for name in ("bold.nii.gz", "labels.txt", "mask4_vt.nii.gz"):
                (home / name).write_bytes(b"stand-in")


def test_haxby_comes_through_nilearn_and_later_changes_are_seen(tmp_path, monkeypatch):
    monkeypatch.delenv("NEURODECODE_OFFLINE", raising=False)
    fake = Nilearn(fail=True)
    monkeypatch.setattr(recipes, "require", lambda *_, **__: fake)
    with pytest.raises(DownloadError, match="CC BY-SA"):
        fetch_data("haxby2001", tmp_path)
    assert not fake.calls
    with pytest.raises(DownloadError, match="by nilearn: no route to host"):
        fetch_data("haxby2001", tmp_path, accept_licence=True)
    fake.fail = False
    fetch_data("haxby2001", tmp_path)
    assert fake.calls[-1] == [1, 2, 3, 4, 5, 6]
    recipe = open_recipe("haxby2001", tmp_path)
    assert recipe.state()[0] == "complete"
    assert not [one for one in recipe.check(deep=True) if one.state == "wrong sha256"]
    (tmp_path / "haxby2001" / "subj3" / "labels.txt").write_bytes(b"stand-out")
    changed = [one.path for one in recipe.check(deep=True) if one.state == "wrong sha256"]
    assert changed == ["subj3/labels.txt"]
    monkeypatch.setenv("NEURODECODE_OFFLINE", "1")
    with pytest.raises(DownloadError, match="NEURODECODE_OFFLINE"):
        fetch_data("haxby2001", tmp_path / "other", accept_licence=True)


# ---------------------------------------------------------------- miniatures of data sets that a user brings


@pytest.fixture
def nsd(tmp_path):
    """subj01 with two sessions of six trials, a grid of 5 x 4 x 3, planted betas."""
    import nibabel
    from netCDF4 import Dataset

    root = tmp_path / "nsd"
    grid, affine = (5, 4, 3), np.diag([-1.8, 1.8, 1.8, 1.0])
    affine[:3, 3] = (4, -5, 6)
    region = np.random.default_rng(3).integers(0, 3, grid).astype(np.int16)
    home = root / "nsddata" / "ppdata" / "subj01"
    (home / "func1pt8mm" / "roi").mkdir(parents=True)
    (home / "behav").mkdir()
    nibabel.save(nibabel.Nifti1Image(region, affine), home / "func1pt8mm" / "roi" / "nsdgeneral.nii.gz")
    lines = ["SUBJECT\tSESSION\tRUN\tTRIAL\t73KID\t10KID"]
    for session in (1, 2):
        lines += [f"1\t{session}\t1\t{t + 1}\t{100 * session + t + 1}\t{t + 1}" for t in range(6)]
    (home / "behav" / "responses.tsv").write_text("\n".join(lines) + "\n")
    betas = root / "nsddata_betas" / "ppdata" / "subj01" / "func1pt8mm" / "betas_fithrf_GLMdenoise_RR"
    betas.mkdir(parents=True)
    x, y, z = np.meshgrid(*(np.arange(n) for n in grid), indexing="ij")
    for session in (1, 2):
        with Dataset(betas / f"betas_session{session:02d}.hdf5", "w") as file:
            for name, size in zip("tzyx", (6, *grid[::-1])):
                file.createDimension(name, size)
            stored = file.createVariable("betas", "i2", ("t", "z", "y", "x"))
            planted = np.stack([1000 * session + 300 * t + 100 * x + 10 * y + z for t in range(6)])
            stored[:] = planted.transpose(0, 3, 2, 1)
    return root, region, affine


def test_nsd_counts_sessions_per_person(nsd):
    root, *_ = nsd
    recipe = open_recipe("nsd", root.parent)
    one = {finding.member: finding for finding in recipe.check() if "betas_session" in finding.path}
    assert one["subj01"].state == "wrong count"
    assert "2 of 40" in one["subj01"].detail
    assert one["subj08"].state == "missing"
    assert "0 of 30" in one["subj08"].detail
    assert sum(int(finding.detail.split()[-1]) for finding in one.values()) * 750 == 213_000
    assert recipe.state()[0] == "partial"
    with pytest.raises(IntegrityError, match=r"betas_session.* is wrong count .*2 of 40"):
        recipe.require_files("subj01")
    deep = [finding for finding in recipe.check(deep=True) if finding.state == "wrong shape"]
    assert len(deep) == 2, "750 trials a session are expected"


def test_nsd_is_read_with_the_right_voxel_trial_and_picture(nsd):
    root, region, affine = nsd
    brain = open_recipe("nsd", root.parent).load(subject="subj01")["brain"]
    inside = region > 0
    assert brain.shape == (12, int(inside.sum()))
    assert brain["stimulus"].values.tolist()[5:7] == ["nsd00106", "nsd00201"]
    i, j, k = (brain[name].values for name in "ijk")
    session, trial = brain["session"].values, brain["trial"].values - 1
    planted = (1000 * session + 300 * trial)[:, None] + (100 * i + 10 * j + k)[None, :]
    np.testing.assert_allclose(brain.values, planted / 300, rtol=1e-6)
    place = affine @ np.stack([i, j, k, np.ones_like(i)])
    np.testing.assert_allclose(np.stack([brain[name].values for name in "xyz"]), place[:3])
    assert brain["roi"].values.tolist() == [str(region[place]) for place in zip(i, j, k)]
    assert brain.attrs["shape"] == [5, 4, 3]
    one = open_recipe("nsd", root.parent).load(sessions=[2])["brain"]
    np.testing.assert_array_equal(one.values, brain.values[6:])


def test_nsd_refuses_what_does_not_fit(nsd):
    root, *_ = nsd
    recipe = open_recipe("nsd", root.parent)
    with pytest.raises(IntegrityError, match=r"sessions \[3\]"):
        recipe.load(sessions=[1, 3])
    with pytest.raises(IntegrityError, match="streams"):
        recipe.load(region="streams")
    table = root / "nsddata" / "ppdata" / "subj01" / "behav" / "responses.tsv"
    table.write_text("\n".join(table.read_text().splitlines()[:-1]))
    with pytest.raises(AlignmentError, match=r"6 trials, responses\.tsv 5"):
        recipe.load()


@pytest.fixture
def things(tmp_path):
    """sub-01 with five training pictures x 4 and three test pictures x 80, in the authors' two ways of writing."""
    root = tmp_path / "things_eeg2"
    rng = np.random.default_rng(8)
    home = root / "preprocessed_data" / "sub-01"
    home.mkdir(parents=True)
    (root / "image_set").mkdir()
    channels = ["Pz", "O1", "Oz"]
    times = np.linspace(-0.2, 0.79, 100)
    data = {"training": rng.normal(size=(5, 4, 3, 100)), "test": rng.normal(size=(3, 80, 3, 100))}
    for split, values in data.items():
        said = {"preprocessed_eeg_data": values, "ch_names": channels, "times": times}
        if split == "test":
            np.save(home / f"preprocessed_eeg_{split}.npy", said)
        else:
            (home / f"preprocessed_eeg_{split}.npy").write_bytes(pickle.dumps(said, protocol=4))
    metadata = {}
    for key, count in (("train", 5), ("test", 3)):
        metadata[f"{key}_img_files"] = [f"thing{n}_01.jpg" for n in range(count)]
        metadata[f"{key}_img_concepts"] = [f"0000{n}_thing{n}" for n in range(count)]
    np.save(root / "image_set" / "image_metadata.npy", metadata)
    return root, data


def test_things_counts_people(things):
    root, _ = things
    recipe = open_recipe("things_eeg2", root.parent)
    found = {(f.member, f.path.split("_")[-1]): f.state for f in recipe.check() if f.member}
    assert found[("sub-01", "training.npy")] == found[("sub-01", "test.npy")] == "ok"
    assert found[("sub-10", "test.npy")] == "missing"
    recipe.require_files("sub-01")
    with pytest.raises(IntegrityError, match="sub-02"):
        recipe.require_files("sub-02")
    with pytest.raises(IntegrityError, match="sub-02"):
        recipe.load(subject="sub-02")


def test_things_is_read_without_running_pickles(things):
    root, data = things
    recipe = open_recipe("things_eeg2", root.parent)
    brain = recipe.load(split="test")["brain"]
    assert brain.dims == ("sample", "unit", "time")
    np.testing.assert_allclose(brain.values, data["test"].mean(1), atol=1e-6)
    assert set(brain["n_repeats"].values) == {80}
    assert brain.attrs["sfreq"] == pytest.approx(100.0)
    assert brain["channel"].values.tolist() == ["Pz", "O1", "Oz"]
    assert brain["category"].values.tolist()[1] == "00001_thing1"
    single = recipe.load(split="training", average=False)["brain"]
    assert single.shape == (20, 3, 100)
    assert single["stimulus"].values.tolist()[:5] == ["thing0_01"] * 4 + ["thing1_01"]
    np.testing.assert_allclose(single.values[6], data["training"][1, 2], atol=1e-6)
    metadata = root / "image_set" / "image_metadata.npy"
    np.save(metadata, {"test_img_files": ["a.jpg"], "test_img_concepts": ["a"]})
    with pytest.raises(AlignmentError, match="3 pictures, image_metadata"):
        recipe.load(split="test")


class Evil:
    def __reduce__(self):
        return (print, ("the pickle was run",))


class Nested:
    def __reduce__(self):
        return (eval, ("1 + 1",))


@pytest.mark.parametrize("thing", [Evil(), Nested(), {"a": Evil()}, {"a": np.array([Evil()], dtype=object)}])
@pytest.mark.parametrize("way", ["save", "pickle2", "pickle5"])
def test_a_pickle_that_would_run_code_is_refused(tmp_path, capsys, thing, way):
    path = tmp_path / "bad.npy"
    if way == "save":
        np.save(path, np.array(thing, dtype=object), allow_pickle=True)
    else:
        path.write_bytes(pickle.dumps(thing, protocol=int(way[-1])))
    with pytest.raises(UnsafeFileError, match=r"bad\.npy is not read: the pickle asks for"):
        read_dictionary(path)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_dictionaries_of_arrays_come_back_whole(tmp_path, protocol):
    rng = np.random.default_rng(1)
    said = {
        "values": rng.normal(size=(3, 4)),
        "fortran": np.asfortranarray(rng.normal(size=(3, 4))),
        "names": np.array(["a", "bc"]),
        "number": np.float64(2.5),
        "list": ["x", 1, 2.0, None, True],
        "objects": np.array(["ragged", 3], dtype=object),
    }
    (tmp_path / "d.pkl").write_bytes(pickle.dumps(said, protocol=protocol))
    np.save(tmp_path / "d.npy", said)
    for name in ("d.pkl", "d.npy"):
        found = read_dictionary(tmp_path / name)
        assert list(found) == list(said)
        for key in ("values", "fortran", "names"):
            np.testing.assert_array_equal(found[key], said[key])
        assert found["number"] == 2.5
        assert found["list"] == said["list"]
        assert found["objects"].tolist() == ["ragged", 3]


def test_other_files_are_not_taken_for_dictionaries(tmp_path):
    np.save(tmp_path / "plain.npy", np.zeros(3))
    with pytest.raises(IntegrityError, match="one plain array"):
        read_dictionary(tmp_path / "plain.npy")
    (tmp_path / "text.npy").write_text("hello")
    with pytest.raises(IntegrityError, match="neither"):
        read_dictionary(tmp_path / "text.npy")
    (tmp_path / "list.pkl").write_bytes(pickle.dumps([1, 2], protocol=4))
    with pytest.raises(IntegrityError, match="holds a list"):
        read_dictionary(tmp_path / "list.pkl")
    (tmp_path / "cut.pkl").write_bytes(pickle.dumps({"a": np.zeros(100)}, protocol=4)[:-50])
    with pytest.raises(IntegrityError, match="damaged"):
        read_dictionary(tmp_path / "cut.pkl")


# ---------------------------------------------------------------- shapes off the head of a file


def test_headers_of_every_kind(tmp_path):
    import nibabel
    from safetensors.numpy import save_file

    values = np.zeros((3, 4, 2), np.float32)
    np.save(tmp_path / "a.npy", values)
    np.savez(tmp_path / "a.npz", one=values, two=values[0].astype(np.int16))
    save_file({"w": values}, tmp_path / "a.safetensors")
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / "a.nii.gz")
    (tmp_path / "a.csv").write_text('x,y\n1,"2,5"\n3,4\n')
    (tmp_path / "a.tsv").write_text("x\ty\tz\n1\t2\t3\n")
    assert array_header(tmp_path / "a.npy") == ((3, 4, 2), "float32")
    assert array_header(tmp_path / "a.npz", "two") == ((4, 2), "int16")
    assert array_header(tmp_path / "a.safetensors") == ((3, 4, 2), "float32")
    assert array_header(tmp_path / "a.nii.gz") == ((3, 4, 2), "float32")
    assert array_header(tmp_path / "a.csv") == ((2, 2), "table")
    assert array_header(tmp_path / "a.tsv") == ((1, 3), "table")
    with pytest.raises(IntegrityError, match="holds one, two, not 'three'"):
        array_header(tmp_path / "a.npz", "three")
    with pytest.raises(ValueError, match="files only"):
        array_header(tmp_path / "a.docx")
    np.save(tmp_path / "o.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(UnsafeFileError, match="pickled"):
        array_header(tmp_path / "o.npy")
    for name in ("b.npy", "b.npz", "b.nii.gz", "b.safetensors", "b.hdf5"):
        (tmp_path / name).write_bytes(b"\x00" * 20)
        with pytest.raises(IntegrityError):
            array_header(tmp_path / name)


def test_optional_files_that_are_not_there_are_not_called_ok():
    rows = rows_of([Finding("a.npy", "ok", "size"), Finding("b.npy", "missing", "-", optional=True, group="b")])
    assert [(row["state"], row["detail"]) for row in rows] == [("ok", "size"), ("optional", "not there")]
    many = [Finding("c", "missing", "areas: 0", member=f"s{n}", optional=True, group="c") for n in range(2)]
    assert rows_of(many) == [{"name": "c", "state": "optional", "detail": "areas: of none of 2 subjects"}]
