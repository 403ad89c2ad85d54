"""Hooks: what is recorded is what flowed, and the model does not notice."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from neurodecode.compute.hooks import Site, at_rest, call_model, find_module, list_layers, recorded, select_output
from neurodecode.exceptions import LayerNotFoundError


class Twice(nn.Module):
    """One linear layer used twice, one never used, one with several outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Linear(3, 3)
        self.idle = nn.Linear(3, 3)
        self.rnn = nn.LSTM(3, 2, batch_first=True)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        first = self.shared(x)
        kept = first.clone()
        self.relu(first)
        second = self.shared(first)
        out, (h, c) = self.rnn(second)
        return {"first": kept, "second": second, "out": out, "h": h, "c": c}


def hook_count(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


@pytest.fixture
def model() -> Twice:
    torch.manual_seed(0)
    return Twice()


def test_recorded_values_are_the_outputs(model: Twice) -> None:
    x = torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(1))
    with recorded(model, ["shared@0", "shared@1", "rnn:0", "rnn:1.0", "rnn:1.1", ":out"]) as tape:
        truth = model(x)
    # The ReLU that follows works in place: what was recorded is the value before it.
    torch.testing.assert_close(tape["shared@0"], truth["first"], rtol=0, atol=0)
    assert (tape["shared@0"] < 0).any()
    torch.testing.assert_close(tape["shared@1"], truth["second"], rtol=0, atol=0)
    for site, name in {"rnn:0": "out", "rnn:1.0": "h", "rnn:1.1": "c", ":out": "out"}.items():
        torch.testing.assert_close(tape[site], truth[name], rtol=0, atol=0)
    assert not any(value.requires_grad for value in tape.values())
    assert hook_count(model) == 0


def test_calls_are_indexed_and_a_bare_name_is_refused(model: Twice) -> None:
    with recorded(model, ["shared", "idle"]) as tape:
        model(torch.zeros(1, 2, 3))
        model(torch.ones(1, 2, 3))  # a second pass replaces the first, it does not add to it
    assert list(tape) == ["shared@0", "shared@1"]
    torch.testing.assert_close(tape["shared@0"], model.shared(torch.ones(1, 2, 3)).detach(), rtol=0, atol=0)
    with pytest.raises(LayerNotFoundError, match=r"'shared' was called 2 times.*'shared@0', 'shared@1'"):
        tape["shared"]
    assert tape.missing() == ["idle"]
    with pytest.raises(LayerNotFoundError, match="'idle' was never called"):
        tape["idle"]
    with pytest.raises(LayerNotFoundError, match="not on this tape"):
        tape["rnn"]


def test_unknown_layers_are_answered_with_suggestions(model: Twice) -> None:
    with (
        pytest.raises(LayerNotFoundError, match=r"no layer 'sharde'. Did you mean 'shared'"),
        recorded(model, ["sharde"]),
    ):
        pass
    nested = nn.ModuleDict({"encoder": nn.ModuleDict({"attention": nn.Linear(2, 2)})})
    with pytest.raises(LayerNotFoundError, match=r"'encoder.attention'"):
        find_module(nested, "attention")
    with pytest.raises(LayerNotFoundError, match="which call"):
        Site.parse("shared@last")
    assert hook_count(model) == 0


def test_several_outputs_need_a_selector(model: Twice) -> None:
    x = torch.zeros(1, 2, 3)
    tuple_of_three = r"returns a tuple: say which.*'rnn:0', 'rnn:1.0', 'rnn:1.1'"
    with pytest.raises(LayerNotFoundError, match=tuple_of_three), recorded(model, ["rnn"]):
        model(x)
    with pytest.raises(LayerNotFoundError, match=r"'7' is not in it"), recorded(model, ["rnn:7"]):
        model(x)
    with pytest.raises(LayerNotFoundError, match="returns one tensor"), recorded(model, ["shared@0:0"]):
        model(x)
    with pytest.raises(LayerNotFoundError, match="without tensors"):
        select_output(None, Site("a"))
    assert hook_count(model) == 0


def test_names_with_at_signs_and_tied_modules() -> None:
    layer = nn.Linear(2, 2)
    model = nn.Sequential(nn.ModuleDict({"a@1": layer})["a@1"], layer)
    odd = nn.ModuleDict({"a@1": layer, "b": layer})
    assert Site.parse("a@1", [name for name, _ in odd.named_modules()]) == Site("a@1")
    assert find_module(odd, "b") is layer
    with recorded(model, ["1"]) as tape:
        model(torch.zeros(1, 2))
    assert list(tape) == ["1@0", "1@1"]


def test_transform_runs_inside_the_hook_and_hooks_go_after_exceptions(model: Twice) -> None:
    seen = []

    def pool(layer: str, value: torch.Tensor) -> torch.Tensor:
        seen.append(layer)
        return value.mean(1)

    with recorded(model, ["shared@1"], pool) as tape:
        truth = model(torch.ones(2, 4, 3))
    assert seen == ["shared@1"]
    torch.testing.assert_close(tape["shared@1"], truth["second"].mean(1).detach())

    def broken(layer: str, value: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("boom")

    user = model.shared.register_forward_hook(lambda *_: None)
    with pytest.raises(RuntimeError, match="boom"), recorded(model, ["shared"], broken):
        model(torch.ones(2, 4, 3))
    assert hook_count(model) == 1  # the hook of the user is still there
    user.remove()


def test_nested_recordings(model: Twice) -> None:
    with recorded(model, ["shared@0"]) as outer:
        with recorded(model, ["shared@1"]) as inner:
            model(torch.ones(1, 2, 3))
        first = outer["shared@0"]
        model(torch.zeros(1, 2, 3))
    assert list(inner) == ["shared@1"]
    assert not torch.equal(outer["shared@0"], first)


@pytest.mark.parametrize("fails", [False, True])
def test_at_rest_puts_everything_back(fails: bool) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.BatchNorm1d(4), nn.Sequential(nn.Dropout(0.5)))
    model.train()
    model[3].eval()  # a mixed state: only part of the model is in training mode
    flags = [module.training for module in model.modules()]
    model(torch.randn(8, 4)).sum().backward()
    grads = [p.grad.clone() for p in model.parameters()]
    buffers = [b.clone() for b in model.buffers()]
    state = torch.get_rng_state()

    def look() -> torch.Tensor:
        with at_rest(model):
            assert not any(module.training for module in model.modules())
            assert not torch.is_autocast_enabled("cpu")
            torch.rand(3)
            out = model(torch.ones(2, 4))
            assert not out.requires_grad
            assert out.dtype == torch.float32
            if fails:
                raise KeyboardInterrupt
        return out

    with torch.autocast("cpu", dtype=torch.bfloat16):
        if fails:
            with pytest.raises(KeyboardInterrupt):
                look()
        else:
            torch.testing.assert_close(look(), look(), rtol=0, atol=0)
        assert torch.is_autocast_enabled("cpu")
    assert [module.training for module in model.modules()] == flags
    assert all(torch.equal(a, p.grad) for a, p in zip(grads, model.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(buffers, model.buffers()))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.is_grad_enabled()


def test_at_rest_calls_neither_train_nor_eval() -> None:
    class Merging(nn.Module):
        def train(self, mode: bool = True) -> nn.Module:
            raise AssertionError("train() has side effects here")

    model = Merging()
    with at_rest(model):
        assert not model.training
    assert model.training


def test_list_layers_shapes_calls_and_parameters(model: Twice) -> None:
    model.train()
    rows = {row.name: row for row in list_layers(model, torch.zeros(1, 2, 3))}
    assert list(rows) == ["shared", "idle", "rnn", "relu"]
    assert (rows["shared"].shape, rows["shared"].calls, rows["shared"].parameters) == ((1, 2, 3), 2, 12)
    assert (rows["idle"].shape, rows["idle"].calls) == (None, 0)
    assert rows["rnn"].shape == {"0": (1, 2, 2), "1.0": (1, 1, 2), "1.1": (1, 1, 2)}
    assert rows["rnn"].type == "LSTM"
    assert model.training
    assert hook_count(model) == 0


def test_inputs_as_tensor_tuple_or_keywords() -> None:
    model = nn.Bilinear(2, 3, 1)
    a, b = torch.ones(4, 2), torch.ones(4, 3)
    first = call_model(model, (a, b))
    assert torch.equal(first, call_model(model, {"input1": a, "input2": b}))
    assert np.shape(call_model(nn.Identity(), a)) == (4, 2)
