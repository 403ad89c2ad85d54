"""A training step of the routed encoder beside the plain formulation, which makes a tensor of batch x unit x query.

The plain one is the published formulation: keys and values of every token, all queries read out to all units, a mask,
a sum over queries. Same sizes, same weights, same batch; the losses are compared, and what the readout keeps for the
backward pass is counted with saved-tensor hooks. Ask: 1.8x, at most a quarter kept, the peak no higher.

    python analyses/benchmarks/bench_routed.py [--rounds 5] [--threads 2]
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from side_by_side import report, side_by_side
from torch import Tensor, nn
from torch.nn import functional as F

from neurodecode.attention.encoder import TokenModel
from neurodecode.attention.modules import Readout, Router


class Plain(nn.Module):
    """Cross-attention with projected keys and values, then one linear map of every query to every unit, masked."""

    def __init__(self, ours: TokenModel, members: Tensor) -> None:
        super().__init__()
        router, readout = ours.reader, ours.readout
        assert isinstance(router, Router) and isinstance(readout, Readout)
        self.heads = router.n_heads
        self.query = nn.Parameter(router.query.detach().clone())
        self.key = nn.Parameter(router.key.detach().clone())
        self.value = nn.Parameter(router.value.detach().clone())
        self.places = nn.Parameter(router.places.detach().clone())
        self.out = nn.Linear(*reversed(router.out.weight.shape))
        self.out.load_state_dict(router.out.state_dict())
        self.hidden = nn.Sequential(*(type(part)(*_sizes(part)) for part in router.hidden))
        self.hidden.load_state_dict(router.hidden.state_dict())
        self.norm = nn.LayerNorm(router.width)
        self.weight = nn.Parameter(readout.weight.detach().clone())
        self.bias = nn.Parameter(readout.bias.detach().clone())
        self.register_buffer("members", members)

    def read(self, tokens: Tensor) -> Tensor:
        b, p, _ = tokens.shape
        q, width = self.query.shape
        size = width // self.heads
        keys = F.linear(tokens + self.places, self.key).view(b, p, self.heads, size).transpose(1, 2)
        values = F.linear(tokens, self.value).view(b, p, self.heads, size).transpose(1, 2)
        queries = self.query.view(q, self.heads, size).transpose(0, 1)
        weights = (queries @ keys.transpose(2, 3) / math.sqrt(size)).softmax(-1)
        found = self.out((weights @ values).transpose(1, 2).reshape(b, q, width))
        return self.norm(found + self.hidden(found))

    def readout(self, read: Tensor) -> Tensor:
        every = F.linear(read, self.weight, self.bias).transpose(1, 2)  # batch x unit x query
        return (every * self.members).sum(-1)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.readout(self.read(tokens))


def _sizes(part: nn.Module) -> tuple[int, ...]:
    if isinstance(part, nn.Linear):
        return part.in_features, part.out_features
    if isinstance(part, nn.LayerNorm):
        return tuple(part.normalized_shape)
    return (part.p,) if isinstance(part, nn.Dropout) else ()


def bytes_saved(module: nn.Module, read: Tensor, readout: Callable[[Tensor], Tensor]) -> int:
    """Bytes of the storages that the readout keeps for the way back, parameters left out."""
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        found = readout(read)
    own = {parameter.untyped_storage().data_ptr() for parameter in module.parameters()}
    found.sum().backward()
    return sum(size for at, size in kept.items() if at not in own)


def build(args: argparse.Namespace) -> tuple[TokenModel, Plain, Tensor, Tensor]:
    torch.manual_seed(0)
    area = torch.arange(args.units) * args.queries // args.units
    members = F.one_hot(area, args.queries).float()
    sizes = tuple(int(n) for n in members.sum(0))
    router = Router(
        args.queries, args.features, args.features, args.heads, hidden=1024, dropout=0.0, values="projected",
        learned_places=args.tokens,
    )  # fmt: skip
    ours = TokenModel(router, Readout(tuple((q,) for q in range(args.queries)), sizes, args.features))
    tokens = torch.randn(args.batch, args.tokens, args.features)
    goal = torch.randn(args.batch, args.units)
    return ours, Plain(ours, members), tokens, goal


def step(module: nn.Module, tokens: Tensor, goal: Tensor, optimiser: torch.optim.Optimizer) -> float:
    optimiser.zero_grad(set_to_none=True)
    loss = (module(tokens) - goal).square().mean()
    loss.backward()
    optimiser.step()
    return float(loss.detach())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    sizes = {"tokens": 961, "features": 768, "queries": 50, "units": 40_000, "batch": 16, "heads": 16, "rounds": 5}
    for name, value in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peak-of", choices=("ours", "plain"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    ours, plain, tokens, goal = build(args)
    rate = {"lr": 1e-6, "foreach": True}
    mine, other = (torch.optim.AdamW(module.parameters(), **rate) for module in (ours, plain))
    if args.peak_of:
        module, optimiser, call = (ours, mine, tokens[:, None]) if args.peak_of == "ours" else (plain, other, tokens)
        for _ in range(2):
            step(module, call, goal, optimiser)
        # Not ru_maxrss, which a child inherits from the process that started it.
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        print(1024 * int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))))
        return
    first, second = step(ours, tokens[:, None], goal, mine), step(plain, tokens, goal, other)
    read = ours.reader(tokens).detach()
    kept = [
        bytes_saved(ours.readout, read.clone().requires_grad_(), ours.readout),
        bytes_saved(plain, read.clone().requires_grad_(), plain.readout),
    ]
    found = side_by_side(
        lambda: step(ours, tokens[:, None], goal, mine), lambda: step(plain, tokens, goal, other), rounds=args.rounds
    )
    peaks = []
    asked = [f"--{name}={getattr(args, name)}" for name in ("tokens", "features", "queries", "units", "batch", "heads")]
    for which in ("ours", "plain"):
        line = subprocess.run(
            [sys.executable, __file__, *asked, "--peak-of", which], capture_output=True, text=True, check=True
        )
        peaks.append(int(line.stdout.split()[-1]) / 2**30)
    also = (
        f"loss {first:.6f} and {second:.6f}; the readout keeps {kept[0] / 2**20:.1f} of {kept[1] / 2**20:.1f} MiB "
        f"({kept[0] / kept[1]:.3f}) for the backward pass; peak {peaks[0]:.2f} and {peaks[1]:.2f} GiB; "
        f"{args.threads} threads"
    )
    report("routed training step", "batch x unit x query", found, 1.8, also)


if __name__ == "__main__":
    main()
