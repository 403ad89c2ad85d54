"""One self-contained page of a result: no other file, no network, no script needed to read it."""

from __future__ import annotations

import base64
import hashlib
import logging
import re
from importlib import resources
from pathlib import Path
from typing import Any

from .. import __version__
from .markup import Html, el
from .opening import key_numbers, main_picture, opening, question_of
from .pictures import figure
from .record import leakage_section, method_section, provenance_section, rerun_section
from .sections import Section, comparisons_section, data_section, maps_section, scores_section
from .shown import shown_section
from .summary import Contents, Result, opened
from .wording import scrub

MOST_BYTES = 5_000_000
log = logging.getLogger("neurodecode")


def page(result: Result, path: str | Path) -> Path:
    """Write one HTML page that shows a result: question, answer, pictures, numbers, and how to repeat it.

    Parameters
    ----------
    result : Dataset of ``cross_validate``, what ``similarity`` gives (``compare_models``, ``compare_grid``,
        ``match_units``, ``compare`` with permutations, ``embed``, ``rdm``), DataTree of a study, mapping of names to
        these, or the path of a saved one. Only what is stored in it is read; nothing is computed again.
    path : the file to write; it appears whole or not at all.

    Returns
    -------
    The path. The page has sections with the ids ``data scores maps comparisons method leakage provenance rerun`` (those
    there is something for; the last four always), light and dark pictures for wide and narrow screens, and stays under
    5 MB. All labels are escaped; of paths only the last part is shown.

    Raises
    ------
    TypeError, ValueError : not a result, or nothing in it can be shown (a single number, for example).

    Examples
    --------
    >>> import xarray
    >>> scores = xarray.Dataset({"score": ("unit", [0.5, 0.3])}, coords={"roi": ("unit", ["V1", "V2"])})
    >>> written = page(scores, "report.html")
    >>> 'id="leakage"' in written.read_text(encoding="utf-8")
    True
    """
    from ..representation.store import load, write_atomic

    path = Path(path)
    if isinstance(result, (str, Path)):
        result = load(result)
    contents = opened(result)
    whole = compose(contents, result)
    # Fewer variants of each picture where all of them would be too much: phones first, then the dark ones.
    for fewer, left in ((without_phones, 2), (without_dark, 1)):
        size = len(whole.encode("utf-8"))
        if size < MOST_BYTES:
            break
        log.info("%s: %.1f MB, so each picture keeps %d of its variants", path.name, size / 1e6, left)
        whole = fewer(whole)
    write_atomic(path, whole.encode("utf-8"))
    return path


def without_phones(page: str) -> str:
    """A page whose pictures are the same on a phone.

    Examples
    --------
    >>> without_phones('<picture><source srcset="data:,a" media="x"><img src="data:,b"></picture>')
    '<picture><img src="data:,b"></picture>'
    """
    return re.sub(r"<source [^>]*>", "", page)


def without_dark(page: str) -> str:
    """A page whose pictures are the light ones always.

    Examples
    --------
    >>> without_dark('<picture class="light">a</picture><picture class="dark">b</picture>')
    '<picture>a</picture>'
    """
    page = re.sub(r'<picture class="dark">.*?</picture>', "", page, flags=re.DOTALL)
    return page.replace('<picture class="light">', "<picture>")


def compose(contents: Contents, result: Any, variants: int = 4) -> str:
    """The page as text, every picture in ``variants`` drawings."""
    found: list[Section | None] = [
        data_section(contents),
        scores_section(contents, variants),
        maps_section(contents, variants),
        comparisons_section(contents, result, variants),
        shown_section(contents, variants),
        method_section(contents),
        leakage_section(contents),
        provenance_section(contents),
        rerun_section(contents),
    ]
    sections = [section for section in found if section is not None]
    main = main_picture(contents)
    style, script = _part("page.css"), _part("page.js")
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=_policy(script)),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("meta", name="generator", content=f"neurodecode {__version__}"),
        el("title", _title(contents)),
        el("style", style),
    )
    menu = el(
        "nav", el("ul", *(el("li", el("a", name, href=f"#{key}")) for key, name, _ in sections)), aria_label="Sections"
    )
    header = el(
        "header", opening(contents), figure(main, variants) if main is not None else None, key_numbers(contents)
    )
    body = el("main", *(el("section", el("h2", name), inside, id=key) for key, name, inside in sections))
    foot = el(
        "footer", f"Written by neurodecode {__version__} from a stored result; nothing was computed for this page."
    )
    whole = el("html", head, el("body", header, menu, body, foot, el("script", script)), lang="en")
    return f"<!doctype html>\n{whole}\n"


def _title(contents: Contents) -> str:
    return scrub(str(contents.attrs.get("title") or question_of(contents) or "Result"))


def _part(name: str) -> Html:
    return Html(resources.files(__package__).joinpath(name).read_text(encoding="utf-8"))


def _policy(script: str) -> str:
    """What a browser may load: nothing from anywhere, and of scripts only ours."""
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
