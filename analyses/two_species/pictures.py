"""What the page shows besides scores: matrices, planes and trees."""

import xarray as xr

from neurodecode.similarity import embed, match_rdms, stack_rdms


def pictures(like, shown, sample_name):
    """The matrices, and those of people as a plane and a tree, with the categories of the 92 pictures."""
    groups = {"people and monkeys": [name for name in shown if "resnet" not in name]}
    groups["stages of ResNet-20"] = [name for name in shown if "resnet" in name]
    about = {"by": "category", "sample_name": sample_name}
    met = {name: match_rdms(like, values)[1].assign_coords(category=like["category"]) for name, values in shown.items()}
    nodes = {}
    for title, names in groups.items():
        rdms = stack_rdms({name: met[name] for name in names}, "matrix")
        attrs = about | {"shows": "rdm", "percentile": True, "wide": True}
        nodes[f"Dissimilarities of {title}"] = xr.Dataset({"rdm": rdms}, attrs=attrs)
    for name in ("human IT", "IT of fifteen"):
        said = about | {"shows": "embedding", "title": f"The 92 pictures in {name}"}
        nodes[f"the pictures in {name}"] = embed(met[name]).assign_attrs(said)
    return nodes
