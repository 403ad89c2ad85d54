# %% [markdown]
# # 11. EEG over time: when can it be told, and how long does it last?
#
# A person looks at scenes and the scalp is recorded. From which moment on does the recording tell a face from a house?
# Is it the same pattern that tells them later, or another one? Where on the scalp does it stand? And does it hold for
# people, not only for the epochs of one?
#
# Ten people are simulated, so that all four answers are known beforehand. At the end the same lines are run on a
# recording of a person, where it lies in the data folder (`datasets/eeg_oddball_p300`); nothing before it needs one.

# %%
import os
from pathlib import Path

import numpy as np
import xarray as xr

from neurodecode.evaluation import SplitBy, cluster_test, cross_validate, group
from neurodecode.exceptions import TimingError
from neurodecode.linear import Generalizing, LinearClassifier, Sliding
from neurodecode.reporting import plots, style, topographies
from neurodecode.sources import recipes, simulated

# %% [markdown]
# ## Epochs
#
# 32 electrodes, 100 samples a second, from 0.2 s before a scene to 0.7 s after it; five runs of 30 scenes with a face
# or a house, each shown once. Every scene evokes a response after 105 ms, faces another after 170 ms, houses one after
# 360 ms, each with a scalp map of its own and up to 10 ms earlier or later in a person. The noise of single epochs is
# about twice as large as any of them.

# %%
people = {}
for number in range(1, 11):
    world = simulated.scenes(150, size=16, objects=(1, 1), kinds=["face", "house"], random_state=number)
    name = f"sub-{number:02d}"
    people[name] = simulated.eeg(world, n_repeats=1, n_runs=5, sfreq=100.0, random_state=100 + number, subject=name)
one = people["sub-01"]
print(dict(one.sizes), {kind: int((one["category"] == kind).sum()) for kind in ("face", "house")})
print([f"{made['name']} {1e3 * made['latency']:.0f} ms" for made in one.attrs["planted"]["components"]])

# %% [markdown]
# A recording of your own gets this shape from `sources.eeg.epochs`, which filters, cuts, rejects and keeps the
# electrodes' places.
#
# ## A classifier at every moment
#
# `linear.Sliding` fits a classifier of its own to every sample in time; linear discriminant analysis is solved for all
# of them at once. A whole run is held out at a time. Labels are permuted within runs, the same permutation for every
# moment, so that the largest score over time has a null of its own.

# %%
lda = LinearClassifier("lda", shrinkage="auto")
settings = {"score": "auc", "random_state": 0}
course = cross_validate(Sliding(lda), one, one["category"], SplitBy("run"), **settings, blocks="run", permutations=99)
best = float(course["time"][int(course["score"].values[0].argmax())])
print(f"highest at {best:.2f} s: AUC {course['score'].values.max():.2f}")
plots.time_course(course)

# %% [markdown]
# Before the onset, and for the first tenth of a second, there is nothing to tell. The highest of ninety scores is
# biased upwards; the bar under the curve is not, because it compares each with the highest of the permutations.
#
# ## Between people
#
# One person's epochs say something about that person. For people, every one of them gives one curve, and the curves
# are tested against chance: `evaluation.cluster_test` joins neighbouring moments above a threshold and asks how often
# sums as large come about when whole curves change their sign.

# %%
curves = {
    name: cross_validate(Sliding(lda), seen, seen["category"], SplitBy("run"), **settings)
    for name, seen in people.items()
}
together = group(curves)
found = cluster_test(together["score"], chance=0.5, permutations=1000)
for cluster in found.attrs["clusters"][:3]:
    inside = found["time"].values[found["cluster"].values == cluster["cluster"]]
    print(f"{inside.min():.2f} to {inside.max():.2f} s, p = {cluster['p']:.3f}")

# %%
theme = style.LIGHT
ax = style.new_axes(7.5, 3.2)
times, scores = found["time"].values, together["score"].values[:, 0]
mean, half = scores.mean(0), 2.262 * scores.std(0, ddof=1) / np.sqrt(len(scores))  # t of nine degrees of freedom
ax.plot(times, scores.T, color=theme.line, lw=0.6)
ax.fill_between(times, mean - half, mean + half, color=theme.accent, alpha=0.3, lw=0)
ax.plot(times, mean, color=theme.accent, lw=2)
ax.axhline(0.5, color=theme.muted, ls=":", lw=1.3)
ax.axvline(0, color=theme.muted, lw=0.8)
ax.fill_between(times, 0.30, 0.32, where=found["significant"].values, color=theme.ink, lw=0)
ax.text(0.44, 0.31, "clusters with p < .05", va="center", fontsize=8.5, color=theme.muted)
ax.set(xlabel="time from onset (s)", ylabel="AUC, ten people and their mean", xlim=(times[0], times[-1]))
ax.figure.set_label("AUC of ten people over time, their mean with its 95 % interval, and the significant clusters.")
style.dress(ax, theme)

# %% [markdown]
# A cluster is significant as a whole: the test says that something happens there, not that it begins at its first
# sample. Two responses were planted, and two stretches stand out around them.
#
# ## Does the pattern last?
#
# `linear.Generalizing` tests the classifier of every moment at every other moment. A pattern that stays gives a square,
# patterns that follow each other give patches along the diagonal.

# %%
squares = {
    name: cross_validate(Generalizing(lda), seen, seen["category"], SplitBy("run"), **settings)
    for name, seen in people.items()
}
whole = group(squares)
average = xr.Dataset({"score": whole["score"].mean("subject")}, attrs={"score": "auc", "chance": 0.5})
plots.generalization(average)

# %%
square = cluster_test(whole["score"], chance=0.5, permutations=200)
early, late = (int(np.abs(times - moment).argmin()) for moment in (0.17, 0.36))
across = average["score"].values[0]
print(f"early to early {across[early, early]:.2f}, late to late {across[late, late]:.2f}")
print(f"early to late {across[early, late]:.2f}, late to early {across[late, early]:.2f}")
print("significant clusters:", sum(one["p"] < 0.05 for one in square.attrs["clusters"]))

# %% [markdown]
# Each response is told by its own pattern: what is learnt at 170 ms is no use at 360 ms, and the other way round. A
# classifier of one moment that meets other times by accident is refused:

# %%
fitted = Sliding(lda).fit(one, one["category"])
try:
    fitted.predict(one.isel(time=slice(10, None)))
except TimingError as error:
    print(error)

# %% [markdown]
# ## Where on the scalp?
#
# The weights of a classifier cancel noise, so they are no map of where something is. The *pattern* is: the covariance
# of the channels with what the classifier answers (Haufe and others, 2014). Here the mean over people, beside the maps
# that were planted.

# %%
patterns = np.zeros((2, one.sizes["unit"]))
for seen in people.values():
    fitted = Sliding(lda).fit(seen, seen["category"])
    toward_faces = 1 if fitted.classes_[1] == "face" else -1
    for row, moment in enumerate((early, late)):
        values = seen.values[:, :, moment]
        answer = values @ fitted.coef_[0, :, moment]
        patterns[row] += toward_faces * np.cov(values.T, answer)[:-1, -1] / answer.std()
planted = {
    made["name"]: np.sign(made["amplitude"]) * (1 if made["kind"] == "face" else -1) * np.array(made["topography"])
    for made in one.attrs["planted"]["components"]
}
alike = {name: np.corrcoef(row, planted[name])[0, 1] for name, row in zip(("N170", "P300"), patterns)}
print({name: round(float(value), 2) for name, value in alike.items()})

# %%
maps = np.stack([patterns[0], planted["N170"], patterns[1], planted["P300"]])
names = ["found, 170 ms", "planted, N170", "found, 360 ms", "planted, P300"]
scalp = xr.Dataset(
    {"pattern": (("component", "unit"), maps)},
    {name: ("unit", one[name].values) for name in ("channel", "x", "y", "z")} | {"component_of": ("component", names)},
)
topographies.topographies(scalp)

# %% [markdown]
# All four are faces less houses: the N170 is negative where it is largest, and the P300 belongs to houses.
#
# ## A recording
#
# One person watched letters and counted a rare one. The same lines: a classifier at every moment, then the difference
# of the means around its best one. There are only 20 rare letters, so five folds in the order of the recording are
# held out in turn.

# %%
folder = Path(os.environ.get("NEURODECODE_DATA", "data"))
recorded = (folder / "eeg_oddball_p300").is_dir()
if recorded:
    brain = recipes.open_recipe("eeg_oddball_p300", root=folder).load()["brain"]
    letters = cross_validate(
        Sliding(lda), brain, brain["category"], 5, **settings, pool="predictions", permutations=19, permute="shuffle"
    )
    peak = float(letters["time"][int(letters["score"].values[0].argmax())])
    print(f"{len(brain)} letters, highest at {peak:.2f} s: AUC {letters['score'].values.max():.2f}")
else:
    print("The recording is not there: put it into the folder that NEURODECODE_DATA names.")

# %%
if recorded:
    rare = brain["category"].values == "X"
    difference = brain[rare].mean("sample").values - brain[~rare].mean("sample").values
    places = {name: ("unit", brain[name].values) for name in ("channel", "x", "y", "z")}
    places["time"] = brain["time"]
    means = xr.Dataset({"difference": (("unit", "time"), difference, {"units": "V"})}, places)
topographies.topographies(means) if recorded else None

# %% [markdown]
# Where the recording is there: rare letters are told best about half a second after they appear, and the difference
# stands over the middle and the back of the head, where a P300 is expected. It is one person; for people, test between
# them as above.
