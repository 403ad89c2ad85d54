# %% [markdown]
# # 2. Stories in the scanner: delays and bands
#
# A person listens to stories. What was heard is a time series, what was recorded is another, and between them lies the
# blood: it answers after seconds. This page puts the two together. How late does an area answer? And which description
# of a story, its sound, its words or what a language model makes of them, does the area follow?
#
# The person is simulated, so both answers are known beforehand. The stories are told by a small language model. Its
# weights are public (1 MB, `datasets/stories260k_lm`); where they do not lie in the data folder, a network of the same
# shape that never learnt anything takes its place. The method is the same, and so is what was planted.

# %%
import os
from pathlib import Path

import numpy as np
import torch
from matplotlib import pyplot as plt
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neurodecode.compute.responses import DoubleGamma
from neurodecode.evaluation import SplitBy, cross_validate, partition_variance, product_measure
from neurodecode.exceptions import TimingError
from neurodecode.linear import FIR, HRF, BandedRidge, Delays, Ridge
from neurodecode.reporting import plots, style
from neurodecode.representation import Labelled, as_representation, concat
from neurodecode.sources import network, zoo
from neurodecode.sources.zoo.stories import StoryConfig, StoryModel

# %% [markdown]
# ## What was heard
#
# Thirty-two short stories of 80 pieces of words, sampled from the model, eight in each run.

# %%
folder = Path(os.environ.get("NEURODECODE_DATA", "data")) / "stories260k_lm"
learnt = folder.is_dir()
if learnt:
    model = zoo.story_model(folder)
else:
    torch.manual_seed(0)
    model = StoryModel(StoryConfig()).eval()
    model.emb.weight.data *= 0.05  # so that the layers after it have something to say

ids = torch.ones(32, 1, dtype=torch.long)
chance = torch.Generator().manual_seed(1)
with torch.no_grad():
    for _ in range(80):
        said = model(ids)[:, -1]
        said[:, :3] = -torch.inf
        ids = torch.cat([ids, torch.multinomial(said.softmax(-1), 1, generator=chance)], dim=1)
print(zoo.story_tokenizer(folder).decode(ids[0].tolist())[:240] if learnt else ids[0, :20].tolist())

# %% [markdown]
# Two layers of the model describe every piece: `emb` knows the piece and nothing else, `layers.4` has read all that
# came before it.

# %%
stories = [f"story-{number:02d}" for number in range(32)]
layers = network.activations(model, ids, ["emb", "layers.4"], pool=None, stimulus=stories)
pieces = {name: one.values[:, 1:] - one.values[:, 1:].mean((0, 1)) for name, one in layers.items()}
print({name: one.shape for name, one in pieces.items()})

# %% [markdown]
# Speech is not even: pieces come every 0.45 s on average, and each story is followed by six seconds of silence. A
# volume of the recording takes two seconds, so the features of a volume are the sum over the pieces that were spoken in
# it. Its sound has three: how many pieces, how loud, how high.

# %%
tr, rng = 2.0, np.random.default_rng(2)
count, sums, runs = [], {name: [] for name in pieces}, []
for run in range(4):
    spoken, start = [], 4.0
    for _ in range(8):
        spoken.append(start + np.cumsum(rng.gamma(2.0, 0.225, size=80)))
        start = spoken[-1][-1] + 6.0
    volume = (np.concatenate(spoken) // tr).astype(int)
    length = int(start // tr) + 5
    count.append(np.bincount(volume, minlength=length))
    runs.append(np.repeat(run + 1, length))
    for name, one in pieces.items():
        heard = np.zeros((length, one.shape[2]))
        np.add.at(heard, volume, one[8 * run : 8 * run + 8].reshape(-1, one.shape[2]))
        sums[name].append(heard)

run, onset = np.concatenate(runs), np.concatenate([tr * np.arange(len(one)) for one in runs])
said = np.concatenate(count).astype(float)
voice = said[:, None] * (1 + 0.5 * rng.normal(size=(len(said), 2)))
sound, words, context = np.column_stack([said, voice]), np.vstack(sums["emb"]), np.vstack(sums["layers.4"])
spaces = {"sound": sound, "words": words, "context": context}


def series(values, unit=None, kind="features"):
    names = [f"run-{r}/{t:g} s" for r, t in zip(run, onset)]
    sample = {"run": run, "onset": onset}
    return as_representation(values, stimulus=names, kind=kind, unit=unit, sample=sample, attrs={"tr": tr})


features = concat({name: series(values) for name, values in spaces.items()}, label="space")
print(features.sizes, {name: int((features["space"] == name).sum()) for name in spaces})

# %% [markdown]
# ## What was recorded
#
# Five areas of twelve voxels. Each follows one space, or a mixture of them, through a haemodynamic response that peaks
# after five seconds, in one area after seven, and half of what a voxel records is noise. `linear.HRF` is used here to
# *make* the answers; its shape is a `DoubleGamma`, whose mean lies a second behind the peak.

# %%
areas = {
    "auditory": (5.0, {"sound": 1.0}),
    "word area": (5.0, {"words": 1.0}),
    "language": (5.0, {"words": 0.3, "context": 0.7}),
    "late language": (7.0, {"context": 1.0}),
    "null area": (5.0, {}),
}
rng = np.random.default_rng(3)
parts = np.zeros((3, len(run), 12 * len(areas)))
for number, (peak, shares) in enumerate(areas.values()):
    blood = HRF(DoubleGamma(delay=peak + 1, undershoot=peak + 11)).fit_transform(features).values
    for band, name in enumerate(spaces):
        own = blood[:, features["space"].values == name]
        drive = (own / own.std(0)) @ rng.normal(size=(own.shape[1], 12))
        parts[band, :, 12 * number : 12 * number + 12] = np.sqrt(shares.get(name, 0.0)) * drive / drive.std(0)
signal = parts.sum(0)
spread = np.where(signal.std(0) > 0, signal.std(0), 1.0)
recorded = signal + spread * rng.normal(size=signal.shape)
brain = series(recorded, unit={"roi": np.repeat(list(areas), 12)}, kind="fmri")
print(brain.sizes, "volumes of each run:", np.bincount(run)[1:].tolist())

# %% [markdown]
# ## Without delays nothing is found
#
# The same ridge regression three times: features of the same volume; of two to ten seconds before, each delay with
# weights of its own; and features convolved with the canonical response. Whole runs are held out. Delays know the runs:
# the end of one never becomes the past of the next.

# %%
scale = Labelled(StandardScaler())
ridge = Ridge(alphas=np.logspace(1, 6, 11), cv=SplitBy("run"))
in_time = {"same volume": Delays([0]), "delays": FIR(2, 10), "response": HRF()}
results = {
    name: cross_validate(make_pipeline(scale, time, ridge), features, brain, SplitBy("run"), score="r")
    for name, time in in_time.items()
}
plots.scores_by_area(results)

# %% [markdown]
# The warning is no accident: the null area wants the largest penalty there is, which predicts the mean.
#
# Features of the same volume are worth little, because the blood has not answered yet. The canonical response knows the
# shape in the areas that peak after five seconds and needs a fifth of the weights, so it is ahead of the delays there.
# In the late area it is wrong, and its lead is gone. A shape that is right is worth data; one that is not costs.
#
# ## How late is an area?
#
# The weights of one feature over the delays are its response. Here they are taken from four seconds *before*, where
# nothing can be, to sixteen after, and summed over features, each with the sign and size that it has in the *other*
# half of the runs: with its own, noise would always count as positive. A parabola through the largest value and its
# neighbours gives the peak, to a second or so; volumes are two seconds apart.

# %%
window = FIR(-4, 16)
late_half = run > 2
halves = []
for half in (~late_half, late_half):
    fitted = make_pipeline(scale, window, Ridge(alphas=np.logspace(1, 6, 11))).fit(features[half], brain[half])
    halves.append(fitted[-1].coef_.reshape(len(fitted[1].steps_), -1, brain.sizes["unit"]))
seconds = fitted[1].steps_ * tr
course = sum(np.einsum("dpv,pv->dv", own, other.sum(0)) for own, other in (halves, halves[::-1]))


def peak_of(values):
    at = int(np.clip(values.argmax(), 1, len(values) - 2))
    left, top, right = values[at - 1 : at + 2]
    return seconds[at] + tr * 0.5 * (left - right) / (left - 2 * top + right)


figure, ax = plt.subplots(figsize=(7.5, 3.2), layout="constrained")
peaks = {}
for number, area in enumerate(list(areas)[:4]):
    mean = course[:, brain["roi"].values == area].mean(1)
    peaks[area] = peak_of(mean)
    colour, marker = style.LIGHT.categories[number], style.MARKERS[number]
    ax.plot(seconds, mean / mean.max(), color=colour, marker=marker, ms=4)
    ax.text(16.6, 0.95 - 0.13 * number, f"{area}, {peaks[area]:.1f} s", color=colour)
ax.axhline(0, lw=0.8, ls=":", color=style.LIGHT.muted)
ax.axvline(0, lw=0.8, color=style.LIGHT.muted)
ax.set_xlim(-4.5, 24)
ax.set_xticks(seconds)
ax.set_xlabel("time after the feature (s)")
ax.set_ylabel("weight, relative to its peak")
style.dress(ax, "light")
for area, found in peaks.items():
    print(f"{area:14} planted peak {areas[area][0]:.1f} s, found {found:.1f} s")

# %% [markdown]
# Delays are positive for what comes after. A response that came *before* its feature would stand left of zero. The
# auditory area looks broader than it is: speech and silence last for several volumes, so sound now resembles sound two
# seconds ago, and ridge shares the weight between them. Words come and go, and their response is sharp.
#
# Delays between volumes are refused rather than rounded:

# %%
try:
    Delays([3.0]).fit(features)
except TimingError as error:
    print(error)

# %% [markdown]
# ## Who is it that predicts?
#
# Words and context come from the same model and share much. `BandedRidge` gives every space a penalty of its own, and
# all delays of a feature stay in the band of their space. `partition_variance` then splits the held-out R2 over the
# spaces: the product measures sum exactly to it; *unique* is what is lost when a space is left out and all is fitted
# anew. What was planted is split in the same way.

# %%
banded = BandedRidge(by="space", alphas=np.logspace(0, 7, 12), n_iter=8, cv=3, random_state=0)
split = partition_variance(make_pipeline(scale, FIR(2, 8), banded), features, brain, SplitBy("run"), by="space")
planted = product_measure(recorded, parts)
in_area = {area: brain["roi"].values == area for area in areas}
found = {area: split["product"].values[:, own].mean(1) for area, own in in_area.items()}
truth = {area: planted[:, own].mean(1) for area, own in in_area.items()}
unique = {area: split["unique"].values[:, own].mean(1) for area, own in in_area.items()}
for area in areas:
    said = "  ".join(f"{name} {f:5.2f} ({t:.2f})" for name, f, t in zip(spaces, found[area], truth[area]))
    print(f"{area:14} found (planted): {said}")

# %%
figure, ax = plt.subplots(figsize=(7.5, 3.6), layout="constrained")
for band, name in enumerate(spaces):
    rows = -np.arange(len(areas)) - 0.24 * (band - 1)
    colour, marker = style.LIGHT.categories[band], style.MARKERS[band]
    held, seen = [truth[area][band] for area in areas], [found[area][band] for area in areas]
    ax.hlines(rows, seen, held, lw=1, color=colour)
    ax.plot(held, rows, marker, ms=9, mfc="none", color=colour, label=f"{name}, planted")
    ax.plot(seen, rows, marker, ms=5, color=colour, label=f"{name}, found")
ax.axvline(0, lw=0.8, ls=":", color=style.LIGHT.muted)
ax.set_yticks(-np.arange(len(areas)), list(areas))
ax.set_xlabel("part of R², product measure, mean over voxels")
style.dress(ax, "light", left=False, grid="x")
legend = figure.legend(frameon=False, ncols=3, loc="outside lower center")

# %% [markdown]
# The auditory area is sound, the word area words, and the language areas context; nothing accounts for the area that
# records noise. What is found stays below what was planted, because weights that are estimated from three runs are not
# the true ones; that gap closes with more data.
#
# *Unique* asks a harder question. Where two spaces can say the same thing, neither is unique:

# %%
for area in areas:
    own = "  ".join(f"{name} {value:5.2f}" for name, value in zip(spaces, unique[area]))
    print(f"{area:14} unique: {own}  shared {float(split['shared'].values[in_area[area]].mean()):5.2f}")

# %% [markdown]
# ## Where to go from here
#
# - A response that may come a little early or late without a weight for every delay:
#   `HRF(derivatives=["time", "dispersion"])`, in [linear maps](../methods/linear.md#haemodynamic-responses).
# - EEG and MEG at a hundred samples a second: `TemporalResponse`, in
#   [temporal response functions](../methods/linear.md#temporal-response-functions).
