"""The residual networks of He et al. (2016) for 32 x 32 pictures, with published weights."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...exceptions import IntegrityError
from .pictures import as_pictures
from .weights import fill, read_weights

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
STAGES = ("relu", "layer1", "layer2", "layer3", "linear")


class Block(nn.Module):
    """y = ReLU(bn2(conv2(ReLU(bn1(conv1(x))))) + shortcut(x)).

    The shortcut has no weights: where the shape changes it takes every second pixel and pads the channels with zeros,
    equally on both sides (option A of He et al. 2016, section 4.2).
    """

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.relu2 = nn.ReLU()
        self.stride, self.added = stride, n_out - n_in

    def forward(self, x: Tensor) -> Tensor:
        inner = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        if self.stride > 1 or self.added:
            low = self.added // 2
            x = nn.functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, low, self.added - low))
        return self.relu2(inner + x)


def _stage(n_in: int, n_out: int, stride: int, n_blocks: int) -> nn.Sequential:
    return nn.Sequential(Block(n_in, n_out, stride), *[Block(n_out, n_out, 1) for _ in range(n_blocks - 1)])


class CifarResNet(nn.Module):
    """ResNet of depth 6n + 2 for CIFAR-10: a stem, three stages of n blocks with 16, 32, 64 channels, mean, 10 classes.

    Parameters
    ----------
    n_blocks : n, blocks a stage: 3 for ResNet-20, 5 for ResNet-32.

    Attributes
    ----------
    name : ``"resnet20"`` and so on. stages : the layers that end a stage. classes : the ten class names.
    picture_size : 32, the side in pixels that the network was trained on. It runs at any size.

    References
    ----------
    He K, Zhang X, Ren S, Sun J (2016). Deep residual learning for image recognition. CVPR, section 4.2.

    Examples
    --------
    >>> CifarResNet(3)(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """

    stages = STAGES
    classes = CLASSES
    picture_size = 32

    def __init__(self, n_blocks: int = 3) -> None:
        super().__init__()
        self.name = f"resnet{6 * n_blocks + 2}"
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        self.layer1 = _stage(16, 16, 1, n_blocks)
        self.layer2 = _stage(16, 32, 2, n_blocks)
        self.layer3 = _stage(32, 64, 2, n_blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised pictures (n, 3, h, w) to class scores (n, 10)."""
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(self.pool(x).flatten(1))

    def preprocess(self, pictures: Any, size: int | None = picture_size) -> Tensor:
        """Pictures (n, h, w, 3), uint8 or floats in 0..1, as the network takes them: resized, minus mean, over std."""
        return as_pictures(pictures, size, MEAN, STD)


def cifar_resnet(path: str | os.PathLike[str]) -> CifarResNet:
    """A CIFAR ResNet with the weights of a safetensors file; its depth is read off the tensor names.

    Parameters
    ----------
    path : ``.safetensors`` with the names ``conv1 bn1 layer1.0.conv1 ... linear``.

    Returns
    -------
    CifarResNet in evaluation mode, on the CPU.

    Raises
    ------
    UnsafeFileError : not a safetensors file. IntegrityError : cut, or the weights of something else.

    Examples
    --------
    >>> import tempfile
    >>> from safetensors.torch import save_file
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_file(CifarResNet(5).state_dict(), f"{folder}/weights.safetensors")
    ...     cifar_resnet(f"{folder}/weights.safetensors").name
    'resnet32'
    """
    tensors = read_weights(path)
    found = {int(m.group(1)) for name in tensors if (m := re.fullmatch(r"layer1\.(\d+)\.conv1\.weight", name))}
    if not found or found != set(range(len(found))):
        raise IntegrityError(
            f"{Path(path).name} does not hold a CIFAR ResNet: it has no blocks layer1.0, layer1.1, ..."
        )
    with torch.random.fork_rng(devices=[]):
        model = CifarResNet(len(found))
    fill(model, tensors, Path(path).name)
    return model
