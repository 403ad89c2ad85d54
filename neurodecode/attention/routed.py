"""Attention-routed encoding: a learned query for each area reads the tokens whose content and place match it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import torch
import xarray as xr
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from .._numbers import whole
from ..compute.device import resolve
from ..compute.training import Training
from ..exceptions import AlignmentError
from ..representation import check_same_units
from .encoder import TokenEncoder
from .modules import Reader, Router
from .tokens import Tokens

POSITIONS = ("learned", "sine", None)
VALUES = ("projected", "raw")


@dataclass(frozen=True)
class Routing:
    """What a routed encoder adds to keys, takes as values, and takes over.

    Parameters
    ----------
    positions : ``"learned"``: a code for every place; ``"sine"``: fixed, on a grid or a line; None: content alone.
    values : ``"projected"``, or ``"raw"``: each head averages its own share of the features of the tokens, without W_v
        and without the last norm; the features must then be a multiple of the heads.
    hidden : width inside the small network; None: twice the width.
    trunk : a fitted :class:`RoutedEncoder`, of other people, whose keys, values, places and small network are taken and
        kept as they are: queries and readouts alone are fitted. Width, heads and the like must be the same.

    turn : with ``"sine"``, turns of the fastest sine between the first and the last place of an axis. After 1, as
        published, slower sines alone tell these two places apart; 0.5 tells all places apart where features are few.

    Examples
    --------
    >>> Routing(positions="sine").values
    'projected'
    """

    positions: str | None = "learned"
    values: str = "projected"
    hidden: int | None = None
    trunk: Any = None
    turn: float = 1.0

    def __post_init__(self) -> None:
        for name, value, known in (("positions", self.positions, POSITIONS), ("values", self.values, VALUES)):
            if value not in known:
                raise ValueError(f"{name}={value!r}; expected one of {known}")
        if self.trunk is not None and not isinstance(self.trunk, RoutedEncoder):
            raise ValueError(f"trunk={self.trunk!r}; expected a fitted RoutedEncoder, or None")
        if isinstance(self.turn, bool) or not isinstance(self.turn, Real) or not 0 < self.turn < np.inf:
            raise ValueError(f"turn={self.turn!r}; expected a number above 0; 1 is a full turn")
        if self.hidden is not None:
            object.__setattr__(self, "hidden", whole(self.hidden, "hidden", least=1))


class RoutedEncoder(TokenEncoder):
    r"""Encoding model in which every area looks for what it reads.

    An area's learned query q attends over the tokens x_p of a picture, a sentence or a sound; what it reads is turned
    into the responses of the area's units:

        a_p = softmax_p( q' W_k (x_p + c_p) / sqrt(d) ),   t = W_o sum_p a_p W_v x_p,   t <- norm(t + mlp(t)),
        y_v = w_v' sum_(areas of v) t + b_v

    with codes c_p of place on keys only, so that an area can follow a thing wherever it is (content), stay at a place
    (position), or both. Fitted by AdamW on the squared error of standardised targets; the epoch with the best mean
    correlation on held-back training samples is kept.

    Parameters
    ----------
    by : what shares a query. A unit coordinate such as ``"roi"`` or ``"hemi"``, several of them, ``"unit"``, a dict of
        area name to boolean mask (areas may overlap: a unit reads the sum), or None, one query for all. Units in no
        area share a query named ``"rest"``.
    width : of queries, keys and values; a multiple of ``n_heads``.
    n_heads : heads, whose reading is put side by side.
    routing : :class:`Routing`: places on keys, raw values, a trunk of other people; None: its defaults.
    within : token coordinate such as ``"picture"``: attention sums to one within each of its values, and what is
        read is averaged over them, for responses that are means over several pictures.
    max_epochs : passes over the training samples.
    training : :class:`Training`: rate, batches, early stopping, device, checkpoint; None: its defaults.
    random_state : seed of everything that is drawn.

    Attributes
    ----------
    areas_ : names of the queries. query_ : (areas, width), may be set. module_ : the fitted ``torch.nn.Module``.
    history_ : loss and validation score an epoch, best epoch, share of the time spent waiting for data.
    degenerate_ : positions of constant units. n_features_in_ : features a token.

    Raises
    ------
    AlignmentError : other samples in X and Y, other features or places in ``predict``, masks of another length.
    DegenerateDataError : values that are not finite, too few samples, no unit to fit, a loss that diverges.

    References
    ----------
    Adeli, Sun & Kriegeskorte (2025), Transformer brain encoders explain human high-level visual responses,
    arXiv:2505.17329.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(40, 9, 4))
    >>> Y = X[:, 4] @ rng.normal(size=(4, 3))
    >>> model = RoutedEncoder(by={"area": np.ones(3, bool)}, width=8, max_epochs=2, random_state=0).fit(X, Y)
    >>> model.predict(X).shape, model.attention(X).dims
    ((40, 3), ('sample', 'query', 'token'))
    """

    def __init__(
        self,
        by: str | Sequence[str] | Mapping[str, Any] | None = "roi",
        width: int = 32,
        n_heads: int = 1,
        max_epochs: int = 30,
        random_state: Any = None,
        *,
        routing: Routing | None = None,
        within: str | None = None,
        training: Training | None = None,
    ) -> None:
        self.by = by
        self.width = width
        self.n_heads = n_heads
        self.routing = routing
        self.within = within
        self.max_epochs = max_epochs
        self.training = training
        self.random_state = random_state

    def _routing(self) -> Routing:
        if self.routing is None:
            return Routing()
        if not isinstance(self.routing, Routing):
            raise ValueError(f"routing={self.routing!r}; expected attention.Routing(...), or None")
        return self.routing

    def reader(self, n_areas: int, tokens: Tokens, settings: Training) -> tuple[Reader, int]:
        """The module that attends, and the width of what it reads."""
        width, heads = whole(self.width, "width", least=1), whole(self.n_heads, "n_heads", least=1)
        if width % heads:
            raise ValueError(f"width={width} and n_heads={heads}: the width must be a multiple of the heads")
        routing = self._routing()
        if routing.values == "raw" and tokens.n_features % heads:
            raise ValueError(f"values='raw' splits {tokens.n_features} features over {heads} heads; choose a divisor")
        return Router(
            n_areas,
            tokens.n_features,
            width,
            heads,
            hidden=routing.hidden or 2 * width,
            dropout=settings.dropout,
            values=routing.values,
            learned_places=tokens.size if routing.positions == "learned" else 0,
        ), width

    def _take_over(self, tokens: Tokens) -> None:
        """Everything but the queries from the trunk, frozen."""
        trunk, router = self._routing().trunk, self.router_
        if trunk is None:
            return
        check_is_fitted(trunk, "held_back_r_")
        if tokens.n_features != trunk.n_features_in_:
            raise AlignmentError(f"trunk= reads {trunk.n_features_in_} features a token, X has {tokens.n_features}.")
        if tokens.labels is not None:
            check_same_units(tokens.labels, trunk.features_)
        theirs, mine = trunk._routing(), self._routing()
        pairs = {
            "width": (trunk.width, self.width),
            "n_heads": (trunk.n_heads, self.n_heads),
            "positions": (theirs.positions, mine.positions),
            "values": (theirs.values, mine.values),
            "turn": (theirs.turn, mine.turn),
            "hidden": (theirs.hidden or 2 * trunk.width, mine.hidden or 2 * self.width),
        }
        other = [f"{name}={given!r} (trunk: {kept!r})" for name, (kept, given) in pairs.items() if kept != given]
        if other:
            raise ValueError(f"trunk= has another {', '.join(other)}; set the same.")
        if mine.positions is not None and (
            trunk.places_.shape != tokens.places.shape or not np.allclose(trunk.places_, tokens.places)
        ):
            raise AlignmentError(
                "trunk= was fitted on tokens at other places, or in another order; give them as there."
            )
        known = {name: value for name, value in trunk.router_.state_dict().items() if name != "query"}
        router.load_state_dict(known, strict=False)
        for name, weight in router.named_parameters():
            weight.requires_grad_(name == "query")
        hold, device = tokens.held is not None, resolve(self._settings().device)
        tokens.use_scale(trunk.token_mean_, trunk.token_scale_, hold=hold, device=device)
        self.token_mean_, self.token_scale_ = tokens.mean, tokens.scale

    def _given(self) -> list[Tensor]:
        if self._routing().trunk is None:
            return []
        return [value.cpu() for name, value in self.router_.state_dict().items() if name != "query"]

    @property
    def router_(self) -> Router:
        """The fitted module that attends."""
        reader = self.module_.reader
        assert isinstance(reader, Router)
        return reader

    def place(self, tokens: Tokens, device: torch.device) -> dict[str, Any]:
        """Codes of the places, or their rows in the table of learned ones; nothing where content alone counts."""
        positions = self._routing().positions
        if positions == "learned":
            rows = self._rows_of_places(tokens)
            return {"rows": None if rows is None else rows.to(device)}
        return {"code": self._sine(tokens, device, self._routing().turn)} if positions == "sine" else {}

    @property
    def query_(self) -> np.ndarray:
        """The queries (areas, width), in the order of ``areas_``; what is set here is used by ``predict``."""
        return self.router_.query.detach().numpy()

    @query_.setter
    def query_(self, value: Any) -> None:
        query = self.router_.query
        new = torch.from_numpy(np.array(value, dtype=np.float32))
        if new.shape != query.shape:
            raise ValueError(f"query_ has the shape {tuple(new.shape)}; expected {tuple(query.shape)}")
        query.data = new.to(query.device)  # what was read before keeps its numbers

    def attention(self, X: Any, *, per_head: bool = False) -> xr.DataArray:
        """Where each area looks: weights over tokens that sum to one in each picture.

        Parameters
        ----------
        X : (sample, token, unit). per_head : one map for each head; their mean hides heads that differ.

        Returns
        -------
        DataArray (sample, query, token), or (sample, head, query, token): ``query`` the area names, coordinates of the
        samples and tokens of ``X``. NaN for an area without units, with the reason in attrs.
        """
        if not per_head:
            return super().attention(X)
        return self._looked(X, self._heads, ("sample", "head", "query", "token"))
