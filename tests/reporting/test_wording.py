"""Numbers as they are printed; paths and names that must not be."""

from __future__ import annotations

import getpass
from pathlib import Path

import pytest

from neurodecode.reporting.wording import count, listed, number, p_short, p_text, quantity, scrub


@pytest.mark.parametrize(
    ("p", "text"),
    [(0.0130, "p = .013"), (0.00099, "p < .001"), (0.001, "p = .001"), (0.0005, "p < .001"), (0.05, "p = .050"),
     (1.0, "p = 1.000"), (float("nan"), "p n/a"), (None, "p n/a")],
)  # fmt: skip
def test_p_values_as_printed(p, text):
    assert p_text(p) == text
    assert p_short(p) in text


def test_scores_have_two_decimals_and_no_minus_zero():
    assert [number(x) for x in (0.5, 0.455, -0.123, -0.0049, 1)] == ["0.50", "0.46", "-0.12", "0.00", "1.00"]
    assert number(float("inf")) == "n/a"


def test_figures_of_any_size():
    assert [quantity(x) for x in (0.45, 4.0, 12.0, 12.5, 1870, 0.0021, 0.0)] == [
        "0.45", "4.00", "12", "12.50", "1,870", "0.0021", "0.00",
    ]  # fmt: skip


def test_counts_name_their_unit():
    assert count(1, "category", "categories") == "1 category" and count(63, "category", "categories") == "63 categories"
    assert listed([]) == "" and listed(["a"]) == "a"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("/home/alice/study/bold.nii.gz", "bold.nii.gz"),
        ("/home/alice smith/study/bold.nii.gz", "bold.nii.gz"),
        ("bold at /home/alice smith/a/b.nii, mask at /tmp/x/m.nii", "bold at b.nii, mask at m.nii"),
        ("Ridge(store='/scratch/alice/my data/x y')", "Ridge(store='x y')"),
        ("run --data /scratch/alice/data --out=/home/bob/out/", "run --data data --out=out"),
        ("PosixPath('/home/alice')", "PosixPath('…')"),
        ("/home/alice", "…"),
        ("C:\\Users\\bob\\labels.csv", "labels.csv"),
        ("'C:\\\\Users\\\\bob b\\\\labels.csv'", "'labels.csv'"),
        ("\\\\server\\share\\bob\\x.csv", "x.csv"),
        ("file:///home/alice/x.html", "x.html"),
        ("~/x/y.txt and ~alice/z.txt", "y.txt and z.txt"),
    ],
)
def test_of_paths_only_the_last_part_is_shown(said, shown):
    assert scrub(said) == shown
    assert scrub(shown) == shown, "what was scrubbed stays as it is"


@pytest.mark.parametrize(
    "said",
    [
        "https://doi.org/10.1038/s41467-021-24368-2",
        "see http://example.org/a/b, and n/a or 1/2; km/h; score / ceiling",
        '--data "$NEURODECODE_DATA"/objects --out results/objects',
        "p = (b + 1) / (n + 1); 2 /s; // a comment",
        "stage1/conv2, sub-01/ses-02",
        "<b>bold</b></td>",
    ],
)
def test_what_is_no_absolute_path_stays(said):
    assert scrub(said) == said


def test_whoever_runs_this_is_not_named():
    home = str(Path.home() / "somewhere" / "x.nii")
    assert scrub(f"read from {home}") == "read from x.nii"
    name = getpass.getuser()
    if name != "root":
        assert name not in scrub(f"results/{name}/x")
