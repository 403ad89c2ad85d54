"""Generative models of handwritten digits: a denoiser of a diffusion process, a variational autoencoder."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from ...exceptions import IntegrityError
from .weights import fill, read_weights

SIDE = 28


class DigitDenoiser(nn.Module):
    """Predicts the noise e in x_i = sqrt(alpha_bar_i) x_0 + sqrt(1 - alpha_bar_i) e.

    Four blocks of convolution (7 x 7), layer norm over channels and pixels, GELU, then a convolution (3 x 3). The time
    i / 1000 enters as sin(t f) and cos(t f) - 1, through four linear layers, added to the output of the first block.

    Attributes
    ----------
    alpha_bar : (1001,) the cumulative product, alpha_bar[0] = 1 up to rounding of the first step. beta : (1001,).

    References
    ----------
    Ho J, Jain A, Abbeel P (2020). Denoising diffusion probabilistic models. NeurIPS, section 2, equation 4.

    Examples
    --------
    >>> DigitDenoiser()(torch.zeros(2, 1, 28, 28), 500).shape
    torch.Size([2, 1, 28, 28])
    """

    name = "mnist_ddpm"
    alpha_bar: Tensor
    beta: Tensor
    frequencies: Tensor

    def __init__(self, channels: tuple[int, ...] = (16, 32, 32, 16), n_frequencies: int = 16, width: int = 128) -> None:
        super().__init__()
        pairs = zip((1, *channels), channels)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 7, padding=3), nn.LayerNorm((b, SIDE, SIDE)), nn.GELU()) for a, b in pairs
        )
        self.last = nn.Conv2d(channels[-1], 1, 3, padding=1)
        sizes = (2 * n_frequencies, width, width, width, channels[0])
        parts: list[nn.Module] = []
        for a, b in pairwise(sizes):
            parts += [nn.Linear(a, b), nn.GELU()]
        self.time_embed = nn.Sequential(*parts[:-1])
        beta = torch.linspace(1e-4, 0.02, 1001)
        self.register_buffer("frequencies", torch.ones(n_frequencies))
        self.register_buffer("beta", beta)
        self.register_buffer("alpha_bar", torch.cumprod(1 - beta, 0))

    def forward(self, x: Tensor, i: Tensor | int) -> Tensor:
        """Noisy pictures (n, 1, 28, 28) around -0.5..0.5 at step i (1..1000, one or (n,)) to the predicted noise."""
        if x.ndim != 4 or x.shape[1:] != (1, SIDE, SIDE):
            raise ValueError(f"pictures of shape {tuple(x.shape)} came; this network takes (n, 1, {SIDE}, {SIDE})")
        step = torch.as_tensor(i, device=x.device).expand(len(x))
        phase = (step.to(x.dtype) / 1000)[:, None] * self.frequencies
        time = self.time_embed(torch.cat((phase.sin(), phase.cos() - 1), -1))[:, :, None, None]
        for number, block in enumerate(self.blocks):
            x = block(x) + time if number == 0 else block(x)
        return self.last(x)


def mnist_ddpm(path: str | os.PathLike[str]) -> DigitDenoiser:
    """The denoiser of a safetensors file with ``alpha_t beta_t gt.*``, in evaluation mode.

    Raises
    ------
    UnsafeFileError : not a safetensors file. IntegrityError : cut, or the weights of something else.
    """
    tensors = read_weights(path)
    renamed = {"alpha_t": "alpha_bar", "beta_t": "beta"}
    found = {}
    for name, value in tensors.items():
        short = renamed.get(name, name.removeprefix("gt.")).replace(".net.", ".")
        found[short.replace("blocks.4.", "last.")] = value
    with torch.random.fork_rng(devices=[]):
        model = DigitDenoiser()
    fill(model, found, Path(path).name)
    return model


class DigitVAE(nn.Module):
    """Pictures (n, 1, 28, 28) in 0..1, twenty latent numbers; ``forward`` decodes the mean latent.

    Every convolution of 3 x 3 repeats the border pixels. Encoder: two convolutions with ReLU and max pooling, one of
    7 x 7, then ``mean_layer`` and ``logvar_layer``. Decoder: one linear layer, three convolutions, sigmoid.

    References
    ----------
    Kingma DP, Welling M (2014). Auto-encoding variational Bayes. ICLR, section 3.

    Examples
    --------
    >>> model = DigitVAE()
    >>> mean, logvar = model.encode(torch.zeros(2, 1, 28, 28))
    >>> mean.shape, model.decode(mean).shape
    (torch.Size([2, 20]), torch.Size([2, 1, 28, 28]))
    """

    name = "mnist_vae"

    def __init__(self, n_latents: int = 20) -> None:
        super().__init__()
        self.encoder = nn.ModuleDict(
            {"conv1": _conv(1, 16), "conv2": _conv(16, 8), "conv3": nn.Conv2d(8, n_latents, SIDE // 4)}
        )
        self.mean_layer = nn.Linear(n_latents, n_latents)
        self.logvar_layer = nn.Linear(n_latents, n_latents)
        self.decoder = nn.ModuleDict(
            {
                "fc": nn.Linear(n_latents, 8 * SIDE**2),
                "conv1": _conv(8, 16),
                "conv2": _conv(16, 4),
                "conv3": _conv(4, 1),
            }
        )

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the latent, (n, 20) each."""
        x = nn.functional.max_pool2d(self.encoder["conv1"](x).relu(), 2)
        x = nn.functional.max_pool2d(self.encoder["conv2"](x).relu(), 2)
        x = self.encoder["conv3"](x).flatten(1)
        return self.mean_layer(x), self.logvar_layer(x)

    def decode(self, z: Tensor) -> Tensor:
        """Latents (n, 20) to pictures (n, 1, 28, 28) in 0..1."""
        x = self.decoder["fc"](z).view(-1, 8, SIDE, SIDE)
        x = self.decoder["conv2"](self.decoder["conv1"](x).relu()).relu()
        return self.decoder["conv3"](x).sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x)[0])


def _conv(n_in: int, n_out: int) -> nn.Conv2d:
    return nn.Conv2d(n_in, n_out, 3, padding=1, padding_mode="replicate")


def mnist_vae(path: str | os.PathLike[str]) -> DigitVAE:
    """The autoencoder of a safetensors file with ``encoder.* mean_layer.* logvar_layer.* decoder.*``; evaluation mode.

    Raises
    ------
    UnsafeFileError : not a safetensors file. IntegrityError : cut, or the weights of something else.
    """
    tensors = read_weights(path)
    if "mean_layer.weight" not in tensors:
        raise IntegrityError(f"{Path(path).name} does not hold a digit autoencoder: it lacks mean_layer.weight")
    with torch.random.fork_rng(devices=[]):
        model = DigitVAE(len(tensors["mean_layer.weight"]))
    fill(model, tensors, Path(path).name)
    return model


def latent_classifier(path: str | os.PathLike[str]) -> nn.Sequential:
    """The digit classifier on latents, (n, 20) -> (n, 10), that goes with the autoencoder: ``module.0``, ``module.2``.

    Raises
    ------
    UnsafeFileError : not a safetensors file. IntegrityError : cut, or the weights of something else.
    """
    tensors = {name.removeprefix("module."): value for name, value in read_weights(path).items()}
    if not {"0.weight", "2.weight"} <= set(tensors):
        raise IntegrityError(f"{Path(path).name} does not hold a latent classifier")
    hidden, n_latents = tensors["0.weight"].shape
    with torch.random.fork_rng(devices=[]):
        model = nn.Sequential(nn.Linear(n_latents, hidden), nn.ReLU(), nn.Linear(hidden, len(tensors["2.weight"])))
    fill(model, tensors, Path(path).name)
    return model
