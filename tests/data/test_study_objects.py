"""The objects study on the recording itself: the figures it promises, what it states, and that it can be killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from neurodecode import studies
from neurodecode.sources.recipes import open_recipe
from neurodecode.studies import find_study, run_study

CHEAP = {"permutations": 9, "permutations_shared": 1, "permutations_bands": 3}
AREAS = ["EVC", "LOC", "PFS", "OPA", "PPA", "RSC", "FFA", "OFA", "STS", "EBA"]
SPACES = ["alexnet", "word2vec", "stem", "layer1", "layer2", "layer3", "classes"]


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("objects")


@pytest.fixture(scope="module")
def tree(data_root, out):
    return run_study("objects", data=data_root, out=out, settings=CHEAP)


def run_without_page(data_root, out):
    """A dry run; its page, which takes as long as the rest, is drawn elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(studies, "write_result", lambda *_: None)
        return studies.run_study("objects", data=data_root, out=out, dry_run=True)


@pytest.fixture(scope="module")
def small(data_root, tmp_path_factory):
    return run_without_page(data_root, tmp_path_factory.mktemp("small"))


@pytest.mark.slow
def test_figures(tree):
    found = {row["name"]: row["found"] for row in tree.attrs["figures"]}
    promised = find_study("objects").figures
    assert len(promised) == 25
    for name, known in promised.items():
        assert found[name] == pytest.approx(known["published"], abs=known["tolerance"]), name
    assert {f"{space} {area} r (one penalty)" for space in ("alexnet", "word2vec") for area in AREAS} <= set(found)


@pytest.mark.slow
def test_every_space_is_scored_in_every_voxel_under_both_penalties(tree):
    assert set(SPACES) | {f"{space} (voxel)" for space in SPACES} <= set(tree.children)
    for space in SPACES:
        one, own = tree[space].to_dataset(), tree[f"{space} (voxel)"].to_dataset()
        for result in (one, own):
            assert list(dict.fromkeys(result["roi"].values.tolist())) == AREAS
            assert result.sizes["unit"] == 1870 and result.sizes["fold"] == 7
            assert np.isfinite(result["score"].values).all() and not result.attrs["degenerate"]
            assert {"p", "p_fdr", "p_max"} <= set(result.data_vars)
            assert result.attrs["splits"].startswith("SplitBy('fold')")
            rows = {row["coord"]: row for row in result.attrs["leakage"]}
            assert rows["stimulus"]["checked"] and rows["stimulus"]["shared"] == 0
        assert not np.array_equal(one["score"].values, own["score"].values)


@pytest.mark.slow
def test_the_figure_is_the_mean_of_r_over_pooled_predictions(tree, data_root):
    """A second way to the same numbers: scikit-learn's closed form of leaving one out, without this package."""
    from sklearn.linear_model import RidgeCV
    from sklearn.preprocessing import StandardScaler

    data = open_recipe("object2vec_objects", root=data_root).load(pictures=False)
    Y, sets = data["brain"].values.astype(float), data["brain"]["fold"].values
    for name, key in {"alexnet": "alexnet", "word2vec": "words"}.items():
        X = data[key].values.astype(float)
        predicted = np.empty_like(Y)
        for held in np.unique(sets):
            train = sets != held
            scale = StandardScaler().fit(X[train])
            model = RidgeCV(10.0 ** np.linspace(0, 4, 9)).fit(scale.transform(X[train]), Y[train])
            predicted[~train] = model.predict(scale.transform(X[~train]))
        a, b = Y - Y.mean(0), predicted - predicted.mean(0)
        r = (a * b).sum(0) / np.sqrt((a**2).sum(0) * (b**2).sum(0))
        np.testing.assert_allclose(tree[name]["score"].values, r, atol=1e-3)


@pytest.mark.slow
def test_stages_and_areas_make_a_matrix(tree):
    matrix = tree["matrix"]
    assert matrix.dims == ("layer", "roi")
    assert matrix["roi"].values.tolist() == AREAS
    stages = [layer.removeprefix("resnet20 ") for layer in matrix["layer"].values.tolist()]
    assert stages == ["stem", "layer1", "layer2", "layer3", "classes"]
    for row, stage in enumerate(stages):
        result = tree[stage].to_dataset()
        for column, area in enumerate(AREAS):
            mean = result["score"].values[result["roi"].values == area].mean()
            assert matrix.values[row, column] == pytest.approx(mean)
    # Middle stages lead in the lateral occipital cortex; the ten class scores say less of any area than the best stage.
    assert matrix.values[:, AREAS.index("LOC")].argmax() in (2, 3)
    assert (matrix.values.max(0) > matrix.values[-1]).all()
    assert tree["matrix_null95"].shape == matrix.shape


@pytest.mark.slow
def test_categories_are_identified(tree):
    for name in ("by alexnet", "by word2vec", "by resnet20"):
        result = tree[name].to_dataset()
        assert result["roi"].values.tolist() == AREAS
        assert result.attrs["chance"] == 0.5 and result.attrs["score"] == "identification"
        assert result["score"].values.min() > 0.4 and result["score"].values.max() < 0.95
        # With every category shuffled there is nothing to identify by.
        assert np.median(result["null"].values) < 0.55
    pictures, words = (tree[name]["score"].values for name in ("by alexnet", "by word2vec"))
    assert pictures[AREAS.index("EVC")] > 0.7 > words[AREAS.index("EVC")]


@pytest.mark.slow
def test_two_bands_add_up_and_each_has_something_of_its_own(tree):
    both = tree["both bands"].to_dataset()
    r2, unique, split = both["score"].values, both["unique"].values, both["product"].values
    np.testing.assert_allclose(split.sum(0), r2, atol=1e-5)  # float32 features
    np.testing.assert_allclose(unique.sum(0) + both["shared"].values, r2, atol=1e-10)
    roi = both["roi"].values
    mean = {band: {area: tree[f"only {band}"]["score"].values[roi == area].mean() for area in AREAS}
            for band in ("alexnet", "word2vec")}  # fmt: skip
    # Pictures say what words do not in PPA; words say what pictures do not in none by as much.
    assert mean["alexnet"]["PPA"] > 0.1 > max(mean["word2vec"].values())
    assert mean["word2vec"]["EVC"] < 0 < mean["alexnet"]["EVC"]
    assert r2[roi == "PPA"].mean() > 0.3 and r2[roi == "LOC"].mean() > 0.2
    assert np.isnan(both["ceiling"].values).all() and "no stimulus is repeated" in both.attrs["ceiling_reason"]


@pytest.mark.slow
def test_a_shuffled_band_adds_nothing(tree):
    for band in ("alexnet", "word2vec"):
        alone = tree[f"only {band}"].to_dataset()
        null = np.stack([alone["null"].values[:, alone["roi"].values == area].mean(1) for area in AREAS], axis=1)
        assert null.shape == (3, 10) and null.max() < 0.05
        assert alone.attrs["exchangeability"].startswith(f"categories of {band} shuffled")
        assert {"p", "p_fdr", "p_max"} <= set(alone.data_vars)
    only = tree["only alexnet"].to_dataset()
    scene = only["roi"].values == "PPA"
    assert only["score"].values[scene].mean() > 2 * only["null"].values[:, scene].mean(1).max()


@pytest.mark.slow
def test_files_say_what_the_network_saw(tree, out):
    rows = json.loads((out / "figures.json").read_text(encoding="utf-8"))
    assert [row["name"] for row in rows] == [row["name"] for row in tree.attrs["figures"]]
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "32 x 32 pixels" in page and "Bonner" in page and str(out) not in page
    assert tree.attrs["settings"]["picture_size"] == 32
    info = json.loads((out / "blocks" / "resnet20 activations" / "info.json").read_text(encoding="utf-8"))
    assert info["attrs"]["input"] == [3, 32, 32]


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill -9"])
def test_a_killed_run_goes_on_and_redoes_nothing(small, data_root, tmp_path, how):
    # It stands still after sixty pieces until it is stopped: no busy machine can let it come to the end.
    script = textwrap.dedent(
        """
        import signal, time
        from neurodecode.cli import main
        from neurodecode.evaluation.resume import BlockStore

        signal.signal(signal.SIGINT, signal.default_int_handler)
        save, saved = BlockStore.save, []

        def saving(self, name, found):
            save(self, name, found)
            saved.append(name)
            if len(saved) == 60:
                time.sleep(600)

        BlockStore.save = saving
        main()
        """
    )
    command = [sys.executable, "-c", script, "run", "objects", "--dry-run"]
    folder = tmp_path / "dry-run" / "blocks"
    process = subprocess.Popen([*command, "--data", str(data_root), "--out", str(tmp_path)], stderr=subprocess.PIPE)
    while process.poll() is None and len(list(folder.glob("*/*.npz"))) < 60:
        time.sleep(0.02)
    process.send_signal(how)
    process.communicate()
    assert process.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL)
    done = {path: path.stat().st_mtime_ns for path in folder.glob("*/*") if not path.name.startswith(".")}
    pieces = [path for path in done if path.name.startswith(("fold-", "null-"))]
    again = run_without_page(data_root, tmp_path)
    assert again.attrs["figures"] == small.attrs["figures"]
    assert len(pieces) >= 50 and any(path.suffix == ".npy" for path in done)
    assert all(path.stat().st_mtime_ns == done[path] for path in done if path in pieces or path.suffix == ".npy")
    resumed = sum(node.attrs["pieces"]["resumed"] for node in again.children.values())
    total = sum(node.attrs["pieces"]["total"] for node in again.children.values())
    assert 0 < resumed == len(pieces) < total
