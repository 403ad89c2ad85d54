"""Writing so that a reader finds the old content or the new, never a part: temporary, fsync, rename."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
import secrets
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_SWEPT: set[tuple[int, str]] = set()
NO_EXCHANGE = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM, errno.EXDEV}


def write_atomic(path: str | os.PathLike[str], data: bytes | str) -> Path:
    """Write one file so that it holds the old bytes or all of the new ones, whenever the process is killed.

    The bytes go to a hidden file in the same folder, are flushed to the disk, and take the name at the end.
    Two writers of one name leave the content of one of them.

    Parameters
    ----------
    path : the file; missing parent folders are made.
    data : bytes, or text that is written as UTF-8.

    Returns
    -------
    The path.

    Raises
    ------
    OSError : the folder cannot be written or the disk is full, in one line with what to do.

    Examples
    --------
    >>> write_atomic("figures.json", "[]").read_text()
    '[]'
    """
    path = Path(path)
    content = data.encode("utf-8") if isinstance(data, str) else data
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = beside(path, "new")
        try:
            with open(temporary, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        flush_folder(path.parent)
        sweep(path.parent)
    return path


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Errors of the file system as one line: which path, what happened, what to do."""
    try:
        yield
    except OSError as error:
        if type(error).__module__ != "builtins" or error.errno is None:
            raise
        advice = {
            errno.ENOSPC: "free some space or choose another folder",
            errno.EDQUOT: "your quota is full: free some space or choose another folder",
            errno.EROFS: "choose a folder that can be written",
            errno.EACCES: "choose a folder that you may write",
            errno.ENOTDIR: "a file stands where a folder is needed",
        }.get(error.errno, "choose another path")
        raise type(error)(error.errno, f"cannot write {str(path)!r}: {os.strerror(error.errno)}; {advice}") from error


def place_folder(temporary: Path, path: Path) -> None:
    """Give a finished folder its name in one step; what had the name before is removed afterwards."""
    flush_folder(temporary)
    for _ in range(100):
        try:
            if not os.path.lexists(path):
                os.rename(temporary, path)
                flush_folder(path.parent)
                return
            if exchange(temporary, path):
                flush_folder(path.parent)
                shutil.rmtree(temporary, ignore_errors=True)
                return
            _rename_twice(temporary, path)
            return
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST) or not temporary.exists():
                raise
            time.sleep(0.01)
    raise TimeoutError(f"{path.name!r} is being written by other processes all the time; write to another path")


def _rename_twice(temporary: Path, path: Path) -> None:
    """For file systems that cannot exchange two names; ``recover`` mends what a kill in between leaves."""
    old = beside(path, "old")
    os.rename(path, old)
    os.rename(temporary, path)
    flush_folder(path.parent)
    shutil.rmtree(old, ignore_errors=True)


def recover(path: Path) -> None:
    """Bring back the old content if a writer died between the two renames of ``place_folder``."""
    for _ in range(50):
        if os.path.lexists(path) or not path.parent.is_dir():
            return
        olds = [left for left in leftovers(path) if left.name.endswith(".old")]
        if not olds:
            return
        for left in olds:
            if not _owner_lives(left):
                with contextlib.suppress(OSError):
                    os.rename(left, path)
                    return
        time.sleep(0.02)


def exchange(one: Path, two: Path) -> bool:
    """Swap the names of two folders in one step; False where the system cannot."""
    a, b = os.fsencode(one), os.fsencode(two)
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "darwin":
            failed = library.renamex_np(a, b, ctypes.c_uint(2))
        else:
            failed = library.renameat2(-100, a, -100, b, ctypes.c_uint(2))
    except (AttributeError, OSError, TypeError):
        return False
    if not failed:
        return True
    number = ctypes.get_errno()
    if number in NO_EXCHANGE:
        return False
    raise OSError(number, os.strerror(number), str(two))


def beside(path: Path, purpose: str) -> Path:
    """A hidden name next to ``path`` that says which process made it."""
    return path.with_name(f"{_hidden(path)}{_machine()}-{os.getpid()}-{secrets.token_hex(4)}.{purpose}")


def leftovers(path: Path) -> list[Path]:
    """Temporary files and folders of ``path``, of living writers and of dead ones."""
    start = _hidden(path)
    try:
        return sorted(found for found in path.parent.iterdir() if found.name.startswith(start))
    except OSError:
        return []


def sweep(folder: Path) -> None:
    """Remove what killed writers left in a folder, once per process; living ones and other machines' stay."""
    place = (os.getpid(), os.path.abspath(folder))
    if place in _SWEPT:
        return
    _SWEPT.add(place)
    for left in [found for found in folder.iterdir() if ".part-" in found.name and found.name.startswith(".")]:
        target = folder / left.name[1:].rsplit(".part-", 1)[0]
        finished = left.suffix == ".new" or (left.suffix == ".old" and target.exists())
        if finished and not _owner_lives(left):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)


def flush_folder(folder: Path) -> None:
    """Make renames in a folder survive a power loss, where folders can be flushed."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _hidden(path: Path) -> str:
    name = path.name
    if len(os.fsencode(name)) > 180:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    return f".{name}.part-"


def _machine() -> str:
    """Names this machine and its process table, so that a process number means something."""
    try:
        table = os.readlink("/proc/self/ns/pid")
    except OSError:
        table = ""
    return hashlib.sha256(f"{socket.gethostname()}{table}".encode()).hexdigest()[:8]


def _owner_lives(left: Path) -> bool:
    """Whether the writer of a leftover may still be at work; unknown counts as living."""
    try:
        machine, number, _ = left.name.rsplit(".part-", 1)[1].split("-")
        process = int(number)
    except (IndexError, ValueError):
        return True
    if machine != _machine():
        return True
    if process == os.getpid():
        return True
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
