"""Where the routed encoder looks on test pictures."""

import numpy as np
import xarray as xr

SHOWN = 6


def looking(ensemble, X, Y, pictures, start, gains):
    """Attention of the areas that gain most over spatial x feature, and what masking costs."""
    lost = ensemble.token_importance(X, Y, share=0.1, random_state=0)
    there = np.flatnonzero(gains["n"].values > 0)
    rivals = gains["rival"].values.tolist()
    lead = gains["difference"].values[rivals.index("spatial x feature") if "spatial x feature" in rivals else 0][there]
    chosen = there[np.argsort(-np.nan_to_num(lead, nan=-np.inf))][:6]
    names = gains["area"].values[chosen].tolist()
    seen = ensemble.attention(X[:SHOWN])
    at = [seen["query"].values.tolist().index(name) for name in names]
    return xr.Dataset(
        {
            "picture": (("sample", "pixel_row", "pixel_column", "channel"), pictures[start : start + len(seen)]),
            "attention": (("sample", "query", "token"), seen.values[:, at]),
            "drop": ("query", lost["drop"].values[at]),
            "drop_random": ("query", lost["drop_random"].values[at]),
        },
        coords={
            "query": names, "stimulus": ("sample", seen["stimulus"].values),
            "row": ("token", X["row"].values), "col": ("token", X["col"].values),
        },
        attrs={
            "shows": "attention", "title": "Attention on test pictures", "share": 0.1, "score": "r",
            "how_chosen": "Areas: those that gain most over spatial x feature. Pictures: the first of the test set.",
        },
    )  # fmt: skip
