"""How states lie by the class of the next word: a language model of stories, and a network trained on a grammar."""

import tomllib

import numpy as np
import torch

from neurodecode.compute.device import single_thread
from neurodecode.evaluation import study_tree
from neurodecode.similarity import gdv, manifold_capacity
from neurodecode.sources import network, recipes

from .looking import as_grid, as_result
from .words import CLASS_OF, EACH, NAMES, PIECES, contexts, following, sentences, told, trained

SMALL = {"stories": 16, "tokens": 90, "words": 8, "permutations": 19, "steps": 200}
HIDDEN = ("words", "hidden1", "hidden2")


def run(job):
    with single_thread():
        return study(job, job.sizes(SMALL))


def study(job, size):
    loaded = recipes.open_recipe("stories260k_lm", root=job.data).load()
    model, tokenizer = loaded["model"], loaded["tokenizer"]
    about = {"permutations": size["permutations"], "random_state": job.seed}
    ids = told(model, size["stories"], size["tokens"], job.seed)
    states, labels, story = before_words(model, tokenizer, list(ids))
    kept = balanced(labels, size["words"], job.seed)
    found = {
        f"stories, {layer}": gdv(states[layer][kept], labels[kept], blocks=story[kept], **about) for layer in PIECES
    }
    texts = [torch.tensor(tokenizer.encode(text)) for text in loaded["stories"]]
    read = {f"stories, {layer}": capacities(states[layer], labels, size, job.seed) for layer in PIECES}
    others, theirs, _ = before_words(model, tokenizer, texts)
    by_others = {layer: float(gdv(others[layer], theirs)["gdv"]) for layer in PIECES}

    text = sentences(40_000, job.seed)
    mixed = np.random.default_rng(job.seed).permutation(text)
    asked = sentences(6000, job.seed + 1)
    asked_mixed = np.random.default_rng(job.seed + 1).permutation(asked)
    nets = {
        "grammar": (trained(text, size["steps"], job.seed), asked),
        "untrained": (trained(text, 0, job.seed), asked),
        "shuffled": (trained(mixed, size["steps"], job.seed), asked_mixed),
    }
    losses = {}
    for name, (net, words) in nets.items():
        rows, tenth = contexts(words)
        with torch.no_grad():
            losses[name] = float(torch.nn.functional.cross_entropy(net(rows), tenth))
        classes = np.array(NAMES)[tenth.numpy() // EACH]
        kept = balanced(classes, size["words"], job.seed)
        layers = activations(net, rows[kept], HIDDEN)
        found |= {f"{name}, {layer}": gdv(values, classes[kept], **about) for layer, values in layers.items()}
        read |= {f"{name}, {layer}": capacities(one, classes[kept], size, job.seed) for layer, one in layers.items()}
    return report(job, found, read, by_others, losses, len(theirs))


def capacities(values, labels, size, seed):
    """Manifold capacity of few words of every class, and with labels exchanged: means over several draws of words."""
    found = []
    for draw in range(seed, seed + size["subsets"]):
        kept = balanced(labels, size["few_words"], draw)
        mixed = np.random.default_rng(draw).permutation(labels[kept])
        said = {"n_draws": 100, "random_state": draw}
        sides = (manifold_capacity(values[kept], names, **said) for names in (labels[kept], mixed))
        found.append([float(one["capacity"]) for one in sides])
    return np.mean(found, axis=0)


def activations(model, ids, layers):
    """Layer -> values of every sample, (n, units) or (n, tokens, units)."""
    found = network.activations(model, ids, list(layers), pool=None)
    return {layer: found[layer].values for layer in layers}


def before_words(model, tokenizer, texts):
    """Layer -> states (n, units) before every listed word, the classes of these words, and the text they are from."""
    states, labels, story = {layer: [] for layer in PIECES}, [], []
    for number, ids in enumerate(texts):
        places = following(tokenizer, ids.tolist())
        values = activations(model, ids[None], PIECES)
        for layer in PIECES:
            states[layer].append(values[layer][0][[at for at, _ in places]])
        labels += [name for _, name in places]
        story += [number] * len(places)
    return {layer: np.concatenate(parts) for layer, parts in states.items()}, np.array(labels), np.array(story)


def balanced(labels, each, seed):
    """Positions of ``each`` samples of every class, drawn at random."""
    rng = np.random.default_rng(seed)
    places = {name: np.flatnonzero(labels == name) for name in NAMES}
    each = min(each, *(len(at) for at in places.values()))
    return np.sort(np.concatenate([rng.choice(at, each, replace=False) for at in places.values()]))


def report(job, found, read, by_others, losses, n_others):
    value = {name: float(one["gdv"]) for name, one in found.items()}
    stories = {layer: value[f"stories, {layer}"] for layer in PIECES}
    best = min(stories, key=stories.get)
    figures = [job.figure(f"GDV, {name}", one) for name, one in value.items()]
    figures += [job.figure(f"GDV, five stories by others, {layer}", one) for layer, one in by_others.items()]
    figures += [job.figure(f"loss on new sentences (nats a word), {name}", loss) for name, loss in losses.items()]
    figures += [job.figure("loss of random guessing (nats a word)", np.log(len(NAMES) * EACH))]
    figures += [job.figure(f"p, {name}", float(one["p"])) for name, one in found.items()]
    figures += [job.figure(f"capacity, {name}", one[0]) for name, one in read.items()]
    for net in ("stories", "grammar", "untrained", "shuffled"):
        exchanged = np.mean([one[1] for name, one in read.items() if name.startswith(net)])
        figures.append(job.figure(f"capacity, labels exchanged, {net}", exchanged))
    nodes = {}
    for name, one in found.items():
        net, layer = name.split(", ")
        nodes.setdefault(net, {})[layer] = one
    easy = [f"{read[f'grammar, {layer}'][0]:.2f}" for layer in HIDDEN]
    answer = (
        "Yes. In the model of the stories the discrimination value (lower is further apart; pictures turn its sign) is "
        f"{stories['emb']:.3f} in the embedding of the last piece and "
        f"{stories[best]:.3f} in {best}, where it is lowest; on five stories by others {by_others['emb']:.3f} and "
        f"{by_others['rms_final']:.3f} in the last layer. In the network trained on a grammar it falls from "
        f"{value['grammar, words']:.3f} to {value['grammar, hidden2']:.3f}; before training it is "
        f"{value['untrained, hidden2']:.3f} there, and with words in random order "
        f"{value['shuffled, hidden2']:.3f}. Its layers make classes easier to read out "
        f"(manifold capacity {', '.join(easy)}; random order {read['shuffled, hidden2'][0]:.2f}). "
        "Nobody told either network of classes."
    )
    page = tomllib.loads((job.study.folder / "study.toml").read_text(encoding="utf-8"))["page"]
    notes = [
        *page.pop("notes"),
        f"{n_others} of the words of the five stories by others are on the list of {len(CLASS_OF)}.",
    ]
    results = {name: as_result(name, layers) for name, layers in nodes.items()}
    results |= {f"{name}, classes": as_grid(name, nodes[name]) for name in ("stories", "grammar", "untrained")}
    return study_tree(results, answer=answer, figures=figures, notes=notes, **page)
