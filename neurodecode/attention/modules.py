"""What reads tokens: a query that attends, a map that stays, factors that are shared, and one readout for all.

Every reader takes tokens (b, P, D) and gives one vector an area, (b, areas, width); the readout turns them into units
and never makes a tensor of batch x unit x area.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..compute.pieces import Dropout

START = 0.1  # queries and readouts begin small: attention nearly even, predictions nearly the mean


class Readout(nn.Module):
    """One linear map a unit, read from the vector of its area, or from the sum of the vectors of its areas.

    Units stand in the order of :class:`Areas`: sorted by pattern, so that each pattern is one matrix product on a piece
    of the weights that is contiguous, and nothing but that pattern's vectors is kept for the way back.
    """

    def __init__(self, patterns: tuple[tuple[int, ...], ...], sizes: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.patterns, self.sizes = patterns, sizes
        n_units = sum(sizes)
        self.weight = nn.Parameter(torch.empty(n_units, width))
        self.bias = nn.Parameter(torch.zeros(n_units))
        nn.init.normal_(self.weight, std=START / math.sqrt(width))
        self.alone = all(len(pattern) == 1 for pattern in patterns)
        self.each = self.alone and set(sizes) == {1} and len(sizes) > 1

    def forward(self, read: Tensor) -> Tensor:
        """(b, areas, width) -> (b, units), units in the order of the areas."""
        if self.each:
            own = read[:, [pattern[0] for pattern in self.patterns]]
            return torch.einsum("buw,uw->bu", own, self.weight) + self.bias
        pieces = zip(self.patterns, self.weight.split(self.sizes), self.bias.split(self.sizes))
        by_area = read.unbind(1)
        found = []
        for pattern, weight, bias in pieces:
            vector = by_area[pattern[0]]
            for area in pattern[1:]:
                vector = vector + by_area[area]
            found.append(F.linear(vector, weight, bias))
        return torch.cat(found, dim=1)

    def room(self) -> int:
        """Numbers that a step keeps of one sample, at most."""
        units, width = self.weight.shape
        return 6 * units + (3 * units * width if self.each else 0)


class Reader(nn.Module):
    """What reads tokens and gives a vector an area; a torch module of a :class:`TokenEncoder`.

    A subclass fills in

    - ``forward(tokens, *, blocked=None, **place)``: standardised tokens (b, P, D) to (b, areas, width). ``blocked`` is
      boolean (b, 1 or areas, P), True for tokens that take no part, or None; ``place`` what the encoder's ``place``
      says;
    - ``room``, by which the memory of a fit is predicted;
    - ``attend``, where areas weigh tokens: the encoder then has ``attention`` and ``token_importance``.
    """

    def room(self, n_tokens: int, n_features: int, *, blocked: bool = False) -> int:
        """Numbers that a step keeps of one picture for the way back, at most."""
        raise TypeError(f"{type(self).__name__} does not say what a step keeps: give it room(n_tokens, n_features).")

    def attend(self, tokens: Tensor, *, blocked: Tensor | None = None, **place: Any) -> Tensor:
        """Weights (b, heads, areas, P) that sum to one over tokens."""
        raise TypeError(f"{type(self).__name__} has no weights over tokens that sum to one")


class Router(Reader):
    """Cross-attention of learned queries over tokens, then a small network on what each query read.

    With tokens x_p, codes of place c_p and heads h, for the query q of an area:

        a_hp = softmax_p( q_h' W_k,h (x_p + c_p) / sqrt(d_h) ),   t = W_o concat_h sum_p a_hp W_v,h x_p

    and t goes through LayerNorm, two linear maps with a ReLU between them, and is added to itself. Places are added to
    keys only. With ``values="raw"`` the tokens themselves are split over the heads in the place of W_v x.

    Queries do not depend on the picture, so q_h' W_k,h is one vector in the space of tokens: where there are fewer
    queries than numbers a key, keys and values are never formed for the tokens.
    """

    def __init__(
        self,
        n_queries: int,
        n_features: int,
        width: int,
        n_heads: int,
        *,
        hidden: int,
        dropout: float,
        values: str,
        learned_places: int,
    ) -> None:
        super().__init__()
        self.width, self.n_heads, self.raw, self.n_hidden = width, n_heads, values == "raw", hidden
        self.query = nn.Parameter(START * torch.randn(n_queries, width))
        self.key = nn.Parameter(torch.empty(width, n_features))
        self.value = None if self.raw else nn.Parameter(torch.empty(width, n_features))
        self.out = nn.Linear(n_features if self.raw else width, width)
        for weight in (self.key, self.value):
            if weight is not None:
                nn.init.xavier_uniform_(weight)
        self.places = nn.Parameter(0.02 * torch.randn(learned_places, n_features)) if learned_places else None
        self.hidden = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, hidden), nn.ReLU(), Dropout(dropout), nn.Linear(hidden, width)
        )
        self.norm = None if self.raw else nn.LayerNorm(width)
        self.drop = Dropout(dropout)

    @property
    def absorbed(self) -> bool:
        """Whether queries are brought to the tokens rather than tokens to the keys: the cheaper of the two."""
        return len(self.query) * self.n_heads <= 2 * self.width

    def logits(self, tokens: Tensor, code: Tensor | None) -> Tensor:
        """(b, heads, queries, P), before the softmax."""
        heads, size = self.n_heads, self.width // self.n_heads
        queries = self.query.view(-1, heads, size) / math.sqrt(size)
        if self.absorbed:
            asked = torch.einsum("qhs,hsd->hqd", queries, self.key.view(heads, size, -1))
            found = tokens @ asked.reshape(-1, asked.shape[2]).T
            if code is not None:
                found = found + code @ asked.reshape(-1, asked.shape[2]).T
            return found.transpose(1, 2).unflatten(1, (heads, len(queries)))
        keys = F.linear(tokens, self.key)
        if code is not None:
            keys = keys + F.linear(code, self.key)
        return torch.einsum("qhs,bphs->bhqp", queries, keys.unflatten(2, (heads, size)))

    def attend(
        self,
        tokens: Tensor,
        *,
        blocked: Tensor | None = None,
        code: Tensor | None = None,
        rows: Tensor | None = None,
        **place: Any,
    ) -> Tensor:
        """Weights (b, heads, queries, P) that sum to one over tokens.

        ``code`` (P, D) fixed codes of place; ``rows`` the rows of the table of learned ones, where tokens come in
        another order; ``blocked`` (b, 1 or queries, P) tokens that take nothing.
        """
        if self.places is not None:
            code = self.places if rows is None else self.places[rows]
        logits = self.logits(tokens, code)
        if blocked is not None:
            logits = logits.masked_fill(blocked[:, None], -torch.inf)
        return logits.softmax(-1)

    def forward(self, tokens: Tensor, **place: Any) -> Tensor:
        """(b, P, D) -> (b, queries, width); keywords as for :meth:`attend`."""
        weights = self.drop(self.attend(tokens, **place))
        heads, size = self.n_heads, self.width // self.n_heads
        if self.value is None:
            parts = tokens.unflatten(2, (heads, -1))
            read = torch.einsum("bhqp,bphs->bqhs", weights, parts).flatten(2)
        elif self.absorbed:
            seen = weights.flatten(1, 2) @ tokens
            seen = seen.unflatten(1, (heads, -1))
            read = torch.einsum("bhqd,hsd->bqhs", seen, self.value.view(heads, size, -1)).flatten(2)
        else:
            values = F.linear(tokens, self.value).unflatten(2, (heads, size))
            read = torch.einsum("bhqp,bphs->bqhs", weights, values).flatten(2)
        found = self.drop(self.out(read))
        found = found + self.drop(self.hidden(found))
        return found if self.norm is None else self.norm(found)

    def room(self, n_tokens: int, n_features: int, *, blocked: bool = False) -> int:
        queries = len(self.query)
        weights = (9 if blocked else 8) * queries * self.n_heads * n_tokens
        if self.value is not None and not self.absorbed:
            read = 8 * n_tokens * self.width
        else:
            read = 3 * queries * n_features * (1 if self.value is None else self.n_heads)
            read += 0 if self.absorbed else 4 * n_tokens * self.width
        return weights + read + queries * (12 * self.width + 4 * self.n_hidden)


class StaticMap(Reader):
    """One map of weights over places for each area, the same for every picture: softmax over P, then a mean of tokens.

    t = sum_p softmax(m)_p x_p
    """

    def __init__(self, n_areas: int, n_tokens: int) -> None:
        super().__init__()
        self.map = nn.Parameter(torch.zeros(n_areas, n_tokens))

    def weights(self, n: int, blocked: Tensor | None = None, rows: Tensor | None = None) -> Tensor:
        """(n or 1, areas, P)."""
        logits = (self.map if rows is None else self.map[:, rows])[None]
        if blocked is not None:
            logits = logits.expand(n, -1, -1).masked_fill(blocked, -torch.inf)
        return logits.softmax(-1)

    def forward(self, tokens: Tensor, *, blocked: Tensor | None = None, rows: Tensor | None = None) -> Tensor:
        """(b, P, D) -> (b, areas, D)."""
        return self.weights(len(tokens), blocked, rows) @ tokens

    def attend(
        self, tokens: Tensor, *, blocked: Tensor | None = None, rows: Tensor | None = None, **place: Any
    ) -> Tensor:
        """(b, P, D) -> (b, 1, areas, P)."""
        return self.weights(len(tokens), blocked, rows).expand(len(tokens), -1, -1)[:, None]

    def room(self, n_tokens: int, n_features: int, *, blocked: bool = False) -> int:
        return len(self.map) * (3 * n_features + (4 * n_tokens if blocked else 0))


class Factors(Reader):
    """Products of a map over places and a direction of features, shared by all units of an area.

    t_k = sum_pd s_kp f_kd x_pd for k = 1..rank: a unit's weights over places and features are a matrix of that rank.
    """

    def __init__(self, n_areas: int, n_tokens: int, n_features: int, rank: int) -> None:
        super().__init__()
        self.where = nn.Parameter(torch.randn(n_areas, rank, n_tokens) / math.sqrt(n_tokens))
        self.what = nn.Parameter(torch.randn(n_areas, rank, n_features) / math.sqrt(n_features))

    def forward(self, tokens: Tensor, *, blocked: Tensor | None = None, rows: Tensor | None = None) -> Tensor:
        """(b, P, D) -> (b, areas, rank)."""
        where = self.where if rows is None else self.where[..., rows]
        if blocked is None:
            along = torch.einsum("bpd,ard->bpar", tokens, self.what)
            return torch.einsum("bpar,arp->bar", along, where)
        kept = tokens[:, None] * ~blocked[..., None]
        return torch.einsum("bapd,ard,arp->bar", kept.expand(-1, len(where), -1, -1), self.what, where)

    def room(self, n_tokens: int, n_features: int, *, blocked: bool = False) -> int:
        areas, rank, _ = self.where.shape
        return areas * n_tokens * (4 * rank + (2 * n_features if blocked else 0))


class TokenModel(nn.Module):
    """A reader of tokens and the readout of units; where a sample holds several pictures, what is read is averaged."""

    def __init__(self, reader: Reader, readout: Readout) -> None:
        super().__init__()
        self.reader, self.readout = reader, readout

    def forward(self, tokens: Tensor, *, blocked: Tensor | None = None, **place: Any) -> Tensor:
        """(b, groups, P, D) -> (b, units)."""
        b, groups = tokens.shape[:2]
        read = self.reader(tokens.flatten(0, 1), blocked=blocked, **place)
        if groups > 1:
            read = read.unflatten(0, (b, groups)).mean(1)
        return self.readout(read)

    def room(self, groups: int, n_tokens: int, n_features: int, *, blocked: bool) -> int:
        """Numbers that a step keeps of one sample, at most."""
        picture = self.reader.room(n_tokens, n_features, blocked=blocked) + 2 * n_tokens * n_features
        return groups * picture + self.readout.room()
