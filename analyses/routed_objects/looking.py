"""Where the routed encoder looks on pictures of held-out categories."""

import numpy as np
import xarray as xr

from .encoders import encoders

SHARE = 0.1
SHOWN = 6


def attention(tokens, Y, pictures, settings, seed):
    """Attention on pictures of the first held-out set, and what masking costs, averaged over all held-out sets."""
    lost, seen = [], None
    fold = Y["fold"].values
    for one in np.unique(fold):
        train, test = np.flatnonzero(fold != one), np.flatnonzero(fold == one)
        encoder = encoders(tokens, settings, seed)["routed"][0].fit(tokens[train], Y[train])
        lost.append(encoder.token_importance(tokens[test], Y[test], share=SHARE, random_state=seed))
        if seen is None:
            seen = encoder.attention(tokens[test[:SHOWN]])
    first = tokens["picture"].values == 0
    shown = [int(np.flatnonzero(pictures["category"].values == name)[0]) for name in seen["stimulus"].values.tolist()]
    return xr.Dataset(
        {
            "picture": (("sample", "pixel_row", "pixel_column", "channel"), np.asarray(pictures.values[shown])),
            "attention": (("sample", "query", "token"), seen.values[:, :, first]),
            "drop": ("query", np.mean([each["drop"].values for each in lost], axis=0)),
            "drop_random": ("query", np.mean([each["drop_random"].values for each in lost], axis=0)),
        },
        coords={
            "query": seen["query"].values.astype(str), "stimulus": ("sample", seen["stimulus"].values),
            "row": ("token", tokens["row"].values[first]), "col": ("token", tokens["col"].values[first]),
        },
        attrs={
            "shows": "attention", "title": "Attention on pictures that were not fitted", "share": SHARE, "score": "r",
            "how_chosen": "Pictures: the first one of the first six categories of the first held-out set.",
        },
    )  # fmt: skip
