"""How much of a fit is spent waiting for tokens: in memory, in a memory map, and read anew from the disk each time.

961 tokens x 768 of 240 pictures in 16 bits, 50 queries of 16 heads, 40,000 units, batches of 16. What the system keeps
of the file is let go before the fit, and in the last row after every batch, so that each comes from the disk.

    python analyses/benchmarks/bench_waiting.py [--epochs 2] [--threads 2] [--pictures 240]
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from neurodecode.attention import RoutedEncoder, Training
from neurodecode.compute.device import threads

TOKENS, WIDTH, QUERIES, HEADS, UNITS, BATCH = 961, 768, 50, 16, 40_000, 16


def let_go(path: Path) -> None:
    """Ask the system to keep nothing of a file, so that it is read from the disk again."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


class Cold:
    """An array in a file of which nothing is kept after it was read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        there = np.load(path, mmap_mode="r")
        self.shape, self.dtype, self.ndim = there.shape, there.dtype, there.ndim

    def __getitem__(self, rows: Any) -> np.ndarray:
        found = np.array(np.load(self.path, mmap_mode="r")[rows])
        let_go(self.path)
        return found


def written(path: Path, pictures: int) -> Path:
    """Drawn tokens in a file."""
    rng = np.random.default_rng(0)
    file = np.lib.format.open_memmap(path, "w+", np.float16, (pictures, TOKENS, WIDTH))
    for row in range(pictures):
        file[row] = rng.standard_normal((TOKENS, WIDTH), dtype=np.float32)
    file.flush()
    return path


def main() -> None:
    parse = argparse.ArgumentParser()
    parse.add_argument("--epochs", type=int, default=2)
    parse.add_argument("--threads", type=int, default=2)
    parse.add_argument("--pictures", type=int, default=240)
    asked = parse.parse_args()
    masks = {str(area): np.arange(UNITS) % QUERIES == area for area in range(QUERIES)}
    brain = np.random.default_rng(1).standard_normal((asked.pictures, UNITS), dtype=np.float32)
    model = RoutedEncoder(
        masks, WIDTH, HEADS, asked.epochs, 0, training=Training(batch_size=BATCH, validation=0.0, schedule="constant")
    )
    with tempfile.TemporaryDirectory() as folder, threads(asked.threads):
        path = written(Path(folder) / "tokens.npy", asked.pictures)
        kinds = {
            "in memory": lambda: np.load(path),
            "memory map": lambda: np.load(path, mmap_mode="r"),
            "from the disk each time": lambda: Cold(path),
        }
        for name, tokens in kinds.items():
            let_go(path)
            history = model.fit(tokens(), brain).history_
            steps = asked.epochs * -(-asked.pictures // BATCH)
            print(
                f"{name}: {history.waiting_share:.2%} of {history.seconds:.1f} s waiting, "
                f"{history.seconds / steps:.2f} s a step, load {os.getloadavg()[0]:.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
