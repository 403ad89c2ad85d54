"""Fetching one file so that what lies on disk is what was published, or nothing.

A download goes to a hidden ``.part`` file beside its target, is compared with its sha256 there, and
only then takes its name, in one rename. A cut transfer is resumed; a wrong one is removed. Nothing
is ever cached on the word of a server: the checksum comes with the recipe.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .._optional import require
from ..exceptions import DownloadError, IntegrityError
from .transfer import Wanted, bring, sha256_of

log = logging.getLogger("neurodecode")

CONSENT = "licence_accepted.json"


def offline() -> bool:
    """Whether ``NEURODECODE_OFFLINE`` forbids the network (any value but ``0`` and empty)."""
    return os.environ.get("NEURODECODE_OFFLINE", "") not in ("", "0")


def fetch_file(
    urls: str | Sequence[str],
    path: str | Path,
    sha256: str,
    *,
    size: int | None = None,
    retries: int = 3,
    stall: float = 30.0,
    pause: float = 1.0,
) -> Path:
    """Put the file with this checksum at ``path``; do nothing when it is already there.

    Parameters
    ----------
    urls : one address or several mirrors of the same bytes, tried in order (http, https, ftp, sftp, doi).
    path : where the file goes; its folder is made.
    sha256 : 64 hexadecimal digits. There is no way to leave it out.
    size : expected bytes; a server that announces another size is refused before the transfer.
    retries : further attempts per address after a cut, a stall or a server error (5xx, 429).
    stall : seconds without noticeable progress (1 KiB) after which a transfer is given up.
    pause : seconds before the first repeat; doubled for each further one, 10 at most.

    Returns
    -------
    ``path`` as a Path. The file there has the checksum.

    Raises
    ------
    IntegrityError : the server sent other bytes, or a web page, instead of the file.
    DownloadError : no address, no network, a server that stalls or refuses, a full or read-only disk.
    ValueError : ``sha256`` is not a sha256.

    Notes
    -----
    Two processes that want the same file share it: one fetches, the other waits and finds it.
    Where the file system has no locks both fetch, and the last rename puts identical bytes there.

    Examples
    --------
    >>> import pathlib
    >>> _ = pathlib.Path("here.txt").write_text("here")
    >>> fetch_file("https://example.org/here.txt", "here.txt", sha256_of("here.txt")).name   # no network needed
    'here.txt'
    """
    addresses = [urls] if isinstance(urls, str) else list(urls)
    path = Path(path)
    if not re.fullmatch(r"[0-9a-f]{64}", str(sha256)):
        raise ValueError(f"sha256={sha256!r} of {path.name} is not a checksum; expected 64 hexadecimal digits")
    if _is_there(path, sha256):
        return path
    if not addresses:
        raise DownloadError(f"{path.name} is not in {path.parent} and no public address of it is known")
    if offline():
        raise DownloadError(
            f"{path.name} is not in {path.parent}, and NEURODECODE_OFFLINE allows only what is on disk. "
            f"Put the file there, or unset NEURODECODE_OFFLINE to fetch it from {addresses[0]}"
        )
    wanted = Wanted(path, sha256, size, retries, stall, pause)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path) as alone:
            if _is_there(path, sha256):  # another process fetched it while this one waited
                return path
            return _first_that_works(addresses, wanted, path.with_name(f".{path.name}{_suffix(alone)}.part"))
    except OSError as error:
        raise _plain(error, path, size) from error


def consent(folder: str | Path, dataset: str, licence: str, text: str, *, accept: bool = False) -> Path:
    """Have the licence of a data set accepted, once, and written down beside the data.

    Parameters
    ----------
    folder : where the data go; the record is ``licence_accepted.json`` in it.
    dataset, licence, text : what is accepted. A changed text asks again.
    accept : the reader says that they have read ``text`` and accept it.

    Returns
    -------
    Path of the record: data set, licence, sha256 of its text, time (UTC). No name of a person.

    Raises
    ------
    DownloadError : not accepted yet; the message holds the text.
    """
    record = Path(folder) / CONSENT
    digest = hashlib.sha256(text.encode()).hexdigest()
    with suppress(OSError, ValueError, AttributeError):
        if json.loads(record.read_text(encoding="utf-8")).get("sha256_of_text") == digest:
            return record
    if not accept:
        raise DownloadError(
            f"{dataset} is not fetched before its licence is accepted.\n\nLicence: {licence}\n\n{text.strip()}\n\n"
            "If you accept it, repeat with --accept-licence (in Python: accept_licence=True)."
        )
    from ..representation.store import write_atomic

    log.info("licence of %s, accepted: %s\n%s", dataset, licence, text.strip())
    said = {
        "dataset": dataset,
        "licence": licence,
        "sha256_of_text": digest,
        "text": text.strip(),
        "accepted_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    try:
        record.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(record, (json.dumps(said, indent=1) + "\n").encode())
    except OSError as error:
        raise _plain(error, record, None) from error
    return record


def _is_there(path: Path, sha256: str) -> bool:
    if not path.is_file():
        return False
    found = sha256_of(path)
    if found == sha256:
        return True
    if offline():
        raise IntegrityError(
            f"{path} is not the published file (sha256 expected {sha256}, found {found}), and NEURODECODE_OFFLINE "
            "forbids fetching it again"
        )
    log.warning("%s on disk is not the published file; it is fetched again", path.name)
    return False


def _first_that_works(addresses: list[str], wanted: Wanted, part: Path) -> Path:
    """Try the mirrors in order; when all fail, raise what weighs most: wrong bytes before no bytes."""
    failures: list[OSError] = []
    for url in addresses:
        try:
            return _through_pooch(url, wanted, part)
        except (IntegrityError, DownloadError) as error:
            failures.append(error)
    wrong = [failure for failure in failures if isinstance(failure, IntegrityError)]
    if len(failures) == 1:
        raise failures[0]
    kind = IntegrityError if wrong else DownloadError
    raise kind(f"{wanted.path.name}: none of {len(failures)} addresses gave it. " + " | ".join(map(str, failures)))


def _through_pooch(url: str, wanted: Wanted, part: Path) -> Path:
    """Pooch chooses the protocol, compares the checksum and renames; plain web addresses come through ``transfer``."""
    pooch = require("pooch", purpose="fetching data sets")

    def steady(url: str, output_file: str, _: Any) -> None:
        bring(url, wanted, part)
        os.replace(part, output_file)

    web = url.startswith(("http://", "https://"))
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("WARNING")
    log.info("fetching %s%s from %s", wanted.path.name, _amount(wanted.size), url)
    try:
        name = pooch.retrieve(
            url=url,
            known_hash=f"sha256:{wanted.sha256}",
            fname=wanted.path.name,
            path=wanted.path.parent,
            downloader=steady if web else None,
        )
    except (IntegrityError, DownloadError):
        raise
    except ValueError as error:  # what pooch raises for a wrong checksum or an unknown protocol
        raise IntegrityError(f"{wanted.path.name} from {url}: {error}") from error
    finally:
        logger.setLevel(level)
    return Path(name)


@contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Hold the lock of a target; yields False where the file system has none.

    The kernel drops the lock of a process that dies, so waiting always ends.
    """
    try:
        import fcntl
    except ImportError:
        yield False
        return
    lock = path.with_name(f".{path.name}.lock")
    while True:
        handle = os.open(lock, os.O_CREAT | os.O_RDWR)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:
            os.close(handle)
            yield False
            return
        try:
            current = os.fstat(handle).st_ino == os.stat(lock).st_ino
        except FileNotFoundError:  # the process before this one tidied up
            current = False
        if current:
            break
        os.close(handle)
    try:
        yield True
    finally:
        with suppress(OSError):
            lock.unlink()
        os.close(handle)


def _suffix(alone: bool) -> str:
    return "" if alone else f".{os.getpid()}"


def _amount(size: int | None) -> str:
    return "" if size is None else f" ({size / 1e6:.1f} MB)"


def _plain(error: OSError, path: Path, size: int | None) -> OSError:
    """The same failure as one sentence that says what to do."""
    if isinstance(error, IntegrityError | DownloadError):
        return error
    elsewhere = "or name another folder (--data, or the variable NEURODECODE_CACHE)"
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return DownloadError(
            f"no space left in {path.parent} for {path.name}{_amount(size)}; free some space, {elsewhere}, and "
            "repeat the command: it continues from what has arrived"
        )
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return DownloadError(
            f"cannot write {path.name} into {path.parent}: {error.strerror}; make it writable, {elsewhere}"
        )
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return DownloadError(f"{path.parent} cannot be made, because a file is in the way; {elsewhere[3:]}")
    return error
