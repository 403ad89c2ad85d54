"""A small convolutional network that trains in seconds, for pictures that were drawn here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..._numbers import whole
from ...compute.batching import batches
from ...compute.device import single_thread
from ...compute.progress import progress
from ...compute.random import check_random_state, torch_generator
from ...exceptions import DegenerateDataError
from .pictures import as_pictures


class SmallConv(nn.Module):
    """Stages of convolution (3 x 3), batch norm, ReLU and max pooling (2 x 2); mean over space; one linear layer.

    Layers: ``stage1``, ``stage2``, ... (each with ``conv``, ``norm``, ``relu``, ``down``), ``pool``, ``linear``.
    """

    def __init__(self, n_outputs: int, channels: Sequence[int] = (16, 32, 64), n_colours: int = 3) -> None:
        super().__init__()
        self.name = "small_conv"
        self.classes: tuple[Any, ...] = tuple(range(n_outputs))
        self.picture_size: int | None = None
        self.stages = tuple(f"stage{index + 1}" for index in range(len(channels)))
        for stage, n_in, n_out in zip(self.stages, (n_colours, *channels), channels):
            parts = {
                "conv": nn.Conv2d(n_in, n_out, 3, padding=1, bias=False),
                "norm": nn.BatchNorm2d(n_out),
                "relu": nn.ReLU(),
                "down": nn.MaxPool2d(2),
            }
            block = nn.Sequential()
            for name, part in parts.items():
                block.add_module(name, part)
            self.add_module(stage, block)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(channels[-1], n_outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Pictures (n, colours, h, w) in -1..1 to scores (n, outputs)."""
        for stage in self.stages:
            x = self.get_submodule(stage)(x)
        return self.linear(self.pool(x).flatten(1))

    def preprocess(self, pictures: Any) -> Tensor:
        """Pictures (n, h, w, colours), uint8 or floats in 0..1, as the network takes them: 2 x - 1, channels first."""
        return 2 * as_pictures(pictures, self.picture_size) - 1


def small_conv(
    n_outputs: int, channels: Sequence[int] = (16, 32, 64), n_colours: int = 3, random_state: Any = 0
) -> SmallConv:
    """An untrained small convolutional network; weights normal with variance 2 / fan-in (He et al. 2015, section 2.2).

    Parameters
    ----------
    n_outputs : classes, or attributes.
    channels : width of each stage; every stage halves the picture.
    n_colours : 3, or 1 for grey pictures.
    random_state : same seed, same weights; the process-wide generator is neither used nor moved.

    Returns
    -------
    SmallConv in evaluation mode.

    Examples
    --------
    >>> small_conv(5)(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 5])
    """
    generator = torch_generator(random_state)
    whole(n_outputs, "n_outputs", least=1)
    whole(n_colours, "n_colours", least=1)
    with torch.random.fork_rng(devices=[]):
        model = SmallConv(n_outputs, channels, n_colours)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5, generator=generator)
            nn.init.zeros_(module.bias)
    return model.eval()


def train_small_conv(
    images: Any,
    labels: Any,
    epochs: int = 8,
    random_state: Any = 0,
    *,
    channels: Sequence[int] = (16, 32, 64),
    batch_size: int = 32,
    learning_rate: float = 0.01,
) -> SmallConv:
    """Train a small convolutional network on pictures with labels; seconds for a thousand of 32 x 32.

    Cross-entropy for one label a picture, binary cross-entropy for a table of attributes; AdamW with the learning rate
    falling along a half cosine. Runs on one thread, so that the same seed gives the same weights whatever the number of
    threads around it.

    Parameters
    ----------
    images : (n, h, w, 3), uint8 or floats in 0..1.
    labels : (n,) class of each picture (numbers or strings), or (n, attributes) of 0 and 1.
    epochs : passes over the pictures.
    random_state : draws the first weights and the order of pictures.
    channels, batch_size, learning_rate : size of the network and of its steps.

    Returns
    -------
    SmallConv in evaluation mode; ``classes`` names its outputs, ``picture_size`` is the size it was trained on.

    Raises
    ------
    DegenerateDataError : fewer than two classes, or as many labels as pictures are not there.

    Examples
    --------
    >>> pictures = np.zeros((8, 8, 8, 3)); pictures[4:] = 1
    >>> model = train_small_conv(pictures, ["dark"] * 4 + ["light"] * 4, epochs=2, channels=(4,))
    >>> model.classes
    ('dark', 'light')
    """
    target = np.asarray(labels)
    pictures = as_pictures(images)
    if len(target) != len(pictures) or target.ndim not in (1, 2):
        raise DegenerateDataError(
            f"labels have shape {target.shape} for {len(pictures)} pictures; expected one row each"
        )
    if target.ndim == 1:
        names, codes = np.unique(target, return_inverse=True)
        classes = tuple(names.tolist())
        goal = torch.as_tensor(codes)
        loss_of: nn.Module = nn.CrossEntropyLoss()
    else:
        classes = tuple(range(target.shape[1]))
        goal = torch.as_tensor(target, dtype=torch.float32)
        loss_of = nn.BCEWithLogitsLoss()
    if len(classes) < 2 and target.ndim == 1:
        raise DegenerateDataError(f"all {len(target)} pictures have the label {classes}; training needs two classes")
    first, order = check_random_state(random_state).spawn(2)
    model = small_conv(len(classes), channels, pictures.shape[1], first)
    model.classes = classes
    if pictures.shape[2] == pictures.shape[3]:
        model.picture_size = int(pictures.shape[2])
    inputs = model.preprocess(pictures)
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=1e-3)
    steps = epochs * -(-len(inputs) // batch_size)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=max(steps, 1))
    model.train()
    with single_thread(), torch.enable_grad():
        for _ in progress(range(epochs), f"training on {len(inputs)} pictures"):
            shuffled = torch.as_tensor(order.permutation(len(inputs)))
            for rows in batches(len(inputs), batch_size):
                chosen = shuffled[rows]
                loss = loss_of(model(inputs[chosen]), goal[chosen])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                falling.step()
    return model.eval()
