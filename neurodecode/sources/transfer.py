"""How the bytes of one file come over the web: resumed when cut, given up when stalled, refused when wrong.

Only ``fetch`` uses this. A transfer ends in one of three ways: the whole file, with its checksum,
stands in the ``.part`` file; or nothing is left of it; or what had arrived waits for the next attempt.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._optional import require
from ..exceptions import DownloadError, IntegrityError

log = logging.getLogger("neurodecode")

MEBIBYTE = 1 << 20
LEAST_PROGRESS = 1024  # bytes within one stall period; less than that is a server that drips


def sha256_of(path: str | Path) -> str:
    """Sha256 of a file as 64 hexadecimal digits; the file is streamed.

    Examples
    --------
    >>> import pathlib
    >>> _ = pathlib.Path("empty.txt").write_bytes(b"")
    >>> sha256_of("empty.txt")[:16]
    'e3b0c44298fc1c14'
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class Wanted:
    """What a transfer has to bring, and how patient it is."""

    path: Path
    sha256: str
    size: int | None
    retries: int
    stall: float
    pause: float


class Transient(Exception):
    """Worth another attempt: a cut, a stall, a server error."""


def bring(url: str, wanted: Wanted, part: Path) -> None:
    """Bring the whole file into ``part``, continuing what is there, and compare its checksum.

    Raises
    ------
    IntegrityError : other bytes or a web page came; ``part`` is gone.
    DownloadError : refused, or still failing after ``wanted.retries`` repeats; ``part`` keeps what had arrived.
    """
    from_before = part.exists() and part.stat().st_size > 0
    failed = 0
    while True:
        try:
            _transfer(url, wanted, part)
        except Transient as error:
            failed += 1
            log.info("%s: %s; attempt %d of %d", wanted.path.name, error, failed, wanted.retries + 1)
            if failed > wanted.retries:
                raise DownloadError(
                    f"{wanted.path.name} could not be fetched from {url}: {error} ({failed} attempts). Check the "
                    "network and repeat the command: what has arrived is kept and continued. "
                    f"Without a network, put the file into {wanted.path.parent} yourself."
                ) from error
            time.sleep(min(wanted.pause * 2 ** (failed - 1), 10.0))
            continue
        found = sha256_of(part)
        if found == wanted.sha256:
            return
        part.unlink()
        if not from_before:
            raise IntegrityError(
                f"{wanted.path.name} from {url} is not the published file: sha256 expected {wanted.sha256}, "
                f"found {found}. Nothing was kept. Either the file was changed there or the transfer was altered."
            )
        from_before = False  # the part of an earlier day may have belonged to another file: once more, from zero


def _transfer(url: str, wanted: Wanted, part: Path) -> None:
    """One request; appends to ``part`` when the server grants the rest, else starts anew."""
    requests = require("requests", purpose="fetching data sets")
    have = part.stat().st_size if part.exists() else 0
    # Compressed transfer would change the bytes of files that are compressed already.
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        with requests.get(url, headers=headers, stream=True, timeout=(wanted.stall, wanted.stall)) as response:
            if response.status_code == 416 and have:  # the part is as long as the file, or longer
                if wanted.size == have:
                    return
                part.unlink()
                raise Transient("the earlier part was too long")
            _refuse(response, url, wanted)
            start = have if response.status_code == 206 and _begins(response) == have else 0
            if response.status_code == 206 and start == 0 and have:
                part.unlink()
                raise Transient("the server continued at the wrong place")
            length = response.headers.get("Content-Length", "")
            total = start + int(length) if length.isdigit() else None
            if wanted.size is not None and total is not None and total != wanted.size:
                part.unlink(missing_ok=True)
                raise IntegrityError(
                    f"{wanted.path.name} from {url} is not the published file: the server announces {total} bytes, "
                    f"expected {wanted.size}. Nothing was kept."
                )
            written = _write(response, wanted, part, start)
            if total is not None and written < total:
                raise Transient(f"cut after {written} of {total} bytes")
    except requests.exceptions.Timeout as error:
        raise Transient(f"no answer for {wanted.stall:g} s") from error
    except requests.exceptions.ConnectionError as error:
        raise Transient(f"no connection to {url.split('/')[2]}") from error
    except requests.exceptions.RequestException as error:
        raise DownloadError(f"{wanted.path.name}: {url} cannot be used ({type(error).__name__}: {error})") from error


def _refuse(response: Any, url: str, wanted: Wanted) -> None:
    """Raise for every answer that is not the file."""
    status = response.status_code
    if status in (401, 403):
        raise DownloadError(
            f"{wanted.path.name}: {url} answers {status}; it wants a login or an agreement. Fetch the file in a "
            f"browser and put it into {wanted.path.parent}"
        )
    if status in (429,) or status >= 500:
        raise Transient(f"the server answers {status}")
    if status not in (200, 206):
        raise DownloadError(f"{wanted.path.name}: {url} answers {status}; the file is not there")
    kind = response.headers.get("Content-Type", "").lower()
    if "text/html" in kind and wanted.path.suffix.lower() not in (".html", ".htm"):
        raise _web_page(url, wanted)


def _write(response: Any, wanted: Wanted, part: Path, start: int) -> int:
    """Stream the body into ``part`` from ``start`` on and return the length reached."""
    from ..compute.progress import progress

    blocks = None if wanted.size is None else -(-(wanted.size - start) // MEBIBYTE)
    reached = start
    with open(part, "r+b" if start else "wb") as file:
        file.seek(start)
        for block in progress(_blocks(response, wanted.stall), f"fetching {wanted.path.name} (MiB)", total=blocks):
            if reached == 0 and _looks_like_html(block) and wanted.path.suffix.lower() not in (".html", ".htm"):
                file.close()
                part.unlink()
                raise _web_page(response.url, wanted)
            file.write(block)
            reached += len(block)
            if wanted.size is not None and reached > wanted.size:
                file.close()
                part.unlink()
                raise IntegrityError(
                    f"{wanted.path.name} from {response.url} is not the published file: more than {wanted.size} bytes "
                    "arrive. Nothing was kept."
                )
        file.flush()
        os.fsync(file.fileno())
    return reached


def _blocks(response: Any, stall: float) -> Iterator[bytes]:
    """The body in pieces of about a mebibyte; a drip or a cut ends in ``Transient`` after what had arrived."""
    urllib3 = require("urllib3", purpose="fetching data sets")
    raw = response.raw
    read = getattr(raw, "read1", raw.read)
    gathered = bytearray()
    since, progressed = time.monotonic(), 0
    reason: str | None = None
    while True:
        try:
            piece = read(65536)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            reason = f"nothing came for {stall:g} s" if "timed out" in str(error).lower() else "the connection was cut"
            break
        if not piece:
            break
        gathered += piece
        progressed += len(piece)
        now = time.monotonic()
        if progressed >= LEAST_PROGRESS:
            since, progressed = now, 0
        elif now - since > stall:
            reason = f"less than {LEAST_PROGRESS} bytes came in {stall:g} s"
            break
        if len(gathered) >= MEBIBYTE:
            yield bytes(gathered)
            gathered.clear()
    if gathered:
        yield bytes(gathered)
    if reason:
        raise Transient(reason)


def _begins(response: Any) -> int:
    """First byte of a partial answer, -1 when the server does not say."""
    found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(found.group(1)) if found else -1


def _looks_like_html(block: bytes) -> bool:
    return block[:512].lstrip().lower().startswith((b"<!doctype html", b"<html"))


def _web_page(url: str, wanted: Wanted) -> IntegrityError:
    return IntegrityError(
        f"{url} answers with a web page instead of {wanted.path.name}; often that is a login, a licence or an error "
        f"page. Nothing was kept. Open the address in a browser, and put the file into {wanted.path.parent}"
    )
