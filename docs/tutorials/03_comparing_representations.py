# %% [markdown]
# # 3. Comparing representations: networks, brains, ceilings
#
# How alike are an area of the brain and a layer of a network? They have different units, in different numbers, so
# nothing can be subtracted. What they share is what was shown. This page compares them through that: by
# dissimilarities, by measures that take units as they are, unit by unit, and at last as models of people.
#
# The people are simulated, so that what is found can be set beside what was planted. The networks are real: two small
# ones, trained here from different starts.

# %%
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from neurodecode.exceptions import AlignmentError
from neurodecode.reporting import page, plots
from neurodecode.representation import as_representation, average_repeats
from neurodecode.similarity import (
    compare,
    compare_grid,
    compare_models,
    describe,
    embed,
    match_units,
    noise_ceiling,
    rdm,
    rsa,
    stack_rdms,
)
from neurodecode.sources import network, simulated, zoo

# %% [markdown]
# ## Eight people, two networks, sixty scenes
#
# Every person saw sixty scenes three times. Planted is that V1 follows contrast, the language area the words of a
# caption, and the null area nothing. Both networks learnt which kind of object is the largest in a scene, on scenes of
# their own; they differ in where they began.

# %%
world = simulated.scenes(60, random_state=1)
people = simulated.people(8, world, areas=["V1", "face area", "language area", "null area"], n_units=40, random_state=2)
people = {name: average_repeats(brain, by="stimulus") for name, brain in people.items()}

lessons = simulated.scenes(300, random_state=3)
layers = {}
for seed in (1, 2):
    net = zoo.train_small_conv(lessons.pictures.values, lessons.category, epochs=5, random_state=seed)
    X = network.activations(net, world.pictures, [f"{stage}.relu" for stage in net.stages])
    layers[seed] = {f"stage {at}": X[:, X["layer"].values == f"stage{at}.relu"] for at in (1, 2, 3)}
print({name: dict(one.sizes) for name, one in layers[1].items()})

# %% [markdown]
# ## Dissimilarities
#
# The dissimilarity of two scenes is one minus the correlation of the responses to them. All pairs together make a
# matrix, and a matrix has no units left: those of an area and of a layer can be laid side by side. Scenes with as many
# objects stand together. `percentile=True` compares the order of the pairs, since areas differ in scale.


# %%
def area(brain, name):
    return brain[:, brain["roi"].values == name]


areas = ["V1", "face area", "language area"]
group = {
    name: stack_rdms({person: rdm(area(brain, name)) for person, brain in people.items()})
    for name in [*areas, "null area"]
}
shown = {name: group[name].mean("subject") for name in areas} | {"net 1, stage 3": rdm(layers[1]["stage 3"])}
stack = stack_rdms(shown, "area")
number_of = dict(zip(world.stimulus, world.scenes["n_objects"].tolist()))
stack = stack.assign_coords(objects=("stimulus", [number_of[name] for name in stack["stimulus"].values]))
stack = stack.assign_attrs(metric="correlation")
plots.rdm(stack, by="objects", percentile=True)

# %% [markdown]
# Scenes meet by name. The people saw them in different orders, and `stack_rdms` brought the matrices into one. Where a
# scene has another name, nothing is compared:

# %%
renamed = layers[1]["stage 3"].assign_coords(stimulus=("sample", ["another", *world.stimulus[1:]]))
try:
    compare(renamed, layers[2]["stage 3"], "rsa")
except AlignmentError as error:
    print(error)

# %% [markdown]
# ## Which measure?
#
# `compare` knows many, and each says what it means. Two layers that learnt the same from different starts are alike by
# all of them. Two sheets of noise are not, or so it should be.

# %%
print(describe("cka_debiased"))


def noise(seed):
    values = np.random.default_rng(seed).normal(size=(60, 64))
    return as_representation(values, stimulus=world.stimulus, kind="features")


values = {}
for how in ("rsa", "cka", "cka_debiased", "procrustes", "linear_predictivity"):
    pairs = [(layers[1]["stage 3"], layers[2]["stage 3"]), (noise(4), noise(5))]
    values[how] = [float(compare(one, other, how)) for one, other in pairs]
    print(f"{how:20} two networks {values[how][0]:5.2f}   two noises {values[how][1]:5.2f}")

# %% [markdown]
# Biased CKA calls two noises half alike, because there are more units than scenes: 64 and 60. The debiased one does
# not. `procrustes` is an angle, so small is alike; it suffers from few scenes as well, since for noise it should be
# near 1.57. When in doubt, exchange the scenes and look how far chance gets:

# %%
tested = compare(noise(4), noise(5), "cka", permutations=200, random_state=0)
print(f"CKA of two noises {float(tested['value']):.2f}, p = {float(tested['p']):.2f}")

# %% [markdown]
# A measure with options is a function, for `compare` as well as for grids. Kendall's tau-a, say, in the place of the
# rank correlation of `rsa`:

# %%
tau = partial(rsa, score="kendall_tau_a")
print(f"tau-a of the two networks {compare(layers[1]['stage 3'], layers[2]['stage 3'], tau):.2f}")

# %% [markdown]
# A grid compares all layers with all others. The best of every row is outlined.

# %%
grid = compare_grid(layers[1], layers[2], "cka_debiased")
plots.grid(grid.assign_attrs(rows="net 1", columns="net 2"))

# %% [markdown]
# ## The same space, or the same units?
#
# All these measures allow a rotation: they ask whether two spaces are alike, not whether a unit has a partner.
# `match_units` does. It chooses partners on one half of the scenes and correlates them on the other, because the best
# of many candidates always correlates on the scenes that chose it.

# %%
matched = match_units(layers[1]["stage 1"], layers[2]["stage 1"], permutations=100, random_state=0)
for name in ("matched", "matched_held_out", "best_held_out", "p_held_out"):
    print(f"{name:17} {matched.attrs[name]:.2f}")
plots.matched(matched)

# %% [markdown]
# In the first stage units recur, but not all of them one for one: several units of one network have the same best
# partner in the other, and on the scenes left out these shared partners are worth more than the one-to-one ones.
#
# ## Models of people
#
# Which description orders the scenes as people do? Every model is a matrix; its score is the mean correlation with the
# people's. How high could a model get? Not higher than people agree with each other. The *noise ceiling* has two ends:
# how well the mean of the others predicts a person, and the mean of all, which holds that person. With eight people the
# upper end is above a third for noise as well, so it is the lower one that says whether there is anything to explain.

# %%
for name, rdms in group.items():
    ceiling = noise_ceiling(rdms)
    print(f"{name:15} ceiling {float(ceiling['lower']):5.2f} to {float(ceiling['upper']):.2f}")

# %% [markdown]
# Six models: contrast on a coarse grid, the words of the caption, the number of objects, two stages of a network,
# and noise. The intervals are for other people *and* other scenes, since both were only drawn.

# %%
maps = simulated.energy(world.pictures, size=8)
energy = as_representation(maps.values.reshape(60, -1), stimulus=world.stimulus, kind="features")
many = as_representation(world.scenes[["n_objects"]].to_numpy(float), stimulus=world.stimulus, kind="features")
models = {
    "contrast": rdm(energy),
    "words": rdm(world.words(), "cosine"),
    "number of objects": rdm(many, "euclidean"),
    "net 1, stage 1": rdm(layers[1]["stage 1"]),
    "net 1, stage 3": rdm(layers[1]["stage 3"]),
    "noise": rdm(noise(6)),
}
found = {name: compare_models(models, group[name], bootstrap="both", n_bootstrap=0) for name in areas}
for name, result in found.items():
    best = result.isel(model=int(result["mean"].values.argmax()))
    print(f"{name:15} best: {best['model'].item()}, {best['mean'].item():.2f}, p(FDR) = {best['p_fdr'].item():.4f}")

# %% [markdown]
# V1 and the language area are ordered as planted. In the face area nothing is found: its lower ceiling says that people
# hardly agree there, because few of sixty scenes hold a face.

# %%
plots.models(found["language area"])

# %% [markdown]
# The line of a dot is its interval, small dots are people, the band is the ceiling, and arcs join models that differ
# (or, where these are fewer, those that cannot be told apart). A model below the band leaves something to be found.
#
# ## A picture of a matrix
#
# A plane cannot hold sixty scenes, and `stress` says how much of the dissimilarities is lost. It is for looking, not
# for testing: the number of objects orders the scenes here as loosely as its score above says.

# %%
placed = embed(stack[areas.index("language area")].drop_vars("area"))
print("stress", round(placed.attrs["stress"], 2))
plots.mds(placed, by="objects")

# %% [markdown]
# ## One page of it all
#
# What was found goes onto one page as it is, by name: a file that needs no other and says what was compared and how,
# with all pictures, numbers and seeds. Its title is the question of the first.

# %%
results = {
    "models": found["language area"],
    "layers": grid,
    "units": matched,
    "dissimilarities": stack,
    "plane": placed,
    "two noises": tested,
}
written = page(results, Path(tempfile.mkdtemp()) / "comparison.html")
print(written.name)

# %% [markdown]
# ## Where to go from here
#
# - Every measure with its bias and its price: [similarity](../methods/similarity.md).
# - Real ones: `neurodecode run two_species` compares people, monkeys and models on 92 pictures, `neurodecode run
#   convergent` the units of two trained networks and the voxels of three people.
