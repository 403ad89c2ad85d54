"""A language model over characters: two LSTMs and an attention over their last forty steps."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import Tensor, nn

from ...exceptions import IntegrityError
from .weights import fill, read_weights

STEPS = 40


class CharLSTM(nn.Module):
    """Character ids (n, 40), zeros on the left where there are fewer, to logits of the next character (n, vocabulary).

    e = embedding(ids); a = LSTM1(e); b = LSTM2(a); z_t = (e_t, a_t, b_t); w = softmax_t(z_t . attention);
    logits = out(sum_t w_t z_t).

    Examples
    --------
    >>> CharLSTM(20)(torch.ones(3, 40, dtype=torch.long)).shape
    torch.Size([3, 20])
    """

    name = "char_lstm"
    pad_id = 0

    def __init__(self, n_characters: int = 465, n_embedding: int = 100, width: int = 128) -> None:
        super().__init__()
        self.embedding = nn.Embedding(n_characters, n_embedding)
        self.rnn_1 = nn.LSTM(n_embedding, width, batch_first=True)
        self.rnn_2 = nn.LSTM(width, width, batch_first=True)
        self.attention = nn.Linear(n_embedding + 2 * width, 1, bias=False)
        self.out = nn.Linear(n_embedding + 2 * width, n_characters)

    def forward(self, ids: Tensor) -> Tensor:
        if ids.shape[1] != STEPS:
            raise ValueError(
                f"{ids.shape[1]} characters; the model reads the last {STEPS}, with zeros on the left of fewer"
            )
        e = self.embedding(ids)
        a, _ = self.rnn_1(e)
        b, _ = self.rnn_2(a)
        z = torch.cat((e, a, b), -1)
        weight = self.attention(z).softmax(1)
        return self.out((weight * z).sum(1))


def char_lstm(path: str | os.PathLike[str]) -> CharLSTM:
    """The model of a safetensors file with ``embedding rnn_1.* rnn_2.* attention out_w out_b``, in evaluation mode.

    Raises
    ------
    UnsafeFileError : not a safetensors file. IntegrityError : cut, or the weights of something else.

    References
    ----------
    Woolf M (2017-2020), textgenrnn.
    """
    tensors = read_weights(path)
    renamed = {
        "embedding": "embedding.weight",
        "out_w": "out.weight",
        "out_b": "out.bias",
        "attention": "attention.weight",
    }
    lost = sorted(set(renamed) - set(tensors))
    if lost:
        raise IntegrityError(f"{Path(path).name} does not hold a character LSTM: it lacks {', '.join(lost)}")
    found = {renamed.get(name, _layer_zero(name)): value for name, value in tensors.items()}
    found["attention.weight"] = found["attention.weight"].T.contiguous()
    n_characters, n_embedding = tensors["embedding"].shape
    with torch.random.fork_rng(devices=[]):
        model = CharLSTM(n_characters, n_embedding, (tensors["attention"].shape[0] - n_embedding) // 2)
    fill(model, found, Path(path).name)
    return model


def _layer_zero(name: str) -> str:
    return f"{name}_l0" if name.startswith("rnn_") and not name.endswith("_l0") else name
