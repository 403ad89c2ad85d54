"""What every encoder reads: the scenes cut into a grid of patches, each described by fixed numbers."""

import numpy as np

from neurodecode.representation import as_representation
from neurodecode.sources import simulated

SIDE = 8
CELLS = 2


def patches(world):
    """The fixed patch embedding: patches of one degree, each 2 x 2 cells of Gabor energy, mean and spread of colour."""
    n, cells = len(world), SIDE * CELLS
    energy = simulated.energy(world.pictures, size=cells).values
    pixels = world.pictures.sizes["row"] // cells
    cut = world.pictures.values.reshape(n, cells, pixels, cells, pixels, 3) / 255.0
    colour = np.concatenate([cut.mean((2, 4)), cut.std((2, 4))], axis=3)
    grid = np.concatenate([energy.transpose(0, 2, 3, 1), colour], axis=3)
    grid = grid.reshape(n, SIDE, CELLS, SIDE, CELLS, -1).transpose(0, 1, 3, 2, 4, 5)
    row, col = np.divmod(np.arange(SIDE * SIDE), SIDE)
    said = ["energy"] * energy.shape[1] + ["colour"] * colour.shape[3]
    return as_representation(
        grid.reshape(n, SIDE * SIDE, -1).astype(np.float32),
        stimulus=world.stimulus,
        kind="features",
        dims=("sample", "token", "unit"),
        token={"row": row, "col": col},
        unit={"space": said * CELLS**2},
        attrs={"quantity": "fixed patch embedding", "dataset": "simulated"},
    )
