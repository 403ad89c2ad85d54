"""Builds the documentation: ``python docs/build.py [--out DIR] [--no-tutorials]`` writes static pages.

Text is markdown in ``docs/``, tutorials are scripts that are run, the reference comes from docstrings.
Dead links end the build, and so do names and test files that a page promises and that do not exist.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS))
sys.path.insert(0, str(DOCS.parent))

from builder import layout, reference, tutorials  # noqa: E402
from builder.markdown import Rendered, render  # noqa: E402

FIRST = ("index", "catalogue", "performance", "sources", "linear", "evaluation", "reporting")


class Broken(RuntimeError):
    """A page points to something that is not there."""


def main(arguments: list[str] | None = None) -> int:
    """Entry point: build and say where."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=DOCS / "_build")
    parser.add_argument(
        "--no-tutorials", action="store_true", help="do not run the tutorials (their pages are left out)"
    )
    asked = parser.parse_args(arguments)
    pages = build(asked.out, run_tutorials=not asked.no_tutorials)
    print(f"{len(pages)} pages: {asked.out / 'index.html'}")
    return 0


def build(out: Path, run_tutorials: bool = True) -> list[str]:
    """Write every page below ``out`` and return their addresses.

    Raises
    ------
    Broken : a dead link, a name that is not in the reference, a test that is not there; all are listed.
    """
    pages = reference.entries()
    known = reference.names(pages)
    texts: dict[str, tuple[str, str, Rendered | None]] = {}  # address -> title, body, what to check
    for path in sources():
        address = path.relative_to(DOCS).with_suffix(".html").as_posix()
        page = render(path.read_text(encoding="utf-8"), known, "../" * address.count("/"))
        texts[address] = (page.title or path.stem, _with_contents(page), page)
    if run_tutorials:
        for path in sorted((DOCS / "tutorials").glob("[0-9][0-9]_*.py")):
            address = f"tutorials/{path.stem}.html"
            texts[address] = _tutorial(path, known)
    for address, here in pages.items():
        title = address.removeprefix("reference/").removesuffix(".html")
        texts[address] = (title, reference.page(title, here, known), None)
    check(texts, known)
    if out.exists():
        shutil.rmtree(out)
    out.mkdir(parents=True)
    layout.write_style(out)
    if (DOCS / "images").is_dir():
        shutil.copytree(DOCS / "images", out / "images")
    navigation = _navigation(texts)
    for address, (title, body, _) in texts.items():
        target = out / address
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(layout.frame(title, body, address, navigation), encoding="utf-8")
    return list(texts)


def sources() -> list[Path]:
    """The markdown pages, in the order of the navigation: folder by folder, pages in ``FIRST`` before others."""

    def place(path: Path) -> tuple[int, str]:
        return FIRST.index(path.stem) if path.stem in FIRST else len(FIRST), path.stem

    folders = (DOCS, DOCS / "methods", DOCS / "howto")
    return [path for folder in folders for path in sorted(folder.glob("*.md"), key=place)]


def check(texts: dict[str, tuple[str, str, Rendered | None]], known: dict[str, str]) -> None:
    """Every link leads somewhere; every ``tests/...`` and ``room.name`` in code font exists."""
    anchors = {address: set(re.findall(r'\bid="([^"]+)"', body)) for address, (_, body, _) in texts.items()}
    problems: list[str] = []
    for address, (_, _, page) in texts.items():
        if page is not None:
            problems += [f"{address}: {problem}" for problem in _dead(address, page, anchors)]
            problems += [f"{address}: {problem}" for problem in missing_names(page.code, known)]
    if problems:
        raise Broken("the documentation promises what is not there:\n  " + "\n  ".join(problems))


def missing_names(code: Iterable[str], known: dict[str, str]) -> list[str]:
    """What stands in code font, looks like a test or a public name, and does not exist."""
    rooms = {name.split(".")[0] for name in known} & set(reference.ROOMS)
    problems = []
    for said in code:
        if re.match(r"tests/\S+\.py", said):
            path, _, test = said.partition("::")
            file = DOCS.parent / path
            if not file.is_file():
                problems.append(f"{path} is not there")
            elif test and not re.search(
                rf"^\s*(def|class) {re.escape(test)}\b", file.read_text(encoding="utf-8"), re.MULTILINE
            ):
                problems.append(f"{path} has no {test}")
        elif re.fullmatch(r"(neurodecode\.)?[a-z_]+(\.[A-Za-z_]+)+(\(.*\))?", said):
            name = said.removeprefix("neurodecode.").split("(")[0]
            if name.split(".")[0] in rooms and name not in known:
                problems.append(f"{name} is not in the reference")
    return problems


def _dead(address: str, page: Rendered, anchors: dict[str, set[str]]) -> list[str]:
    problems = []
    for link in page.links:
        if "://" in link or link.startswith("mailto:"):
            continue
        target, _, anchor = link.partition("#")
        where = layout.relative(address, target) if target else address
        if where.startswith("images/") and (DOCS / where).is_file():
            continue
        if where not in anchors and not (
            where.startswith("tutorials/") and (DOCS / where).with_suffix(".py").is_file()
        ):
            problems.append(f"{link} leads nowhere")
        elif anchor and where in anchors and anchor not in anchors[where]:
            problems.append(f"{link}: no such section")
    return problems


def _with_contents(page: Rendered) -> str:
    head, mark, rest = page.body.partition("</h1>\n")
    return head + mark + layout.contents(page.headings) + rest


def _tutorial(path: Path, known: dict[str, str]) -> tuple[str, str, Rendered]:
    cells, _ = tutorials.run(path)
    gathered = Rendered("", "")

    def text(markdown: str) -> str:
        page = render(markdown, known, "../")
        gathered.links += page.links
        gathered.code += page.code
        gathered.title = gathered.title or page.title
        return page.body

    body = tutorials.as_html(cells, text)
    note = f'<p class="toc">A script, run when this page was built: <code>docs/tutorials/{path.name}</code></p>\n'
    body = body.replace("</h1>\n", "</h1>\n" + note, 1)
    return gathered.title, body, gathered


def _navigation(texts: dict[str, tuple[str, str, Rendered | None]]) -> dict[str, list[tuple[str, str]]]:
    headings = {
        "": "start",
        "tutorials": "tutorials",
        "methods": "methods",
        "howto": "how to",
        "reference": "reference",
    }
    menu: dict[str, list[tuple[str, str]]] = {heading: [] for heading in headings.values()}
    for address, (title, _, _) in texts.items():
        folder = address.rpartition("/")[0]
        menu[headings[folder]].append((title, address))
    return {heading: rows for heading, rows in menu.items() if rows}


if __name__ == "__main__":
    raise SystemExit(main())
