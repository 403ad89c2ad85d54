"""Reads cifar10_resnets: two networks as plain modules, ready for ``network.activations``."""

from __future__ import annotations

from pathlib import Path

from neurodecode.sources import zoo


def load(folder: Path) -> dict:
    """``resnet20`` and ``resnet32``: ``torch.nn.Module``; input RGB in 0 to 1, normalised as the card says."""
    return {name: zoo.cifar_resnet(folder / f"{name}.safetensors") for name in ("resnet20", "resnet32")}
