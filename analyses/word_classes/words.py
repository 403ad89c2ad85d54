"""Which class a word is of, stories told by a model, and a grammar of word classes whose sentences cost nothing."""

import itertools
import re

import numpy as np
import torch
from torch import nn

LEXICON = {
    "determiner": "the a an their my your some",
    "pronoun": "he she they it we i you him them",
    "noun": "boy girl mom dad dog cat bird park tree house ball toy toys day time friend friends car box garden bear "
    "mommy home food fish sky room door flowers flower bunny rabbit sun water tail",
    "verb": "was were had saw said went wanted played loved found ran looked asked smiled took came felt gave made "
    "started thought heard got told helped liked tried decided knew walked jumped laughed hugged",
    "adjective": "little big happy sad new nice small red good beautiful pretty scared excited old special blue shiny",
    "preposition": "in on at with from into of for under by",
    "conjunction": "and but because when so if",
}  # fmt: skip
CLASS_OF = {word: name for name, words in LEXICON.items() for word in words.split()}
# What may follow the last two classes (the one before, the last one); None stands for any.
RULES = {
    (None, "determiner"): {"noun": 0.6, "adjective": 0.4},
    (None, "adjective"): {"noun": 1.0},
    ("preposition", "determiner"): {"noun": 1.0},
    ("verb", "determiner"): {"adjective": 0.5, "noun": 0.5},
    ("determiner", "noun"): {"verb": 0.5, "preposition": 0.2, "conjunction": 0.3},
    ("adjective", "noun"): {"conjunction": 0.6, "preposition": 0.4},
    ("determiner", "verb"): {"determiner": 1.0},
    ("noun", "verb"): {"determiner": 0.5, "preposition": 0.5},
    ("pronoun", "verb"): {"preposition": 0.5, "determiner": 0.5},
    (None, "preposition"): {"determiner": 1.0},
    (None, "conjunction"): {"pronoun": 0.6, "determiner": 0.4},
    (None, "pronoun"): {"verb": 1.0},
}
NAMES = list(LEXICON)
EACH = 12
PIECES = ("emb", "layers.0", "layers.1", "layers.2", "layers.3", "layers.4", "rms_final")


def told(model, n, length, seed):
    """Token ids (n, length) of stories that the model tells."""
    ids, chance = torch.full((n, 1), model.bos_id), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _ in range(length - 1):
            logits = model(ids)[:, -1]
            logits[:, :3] = -torch.inf
            ids = torch.cat([ids, torch.multinomial(logits.softmax(-1), 1, generator=chance)], dim=1)
    return ids


def following(tokenizer, ids):
    """Positions in a text after which a listed word begins, and the class of that word."""
    pieces = [tokenizer.decode([index]) for index in ids]
    begins = [at for at in range(1, len(ids)) if pieces[at].startswith((" ", "\n"))] + [len(ids)]
    found = []
    for start, end in itertools.pairwise(begins):
        word = re.sub(r"[^a-z]", "", "".join(pieces[start:end]).lower())
        if word in CLASS_OF and start > 1:
            found.append((start - 1, CLASS_OF[word]))
    return found


def sentences(length, seed):
    """A long text of the grammar: words (length,) as numbers, word w being of class ``NAMES[w // EACH]``."""
    rng, before, last, words = np.random.default_rng(seed), None, "conjunction", []
    for _ in range(length):
        chances = RULES.get((before, last)) or RULES[None, last]
        before, last = last, str(rng.choice(list(chances), p=list(chances.values())))
        words.append(NAMES.index(last) * EACH + rng.integers(EACH))
    return np.array(words)


def contexts(words):
    """Nine words and the tenth: (n, 9) and (n,)."""
    rows = np.lib.stride_tricks.sliding_window_view(words, 10)
    return torch.from_numpy(rows[:, :9].copy()), torch.from_numpy(rows[:, 9].copy())


class Predictor(nn.Module):
    """Nine words to the tenth: embeddings, two hidden layers, a score for every word."""

    def __init__(self, seed, width=64):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.words = nn.Sequential(nn.Embedding(len(NAMES) * EACH, 16), nn.Flatten())
            self.hidden1 = nn.Sequential(nn.Linear(9 * 16, width), nn.ReLU())
            self.hidden2 = nn.Sequential(nn.Linear(width, width), nn.ReLU())
            self.head = nn.Linear(width, len(NAMES) * EACH)

    def forward(self, ids):
        return self.head(self.hidden2(self.hidden1(self.words(ids))))


def trained(words, steps, seed):
    """A predictor of the tenth word of a text."""
    model, (rows, target) = Predictor(seed), contexts(words)
    rng = torch.Generator().manual_seed(seed)
    descent = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(steps):
        some = torch.randint(len(rows), (256,), generator=rng)
        loss = nn.functional.cross_entropy(model(rows[some]), target[some])
        descent.zero_grad()
        loss.backward()
        descent.step()
    return model.eval()
