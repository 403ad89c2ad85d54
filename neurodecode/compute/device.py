"""Where tensors live, and on how many threads: always said, never guessed, never a fallback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def resolve(device: str | torch.device | None = None, like: torch.Tensor | None = None) -> torch.device:
    """The torch device that was asked for, or an error when this machine does not have it.

    Parameters
    ----------
    device : ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``, a ``torch.device``, or None: the device of ``like``, else
        the CPU.
    like : a tensor whose device is taken when ``device`` is None.

    Returns
    -------
    torch.device

    Raises
    ------
    ValueError : the name is not a device, or the device is not on this machine. Nothing falls back to the CPU.

    Examples
    --------
    >>> resolve(), resolve("cpu")
    (device(type='cpu'), device(type='cpu'))
    """
    if device is None:
        return like.device if like is not None else torch.device("cpu")
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"device={device!r} is not the name of a device; use 'cpu', 'cuda' or 'mps'.") from error
    if found.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if count == 0:
            raise ValueError(
                f"device={device!r} was asked for, but PyTorch sees no CUDA device here; "
                "pass device='cpu' or install a CUDA build of PyTorch on a machine with a GPU."
            )
        if found.index is not None and found.index >= count:
            raise ValueError(f"device={device!r} was asked for, but the CUDA devices here are 0 to {count - 1}.")
    elif found.type == "mps":
        if not torch.backends.mps.is_available():
            raise ValueError(f"device={device!r} was asked for, but there is no MPS device here; pass device='cpu'.")
    elif found.type not in ("cpu", "meta"):
        raise ValueError(f"device={device!r} is not supported; use 'cpu', 'cuda' or 'mps'.")
    return found


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Run the block with ``count`` threads in PyTorch and in every BLAS; restored afterwards.

    Examples
    --------
    >>> before = torch.get_num_threads()
    >>> with threads(1):
    ...     torch.get_num_threads()
    1
    >>> torch.get_num_threads() == before
    True
    """
    from threadpoolctl import threadpool_limits

    if count < 1:
        raise ValueError(f"{count} threads were asked for; at least 1 is needed")
    before = torch.get_num_threads()
    with threadpool_limits(limits=count):
        torch.set_num_threads(count)
        try:
            yield
        finally:
            torch.set_num_threads(before)


@contextmanager
def single_thread() -> Iterator[None]:
    """Run the block with one thread in PyTorch and in every BLAS, so that sums have one order; restored afterwards.

    Examples
    --------
    >>> before = torch.get_num_threads()
    >>> with single_thread():
    ...     torch.get_num_threads()
    1
    >>> torch.get_num_threads() == before
    True
    """
    with threads(1):
        yield
