# %% [markdown]
# # 1. A first encoding model
#
# An encoding model predicts a recording from a description of what was seen. If it predicts held-out responses of an
# area, the description holds something that the area holds too.
#
# Here the person is simulated, so that whatever is found can be set beside what was planted. With a recording of your
# own only the first two steps change: [use your own data](../howto/use_your_own_data.md).

# %%
import numpy as np
from matplotlib import pyplot as plt
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neurodecode.evaluation import area_means, cross_validate, repeat_ceiling
from neurodecode.exceptions import AlignmentError, LeakageError
from neurodecode.linear import Ridge
from neurodecode.reporting import plots
from neurodecode.representation import Labelled, as_representation, average_repeats, match
from neurodecode.sources import simulated

# %% [markdown]
# ## What was seen
#
# Scenes with one to three objects at free positions. Every scene comes with its caption and with everything that is
# true of it.

# %%
world = simulated.scenes(240, random_state=1)

figure, axes = plt.subplots(1, 4, figsize=(7.5, 2.2), layout="constrained")
for ax, picture, caption in zip(axes, world.pictures.values, world.captions):
    ax.imshow(picture)
    ax.set_axis_off()
    print(caption)

# %% [markdown]
# ## What was recorded
#
# Each scene was shown three times, in different runs. The recording is a labelled array, trials x voxels: samples
# carry the name of the scene and the run, voxels carry their area. One voxel is dead: it recorded a constant.

# %%
planted = {"n_units": 12, "ceiling": 0.75, "dead_units": 1}
brain = simulated.person(world, n_repeats=3, random_state=2, **planted)
print(dict(brain.sizes), list(dict.fromkeys(brain["roi"].values.tolist())))

# %% [markdown]
# Repeats say how much of a voxel can be predicted at all: the *noise ceiling*. `repeat_ceiling` estimates it from the
# trials. Planted was a ceiling of 0.75 in every area but one, which records nothing but noise.

# %%
ceiling = repeat_ceiling(brain)
responses = average_repeats(brain, by="stimulus")
in_v1 = brain["roi"].values == "V1"
print(responses.shape, "after averaging; ceiling of V1", float(ceiling[in_v1].mean().round(2)))

# %% [markdown]
# ## Two descriptions
#
# *Energy*: contrast at four orientations and three frequencies on a coarse grid, which is what early visual cortex
# looks at. *Words*: which words stand in the caption, which knows what is there but not where.

# %%
maps = simulated.energy(world.pictures, size=8)
energy = as_representation(
    maps.values.reshape(len(world), -1),
    stimulus=world.stimulus,
    kind="features",
    unit={"space": np.repeat("energy", maps[0].size)},
)
words = world.words()
print(energy.shape, words.shape)

# %% [markdown]
# The two sides meet through the names of the scenes, never through their order. Where the order differs, it is
# refused; `match` brings the rows together.

# %%
try:
    Ridge().fit(energy, responses[::-1])
except AlignmentError as error:
    print(error)

energy, responses = match(energy, responses)
words, responses = match(words, responses)

# %% [markdown]
# ## Predict what was held out
#
# `Ridge` chooses a penalty for every voxel inside the training samples; the features are standardised there as well,
# which is why the scaler stands in the pipeline. `cross_validate` holds out a fifth of the scenes at a time,
# correlates all held-out predictions with the recording, and repeats everything on shuffled scenes to see how far
# chance would get.

# %%
settings = {"score": "r", "pool": "predictions", "ceiling": ceiling, "permutations": 100, "random_state": 0}
ridge = make_pipeline(Labelled(StandardScaler()), Ridge(alphas=np.logspace(0, 7, 15)))
results = {
    "energy": cross_validate(ridge, energy, responses, 5, **settings),
    "words": cross_validate(ridge, words, responses, 5, **settings),
}
plots.scores_by_area(results)

# %% [markdown]
# The warning is no accident: a voxel that the features say nothing about wants an ever larger penalty, which predicts
# the mean. There are such voxels here, because they were planted.
#
# Early areas follow energy; the language area follows words; areas that look for one kind of object follow words as
# far as the words of a caption go. Nothing predicts the area that records noise; the small ceiling drawn there is the
# mean over those voxels in which chance looked like signal, in the others it is NaN.
#
# ## Found and planted

# %%
table = {name: area_means(result)["mean"] for name, result in results.items()}
planted = responses.attrs["planted"]["ceiling"]
print(f"{'':15} energy   words   planted ceiling")
for area in table["words"]["area"].values:
    found = [float(column.sel(area=area)) for column in table.values()]
    print(f"{area:15} {found[0]:6.2f}  {found[1]:6.2f}   {planted[area]:6.2f}")

# %% [markdown]
# Each voxel has a p value from the permutations. `p_fdr` is corrected over all voxels so that about 5 % of what is
# called significant may be false; `p_max` is stricter: 5 % for a single false voxel anywhere. The dead voxel has
# no score: it is NaN and listed, not 0.

# %%
areas = responses["roi"].values
for name, result in results.items():
    for kind in ("p_fdr", "p_max"):
        significant = result[kind].values < 0.05
        counts = {str(area): int(significant[areas == area].sum()) for area in dict.fromkeys(areas)}
        print(f"{name:7} {kind} < .05, voxels of 12: {counts}")
dead = brain.attrs["planted"]["dead_units"]
print("without a score:", results["words"].attrs["degenerate"], "- planted as dead:", dead)

# %% [markdown]
# ## What is refused
#
# Splitting the single trials at random puts repeats of one scene on both sides. The model would be tested on scenes
# that it has seen, so it is refused. Splitting by `stimulus` is the way out.

# %%
trial_words, trials = match(words, brain, repeats="keep")
try:
    cross_validate(ridge, trial_words, trials, KFold(5, shuffle=True, random_state=0), score="r")
except LeakageError as error:
    print(error)

# %% [markdown]
# ## Keep it
#
# A result is an `xarray.Dataset`: it can be saved, opened again, and shown as one page that says what was done.
#
# ```python
# from neurodecode.reporting import page
# from neurodecode.representation import save
#
# save(results["words"], "words.zarr")
# page(results["words"], "words.html")
# ```
