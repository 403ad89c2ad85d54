"""Hooks on a module: what flows through a network, taken out without changing it.

A *site* names one tensor of a forward pass: ``"layer1"`` is the output of that module,
``"layer1@1"`` its second call, ``"rnn:0"`` the first of several outputs, ``"rnn@1:1.0"`` all of these.
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..exceptions import LayerNotFoundError


@dataclass(frozen=True)
class Site:
    """One tensor of a forward pass: a module, which of its calls, which of its outputs.

    Examples
    --------
    >>> Site.parse("rnn@1:1.0")
    Site(module='rnn', call=1, output=('1', '0'))
    >>> str(Site.parse("layer1"))
    'layer1'
    """

    module: str
    call: int | None = None
    output: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str, modules: Sequence[str] = ()) -> Site:
        """Read ``name[@call][:output]``; one of ``modules`` that has just that name comes first."""
        if text in modules:
            return cls(text)
        name, _, output = text.partition(":")
        module, at, call = name.rpartition("@")
        if not at:
            module = name
        elif not call.isdigit():
            raise LayerNotFoundError(f"layer {text!r}: after '@' stands which call is meant, a number from 0.")
        return cls(module, int(call) if at else None, tuple(output.split(".")) if output else ())

    def __str__(self) -> str:
        call = "" if self.call is None else f"@{self.call}"
        return self.module + call + (":" + ".".join(self.output) if self.output else "")


class Tape(Mapping[str, Tensor]):
    """What the last forward pass left: site -> tensor; each pass of the whole model begins empty.

    A module that was called several times has one entry per call, ``name@0``, ``name@1``, ...;
    asking such a tape for the bare name is an error that lists them.
    """

    def __init__(self, layers: Sequence[str]) -> None:
        self.layers = list(layers)
        self._calls: dict[str, list[Tensor]] = {}
        self._chosen: dict[str, int | None] = {}
        self._order: list[str] = []

    def clear(self) -> None:
        """Forget the last pass."""
        self._calls.clear()

    def _add(self, layer: str, value: Tensor) -> None:
        self._calls.setdefault(layer, []).append(value)

    def _named(self) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for layer in self.layers:
            values = self._calls.get(layer, [])
            if values and (self._chosen.get(layer) is not None or len(values) == 1):
                found[layer] = values[-1]
                continue
            site = Site.parse(layer, self._order)
            for call, value in enumerate(values):
                found[str(Site(site.module, call, site.output))] = value
        return found

    def __getitem__(self, layer: str) -> Tensor:
        named = self._named()
        if layer in named:
            return named[layer]
        calls = len(self._calls.get(layer, []))
        if calls > 1:
            site = Site.parse(layer, self._order)
            names = ", ".join(repr(str(Site(site.module, call, site.output))) for call in range(calls))
            raise LayerNotFoundError(f"layer {layer!r} was called {calls} times in one pass: choose one of {names}.")
        if layer in self.layers:
            raise LayerNotFoundError(f"layer {layer!r} was never called in this pass.")
        raise LayerNotFoundError(f"layer {layer!r} is not on this tape, which holds {', '.join(map(repr, named))}.")

    def __iter__(self) -> Iterator[str]:
        return iter(self._named())

    def __len__(self) -> int:
        return len(self._named())

    def missing(self) -> list[str]:
        """The sites asked for that no call has filled in this pass."""
        return [layer for layer in self.layers if not self._calls.get(layer)]


def find_module(model: nn.Module, name: str) -> nn.Module:
    """The submodule of that ``named_modules()`` name; ``""`` is the model itself.

    Raises
    ------
    LayerNotFoundError : no such name; the message has the nearest ones.

    Examples
    --------
    >>> find_module(nn.Sequential(nn.Linear(2, 3)), "0")
    Linear(in_features=2, out_features=3, bias=True)
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    if name in modules:
        return modules[name]
    names = [known for known in modules if known]
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    near += [known for known in names if name and known.split(".")[-1] == name and known not in near][:3]
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    shown = ", ".join(map(repr, names[:12])) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    raise LayerNotFoundError(
        f"{type(model).__name__} has no layer {name!r}.{hint} It has {shown or 'no submodules'}; "
        "list_layers(model, example) shows them with their shapes."
    )


def _choices(output: Any, prefix: str = "") -> list[str]:
    """Selectors of every tensor inside a nested output."""
    if isinstance(output, Tensor):
        return [prefix]
    if isinstance(output, Mapping):
        items = [(str(key), value) for key, value in output.items()]
    elif isinstance(output, (tuple, list)):
        items = [(str(index), value) for index, value in enumerate(output)]
    else:
        return []
    return [name for key, value in items for name in _choices(value, f"{prefix}.{key}" if prefix else key)]


def select_output(output: Any, site: Site) -> Tensor:
    """The one tensor of a module's output that a site means.

    Raises
    ------
    LayerNotFoundError : the output holds several tensors and the site does not say which, or names none of them.
    """
    choices = _choices(output)
    wanted = ".".join(site.output)
    if isinstance(output, Tensor):
        if not wanted:
            return output
        raise LayerNotFoundError(
            f"layer {site.module!r} returns one tensor: ask for {site.module!r}, not for {str(site)!r}."
        )
    if not wanted or wanted not in choices:
        sites = ", ".join(repr(str(Site(site.module, site.call, tuple(choice.split("."))))) for choice in choices)
        what = f"returns a {type(output).__name__}" + (" without tensors" if not choices else "")
        said = f"{wanted!r} is not in it" if wanted else "say which output is meant"
        raise LayerNotFoundError(f"layer {site.module!r} {what}: {said}. Choose one of {sites or 'another layer'}.")
    for key in site.output:
        output = output[int(key)] if isinstance(output, (tuple, list)) else {str(k): v for k, v in output.items()}[key]
    return output


@contextlib.contextmanager
def recorded(
    model: nn.Module, layers: Sequence[str], transform: Callable[[str, Tensor], Tensor] | None = None
) -> Iterator[Tape]:
    """Record the outputs of some layers while the block runs; the hooks are gone afterwards, also after an exception.

    Parameters
    ----------
    model : any module. Its mode and its gradient state are left as they are (see ``at_rest``).
    layers : sites, ``named_modules()`` names with ``@call`` and ``:output`` where needed.
    transform : called inside the hook as ``transform(layer, tensor)``; what it returns is kept instead of the
        tensor, so pooling or down-casting here keeps the memory small.

    Returns
    -------
    Tape : site -> detached tensor that shares no memory with the model (a later in-place ReLU cannot change it).

    Raises
    ------
    LayerNotFoundError : unknown layer (at once), or a tuple or dict output without selector (in the pass).

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    >>> with recorded(model, ["0"]) as tape:
    ...     _ = model(torch.zeros(4, 2))
    >>> tape["0"].shape
    torch.Size([4, 3])
    """
    if isinstance(layers, str):
        layers = [layers]
    known = [name for name, _ in model.named_modules(remove_duplicate=False)]
    tape = Tape(list(dict.fromkeys(layers)))
    tape._order = known
    sites = {layer: Site.parse(layer, known) for layer in tape.layers}
    by_module: dict[str, list[str]] = {}
    for layer, site in sites.items():
        find_module(model, site.module)
        by_module.setdefault(site.module, []).append(layer)
        tape._chosen[layer] = site.call
    counts: dict[str, int] = {}
    with contextlib.ExitStack() as stack:

        def start(module: nn.Module, arguments: Any) -> None:
            counts.clear()
            tape.clear()

        def keep(name: str) -> Callable[[nn.Module, Any, Any], None]:
            def hook(module: nn.Module, arguments: Any, output: Any) -> None:
                call = counts.get(name, 0)
                counts[name] = call + 1
                for layer in by_module[name]:
                    site = sites[layer]
                    if site.call is not None and site.call != call:
                        continue
                    source = select_output(output, site)
                    value = source.detach() if transform is None else transform(layer, source.detach())
                    if value.untyped_storage().data_ptr() == source.untyped_storage().data_ptr():
                        value = value.clone()
                    tape._add(layer, value)

            return hook

        stack.callback(model.register_forward_pre_hook(start).remove)
        for name in by_module:
            stack.callback(find_module(model, name).register_forward_hook(keep(name)).remove)
        yield tape


@contextlib.contextmanager
def at_rest(model: nn.Module) -> Iterator[nn.Module]:
    """Evaluation mode, no gradients, no autocast, the generators' state put back: then all as it was.

    The ``training`` flag of every submodule is set and restored one by one, without calling ``train()`` or ``eval()``,
    which some modules override with side effects. Restores after exceptions too.

    Examples
    --------
    >>> model = nn.Dropout().train()
    >>> with at_rest(model):
    ...     model.training, torch.is_grad_enabled()
    (False, False)
    >>> model.training
    True
    """
    flags = [(module, module.training) for module in model.modules()]
    devices = sorted({tensor.device.index or 0 for tensor in _tensors(model) if tensor.device.type == "cuda"})
    kinds = (
        {"cpu"}
        | {tensor.device.type for tensor in _tensors(model)}
        | ({"cuda"} if torch.cuda.is_available() else set())
    )
    try:
        for module, _ in flags:
            module.training = False
        with contextlib.ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            stack.enter_context(torch.random.fork_rng(devices=devices))
            for kind in sorted(kinds - {"meta"}):
                stack.enter_context(torch.autocast(device_type=kind, enabled=False))
            yield model
    finally:
        for module, training in flags:
            module.training = training


def _tensors(model: nn.Module) -> Iterator[Tensor]:
    yield from model.parameters()
    yield from model.buffers()


def call_model(model: nn.Module, inputs: Any) -> Any:
    """``model(x)``, ``model(*tuple)`` or ``model(**dict)``, whichever the inputs are.

    Examples
    --------
    >>> call_model(nn.Bilinear(1, 1, 1), (torch.ones(2, 1), torch.ones(2, 1))).shape
    torch.Size([2, 1])
    """
    if isinstance(inputs, Mapping):
        return model(**inputs)
    if isinstance(inputs, (tuple, list)):
        return model(*inputs)
    return model(inputs)


@dataclass(frozen=True)
class Layer:
    """One row of ``list_layers``: name, type, shape of the output, times called in one pass, parameters in it."""

    name: str
    type: str
    shape: tuple[int, ...] | dict[str, tuple[int, ...]] | None
    calls: int
    parameters: int


def list_layers(model: nn.Module, example: Any) -> list[Layer]:
    """Every named module with what it returned for an example, in the order of ``named_modules()``.

    Parameters
    ----------
    model : any module; it is untouched afterwards.
    example : a tensor, a tuple of arguments or a dict of keywords, as the model takes them (one sample is enough).

    Returns
    -------
    list of Layer : ``shape`` is a tuple, or a dict selector -> tuple where the output holds several tensors (the last
        call counts), or None where the module was never called.

    Examples
    --------
    >>> rows = list_layers(nn.Sequential(nn.Linear(2, 3)), torch.zeros(1, 2))
    >>> [(row.name, row.shape, row.parameters) for row in rows]
    [('0', (1, 3), 9)]
    """
    shapes: dict[str, Any] = {}
    calls: dict[str, int] = {}

    def watch(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, arguments: Any, output: Any) -> None:
            calls[name] = calls.get(name, 0) + 1
            if isinstance(output, Tensor):
                shapes[name] = tuple(output.shape)
            else:
                shapes[name] = {
                    choice: tuple(select_output(output, Site(name, None, tuple(choice.split(".")))).shape)
                    for choice in _choices(output)
                }

        return hook

    named = [(name, module) for name, module in model.named_modules() if name]
    with contextlib.ExitStack() as stack:
        stack.enter_context(at_rest(model))
        for name, module in named:
            stack.callback(module.register_forward_hook(watch(name)).remove)
        call_model(model, example)
    return [
        Layer(
            name,
            type(module).__name__,
            shapes.get(name),
            calls.get(name, 0),
            sum(p.numel() for p in module.parameters()),
        )
        for name, module in named
    ]
