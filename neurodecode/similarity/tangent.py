"""Tangent kernels of small networks: what training will change, and whether it changed the features (rich or lazy)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr

from ..compute.tangents import chosen, jacobian
from ..exceptions import AlignmentError
from .change import kernel_alignment


def tangent_kernel(
    model: Any, inputs: Any, parameters: Sequence[str] | None = None, *, chunk: int | None = None
) -> np.ndarray:
    r"""Empirical neural tangent kernel: inner products of the gradients of all outputs.

        K_ab = sum_theta (df_a / dtheta) (df_b / dtheta)

    over pairs (sample, output) in this order. Gradient descent with a small rate moves outputs by -rate K times the
    gradient of the loss, so K says what is learnt fast. Batch normalisation and dropout are in evaluation mode.

    Parameters
    ----------
    model : ``torch.nn.Module``; of several outputs the first is taken. inputs : (n, ...) tensor, all at once.
    parameters : beginnings of the names of parameters to derive by, such as ``["rnn.weight_hh"]``; None: all trained.
    chunk : outputs derived at a time, for less memory; n outputs times all parameters are held in any case.

    Returns
    -------
    (n o, n o) float64, symmetric.

    Raises
    ------
    ValueError : a name of parameters that is not there.

    Source: Jacot, Gabriel and Hongler 2018, NeurIPS 31, section 4.

    Examples
    --------
    >>> x = torch.tensor([[1.0, 2.0], [0.0, 1.0]])
    >>> tangent_kernel(torch.nn.Linear(2, 1, bias=False), x).tolist()
    [[5.0, 2.0], [2.0, 1.0]]
    """
    found = jacobian(model, torch.as_tensor(inputs), parameters, chunk).double()
    return np.asarray((found @ found.T).cpu().numpy())


def tangent_change(
    before: Any, after: Any, inputs: Any, parameters: Sequence[str] | None = None, *, chunk: int | None = None
) -> xr.Dataset:
    r"""Rich or lazy: how far training moved the weights, and whether it turned the tangent kernel.

    - ``weight_change``: ||theta_T - theta_0||; ``relative_weight_change``: over ||theta_0||
    - ``alignment``: <K_0, K_T> / norms, not centred; ``alignment_centred``. 1: lazy, the features were kept and outputs
      moved as those of a linear model; below 1: rich, the features were learnt
    - ``rank_before``, ``rank_after``: participation ratio of the eigenvalues of the kernels

    Compare networks at the same final loss: otherwise the difference is that of the amount of training. For the states
    of a layer use ``representation_change``.

    Parameters
    ----------
    before, after : two states of one network. inputs : (n, ...), the same for both. parameters, chunk : as for
        :func:`tangent_kernel`.

    Returns
    -------
    Dataset with these variables.

    Raises
    ------
    AlignmentError : the parameters of the two have other names or shapes.

    Source: Chizat, Oyallon and Bach 2019, NeurIPS 32; Liu et al. 2024, ICLR, section 3.

    Examples
    --------
    >>> model = torch.nn.Linear(3, 1)
    >>> float(tangent_change(model, model, torch.eye(3))["alignment"])
    1.0
    """
    old, new = chosen(before, parameters), chosen(after, parameters)
    shapes = [{name: tuple(one.shape) for name, one in side.items()} for side in (old, new)]
    if shapes[0] != shapes[1]:
        raise AlignmentError(
            f"parameters differ: {shapes[0]} before and {shapes[1]} after; give two states of the same network."
        )
    moved = sum(float((new[name] - old[name]).double().square().sum()) for name in old) ** 0.5
    size = sum(float(one.double().square().sum()) for one in old.values()) ** 0.5
    k, m = (tangent_kernel(model, inputs, parameters, chunk=chunk) for model in (before, after))
    return xr.Dataset(
        {
            "weight_change": moved,
            "relative_weight_change": moved / size if size else np.nan,
            "alignment": kernel_alignment(k, m, center=False),
            "alignment_centred": kernel_alignment(k, m),
            "rank_before": np.trace(k) ** 2 / (k**2).sum(),
            "rank_after": np.trace(m) ** 2 / (m**2).sum(),
        }
    )
