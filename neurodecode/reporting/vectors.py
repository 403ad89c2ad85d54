"""SVG drawings made small: the same picture in a third of the letters, for pages that hold many of them.

What matplotlib repeats is said once (styles become classes, the letters of the page one rule), what cannot be seen is
left out (automatic ids, groups without a purpose, shapes without fill and line, turns by nothing), and an address
holds the text as it is rather than in base64.
"""

from __future__ import annotations

import base64
import io
import re
from collections import Counter
from urllib.parse import quote
from xml.etree import ElementTree

import numpy as np

from .._optional import require
from .wording import scrub

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
LETTERS = "'DejaVu Sans', sans-serif"  # as matplotlib names them
SVG, LINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
HREF = f"{{{LINK}}}href"
PLAIN = "!$'()*+,-./:;=?@[]^_`|~"  # need no escape inside an address between double quotes, nor in a srcset
PNG = "data:image/png;base64,"
LEAST_MIRRORED = 12  # rows of a symmetric matrix of which one half is held
LEAST_POINTS = 8  # of one kind that become one path
NUMBER = re.compile(r"-?\d+\.\d+")
Element = ElementTree.Element


def slim(svg: str) -> str:
    """An SVG without what a page does not need, in the letters of the page, with absolute paths scrubbed.

    Examples
    --------
    >>> bare = '<g id="text_1"><text style="font-size: 9px; fill: #111" transform="rotate(-0 1 2)">a</text></g>'
    >>> slim(f'<svg xmlns="http://www.w3.org/2000/svg">{bare}</svg>').split("</style>")[1]
    "<text class='a'>a</text></svg>"
    """
    root = ElementTree.fromstring(svg[svg.index("<svg") :])
    _prune(root)
    for element in root.iter():
        _shorten(element)
        if element.tag == f"{{{SVG}}}image":
            element.set(HREF, "".join(element.get(HREF, "").split()))
    _pictures(root)
    _many_alike(root)
    _rename(root)
    _classes(root)
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", LINK)
    text = ElementTree.tostring(root, encoding="unicode", short_empty_elements=True).replace(" />", "/>")
    # Single quotes need no escape in an address that stands between double ones.
    text = re.sub(r"<[^>]+>", lambda tag: tag[0].replace("'", "&#39;").replace('"', "'"), text)
    return text.replace("xlink:href='#", "href='#")


def address_of(svg: str) -> str:
    """A drawing as an address that may stand in ``src`` and in ``srcset``: a fifth shorter than base64.

    Examples
    --------
    >>> address_of("<svg fill='#111'/>")
    "data:image/svg+xml,%3Csvg%20fill='%23111'/%3E"
    """
    return "data:image/svg+xml," + quote(svg, safe=PLAIN)


def _prune(element: Element) -> None:
    """Leave out metadata, empty groups, and shapes that cannot be seen; put what is in mere groups in their place."""
    kept: list[Element] = []
    for child in element:
        kind = child.tag.rpartition("}")[2]
        if kind == "metadata" or (kind == "path" and _unseen(child)):
            continue
        if kind not in ("defs", "style"):
            _prune(child)
        if kind == "g" and not set(child.attrib) - {"id"}:
            kept += list(child)  # nothing refers to a group
        elif kind != "g" or len(child):
            kept.append(child)
    element[:] = kept


def _unseen(path: Element) -> bool:
    style = path.get("style", "")
    return "fill: none" in style and "stroke:" not in style


def _shorten(element: Element) -> None:
    """Fewer letters for the same: white space, zeros, turns by nothing, digits under a hundredth of a point."""
    element.tail = None
    kind = element.tag.rpartition("}")[2]
    if kind == "text":
        element.text = scrub(element.text or "") if (element.text or "").strip() else element.text
    elif element.text is not None and not element.text.strip():
        element.text = None
    if (drawn := element.get("d")) is not None:
        drawn = re.sub(r"\s*([A-Za-z])\s*", r"\1", NUMBER.sub(_rounded, " ".join(drawn.split())))
        element.set("d", drawn.replace(" -", "-"))
    if (turn := element.get("transform")) is not None:
        if re.fullmatch(r"rotate\(-?0(\.0+)? [^)]*\)", turn):
            del element.attrib["transform"]
        else:  # of an image the scale counts for every one of its rows
            digits = 4 if "matrix" in turn else 2
            element.set("transform", NUMBER.sub(lambda found: _rounded(found, digits), turn))
    for name in ("x", "y", "width", "height", "points"):
        if (value := element.get(name)) is not None:
            element.set(name, NUMBER.sub(_rounded, value))


def _rounded(found: re.Match[str], digits: int = 2) -> str:
    text = f"{float(found[0]):.{digits}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _pictures(root: Element) -> None:
    """Images inside a drawing: with a palette, one that stands at several places held once, a mirrored half once."""
    parents = {child: outer for outer in root.iter() for child in outer}
    images = [one for one in root.iter(f"{{{SVG}}}image") if one.get(HREF, "").startswith(PNG)]
    often = Counter(image.get(HREF, "") for image in images)
    held: dict[str, str] = {}
    for image in images:
        data, placed = image.get(HREF, ""), image.get("x") or image.get("y")
        small, mirrored = smaller(data[len(PNG) :])
        image.set(HREF, PNG + small)
        if placed or (often[data] == 1 and not mirrored):
            continue
        size = {name: image.attrib.pop(name) for name in (HREF, "width", "height", "style") if name in image.attrib}
        if data not in held:
            held[data] = f"held{len(held)}"
            definitions = ElementTree.Element(f"{{{SVG}}}defs")
            ElementTree.SubElement(definitions, f"{{{SVG}}}image", {"id": held[data], **size})
            root.insert(0, definitions)
        image.tag = f"{{{SVG}}}use"
        image.attrib.pop("id", None)
        image.set(HREF, f"#{held[data]}")
        if mirrored:
            across, skew, back, down, *corner = re.findall(r"[-\d.e]+", image.get("transform", "matrix(1 0 0 1 0 0)"))
            turned = f"matrix({back} {down} {across} {skew} {' '.join(corner)})"
            outer = parents[image]
            other = ElementTree.Element(image.tag, {**image.attrib, "transform": turned})
            outer.insert(list(outer).index(image) + 1, other)


def smaller(image: str) -> tuple[str, bool]:
    """A PNG (base64) in fewer bytes, and whether the half under its diagonal was left out, to be drawn by mirroring.

    Where 256 colours are enough they become a palette, a third of the bytes of a matrix; of a symmetric matrix one half
    is enough.
    """
    images = require("PIL.Image", purpose="drawing results")
    before = base64.b64decode(image)
    pixels = np.asarray(images.open(io.BytesIO(before)).convert("RGBA"))
    mirrored = len(pixels) == pixels.shape[1] >= LEAST_MIRRORED and bool((pixels == pixels.swapaxes(0, 1)).all())
    if mirrored:
        pixels = np.where(np.tri(len(pixels), k=-1, dtype=bool)[..., None], np.uint8(0), pixels)
    colours, which = np.unique(pixels.reshape(-1, 4), axis=0, return_inverse=True)
    if len(colours) > 256:
        return image, False
    small = images.fromarray(which.reshape(pixels.shape[:2]).astype(np.uint8), mode="P")
    small.putpalette(colours[:, :3].ravel().tolist())
    target = io.BytesIO()
    small.save(target, format="png", optimize=True, transparency=bytes(colours[:, 3].tolist()))
    after = target.getvalue()
    return (base64.b64encode(after).decode("ascii"), mirrored) if len(after) < len(before) else (image, False)


def _many_alike(root: Element) -> None:
    """Points of one kind as the corners of one path, which draws its marker at each of them."""
    for outer in list(root.iter()):
        for run in _runs(outer):
            shape = run[0].get(HREF, "")[1:]
            drawn = next((one for one in root.iter(f"{{{SVG}}}path") if one.get("id") == shape), None)
            if drawn is None:
                continue
            style = "; ".join(filter(None, (run[0].get("style"), drawn.get("style"))))
            name = f"points{sum(1 for _ in root.iter(f'{{{SVG}}}marker'))}"
            marker = ElementTree.Element(
                f"{{{SVG}}}marker", {"id": name, "markerUnits": "userSpaceOnUse", "overflow": "visible"}
            )
            ElementTree.SubElement(marker, f"{{{SVG}}}path", {"d": drawn.get("d", ""), "style": style})
            places = "L".join(f"{one.get('x', '0')} {one.get('y', '0')}" for one in run)
            said = dict.fromkeys(("marker-start", "marker-mid", "marker-end"), f"url(#{name})")
            line = ElementTree.Element(f"{{{SVG}}}path", {"d": f"M{places}", "style": "fill: none", **said})
            at = list(outer).index(run[0])
            for one in run:
                outer.remove(one)
            definitions = ElementTree.Element(f"{{{SVG}}}defs")
            definitions.append(marker)
            outer.insert(at, line)
            outer.insert(at, definitions)


def _runs(outer: Element) -> list[list[Element]]:
    """Points of one kind that follow each other, where they are many."""
    runs: list[list[Element]] = [[]]
    last = None
    for child in outer:
        kind = (child.get(HREF), child.get("style")) if child.tag == f"{{{SVG}}}use" and "x" in child.attrib else None
        plain = kind is not None and set(child.attrib) <= {HREF, "style", "x", "y"}
        if plain and kind == last:
            runs[-1].append(child)
        else:
            runs.append([child] if plain else [])
        last = kind if plain else None
    return [run for run in runs if len(run) >= LEAST_POINTS]


def _rename(root: Element) -> None:
    """Ids that something refers to get short names; the others go."""
    text = ElementTree.tostring(root, encoding="unicode")
    used = dict.fromkeys([*re.findall(r"url\(#([^)]+)\)", text), *re.findall(r'href="#([^"]+)"', text)])
    names = {name: f"i{at}" for at, name in enumerate(used)}
    for element in root.iter():
        for key, value in list(element.attrib.items()):
            if key == "id":
                if value in names:
                    element.set(key, names[value])
                else:
                    del element.attrib[key]
            elif key == HREF and value.startswith("#"):
                element.set(key, f"#{names[value[1:]]}")
            elif "url(#" in value:
                element.set(key, re.sub(r"url\(#([^)]+)\)", lambda found: f"url(#{names[found[1]]})", value))


def _classes(root: Element) -> None:
    """Every style that stands at an element becomes a class, named once."""
    found: dict[str, str] = {}
    for element in root.iter():
        if (style := element.attrib.pop("style", None)) is None:
            continue
        parts = [NUMBER.sub(_rounded, part.strip()) for part in style.split(";")]
        rule = ";".join(part.replace(": ", ":") for part in parts if part and LETTERS not in part)
        if rule:
            element.set("class", found.setdefault(rule, _letter(len(found))))
    rules = ElementTree.Element(f"{{{SVG}}}style")
    first = "*{stroke-linejoin:round;stroke-linecap:butt}text{font-family:" + FONT.replace(", ", ",") + "}"
    rules.text = first + "".join(f".{name}{{{rule}}}" for rule, name in found.items())
    for outer in list(root.iter()):
        for old in [one for one in outer if one.tag == f"{{{SVG}}}style"]:
            outer.remove(old)
    root.insert(0, rules)


def _letter(at: int) -> str:
    """a to z, then ba, bb and so on.

    Examples
    --------
    >>> _letter(0), _letter(25), _letter(26)
    ('a', 'z', 'ba')
    """
    return (_letter(at // 26) if at >= 26 else "") + "abcdefghijklmnopqrstuvwxyz"[at % 26]
