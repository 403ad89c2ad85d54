"""A small language model of the Llama type, its weights and its tokenizer."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...exceptions import IntegrityError
from .weights import fill, read_weights


@dataclass(frozen=True)
class StoryConfig:
    """Sizes of the model, as in ``config.json``."""

    dim: int = 64
    hidden_dim: int = 172
    n_layers: int = 5
    n_heads: int = 8
    n_kv_heads: int = 4
    vocab_size: int = 512
    max_seq_len: int = 512
    norm_eps: float = 1e-5


class Attention(nn.Module):
    """Causal attention with rotary positions; several query heads share one head of keys and values.

    ``pattern`` returns the attention weights (n, H, t, t) and ``heads`` the output of every head (n, t, H, d_h); both
    are places to hook into and change nothing.
    """

    def __init__(self, config: StoryConfig) -> None:
        super().__init__()
        self.n_heads, self.n_kv_heads = config.n_heads, config.n_kv_heads
        self.width = config.dim // config.n_heads
        self.wq = nn.Linear(config.dim, config.n_heads * self.width, bias=False)
        self.wk = nn.Linear(config.dim, config.n_kv_heads * self.width, bias=False)
        self.wv = nn.Linear(config.dim, config.n_kv_heads * self.width, bias=False)
        self.pattern = nn.Identity()
        self.heads = nn.Identity()
        self.wo = nn.Linear(config.dim, config.dim, bias=False)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        n, t, _ = x.shape
        shared = self.n_heads // self.n_kv_heads
        q = rotate(self.wq(x).view(n, t, self.n_heads, self.width), cosine, sine)
        k = rotate(self.wk(x).view(n, t, self.n_kv_heads, self.width), cosine, sine).repeat_interleave(shared, 2)
        v = self.wv(x).view(n, t, self.n_kv_heads, self.width).repeat_interleave(shared, 2)
        scores = torch.einsum("nqhd,nkhd->nhqk", q, k) * self.width**-0.5
        later = torch.ones(t, t, dtype=torch.bool, device=x.device).triu(1)
        weights = self.pattern(scores.masked_fill(later, float("-inf")).softmax(-1))
        heads = self.heads(torch.einsum("nhqk,nkhd->nqhd", weights, v))
        return self.wo(heads.reshape(n, t, -1))


class FeedForward(nn.Module):
    """y = w2(silu(w1 x) * w3 x); ``act`` returns what enters w2."""

    def __init__(self, config: StoryConfig) -> None:
        super().__init__()
        self.w1 = nn.Linear(config.dim, config.hidden_dim, bias=False)
        self.w3 = nn.Linear(config.dim, config.hidden_dim, bias=False)
        self.act = nn.Identity()
        self.w2 = nn.Linear(config.hidden_dim, config.dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.w2(self.act(nn.functional.silu(self.w1(x)) * self.w3(x)))


class StoryBlock(nn.Module):
    """h = x + attention(norm(x)); y = h + mlp(norm(h))."""

    def __init__(self, config: StoryConfig) -> None:
        super().__init__()
        self.rms_att = nn.RMSNorm(config.dim, config.norm_eps)
        self.attention = Attention(config)
        self.rms_ffn = nn.RMSNorm(config.dim, config.norm_eps)
        self.mlp = FeedForward(config)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        x = x + self.attention(self.rms_att(x), cosine, sine)
        return x + self.mlp(self.rms_ffn(x))


class StoryModel(nn.Module):
    """Token ids (n, t) to logits (n, t, vocabulary). Layers: ``emb``, ``layers.0`` ..., ``rms_final``, ``head``.

    Attributes
    ----------
    bos_id : 1, which every text begins with. pad_id : 0, for places after the end of a text.

    Examples
    --------
    >>> StoryModel(StoryConfig(n_layers=1))(torch.ones(2, 7, dtype=torch.long)).shape
    torch.Size([2, 7, 512])
    """

    name = "story_model"
    bos_id = 1
    pad_id = 0
    cosine: Tensor
    sine: Tensor

    def __init__(self, config: StoryConfig) -> None:
        super().__init__()
        self.sizes = config
        self.emb = nn.Embedding(config.vocab_size, config.dim)
        self.layers = nn.ModuleList(StoryBlock(config) for _ in range(config.n_layers))
        self.rms_final = nn.RMSNorm(config.dim, config.norm_eps)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        self.head.weight = self.emb.weight
        half = config.dim // config.n_heads // 2
        angles = torch.outer(torch.arange(config.max_seq_len), 10000.0 ** (-torch.arange(half) / half))
        self.register_buffer("cosine", angles.cos())
        self.register_buffer("sine", angles.sin())

    def forward(self, ids: Tensor) -> Tensor:
        t = ids.shape[1]
        if t > self.sizes.max_seq_len:
            raise ValueError(
                f"{t} tokens are more than the context of {self.sizes.max_seq_len}; cut the text explicitly"
            )
        x = self.emb(ids)
        for block in self.layers:
            x = block(x, self.cosine[:t], self.sine[:t])
        return self.head(self.rms_final(x))


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotary positions on interleaved pairs (Su et al. 2021, section 3.2.2): x (n, t, H, d_h), angles (t, d_h / 2).

    Examples
    --------
    >>> x = torch.randn(1, 2, 1, 4)
    >>> bool(torch.equal(rotate(x, torch.ones(2, 2), torch.zeros(2, 2)), x))
    True
    """
    even, odd = x[..., 0::2], x[..., 1::2]
    cosine, sine = cosine[None, :, None], sine[None, :, None]
    return torch.stack((even * cosine - odd * sine, even * sine + odd * cosine), -1).flatten(-2)


def story_model(folder: str | os.PathLike[str]) -> StoryModel:
    """The model in a folder with ``config.json`` and ``model.safetensors``, in evaluation mode.

    The file stacks the weights of the layers on its first axis: ``rms_att wq wk wv wo rms_ffn w1 w2 w3``; ``emb``
    serves for the output too, and ``fr``, ``fi`` are the cosine and sine of the rotary angles.

    Raises
    ------
    FileNotFoundError : a file is missing. IntegrityError : the weights are those of something else.
    UnsafeFileError : no safetensors.

    References
    ----------
    Karpathy A (2023), llama2.c. Eldan R, Li Y (2023), TinyStories, arXiv:2305.07759.
    """
    folder = Path(folder)
    said = _json(folder / "config.json")
    config = StoryConfig(**{name: said[name] for name in StoryConfig.__dataclass_fields__ if name in said})
    stacked = read_weights(folder / "model.safetensors")
    places = {
        "rms_att": "rms_att",
        "rms_ffn": "rms_ffn",
        **{name: f"attention.{name}" for name in ("wq", "wk", "wv", "wo")},
        **{name: f"mlp.{name}" for name in ("w1", "w2", "w3")},
    }
    lost = sorted({*places, "emb", "rms_final", "fr", "fi"} - set(stacked))
    if lost:
        raise IntegrityError(f"{folder.name}/model.safetensors lacks {', '.join(lost)}")
    tensors = {"emb.weight": stacked["emb"], "head.weight": stacked["emb"], "rms_final.weight": stacked["rms_final"]}
    tensors |= {"cosine": stacked["fr"], "sine": stacked["fi"]}
    for name, place in places.items():
        for layer, weight in enumerate(stacked[name]):
            tensors[f"layers.{layer}.{place}.weight"] = weight
    with torch.random.fork_rng(devices=[]):
        model = StoryModel(config)
    fill(model, tensors, f"{folder.name}/model.safetensors")
    return model


class StoryTokenizer:
    """Byte-pair pieces with scores: the adjacent pair whose union has the highest score is merged until none is left.

    Characters without a piece of their own are spelled in bytes, so every text has ids and ``decode(encode(text))`` is
    the text.
    """

    bos_id = 1

    def __init__(self, pieces: list[str], scores: list[float]) -> None:
        self.pieces, self.scores = pieces, scores
        self.ids = {piece: index for index, piece in enumerate(pieces) if index > 2}
        self.first_byte = pieces.index("<0x00>")

    def encode(self, text: str) -> list[int]:
        """Ids of a text, beginning with 1.

        Examples
        --------
        >>> pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), " ", "a"]
        >>> tokenizer = StoryTokenizer(pieces, [0.0] * len(pieces))
        >>> tokenizer.encode("aa"), tokenizer.decode([1, 259, 260, 260])
        ([1, 259, 260, 260], 'aa')
        """
        found: list[int] = []
        for character in " " + text if text else "":
            if character in self.ids:
                found.append(self.ids[character])
            else:
                found.extend(self.first_byte + byte for byte in character.encode("utf-8"))
        while True:
            pairs = [
                (self.scores[merged], -place, merged)
                for place in range(len(found) - 1)
                if (merged := self.ids.get(self.pieces[found[place]] + self.pieces[found[place + 1]])) is not None
            ]
            if not pairs:
                return [self.bos_id, *found]
            _, place, merged = max(pairs)
            found[-place : -place + 2] = [merged]

    def decode(self, ids: Any) -> str:
        """The text of some ids; marks of the beginning are left out, with the space that follows them."""
        data = b""
        fresh = False
        for index in (int(i) for i in ids):
            if index in (1, 2):
                fresh = True
                continue
            if self.first_byte <= index < self.first_byte + 256:
                piece = bytes([index - self.first_byte])
            else:
                piece = self.pieces[index].encode("utf-8")
            data += piece.removeprefix(b" ") if fresh else piece
            fresh = False
        return data.decode("utf-8", errors="replace")


def story_tokenizer(folder: str | os.PathLike[str]) -> StoryTokenizer:
    """The tokenizer in a folder with ``tokenizer.json``: a list of ``{"id", "piece", "score"}``.

    Raises
    ------
    FileNotFoundError : the file is missing. IntegrityError : it holds something else.
    """
    rows = _json(Path(folder) / "tokenizer.json")
    try:
        rows = sorted(rows, key=lambda row: row["id"])
        return StoryTokenizer([row["piece"] for row in rows], [float(row["score"]) for row in rows])
    except (KeyError, TypeError, ValueError) as error:
        raise IntegrityError("tokenizer.json is not a list of pieces with id and score") from error


def _json(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(f"{path.parent.name}/{path.name}: there is no such file")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise IntegrityError(f"{path.parent.name}/{path.name} is not JSON: {error}") from error
