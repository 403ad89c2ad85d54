# %% [markdown]
# # 8. Where does this area look?
#
# A linear map from a picture to a voxel has one weight for every place. It cannot say "a face, wherever it is". A
# *routed* encoder can: every area owns a query, the query attends over the places of the picture, and what it reads
# predicts the area. Here both kinds of area are planted, so we can see when routing helps, when it does not, and
# whether the attention means anything.

# %%
import numpy as np
import xarray as xr
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neurodecode.attention import GaussianFieldEncoder, RoutedEncoder, SpatialFeatureEncoder, Training
from neurodecode.evaluation import cross_validate, gains, repeat_ceiling
from neurodecode.linear import Ridge
from neurodecode.reporting import attended
from neurodecode.representation import Labelled, as_representation, average_repeats, match
from neurodecode.sources import simulated

# %% [markdown]
# ## Two kinds of area
#
# The person looks at drawn scenes in which things stand at free places. V1 reads contrast at fixed places; the face
# and the house area read things of their kind, wherever they are.

# %%
world = simulated.scenes(720, random_state=1)
brain = simulated.person(world, areas=["V1", "face area", "house area"], n_units=16, ceiling=0.8, random_state=2)
ceiling = repeat_ceiling(brain)
print(dict(brain.sizes), "ceiling", round(float(ceiling.mean()), 2))

# %% [markdown]
# ## Tokens
#
# An encoder of this kind takes `sample x token x unit`. Tokens may be the places of a network's feature map
# (`network.activations(..., pool=None)`), words, or seconds. Here they are patches of one degree, each described by
# contrast at four orientations and three frequencies and by its colour, on 2 x 2 cells. The coordinates `row` and
# `col` say where a token lies: that is how tokens are met, never by their order.


# %%
def patches(world, side=8, cells=2):
    n, fine = len(world), side * cells
    pixels = world.pictures.sizes["row"] // fine
    energy = simulated.energy(world.pictures, size=fine).values.transpose(0, 2, 3, 1)
    cut = world.pictures.values.reshape(n, fine, pixels, fine, pixels, 3) / 255
    grid = np.concatenate([energy, cut.mean((2, 4)), cut.mean(5).std((2, 4))[..., None]], axis=3)
    grid = grid.reshape(n, side, cells, side, cells, -1).transpose(0, 1, 3, 2, 4, 5)
    row, col = np.divmod(np.arange(side**2), side)
    return as_representation(
        grid.reshape(n, side**2, -1).astype("float32"),
        stimulus=world.stimulus,
        kind="features",
        dims=("sample", "token", "unit"),
        token={"row": row, "col": col},
    )


tokens, responses = match(patches(world), average_repeats(brain))
print(dict(tokens.sizes))

# %% [markdown]
# ## Routed, and what it has to beat
#
# Same folds, same ceiling: *spatial x feature* has one map of places for each area, the same for every picture; ridge
# has a weight for every place and feature. 720 scenes are few steps a pass: the routed encoder takes longer ones, and
# 60 passes, after which the score on the scenes it holds back no longer rises (it would say so).

# %%
flat = as_representation(tokens.values.reshape(len(tokens), -1), stimulus=tokens["stimulus"].values, kind="features")
routed = RoutedEncoder(width=64, n_heads=4, max_epochs=60, training=Training(learning_rate=6e-3), random_state=0)
encoders = {
    "routed": (routed, tokens),
    "ridge": (make_pipeline(Labelled(StandardScaler()), Ridge(alphas=np.logspace(2, 7, 6), cv=5)), flat),
    "spatial x feature": (SpatialFeatureEncoder(random_state=0), tokens),
}
settings = {"score": "r", "pool": "predictions", "ceiling": ceiling, "random_state": 0}
results = {name: cross_validate(model, X, responses, KFold(4), **settings) for name, (model, X) in encoders.items()}
table = gains(results, "routed", ["ridge", "spatial x feature"])
attended.gain_by_area(table)

# %% [markdown]
# Each dot is a difference of correlations, mean over an area; its line allows for folds that share training scenes,
# and a filled dot survives correction. Blue: where the routed encoder would reach the noise ceiling. The areas that
# read things gain; V1, which reads places, is better served by ridge, whose weights stay where they are, while one map
# of places for all of V1 does as well as routing. Which of the two an area is like is a result. That is why the rivals
# are always fitted too.
#
# ## Where it looks
#
# Fitted to three quarters of the scenes, looked at in the others. Orange is attention above an even share; the ring
# is its peak.

# %%
train, test = np.arange(540), np.arange(540, 720)
model = routed.fit(tokens[train], responses[train])
seen = model.attention(tokens[test])
there = world[test]
lost = model.token_importance(tokens[test], responses[test], share=0.1)

both = np.flatnonzero(there.present("face") & there.present("house"))[:6]
node = xr.Dataset(
    {
        "picture": (("sample", "y", "x", "channel"), there.pictures.values[both]),
        "attention": seen[both].drop_vars([name for name in seen.coords if seen[name].dims == ("sample",)]),
        "drop": lost["drop"],
        "drop_random": lost["drop_random"],
    }
)
attended.attention_on_pictures(node)

# %% [markdown]
# ## Attention is not proof
#
# A map of attention is a picture of the model, and a model can look somewhere for no reason. So the tokens an area
# attends to most are taken away and the loss is measured, beside that of as many random ones: those are the two
# numbers beside each name. Here the boxes of the things are known too, so we can count how often the peak lies on a
# face, and how often it would if scenes were exchanged.

# %%
print(lost[["r", "drop", "drop_random"]].to_dataframe().round(2))


def on_the(kind, weights, shift=0):
    """Share of scenes with one thing of a kind in whose box attention peaks."""
    hits = []
    one = [scene for scene in range(len(there)) if (there.boxes(scene)["kind"] == kind).sum() == 1]
    peaks = [divmod(int(weights[scene].argmax()), 8) for scene in one]
    for scene, (row, col) in zip(one, np.roll(peaks, shift, axis=0)):
        box = there.boxes(scene).set_index("kind").loc[kind]
        y, x = 8 * row + 4, 8 * col + 4
        hits.append(box.row0 - 4 <= y <= box.row1 + 4 and box.column0 - 4 <= x <= box.column1 + 4)
    return float(np.mean(hits))


shares = {}
for kind in ("face", "house"):
    weights = seen.values[:, model.areas_.index(f"{kind} area")]
    shares[kind] = on_the(kind, weights), np.mean([on_the(kind, weights, shift) for shift in range(1, 6)])
    print(f"{kind} area: peak on the {kind} in {shares[kind][0]:.0%} of scenes; exchanged {shares[kind][1]:.0%}")

# %% [markdown]
# ## Receptive fields
#
# For an area that keeps to its places, a field for every voxel says more than attention: a Gaussian pool, found on a
# grid of centres and sizes, in degrees. Each hemisphere of V1 sees the opposite half.

# %%
v1 = responses[:, responses["roi"].values == "V1"]
fields = GaussianFieldEncoder(sizes=(0.35, 0.8), alphas=(1.0, 10.0, 100.0, 1e3), cv=3, degrees=1.0, nonlinearity=None)
fields.fit(tokens[train], v1[train])
drawn = xr.Dataset(
    {"x": ("unit", fields.x_), "y": ("unit", fields.y_), "size": ("unit", fields.size_)},
    {"roi": ("unit", v1["roi"].values), "hemi": ("unit", v1["hemi"].values)},
    {"field": world.field},
)
agreement = [float(np.corrcoef(getattr(fields, f"{axis}_"), v1[f"planted_{axis}"].values)[0, 1]) for axis in "xy"]
print("centres against planted: r =", [round(value, 2) for value in agreement])
attended.receptive_fields(drawn)

# %% [markdown]
# ## What this does not say
#
# This brain was made so that the answer is known, and V1 was made from the same contrast that the patches hold. In
# recordings the difference between routed and static encoders is smaller, and whether it is there at all depends on
# how many pictures were seen and on whether things moved about in them. The studies `routing`, `routed_objects` and
# `nsd_routed` do the same on more of this world, on 63 categories of objects, and on the Natural Scenes Dataset.
