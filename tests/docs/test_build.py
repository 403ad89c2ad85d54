"""The documentation builds, links hold, names exist, and nothing is asked from the network."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
sys.path.insert(0, str(DOCS))

import build  # noqa: E402
from builder import layout, reference, tutorials  # noqa: E402
from builder.markdown import formula, render  # noqa: E402

VOID = {"meta", "link", "img", "br", "hr", "input"}


class Balanced(HTMLParser):
    """Refuses tags that are not closed in order; gathers addresses and texts for those who cannot see."""

    def __init__(self):
        super().__init__()
        self.open, self.fetched, self.blind = [], [], []

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if tag in ("img", "script", "link", "iframe", "source"):
            self.fetched.append(found.get("src") or found.get("href") or "")
        if tag == "img" and not found.get("alt"):
            self.blind.append(found.get("src", "")[:40])
        if tag not in VOID and not (tag in ("path", "use", "rect") and self.get_starttag_text().endswith("/>")):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("site")
    return out, build.build(out, run_tutorials=False)


def test_every_page_is_written_and_well_formed(site):
    out, pages = site
    assert {"index.html", "catalogue.html", "reference/linear.html", "howto/add_a_method.html"} <= set(pages)
    for address in pages:
        text = (out / address).read_text(encoding="utf-8")
        seen = Balanced()
        seen.feed(text)
        assert not seen.open, address
        assert not seen.blind, address
        assert text.count("<h1") == 1, address
        away = [one for one in seen.fetched if one.startswith(("http", "//"))]
        assert not away, f"{address} fetches {away}"
        assert "@import" not in text


def test_pages_name_no_machine(site):
    out, pages = site
    for address in pages:
        text = (out / address).read_text(encoding="utf-8")
        assert not re.search(r"/(home|Users|root|tmp)/\w", text), address


def test_the_whole_reference_is_there(site):
    out, _ = site
    text = (out / "reference" / "linear.html").read_text(encoding="utf-8")
    assert 'id="linear-ridge"' in text
    assert "<h3>Parameters</h3>" in text
    assert "<dt><code>alphas</code></dt>" in text
    assert "def fit" not in text and ".fit(X, y)" in text


def test_every_markdown_page_of_the_repository_is_built():
    everything = {path for path in DOCS.rglob("*.md") if "_build" not in path.parts}
    assert everything == set(build.sources())


def test_dead_links_and_lost_names_end_the_build():
    anchors = {"index.html": {"one"}, "methods/linear.html": {"ridge"}}
    page = render("[a](methods/linear.md#ridge) [b](methods/gone.md) [c](#one) [d](#two) [e](https://example.org)")
    found = build._dead("index.html", page, anchors)
    assert found == ["methods/gone.html leads nowhere", "#two: no such section"]
    known = {"linear.Ridge": "reference/linear.html#linear-ridge"}
    code = ["linear.Ridge", "linear.Ridge(alphas=[1])", "linear.Bridge", "np.array", "tests/none.py", "X.coords"]
    assert build.missing_names(code, known) == ["linear.Bridge is not in the reference", "tests/none.py is not there"]
    here = Path(__file__).relative_to(DOCS.parent).as_posix()
    assert build.missing_names([f"{here}::test_a_formula_takes_the_colour_of_the_text"], known) == []
    assert build.missing_names([f"{here}::test_nothing"], known) == [f"{here} has no test_nothing"]
    texts = {"index.html": ("", '<h2 id="one"></h2>', page)}
    with pytest.raises(build.Broken, match="gone"):
        build.check(texts, known)


def test_the_chart_of_linear_maps_is_drawn_from_its_table_and_names_what_exists(site):
    from builder import which_map

    import neurodecode.linear

    drawn = which_map.TARGET.read_text(encoding="utf-8")
    assert drawn == which_map.draw(), "run python docs/builder/which_map.py"
    assert set(which_map.names()) <= set(neurodecode.linear.__all__)
    text = (DOCS / "methods" / "linear.md").read_text(encoding="utf-8").split("## Ridge regression")[0]
    assert set(re.findall(r"`linear\.(\w+)`", text)) == set(which_map.names())
    assert (site[0] / "images" / "which_map.svg").is_file()


def test_markdown_is_escaped_and_linked():
    page = render(
        "# A *title*\n\n## Two\n\n<script>x</script> `linear.Ridge` `a < b`", {"linear.Ridge": "r.html#x"}, "../"
    )
    assert page.title == "A title"
    assert "<script>" not in page.body
    assert '<a href="../r.html#x"><code>linear.Ridge</code></a>' in page.body
    assert "<code>a &lt; b</code>" in page.body
    assert page.headings == [(1, "A title", "a-title"), (2, "Two", "two")]
    assert 'href="#two"' in page.body


def test_a_formula_takes_the_colour_of_the_text():
    svg = formula(r"\alpha^2 + \frac{1}{n}")
    assert "currentColor" in svg
    assert 'aria-label="\\alpha^2' in svg
    assert "123456" not in svg
    assert formula(r"\alpha^2") == formula(r"\alpha^2"), "the same picture every time"
    with pytest.raises(ValueError):
        formula(r"\nonsense{")


def test_docstrings_become_lists_code_and_text():
    text = """One line.

    A formula:

        y = x < 2

    Parameters
    ----------
    a, b : numbers, with ``code``,
        continued.
    c : more.

    Returns
    -------
    The sum of `linear.Ridge`.

    Examples
    --------
    >>> 1 + 1
    2
    """
    import inspect

    found = reference.docstring(inspect.cleandoc(text), {"linear.Ridge": "reference/linear.html"})
    assert "<dt><code>a, b</code></dt>" in found
    assert "continued." in found
    assert "y = x &lt; 2" in found
    assert "<h3>Examples</h3><pre>" in found
    assert '<a href="../reference/linear.html">' in found


def test_signatures_have_no_types():
    def known(first, *rest, by: str = "run", other=print, **more):
        pass

    assert reference.signature(known) == "(first, *rest, by='run', other=print, **more)"
    assert reference.signature(Balanced.handle_endtag) == "(tag)"


SCRIPT = '''"""Left out."""
# %% [markdown]
# # Title
#
# Text with `code`.

# %%
print("hello <b>")
1 + 1

# %%
import warnings

from matplotlib import pyplot as plt

from neurodecode.exceptions import NeurodecodeWarning
from neurodecode.reporting.style import LIGHT

for share in (5, 7):
    warnings.warn(f"{share} % are wrong", NeurodecodeWarning)
fig, ax = plt.subplots()
ax.plot([0, 1], color=LIGHT.accent)
ax.set_xlabel("time (s)")
None
'''


def test_a_tutorial_is_run_and_shown(tmp_path):
    path = tmp_path / "01_toy.py"
    path.write_text(SCRIPT)
    cells, space = tutorials.run(path)
    assert [cell.kind for cell in cells] == ["markdown", "code", "code"]
    assert cells[0].text == "# Title\n\nText with `code`."
    assert cells[1].printed == "hello <b>\n2\n"
    assert cells[2].printed == "NeurodecodeWarning: 5 % are wrong (and one more like it)\n"
    assert space["fig"].axes
    (picture,) = cells[2].pictures
    assert picture.count("<img") == 2
    assert 'class="dark"' in picture and 'class="light"' in picture
    assert 'alt="Picture: time (s)"' in picture
    body = tutorials.as_html(cells, lambda text: render(text).body)
    assert "hello &lt;b&gt;" in body
    assert tutorials.run(path)[0][2].pictures == cells[2].pictures, "the same bytes every time"


def test_the_dark_picture_has_the_dark_colours(tmp_path):
    from matplotlib.colors import to_hex
    from matplotlib.figure import Figure

    from neurodecode.reporting.style import DARK, LIGHT

    figure = Figure(facecolor=LIGHT.paper)
    ax = figure.add_subplot()
    (line,) = ax.plot([0, 1], color=LIGHT.categories[1])
    (other,) = ax.plot([0, 1], color="#123456")
    dots = ax.scatter([0, 1], [0, 1], color=LIGHT.accent)
    words = ax.text(0, 0, "x", color=LIGHT.ink)
    tutorials.to_dark(figure)
    assert to_hex(figure.get_facecolor()) == DARK.paper
    assert to_hex(line.get_color()) == DARK.categories[1]
    assert to_hex(other.get_color()) == "#123456"
    assert to_hex(dots.get_facecolor()[0]) == DARK.accent
    assert to_hex(words.get_color()) == DARK.ink


def test_a_cell_that_fails_is_named(tmp_path):
    path = tmp_path / "01_toy.py"
    path.write_text("# %%\nx = 1\n\n# %%\nx / 0\n")
    with pytest.raises(RuntimeError, match=r"01_toy\.py fails in the cell\n\nx / 0"):
        tutorials.run(path)
    path.write_text("# %%\nimport warnings\nwarnings.warn('other')\n")
    with pytest.raises(RuntimeError, match="UserWarning: other"):
        tutorials.run(path)


def test_addresses_are_relative():
    assert layout.relative("methods/linear.html", "../index.html") == "index.html"
    page = layout.frame("<t>", "<p>x</p>", "a/b.html", {"start": [("one", "index.html"), ("here", "a/b.html")]})
    assert 'href="../style.css"' in page
    assert 'href="../a/b.html" aria-current="page"' in page
    assert "&lt;t&gt;" in page
