"""Dissimilarity matrices meet by label, and what is not one is refused by name."""

import numpy as np
import pytest
import xarray as xr

from neurodecode.exceptions import AlignmentError, DegenerateDataError
from neurodecode.representation import as_representation, load, save
from neurodecode.similarity import as_rdm, check_rdm, compare, match_rdms
from neurodecode.similarity.rdms import from_upper, match_all, square, take, upper

NAMES = ["cat", "dog", "car", "cup", "oak"]


def some(seed=0, front=(), names=NAMES, **more):
    n = len(names)
    values = np.random.default_rng(seed).uniform(1, 2, (*front, n * (n - 1) // 2))
    return as_rdm(values, stimulus=names, **more)


def test_rows_and_columns_are_labelled_and_nothing_is_an_index():
    R = some(front=(3,), subject=["p1", "p2", "p3"], coords={"category": list("aaooo")}, attrs={"metric": "euclidean"})
    assert R.dims == ("subject", "stimulus", "stimulus_other")
    assert R["stimulus"].values.tolist() == R["stimulus_other"].values.tolist() == NAMES
    assert R["subject"].values.tolist() == ["p1", "p2", "p3"]
    assert R["category"].dims == ("stimulus",)
    assert dict(R.xindexes) == {}
    assert R.dtype == np.float64
    assert R.attrs["metric"] == "euclidean"
    assert np.array_equal(R.values, np.swapaxes(R.values, 1, 2))
    assert not np.einsum("sii->si", R.values).any()


def test_triangles_and_matrices_are_the_same_and_come_back():
    from scipy.spatial.distance import squareform

    vectors = np.random.default_rng(1).uniform(size=(2, 10))
    R = as_rdm(vectors, stimulus=NAMES)
    same = as_rdm(np.stack([squareform(row) for row in vectors]), stimulus=NAMES)
    assert np.array_equal(R.values, same.values)
    assert np.array_equal(upper(R), vectors)
    assert np.array_equal(square(vectors, 5), R.values)
    assert from_upper(vectors, R).identical(R)


def test_more_dimensions_in_front_have_names_and_labels():
    values = np.random.default_rng(2).uniform(size=(2, 3, 10))
    R = as_rdm(values, stimulus=NAMES, dims=("subject", "roi"), coords={"roi": ["V1", "V4", "LO"]})
    assert R.dims == ("subject", "roi", "stimulus", "stimulus_other")
    assert R["roi"].values.tolist() == ["V1", "V4", "LO"]
    assert upper(R).shape == (2, 3, 10)
    with pytest.raises(AlignmentError, match="name each once"):
        as_rdm(values, stimulus=NAMES)


@pytest.mark.parametrize("dtype", ["float32", "int64", "float16", ">f8"])
def test_other_number_types_and_orders_become_the_same_matrix(dtype):
    values = np.round(square(np.arange(1.0, 11.0), 5))
    R = as_rdm(np.asfortranarray(values.astype(dtype)), stimulus=NAMES)
    assert np.array_equal(R.values, values)


def test_a_diagonal_of_nan_is_the_usual_way_of_saying_zero():
    values = square(np.arange(1.0, 11.0), 5)
    np.fill_diagonal(values, np.nan)
    assert not np.diagonal(as_rdm(values, stimulus=NAMES).values).any()


@pytest.mark.parametrize("order", [[4, 3, 2, 1, 0], [2, 0, 4, 1, 3]])
def test_another_order_of_stimuli_changes_no_pair(order):
    A, B = some(0), some(1, front=(2,))
    left, right = match_rdms(A, take(B, order))
    assert left is A
    assert right.identical(B)


def test_a_renamed_stimulus_is_named():
    A, B = some(0), some(1, names=["cat", "dog", "car", "cup", "elm"])
    with pytest.raises(AlignmentError, match=r"'oak'.*'elm'.*join='inner'"):
        match_rdms(A, B)


def test_inner_keeps_what_both_have_in_the_order_of_the_first():
    A, B = some(0), take(some(1), [3, 1, 0])
    with pytest.raises(AlignmentError, match="missing in B: 'car', 'oak'"):
        match_rdms(A, B)
    left, right = match_rdms(A, B, join="inner")
    assert left["stimulus"].values.tolist() == right["stimulus"].values.tolist() == ["cat", "dog", "cup"]
    assert np.array_equal(upper(left), upper(take(A, [0, 1, 3])))
    assert np.array_equal(upper(right), upper(take(some(1), [0, 1, 3])))
    with pytest.raises(AlignmentError, match="name the stimuli the same way"):
        match_rdms(A, some(names=list("vwxyz")), join="inner")


def test_several_matrices_meet_on_the_stimuli_that_all_have():
    parts = [some(0), take(some(1), [4, 2, 1, 0]), take(some(2), [1, 2, 3, 4])]
    found = match_all(parts, ["a", "b", "c"], join="inner")
    assert [R["stimulus"].values.tolist() for R in found] == [["dog", "car", "oak"]] * 3
    with pytest.raises(AlignmentError, match="missing in b"):
        match_all(parts, ["a", "b", "c"])


def test_the_same_name_with_other_content_is_refused():
    A = some(0, coords={"sha256": ["1", "2", "3", "4", "5"]})
    B = some(1, coords={"sha256": ["1", "2", "3", "4", "6"]})
    match_rdms(A, A)
    with pytest.raises(AlignmentError, match="'oak'"):
        match_rdms(A, B)


def test_a_matrix_without_labels_is_never_compared():
    with pytest.raises(TypeError, match=r"never compared by position; make it with as_rdm"):
        match_rdms(some(), square(np.arange(10.0), 5))
    bare = xr.DataArray(square(np.arange(10.0), 5), dims=("stimulus", "stimulus_other"))
    with pytest.raises(AlignmentError, match="no labels 'stimulus'"):
        check_rdm(bare)
    with pytest.raises(AlignmentError, match="other labels on its columns"):
        check_rdm(some().isel(stimulus=[1, 0, 2, 3, 4]))
    with pytest.raises(AlignmentError, match=r"expected .*stimulus"):
        check_rdm(some().rename(stimulus="condition"))


@pytest.mark.parametrize(
    ("values", "error", "says"),
    [
        (np.ones((5, 5)), DegenerateDataError, "cat with itself is 1.*1 - values"),
        (np.triu(square(np.arange(1.0, 11.0), 5)), DegenerateDataError, "not symmetric: cat with dog is 1"),
        (square(np.array([np.nan, *range(9)]), 5), DegenerateDataError, "1 dissimilarities .* first cat with dog"),
        (square(np.array([np.inf, *range(9)]), 5), DegenerateDataError, "inf"),
        (np.zeros((4, 4)), AlignmentError, r"\(4, 4\) and there are 5 stimuli"),
        (np.zeros(9), AlignmentError, r"upper triangles \(\[subjects,\] 10\)"),
    ],
)
def test_what_is_not_a_dissimilarity_matrix_is_refused(values, error, says):
    with pytest.raises(error, match=says):
        as_rdm(values, stimulus=NAMES)


def test_labels_must_be_there_once_and_there_must_be_two():
    with pytest.raises(AlignmentError, match=r"'cat' \(2\).*average_repeats"):
        as_rdm(np.zeros(10), stimulus=["cat", "dog", "cat", "cup", "oak"])
    with pytest.raises(DegenerateDataError, match="1 stimuli; at least 2"):
        as_rdm(np.zeros((1, 1)), stimulus=["cat"])
    with pytest.raises(AlignmentError, match="subject labels occur more than once"):
        some(front=(2,), subject=["p1", "p1"])
    with pytest.raises(AlignmentError, match="2 entries"):
        some(front=(3,), subject=["p1", "p2"])
    with pytest.raises(AlignmentError, match="argument of its own"):
        some(coords={"stimulus": NAMES})


def test_pairs_that_were_not_measured_may_stay_and_negative_ones_too():
    values = square(np.array([np.nan, -0.5, *range(8)]), 5)
    R = as_rdm(values, stimulus=NAMES, missing="keep")
    assert np.isnan(R.values).sum() == 2
    assert np.nanmin(R.values) == -0.5
    assert check_rdm(R) is R
    with pytest.raises(DegenerateDataError):
        check_rdm(R, missing="raise")


def test_a_matrix_can_be_kept_in_a_file(tmp_path):
    R = some(front=(2,), subject=["p1", "p2"], coords={"category": list("aaooo")}, attrs={"metric": "correlation"})
    save(R, tmp_path / "rdm.zarr")
    back = check_rdm(load(tmp_path / "rdm.zarr"))
    assert np.array_equal(back.values, R.values)
    assert back["category"].values.tolist() == list("aaooo")
    assert dict(back.xindexes) == {}


def test_labels_that_values_bring_along_are_not_overwritten():
    pandas = pytest.importorskip("pandas")
    R = some()
    assert as_rdm(R, stimulus=NAMES).identical(as_rdm(R.values, stimulus=NAMES))
    with pytest.raises(AlignmentError, match="labels of their own"):
        as_rdm(R, stimulus=NAMES[::-1])
    table = pandas.DataFrame(R.values, index=NAMES, columns=NAMES)
    assert np.array_equal(as_rdm(table, stimulus=NAMES).values, R.values)
    with pytest.raises(AlignmentError, match="first at 0, cat and oak"):
        as_rdm(table, stimulus=NAMES[::-1])
    assert np.array_equal(as_rdm(pandas.DataFrame(R.values), stimulus=NAMES).values, R.values)


def test_every_matrix_is_symmetric_on_its_own_scale():
    large, small = 1e7 * (1 - np.eye(3)), np.array([[0, 1.0, 2.0], [1.1, 0, 3.0], [2.0, 3.0, 0]])
    with pytest.raises(DegenerateDataError, match=r"a with b is 1, the other way round 1.1"):
        as_rdm(np.stack([large, small]), stimulus=list("abc"))
    small[0, 1], small[2, 2] = 1.1, 0.5
    with pytest.raises(DegenerateDataError, match=r"c with itself is 0.5"):
        as_rdm(np.stack([large, small]), stimulus=list("abc"))
    assert np.isnan(as_rdm(np.full((2, 3), np.nan), stimulus=list("abc"), missing="keep").values[0, 0, 1])


def test_what_compare_says_of_matrices():
    hashes = {"sha256": list("12345")}
    A, B = some(0, coords=hashes), some(1, coords=hashes)
    assert abs(compare(A, take(B, [2, 0, 1, 4, 3]), "rsa") - compare(A, B, "rsa")) < 1e-15
    with pytest.raises(AlignmentError, match="'cup'"):
        compare(A, some(1, coords={"sha256": list("12395")}), "rsa")
    rows = as_representation(
        np.random.default_rng(2).normal(size=(5, 4)),
        stimulus=NAMES[::-1],
        kind="fmri",
        sample={"sha256": list("54321")},
    )
    assert np.isfinite(compare(A, rows, "rsa"))
    with pytest.raises(AlignmentError, match="'cat'"):
        compare(A, rows.assign_coords(sha256=("sample", list("54320"))), "rsa")
    with pytest.raises(AlignmentError, match=r"'elm'.*match_rdms\(X, Y, join='inner'\)"):
        compare(A, some(1, names=[*NAMES[:4], "elm"]), "rsa")
    with pytest.raises(ValueError, match=r"score='spearmann' is not known. Did you mean 'spearman'"):
        compare(A, B, "rsa", score="spearmann")
    with pytest.raises(ValueError, match=r"Make the matrices first, rdm\(X, 'crossnobis'"):
        compare(rows, rows, "rsa", metric="crossnobis")
    flat = rows.copy(data=np.where(np.arange(5)[:, None] == 1, 2.0, rows.values))
    with pytest.raises(DegenerateDataError, match=r"^Y: 1 of 5 stimuli have no dissimilarity: 'cup'"):
        compare(rows, flat, "rsa")
