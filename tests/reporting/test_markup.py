"""Markup is escaped unless it is ours; the part of Markdown that data cards use."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from neurodecode.reporting.markup import Cell, el, inline, markdown, table, text

EVIL = "<script>alert('x')</script>&\"<img src=x onerror=alert(1)>"


class Tags(HTMLParser):
    def __init__(self, source):
        super().__init__()
        self.tags, self.words, self.attributes = [], [], []
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.append(dict(attrs))

    def handle_data(self, data):
        self.words.append(data)


@pytest.mark.parametrize("make", [text, lambda s: el("p", s), lambda s: el("p", title=s), inline, markdown])
def test_markup_in_labels_is_text(make):
    found = Tags(make(EVIL))
    assert set(found.tags) <= {"p"}


def test_markup_of_ours_stays():
    assert el("p", el("b", "x"), " < ", None) == "<p><b>x</b> &lt; </p>"
    assert el("img", alt="a", src="b") == '<img alt="a" src="b">'


def test_code_and_links_in_markdown_are_escaped_too():
    found = markdown("`<script>` and [<b>](https://example.org/?a=1&b=2) and [no](javascript:alert(1))")
    tags = Tags(found)
    assert tags.tags == ["p", "code", "a"]
    assert tags.attributes[2]["href"] == "https://example.org/?a=1&b=2"
    assert "javascript:alert(1)" in "".join(tags.words), "an address that is not of the web is only text"


def test_a_data_card_is_laid_out():
    source = (
        "# Title\nText over\ntwo lines.\n\n- one\n  goes on\n- **two**\n\n1. first\n2. second\n\n"
        "| a | b |\n| --- | ---: |\n| 1 | `x` |\n\n```python\nx < 1  # not a heading\n```\n## Sub\nEnd *here*."
    )
    found = Tags(markdown(source))
    order = "h3 p ul li li strong ol li li div table thead tr th th tbody tr td td code pre code h4 p em"
    assert " ".join(found.tags) == order
    words = " ".join(" ".join(found.words).split())
    assert "Text over two lines." in words and "one goes on" in words and "x < 1 # not a heading" in words


def test_markdown_that_is_odd_does_not_fail():
    for source in ("", "   ", "|", "| a |\n|", "```", "#", "- ", "* * *", "**", "1.", "\r\n\r\n- a\r\n- b"):
        found = Tags(markdown(source))
        assert "script" not in found.tags
        for word in ("a", "b"):
            assert word not in source.split() or word in " ".join(found.words).split(), source


def test_tables_can_be_sorted_by_what_they_mean_and_fold_when_long():
    rows = [[f"area {n}", Cell(f"{n / 7:.2f}", n / 7)] for n in range(20)]
    found = Tags(table([("area", "text"), ("score", "number")], rows, caption="Scores"))
    assert "details" in found.tags and "summary" in found.tags
    assert found.tags.count("tr") == 21
    values = [attributes.get("data-value") for attributes in found.attributes if "data-value" in attributes]
    assert float(values[3]) == 3 / 7
    short = Tags(table([("area", "text")], [["a"]], caption="Scores"))
    assert "details" not in short.tags and short.attributes[-2].get("scope") is None


def test_missing_values_sort_last_by_an_empty_key():
    found = table([("a", "text"), ("b", "number")], [["x", Cell("n/a", float("nan"))]], caption="c")
    assert 'data-value=""' in found
