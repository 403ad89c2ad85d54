"""The page: one file that says everything, names nobody, needs nothing, and can be read by everyone."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pytest
import xarray as xr

from neurodecode.reporting import page, tables
from neurodecode.reporting.pictures import Picture, marks, render
from neurodecode.reporting.style import DARK, LIGHT, new_axes

EVIL = "<script>alert('x')</script>&\"<img src=x onerror=alert(1)>"
ALWAYS = ["method", "leakage", "provenance", "rerun"]
VOID = {"meta", "img", "source", "br", "hr"}


def decoded(address):
    """Kind and content of a data address; it may stand in a srcset, so no space and no quote is in it."""
    kind, coded, content = re.fullmatch(r"data:(image/[\w+]+)(;base64)?,([^\s\"<>#]+)", address).groups()
    return kind, base64.b64decode(content) if coded else unquote(content).encode()


class Page(HTMLParser):
    """A page taken apart: elements in order, what is nested, words by section, pictures."""

    def __init__(self, path):
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.elements, self.open, self.words, self.by_section, self.rows = [], [], [], {}, []
        self.feed(self.source)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open and self.open[-1][0] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()

    def handle_data(self, data):
        tags = [tag for tag, _ in self.open]
        if "style" in tags or "script" in tags:
            return
        self.words.append(data)
        if {"td", "th"} & set(tags):
            self.rows[-1][-1] += data
        for tag, attrs in self.open:
            if tag == "section":
                self.by_section[attrs["id"]] = self.by_section.get(attrs["id"], "") + data

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]

    @property
    def text(self):
        return " ".join("".join(self.words).split())

    @property
    def sections(self):
        return [attrs["id"] for attrs in self.all("section")]

    def drawings(self):
        """Kind and content of every embedded drawing."""
        addresses = [attrs["src"] for attrs in self.all("img")] + [attrs["srcset"] for attrs in self.all("source")]
        for address in addresses:
            yield decoded(address)


@pytest.fixture(scope="session")
def pages(tmp_path_factory, make_study, make_encoding, make_classification, make_over_time, make_searchlight):
    """A page of each kind of result."""
    folder = tmp_path_factory.mktemp("pages")
    haxby = xr.DataTree.from_dict(
        {
            "/eight ways": make_classification(),
            "/face or house": make_classification(1, ("face", "house"), 0.97),
            "/after onset": make_over_time(),
            "/voxels": make_searchlight().assign(face_minus_house=make_searchlight()["score"] - 0.3),
        }
    )
    haxby.attrs = {
        "question": "Which of eight categories does a person see?",
        "command": "neurodecode run haxby --seed 0",
    }
    kinds = {
        "study": make_study(),
        "encoding": make_encoding(per_area=6),
        "decoding": haxby,
        "time": make_over_time(areas=["V1", "V2"]),
    }
    return {name: (result, Page(page(result, folder / f"{name}.html"))) for name, result in kinds.items()}


KINDS = ["study", "encoding", "decoding", "time"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_is_whole_and_small(pages, kind):
    _, found = pages[kind]
    assert found.source.startswith("<!doctype html>")
    assert len(found.source.encode()) < 5_000_000
    assert found.all("html")[0]["lang"] == "en" and len(found.all("h1")) == 1
    assert found.sections[-4:] == ALWAYS
    linked = [attrs["href"][1:] for attrs in found.all("a") if attrs["href"].startswith("#")]
    assert linked[: len(found.sections)] == found.sections, "the menu leads to every section"
    ids = [attrs["id"] for _, attrs in found.elements if "id" in attrs]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_loads_nothing(pages, kind):
    _, found = pages[kind]
    for tag, attrs in found.elements:
        for key in ("src", "srcset"):
            assert attrs.get(key, "data:").startswith("data:"), (tag, key)
        assert tag not in ("link", "iframe", "object", "embed")
        assert not any(key.startswith("on") for key in attrs), "no handlers in attributes"
        if tag == "a":
            assert attrs["href"].startswith(("#", "https://", "http://"))
    assert "default-src 'none'" in next(a["content"] for a in found.all("meta") if "http-equiv" in a)
    assert "@import" not in found.source
    assert not re.search(r"url\((?!%23\w+\))", found.source), "drawings point to their own parts only"


def test_the_only_script_is_the_one_that_is_allowed(pages):
    _, found = pages["study"]
    (script,) = re.findall(r"<script>(.*?)</script>", found.source, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = next(attrs["content"] for attrs in found.all("meta") if "http-equiv" in attrs)
    assert f"script-src 'sha256-{digest}'" in policy
    assert len(found.all("script")) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_every_picture_has_words_and_four_drawings(pages, kind):
    _, found = pages[kind]
    images = found.all("img")
    assert images and all(len(attrs["alt"]) > 20 for attrs in images)
    assert all(int(attrs["width"]) <= 1200 and int(attrs["height"]) > 50 for attrs in images)
    classes = [attrs["class"] for attrs in found.all("picture")]
    assert classes.count("light") == classes.count("dark") == len(found.all("figcaption")) == len(images) / 2
    assert {attrs["media"] for attrs in found.all("source")} == {"(max-width: 600px)"}


def test_dark_drawings_are_drawn_not_inverted(pages):
    _, found = pages["encoding"]
    light, dark = (decoded(attrs["src"])[1].decode() for attrs in found.all("img")[:2])
    assert DARK.categories[0] in dark and LIGHT.categories[0] in light
    assert LIGHT.ink not in dark and DARK.ink not in light
    style = found.source.split("</style>")[0]
    assert "filter" not in style
    assert "picture.dark { display: none; }" in style, "without a dark screen, and on paper, the light one is shown"


@pytest.mark.parametrize("kind", KINDS)
def test_drawings_are_well_formed_and_without_a_date(pages, kind):
    _, found = pages[kind]
    for kind_of, content in found.drawings():
        if kind_of == "image/svg+xml":
            root = ElementTree.fromstring(content)
            assert root.tag.endswith("svg") and b"<metadata" not in content
            assert not root.findall(".//{http://www.w3.org/2000/svg}script")
        else:
            assert content.startswith(b"\x89PNG")


def test_area_means_stand_in_the_table_to_two_decimals(pages):
    for kind in ("encoding", "study"):
        result, found = pages[kind]
        table = tables.by_area(result)
        rows = {tuple(row) for row in found.rows}
        for row in table.to_dict("records"):
            shown = f"{row['score']:.2f}"
            shown = "0.00" if shown == "-0.00" else shown
            cells = next(
                cells
                for cells in rows
                if row["area"] in cells[:2] and (kind == "encoding" or row["result"] in cells[:1])
            )
            assert shown in cells, (row["area"], shown)


def test_means_of_several_results_stand_side_by_side(pages):
    result, found = pages["study"]
    table = tables.by_area(result).pivot(index="area", columns="result", values="score")
    row = next(row for row in found.rows if row[0] == "LOC" and len(row) == 4)
    assert row[2:] == [f"{table.loc['LOC', name]:.2f}" for name in ("alexnet", "words")]


def test_question_answer_and_key_numbers_come_first(pages):
    result, found = pages["study"]
    head = found.source[: found.source.index("<nav")]
    assert result.attrs["question"] in head and "AlexNet components predict LOC" in head
    assert "<picture" in head and 'class="keys"' in head
    assert "63 categories" in found.text and "p = .005" in found.text
    assert "4 of 5" in found.text, "of five figures with an expected value one is outside"


def test_an_answer_is_found_where_none_was_written(pages):
    _, found = pages["encoding"]
    answer = found.text[: found.text.index("95 %")] if "95 %" in found.text else found.text
    result, _ = pages["encoding"]
    mean = float(np.nanmean(result["score"].values))
    assert f"the mean Pearson r of voxels is {mean:.2f}" in answer
    assert "ceiling 0.7" in answer and "p = .005" in answer and "63 samples" in answer and "chance 0" in answer


def test_a_missing_ceiling_says_why(pages):
    _, found = pages["study"]
    assert "ceiling n/a (every picture was shown once)" in found.text
    assert "Ceiling n/a (every picture was shown once)." in found.by_section["scores"]


def test_units_without_a_score_are_counted(pages):
    result, found = pages["encoding"]
    n = result.sizes["unit"]
    assert f"3 of {n} voxels have no score and are left out of every mean" in found.by_section["scores"]
    assert "5 of 6" in found.by_section["scores"] or "4 of 6" in found.by_section["scores"]


def test_the_record_is_complete(pages):
    _, found = pages["encoding"]
    record = " ".join(found.by_section["provenance"].split())
    for words in ("Ridge(alphas=[1.0, 10.0, 100.0], cv=5)", "SplitBy('fold')", "sha256:a1a1", "numpy", "2.1.0", "seed"):
        assert words in record, words
    assert "samples within fold" in record and "no overlap was allowed" in record
    audit = found.by_section["leakage"]
    assert "Passed." in audit and "stimulus" in audit and "nothing shared" in audit
    assert "cross_validate" in found.by_section["rerun"], "without a command the page says how else to repeat it"
    _, decoding = pages["decoding"]
    assert "neurodecode run haxby --seed 0" in decoding.by_section["rerun"]


def test_figures_stand_beside_what_was_planted_and_published(pages):
    _, found = pages["study"]
    rows = {row[0]: row for row in found.rows if row}
    assert rows["haemodynamic lag (s)"][1:4] == ["4.20", "4.00", "3.50 to 4.50"]
    assert rows["haemodynamic lag (s)"][-1] == "inside"
    assert rows["receptive field, degrees from fixation"][-1] == "outside"
    assert rows["alexnet EVC"][4:6] == ["0.45", "± 0.02"]
    assert rows["voxels kept"][1] == "1,870"


def test_sections_appear_where_there_is_something_to_show(pages):
    assert pages["study"][1].sections == ["data", "scores", "maps", "comparisons", *ALWAYS]
    assert "comparisons" not in pages["encoding"][1].sections
    assert "maps" not in pages["time"][1].sections
    decoding = pages["decoding"][1]
    assert "Confusions" in decoding.by_section["comparisons"]
    assert decoding.by_section["maps"].count("Left is left") == 2, "the score and the value that the study added"


def test_the_highest_time_is_told_with_its_bias(pages):
    result, found = pages["time"]
    course = result["score"].values[0]
    at = float(result["time"].values[course.argmax()])
    row = next(row for row in found.rows if row and row[0] == "V1")
    assert row[1] == f"{course.max():.2f}" and row[2] == f"{at:.3g}"
    assert "biased upwards" in found.text


def test_data_card_method_notes_and_references(pages):
    _, found = pages["study"]
    assert "isolated objects" in found.by_section["data"] and "63 × 20" in found.by_section["data"]
    assert "Ridge regression with a penalty per voxel" in found.by_section["method"]
    assert "32 x 32 pixels" in found.by_section["method"]
    assert any(attrs["href"].startswith("https://doi.org/10.1038") for attrs in found.all("a"))


def test_markup_in_every_label_is_shown_as_text(make_study, make_classification, tmp_path):
    tree = make_study()
    one = tree["alexnet"].to_dataset()
    names = np.where(one["roi"].values == "LOC", EVIL, one["roi"].values.astype(object)).astype(str)
    one = one.assign_coords(roi=("unit", names)).isel(unit=slice(0, 120))
    decoder = make_classification(classes=(EVIL, "house"), right=0.5)
    decoder = decoder.assign_coords(fold=[f"{EVIL}{n}" for n in range(9)])
    for result in (one, decoder):
        result.attrs |= {
            "estimator": EVIL, "splits": EVIL, "notes": [EVIL], "exchangeability": EVIL, "ceiling_reason": EVIL,
            "allow_overlap": EVIL, "data_card": EVIL, "versions": {EVIL: EVIL},
            "leakage": [{"coord": EVIL, "checked": True, "groups": 2, "shared": 1, "verdict": EVIL}],
        }  # fmt: skip
    root = tree.to_dataset().assign_coords(layer=[EVIL + str(n) for n in range(tree.sizes["layer"])])
    nasty = xr.DataTree.from_dict({"/": root, f"/{EVIL.replace('/', '')}": one.drop_vars("layer"), "/decoder": decoder})
    nasty.attrs = dict.fromkeys(("question", "answer", "title", "command", "method", "data_card", "study"), EVIL)
    nasty.attrs |= {"references": [EVIL], "notes": [EVIL], "sample_name": EVIL, "settings": {EVIL: EVIL}}
    nasty.attrs["figures"] = [{"name": EVIL, "found": 1.0, "planted": 1.0, "low": 0.0, "high": 2.0}]
    found = Page(page(nasty, tmp_path / "nasty.html"))
    assert len(found.all("script")) == 1
    assert all(attrs.get("src", "").startswith("data:") for attrs in found.all("img"))
    assert EVIL in found.text, "it is shown as it is"
    for kind, content in found.drawings():
        if kind == "image/svg+xml":
            assert b"<script" not in content and b"<img" not in content


def test_no_absolute_path_and_no_name_appears(make_encoding, tmp_path):
    where = "/home/alice smith/secret/data.nii.gz"
    result = make_encoding(
        per_area=3,
        areas=("V1", "/home/alice smith/masks/LOC.nii"),
        estimator=f"Ridge(store={where!r})",
        notes=[f"read from {where}", "C:\\Users\\alice smith\\x.csv"],
        command=f"neurodecode run objects --data '{where}' --out {tmp_path}",
        data_card=f"Files in {where}\n\n- `{where}`\n- [{where}](https://example.org)",
        allow_overlap=f"see {where}",
        splits="SplitBy('/home/alice smith/x')",
        path=where,
        question=f"What is in {where}?",
        versions={"neurodecode": "/home/alice smith/src/neurodecode"},
    )
    found = Page(page(result, tmp_path / "page.html"))
    everything = found.source + "".join(
        content.decode() for kind, content in found.drawings() if kind == "image/svg+xml"
    )
    for secret in ("alice", "smith", "secret", "/home", str(tmp_path), "C:\\"):
        assert secret not in everything, secret
    assert "data.nii.gz" in found.text and "LOC.nii" in found.text


def test_overrides_cannot_be_missed(make_encoding, tmp_path):
    shared = [{"coord": "stimulus", "checked": True, "groups": 9, "shared": 3, "verdict": "shared, allowed: twins"}]
    result = make_encoding(
        per_area=2, geometry=False, allow_overlap="the twins were shown twice", assume_aligned=True, leakage=shared
    )
    found = Page(page(result, tmp_path / "page.html"))
    head = found.source[: found.source.index("<nav")]
    assert "the twins were shown twice" in head and "assumed to be aligned" in head and "overridden" in head
    assert "the twins were shown twice" in found.by_section["provenance"]
    assert "Overridden." in found.by_section["leakage"]


def test_no_audit_is_not_a_passed_audit(make_encoding, tmp_path):
    result = make_encoding(per_area=2, geometry=False, leakage=[])
    found = Page(page(result, tmp_path / "a.html"))
    assert "No audit was recorded" in found.by_section["leakage"] and "Passed" not in found.text
    unlabelled = [{"coord": "run", "checked": False, "groups": 0, "shared": 0, "verdict": "no such label"}]
    found = Page(page(result.assign_attrs(leakage=unlabelled), tmp_path / "b.html"))
    assert "Nothing to check" in found.by_section["leakage"] and "Passed" not in found.text


def test_a_dry_run_says_so(make_encoding, tmp_path):
    tree = xr.DataTree.from_dict({"/a": make_encoding(per_area=2, geometry=False)})
    tree.attrs = {"dry_run": True}
    assert "Dry run." in Page(page(tree, tmp_path / "x.html")).text


def test_a_result_with_almost_nothing_still_makes_a_page(tmp_path):
    bare = xr.Dataset({"score": ("unit", [0.5, np.nan])})
    found = Page(page(bare, tmp_path / "bare.html"))
    assert "0.50" in found.text and found.sections[-4:] == ALWAYS and "not recorded" in found.text
    dead = xr.Dataset({"score": ("unit", [np.nan, np.nan])}, coords={"roi": ("unit", ["V1", "V2"])})
    assert "No unit has a score" in Page(page(dead, tmp_path / "dead.html")).text
    only = xr.DataTree(
        xr.Dataset(attrs={"figures": [{"name": "lag", "found": 4.0, "planted": 4.0, "low": 3.0, "high": 5.0}]})
    )
    assert "1 of 1" in Page(page(only, tmp_path / "only.html")).text


def test_a_group_of_subjects_is_shown(tmp_path):
    values = np.random.default_rng(0).normal(0.4, 0.05, (5, 3))
    group = xr.Dataset(
        {
            "score": (("subject", "unit"), values),
            "mean": ("unit", values.mean(axis=0)),
            "p": ("unit", [0.03, 0.03, 0.06]),
        },
        coords={"subject": list("abcde"), "roi": ("unit", ["V1", "V2", "V3"])},
        attrs={"schema": "neurodecode.group/1", "score": "r", "chance": 0.0},
    )
    found = Page(page(group, tmp_path / "group.html"))
    row = next(row for row in found.rows if row and row[0] == "V1")
    assert row[1] == f"{values[:, 0].mean():.2f}" and ".030" in row
    assert "5 subjects" in found.text


def test_the_same_result_gives_the_same_page(make_encoding, tmp_path):
    result = make_encoding(per_area=2)
    one, two = (page(result, tmp_path / name).read_bytes() for name in ("one.html", "two.html"))
    assert one == two


def test_a_saved_result_is_read_from_its_path(make_encoding, tmp_path):
    from neurodecode.representation import save

    result = make_encoding(per_area=2)
    save(result, tmp_path / "result.zarr")
    direct = page(result, tmp_path / "direct.html").read_text(encoding="utf-8")
    stored = page(tmp_path / "result.zarr", tmp_path / "stored.html").read_text(encoding="utf-8")
    assert Page(tmp_path / "stored.html").text == Page(tmp_path / "direct.html").text
    assert len(direct) == pytest.approx(len(stored), rel=0.01)


def test_a_page_that_cannot_be_written_leaves_the_old_one(make_encoding, tmp_path, monkeypatch):
    target = tmp_path / "page.html"
    target.write_text("old")
    result = make_encoding(per_area=2)
    monkeypatch.setattr("os.replace", lambda *paths: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="space"):
        page(result, target)
    assert target.read_text() == "old" and [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_what_is_no_result_is_refused(tmp_path):
    with pytest.raises(ValueError, match="score"):
        page(xr.Dataset({"x": ("unit", [1.0])}), tmp_path / "x.html")
    assert not list(tmp_path.iterdir())


def test_many_marks_become_pixels_at_twice_the_size():
    def dots(n):
        def draw(ax, theme, compact):
            ax.plot(np.arange(n), np.arange(n), ".")

        return draw

    few = render(Picture(dots(100), "few", "", (3, 2)), LIGHT)
    many = render(Picture(dots(6000), "many", "", (3, 2)), LIGHT)
    assert (few.kind, many.kind) == ("image/svg+xml", "image/png")
    width, height = (int.from_bytes(many.content[at : at + 4]) for at in (16, 20))
    assert (width, height) == (2 * many.width, 2 * many.height) == (576, 384)
    ax = new_axes(3, 2)
    ax.plot(np.arange(7), np.arange(7))
    ax.scatter(np.arange(5), np.arange(5))
    assert marks(ax.figure) == 12


def test_a_page_of_many_results_stays_small(make_encoding, tmp_path):
    nodes = {f"/layer {n}": make_encoding(seed=n, per_area=3, permutations=19, geometry=False) for n in range(9)}
    tree = xr.DataTree.from_dict(nodes)
    tree.attrs = {"main": ["layer 3", "layer 4"], "question": "Which layer?"}
    found = Page(page(tree, tmp_path / "many.html"))
    assert len(found.source) < 5_000_000
    first = found.all("img")[0]["alt"]
    assert "layer 3" in first and "layer 1" not in first, "the main picture holds what the study calls main"
    assert "layer 0, layer 1" in found.text.replace(" and ", ", ") or "layer 0" in found.text


def test_too_large_pages_lose_variants_not_pictures(make_encoding, tmp_path, monkeypatch):
    from neurodecode.reporting import document

    result = make_encoding(per_area=2, geometry=False)
    full = page(result, tmp_path / "full.html").stat().st_size
    monkeypatch.setattr(document, "MOST_BYTES", full - 1)
    found = Page(page(result, tmp_path / "less.html"))
    assert len(found.source.encode()) < full and found.all("img") == Page(tmp_path / "full.html").all("img")
    assert not found.all("source")


def test_a_node_that_shows_something_unknown_is_named(tmp_path):
    tree = xr.DataTree.from_dict({"/": xr.Dataset(), "/odd": xr.Dataset(attrs={"shows": "a thing"})})
    with pytest.raises(ValueError, match="'a thing'"):
        page(tree, tmp_path / "odd.html")
    assert not (tmp_path / "odd.html").exists()


def test_what_has_no_split_says_so_rather_than_that_nothing_was_recorded(tmp_path):
    from neurodecode.representation import as_representation
    from neurodecode.similarity import rdm

    X = as_representation(np.random.default_rng(0).normal(size=(6, 9)), stimulus=list("abcdef"), kind="fmri")
    shown = rdm(X, "correlation").to_dataset(name="rdm").assign_attrs(shows="rdm")
    tree = xr.DataTree.from_dict({"/": xr.Dataset(attrs={"question": "Alike?"}), "/matrix": shown})
    text = page(tree, tmp_path / "alike.html").read_text(encoding="utf-8")
    assert "No split." in text and "Not recorded." not in text
