"""What the study found, as figures and in words."""

import numpy as np


def depths(cells, how):
    """How deep the best match of every layer of the first network lies, and how deep the layer itself does."""
    values = cells.values if how != "procrustes" else -cells.values
    own = np.arange(values.shape[0]) / (values.shape[0] - 1)
    return own, values.argmax(1) / (values.shape[1] - 1)


def figures_of(job, measures, results, found, sparse, groups, shuffled):
    """Every number as a row: found, and planted or published where that is known."""
    figures = []
    for how in measures:
        own, best = depths(results[f"layers by {how}"]["value"], how)
        figures += [
            job.figure(f"{how}: depth of a layer with that of its best match (r)", np.corrcoef(own, best)[0, 1]),
            job.figure(f"{how}: distance in depth to the best match, mean", np.abs(own - best).mean()),
        ]
    for name, node in found.items():
        figures += [
            job.figure(f"{name}: r one to one, left out", node.attrs["matched_held_out"]),
            job.figure(f"{name}: r with the best, left out", node.attrs["best_held_out"]),
            job.figure(f"{name}: r one to one, shuffled, left out", float(node["null_held_out"].mean())),
            job.figure(f"{name}: r one to one, shuffled, on what chose", float(node["null_matched"].mean())),
        ]
    mean = sparse["r2"].mean("unit").values
    best = int(np.flatnonzero(mean >= 0.9 * mean.max())[0])  # the strictest penalty that costs a tenth at most
    figures += [
        job.figure("ResNets, layer3: R2 of a channel from few", mean[best]),
        job.figure("ResNets, layer3: channels used for it", float(sparse["used"].mean("unit")[best])),
        job.figure("ResNets, layer3: R2 of a channel from one", float(sparse["r2_one"].mean())),
        job.figure("ResNets, layer3: groups with channels of both", groups.attrs["shared"]),
        job.figure("ResNets, layer3: mean |r| across networks within a group", groups.attrs["within"]),
        job.figure("ResNets, layer3: mean |r| across networks between groups", groups.attrs["between"]),
        job.figure("ResNets, layer3, shuffled: groups with channels of both", shuffled.attrs["shared"]),
    ]
    return figures


def answer(measures, figures, found):
    """What was found, in words."""
    value = {row["name"]: row["found"] for row in figures}
    depth = [value[f"{how}: depth of a layer with that of its best match (r)"] for how in measures]
    stages = [found[f"ResNets, {name}"].attrs["matched_held_out"] for name in ("stem", "layer1", "layer2", "layer3")]
    alike = {}
    for name, node in found.items():
        alike.setdefault(name.split(",")[0], []).append(node.attrs["matched_held_out"])
    small, fresh, people = (np.array(alike[kind]) for kind in ("small networks", "untrained networks", "people"))
    above = sum(node.attrs["p_held_out"] < 0.05 for node in found.values())
    few, one = value["ResNets, layer3: R2 of a channel from few"], value["ResNets, layer3: R2 of a channel from one"]
    return (
        f"Layers of ResNet-20 find their match at like depth in ResNet-32 by all four measures (r of depths "
        f"{min(depth):.2f} to {max(depth):.2f}). Of single channels part recur: matched one to one and left out, r "
        f"falls from {stages[0]:.2f} in the first layer to {stages[-1]:.2f} in the last; there, several "
        f"channels together predict one of the other network better than its best partner does (R² {few:.2f} against "
        f"{one:.2f}). Networks of three seeds reach {small.min():.2f} to {small.max():.2f}, but untrained ones "
        f"{fresh.min():.2f} to {fresh.max():.2f} as well; voxels of three people reach {people.min():.2f} to "
        f"{people.max():.2f}; {above} of {len(found)} pairs are beyond shuffled stimuli "
        "(p < .05, each alone)."
    )
