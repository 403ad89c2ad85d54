"""Tangent kernels of a network: inner products of the gradients of its outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev

from .._numbers import whole


def chosen(model: nn.Module, parameters: Sequence[str] | None) -> dict[str, Tensor]:
    """Parameters of a model by name: all that are trained, or those whose name starts with one of ``parameters``.

    Raises
    ------
    TypeError : no module, or no names. ValueError : a name that nothing starts with; the message lists what there is.

    Examples
    --------
    >>> list(chosen(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)), ["1.w"]))
    ['1.weight']
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"expected a network (torch.nn.Module), and a {type(model).__name__} came.")
    named = dict(model.named_parameters())
    if parameters is None:
        return {name: one.detach() for name, one in named.items() if one.requires_grad}
    given, parameters = parameters, [parameters] if isinstance(parameters, str) else parameters
    if not isinstance(parameters, Sequence) or not all(isinstance(prefix, str) for prefix in parameters):
        raise TypeError(f"parameters={given!r}: expected beginnings of names, such as {list(named)[:1]}, or None.")
    lost = [prefix for prefix in parameters if not any(name.startswith(prefix) for name in named)]
    if lost:
        raise ValueError(f"no parameter starts with {', '.join(map(repr, lost))}; there are {', '.join(named)}.")
    return {name: one.detach() for name, one in named.items() if any(name.startswith(p) for p in parameters)}


def jacobian(model: nn.Module, inputs: Tensor, parameters: Sequence[str] | None, chunk: int | None) -> Tensor:
    """Derivatives (outputs, parameters) of all outputs for all inputs, flattened, in the order (sample, output).

    ``chunk`` outputs at a time, None all at once.
    """
    chunk = None if chunk is None else whole(chunk, "chunk", least=1)
    weights = chosen(model, parameters)
    fixed = {name: one.detach() for name, one in model.named_parameters() if name not in weights}

    def outputs(some: dict[str, Tensor]) -> Tensor:
        found: Any = functional_call(model, {**fixed, **some}, (inputs,))
        return (found[0] if isinstance(found, tuple) else found).flatten()

    was = model.training
    model.eval()
    try:
        found = jacrev(outputs, chunk_size=chunk)(weights)
    finally:
        model.train(was)
    return torch.cat([part.flatten(1) for part in found.values()], dim=1)
