"""Torch as encoders expect it, whatever stands around the call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch


@contextmanager
def settled() -> Iterator[None]:
    """Single precision by default, gradients, no autocast and no inference mode; afterwards all as it was.

    Examples
    --------
    >>> with torch.no_grad(), settled():
    ...     torch.is_grad_enabled()
    True
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.enable_grad())
            for kind in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
                stack.enter_context(torch.autocast(device_type=kind, enabled=False))
            yield
    finally:
        torch.set_default_dtype(before)
