"""Randomness is an argument: one seed in, one generator out; the process is never seeded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:  # torch takes a second to load, which null distributions and pages should not pay
    import torch


def check_random_state(seed: Any = None) -> np.random.Generator:
    """A NumPy generator from whatever stands in ``random_state``.

    Parameters
    ----------
    seed : int or sequence of ints (same seed, same draws), None (fresh entropy), a ``numpy.random.Generator`` (returned
        as it is, so its state moves on), a ``RandomState`` (one draw of it seeds the generator), or a ``SeedSequence``.

    Raises
    ------
    ValueError : anything else, or a negative seed.

    Examples
    --------
    >>> int(check_random_state(3).integers(100)) == int(check_random_state(3).integers(100))
    True
    """
    if isinstance(seed, np.random.Generator):
        return seed
    if seed is np.random:
        seed = None
    if isinstance(seed, np.random.RandomState):
        seed = int(seed.randint(0, 2**31 - 1))
    if isinstance(seed, bool):
        raise ValueError(f"random_state={seed!r} is not a seed; pass an integer, a generator or None.")
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        raise ValueError(f"random_state={seed!r} is not a seed; pass an integer >= 0, a generator or None.") from error


def torch_generator(seed: Any = None) -> torch.Generator:
    """A torch generator on the CPU from the same kinds of seed as :func:`check_random_state`.

    Examples
    --------
    >>> import torch
    >>> a, b = torch_generator(1), torch_generator(1)
    >>> bool((torch.randn(3, generator=a) == torch.randn(3, generator=b)).all())
    True
    """
    import torch

    if isinstance(seed, torch.Generator):
        return seed
    return torch.Generator().manual_seed(int(check_random_state(seed).integers(0, 2**63 - 1)))


def normal(shape: tuple[int, ...], generator: torch.Generator, like: torch.Tensor) -> torch.Tensor:
    """Standard normals of the dtype and on the device of ``like``: drawn on the CPU, then moved.

    One seed means one sample on every device.

    Examples
    --------
    >>> import torch
    >>> normal((2, 3), torch_generator(0), torch.zeros(1)).shape
    torch.Size([2, 3])
    """
    import torch

    return torch.randn(shape, generator=generator, dtype=like.dtype).to(like.device)
