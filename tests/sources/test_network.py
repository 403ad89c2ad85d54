"""Activations: the numbers of the model, labelled, whatever the batch; and a model that does not notice."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray
from torch import nn

from neurodecode.exceptions import (
    AlignmentError,
    CapacityError,
    DegenerateDataError,
    IntegrityError,
    LayerNotFoundError,
    NeurodecodeWarning,
    ResumeError,
)
from neurodecode.representation import as_representation, check_representation
from neurodecode.sources.network import activations, list_layers, weights_hash


def drawn(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Dropout(0.5), nn.Flatten(), nn.Linear(144, 5)
    )


class Reader(nn.Module):
    """Embeds tokens and lets each see those before it; padding is told by attention_mask or by pad_id."""

    bos_id = 1
    pad_id = 0

    def __init__(self) -> None:
        super().__init__()
        self.emb = nn.Embedding(20, 6)
        self.mix = nn.Linear(6, 6)
        self.absolute = False

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        x = self.emb(input_ids)
        if self.absolute:
            x = x * torch.arange(1, x.shape[1] + 1)[None, :, None]
        elif attention_mask is not None:
            x = x * attention_mask[:, :, None]
        return self.mix(x.cumsum(1))


# What is captured


def test_pooled_layers_stand_side_by_side(net):
    x = drawn(7, 3, 8, 8)
    X = activations(net, x, ["0", "5"], batch_size=3, stimulus=[f"s{i}" for i in range(7)])
    assert check_representation(X).dims == ("sample", "unit")
    assert X["layer"].values.tolist() == ["0"] * 4 + ["5"] * 5
    assert X["channel"].values.tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 4]
    assert set(X["model"].values.tolist()) == {"Sequential"}
    assert X["stimulus"].values.tolist() == [f"s{i}" for i in range(7)]
    assert X.attrs["kind"] == "network"
    assert X.attrs["input"] == [3, 8, 8]
    net.eval()
    with torch.no_grad():
        conv, out = net[0](x).numpy(), net(x).numpy()
    np.testing.assert_allclose(X.values[:, :4], conv.mean((2, 3)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(X.values[:, 4:], out, rtol=1e-5, atol=1e-6)


def test_without_pooling_maps_keep_their_places(net):
    x = drawn(5, 3, 8, 8)
    found = activations(net, x, ["0", "5"], pool=None, batch_size=2)
    assert list(found) == ["0", "5"]
    maps = found["0"]
    assert maps.dims == ("sample", "token", "unit")
    assert maps.shape == (5, 36, 4)
    here = (maps["row"] == 2) & (maps["col"] == 5)
    np.testing.assert_allclose(maps.values[:, here.values][:, 0], net[0](x)[:, :, 2, 5].detach(), rtol=1e-5, atol=1e-6)
    assert found["5"].dims == ("sample", "unit")
    check_representation(maps)


def test_pool_as_a_callable(net):
    x = drawn(4, 3, 8, 8)
    X = activations(net, x, "0", pool=lambda maps: maps.amax((2, 3)))
    np.testing.assert_allclose(X.values, net[0](x).amax((2, 3)).detach(), rtol=1e-6)
    with pytest.raises(ValueError, match="pool returned 1 rows"):
        activations(net, x, "0", pool=lambda maps: maps.mean(0, keepdim=True))
    with pytest.raises(ValueError, match="Choose one of 'mean', 'last'"):
        activations(net, x, "0", pool="max")
    with pytest.raises(ValueError, match="last token of a sequence"):
        activations(net, x, "0", pool="last")


def test_batch_size_does_not_change_the_numbers(net):
    x = drawn(9, 3, 8, 8)
    whole = activations(net, x, ["0", "2", "5"], batch_size=9)
    for size in (1, 2, 8, 100):
        other = activations(net, x, ["0", "2", "5"], batch_size=size)
        np.testing.assert_allclose(other.values, whole.values, rtol=1e-5, atol=1e-6)
        assert other["stimulus"].equals(whole["stimulus"])


def test_inputs_may_come_as_array_tuple_keywords_or_batches():
    model = nn.Bilinear(2, 3, 4)
    a, b = drawn(6, 2, seed=2), drawn(6, 3, seed=3)
    names = list("abcdef")
    truth = model(a, b).detach().numpy()
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(a, b), batch_size=4)
    for inputs in (
        (a, b),
        (a.numpy().astype(np.float64), b.numpy().astype(">f4")),
        {"input1": a, "input2": b},
        loader,
        ((a[i : i + 2], b[i : i + 2]) for i in (0, 2, 4)),
    ):
        X = activations(model, inputs, "", batch_size=4, stimulus=names)
        np.testing.assert_allclose(X.values, truth, rtol=1e-5, atol=1e-6)
        assert X["stimulus"].values.tolist() == names


def test_labelled_pictures_keep_their_labels_and_go_through_the_model_s_own_preparation(net):
    pictures = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    labelled = xarray.DataArray(
        pictures,
        dims=("sample", "row", "col", "colour"),
        coords={"stimulus": ("sample", list("abcd")), "category": ("sample", ["x", "x", "y", "y"])},
    )
    with pytest.raises(ValueError, match=r"uint8 inputs.*preprocess"):
        activations(net, labelled, "0")
    net.preprocess = lambda values: torch.as_tensor(values).movedim(-1, 1).float() / 255
    X = activations(net, labelled, "0", batch_size=3)
    assert X["stimulus"].values.tolist() == list("abcd")
    assert X["category"].values.tolist() == ["x", "x", "y", "y"]
    np.testing.assert_allclose(X.values, net[0](net.preprocess(pictures)).mean((2, 3)).detach(), rtol=1e-4, atol=1e-5)
    floats = (labelled / 255).assign_attrs(kind="pictures")
    net.preprocess = lambda values: torch.as_tensor(values).movedim(-1, 1).float()
    np.testing.assert_allclose(activations(net, floats, "0").values, X.values, rtol=1e-4, atol=1e-5)
    with pytest.raises(AlignmentError, match="differs from the stimulus coordinate"):
        activations(net, labelled, "0", stimulus=list("abdc"))
    with pytest.raises(ValueError, match="expected 'sample' first"):
        activations(net, labelled.transpose("row", ...), "0")


def test_unnamed_stimuli_are_named_by_their_content(net):
    x = drawn(4, 3, 8, 8)
    x[3] = x[0]
    names = activations(net, x, "0", batch_size=3)["stimulus"].values
    assert names[0] == names[3] != names[1]
    assert activations(net, x[[1]], "0")["stimulus"].values[0] == names[1]


def test_texts_through_a_tokenizer_as_preprocess():
    model = Reader()

    def tokenize(texts):
        return torch.tensor([[1, *(ord(c) % 20 for c in text)] for text in texts])

    X = activations(model, ["abc", "bcd"], "mix", preprocess=tokenize, stimulus=["abc", "bcd"])
    assert X.shape == (2, 6)
    with pytest.raises(ValueError, match="tokenise"):
        activations(model, ["abc", "bcd"], "mix")


# Tokens, padding, marks of the beginning


def test_padding_and_the_mark_of_the_beginning_do_not_count():
    torch.manual_seed(0)
    model = Reader()
    ids = torch.tensor([[1, 5, 6, 7], [1, 8, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    out = model(ids, mask).detach().numpy()
    for inputs in ({"input_ids": ids, "attention_mask": mask}, {"input_ids": ids}, ids):
        X = activations(model, inputs, "mix")
        np.testing.assert_allclose(X.values[0], out[0, 1:].mean(0), rtol=1e-5)
        np.testing.assert_allclose(X.values[1], out[1, 1], rtol=1e-5)
        last = activations(model, inputs, "mix", pool="last")
        np.testing.assert_allclose(last.values, out[[0, 1], [3, 1]], rtol=1e-5)
    own = activations(model, ids, "mix", mask=np.array([[1, 0, 0, 0], [1, 0, 0, 0]]))
    np.testing.assert_allclose(own.values, out[:, 0], rtol=1e-5)
    full = activations(model, ids, "mix", pool=None)["mix"]
    assert full["attended"].values.tolist() == [[False, True, True, True], [False, True, False, False]]
    assert full["position"].values.tolist() == [0, 1, 2, 3]
    with pytest.raises(DegenerateDataError, match="stimulus number 1 has no token"):
        activations(model, torch.tensor([[1, 5], [1, 0]]), "mix")


def test_a_stimulus_alone_equals_itself_in_a_batch_or_the_pooling_is_named():
    torch.manual_seed(0)
    model = Reader()
    ids = torch.tensor([[1, 5, 6, 7], [0, 0, 1, 8]])
    left = {"input_ids": ids, "attention_mask": (ids > 0).long()}
    assert activations(model, left, "mix").shape == (2, 6)  # padding on the left does no harm here
    model.absolute = True  # now it does: positions count from the padding
    with pytest.raises(ValueError, match=r"'mix' with pool='mean' answers.*differently alone"):
        activations(model, left, "mix")
    assert activations(model, left, "mix", check_batch=False).shape == (2, 6)

    class Centring(nn.Module):
        def forward(self, x):
            return x - x.mean(0)

    with pytest.raises(ValueError, match="the other stimuli reach it"):
        activations(Centring(), drawn(4, 3), "")
    assert activations(Centring(), drawn(4, 3), "", check_batch=False).shape == (4, 3)


def test_axes_that_cannot_be_told_apart_must_be_said():
    model = nn.Sequential(nn.Conv1d(2, 3, 1), nn.ReLU())
    x = drawn(4, 2, 5)
    np.testing.assert_allclose(activations(model, x, "0").values, model[0](x).mean(2).detach(), rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match=r"layer '1'.*channel_axis=1 or channel_axis=2"):
        activations(model, x, "1")
    np.testing.assert_allclose(
        activations(model, x, "1", channel_axis=1).values, model(x).mean(2).detach(), rtol=1e-5, atol=1e-6
    )
    first = nn.LSTM(3, 2)  # time first: (t, n, d)

    class TimeFirst(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = first

        def forward(self, x):
            return self.rnn(x.transpose(0, 1))[0]

    y = drawn(4, 4, 3)
    truth = first(y.transpose(0, 1))[0].mean(0).detach()
    np.testing.assert_allclose(activations(TimeFirst(), y, "rnn:0").values, truth, rtol=1e-5, atol=1e-6)


# Layers


def test_what_is_no_module_is_refused():
    for wrong in (nn.Linear, lambda x: x):
        with pytest.raises(TypeError, match=r"expected a torch\.nn\.Module"):
            activations(wrong, drawn(4, 3), "0")
        with pytest.raises(TypeError, match=r"expected a torch\.nn\.Module"):
            list_layers(wrong, drawn(4, 3))


def test_layers_that_are_not_there_not_called_or_called_twice():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.shared, self.idle = nn.Linear(3, 3), nn.Linear(3, 3)

        def forward(self, x):
            return self.shared(self.shared(x))

    model, x = Twice(), drawn(4, 3)
    with pytest.raises(LayerNotFoundError, match="Did you mean 'shared'"):
        activations(model, x, "share")
    with pytest.raises(LayerNotFoundError, match=r"never called.*'idle'"):
        activations(model, x, ["shared@0", "idle"])
    with pytest.raises(LayerNotFoundError, match=r"never called.*count from 0"):
        activations(model, x, "shared@2")
    with pytest.raises(LayerNotFoundError, match="no layer was asked for"):
        activations(model, x, [])
    both = activations(model, x, "shared")
    assert list(dict.fromkeys(both["layer"].values.tolist())) == ["shared@0", "shared@1"]
    second = activations(model, x, "shared@1")
    np.testing.assert_array_equal(both.values[:, 3:], second.values)
    table = list_layers(model, x.numpy())
    assert table.loc["shared", "calls"] == 2
    assert table.loc["idle", "shape"] is None
    assert table.loc["shared", "shape"] == (4, 3)


# The model afterwards


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_untouched(net, fails):
    net.train()
    net[1].eval()
    net[0].weight.requires_grad_(False)
    net(drawn(6, 3, 8, 8)).sum().backward()
    net.eval()
    before_out = net(drawn(2, 3, 8, 8, seed=5)).detach().clone()
    net.train()
    net[1].eval()
    grads = [None if p.grad is None else p.grad.clone() for p in net.parameters()]
    flags = [m.training for m in net.modules()]
    hash_before, random_before = weights_hash(net), torch.get_rng_state()
    x = drawn(5, 3, 8, 8)
    kept = x.clone()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        if fails:
            with pytest.raises(LayerNotFoundError):
                activations(net, x, "0:1")
        else:
            X = activations(net, x, ["0", "3", "5"])
            assert X.dtype == np.float32
            np.testing.assert_array_equal(X.values, activations(net, x, ["0", "3", "5"]).values)
        assert torch.is_autocast_enabled("cpu")
    assert torch.equal(x, kept)
    assert [m.training for m in net.modules()] == flags
    assert [p.requires_grad for p in net.parameters()] == [False] + [True] * 5
    assert all(torch.equal(a, p.grad) if a is not None else p.grad is None for a, p in zip(grads, net.parameters()))
    assert weights_hash(net) == hash_before
    assert torch.equal(torch.get_rng_state(), random_before)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
    net.eval()
    assert torch.equal(net(drawn(2, 3, 8, 8, seed=5)), before_out)


def test_a_device_that_is_not_there_raises(net):
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="no CUDA device"):
            activations(net, drawn(2, 3, 8, 8), "0", device="cuda")
    with pytest.raises(ValueError, match="no weights yet"):
        activations(nn.Linear(2, 2, device="meta"), drawn(2, 2), "")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
def test_a_device_gives_the_same_numbers_and_the_model_comes_back(net):
    x = drawn(5, 3, 8, 8)
    there = activations(net, x, ["0", "5"], device="cuda")
    np.testing.assert_allclose(there.values, activations(net, x, ["0", "5"]).values, rtol=1e-2, atol=1e-3)
    assert all(p.device.type == "cpu" for p in net.parameters())


class Hungry(nn.Module):
    """Runs out of memory with more stimuli than it can take."""

    def __init__(self, most: int):
        super().__init__()
        self.most, self.sizes = most, []
        self.linear = nn.Linear(3, 2)

    def forward(self, x):
        self.sizes.append(len(x))
        if len(x) > self.most:
            raise torch.cuda.OutOfMemoryError("out of memory")
        return self.linear(x)


def test_out_of_memory_halves_the_batch():
    torch.manual_seed(0)
    model, x = Hungry(3), drawn(20, 3)
    with pytest.warns(NeurodecodeWarning, match="ran out of memory with 16 stimuli at once; going on with 2"):
        X = activations(model, x, "linear", batch_size=16)
    np.testing.assert_allclose(X.values, model.linear(x).detach(), rtol=1e-5, atol=1e-6)
    assert max(model.sizes[model.sizes.index(2) :]) == 2  # the size that fits is kept
    with pytest.raises(CapacityError, match="one stimulus alone"):
        activations(Hungry(0), x, "linear")


def test_values_that_are_not_finite_are_named():
    class Broken(nn.Module):
        def forward(self, x):
            return 1e6 / x

    x = torch.ones(3, 2)
    with pytest.raises(DegenerateDataError, match="float16 ends at 65504"):
        activations(Broken(), x, "", dtype="float16")
    x[1, 0] = 0
    with pytest.raises(DegenerateDataError, match="not finite for 1 stimuli, first 'b'"):
        activations(Broken(), x, "", stimulus=list("abc"))
    with pytest.raises(ValueError, match="floating point"):
        activations(nn.Identity(), x, "", dtype="int32")


def test_half_precision_models_and_results():
    torch.manual_seed(0)
    model = nn.Linear(3, 2).to(torch.bfloat16)
    x = drawn(4, 3)
    assert activations(model, x, "").dtype == np.float32
    small = activations(nn.Linear(3, 2), x, "", dtype="float16")
    assert small.dtype == np.float16


def test_inputs_that_do_not_fit_together(net):
    x = drawn(4, 3, 8, 8)
    with pytest.raises(AlignmentError, match="stimulus names 3 stimuli, the inputs hold 4"):
        activations(net, x, "0", stimulus=list("abc"))
    with pytest.raises(AlignmentError, match="different numbers of stimuli"):
        activations(nn.Bilinear(2, 3, 4), (drawn(4, 2), drawn(5, 3)), "")
    with pytest.raises(AlignmentError, match="the batches held 4"):
        activations(net, iter([x]), "0", stimulus=list("abcde"))
    with pytest.raises(AlignmentError, match="the batches hold more"):
        activations(net, iter([x]), "0", stimulus=list("abc"))
    with pytest.raises(DegenerateDataError, match="no stimuli"):
        activations(net, iter([]), "0")
    with pytest.raises(ValueError, match="expected arrays"):
        activations(net, 3, "0")
    with pytest.raises(ValueError, match="a batch is a str"):
        activations(net, iter(["abc"]), "0")


# Stored activations


def test_a_store_gives_the_same_array_and_is_not_made_twice(net, tmp_path):
    x = drawn(9, 3, 8, 8)
    names = [f"s{i}" for i in range(9)]
    memory = activations(net, x, ["0", "5"], batch_size=4, stimulus=names)
    stored = activations(net, x, ["0", "5"], batch_size=4, stimulus=names, store=tmp_path / "acts")
    assert isinstance(stored.variable._data, np.memmap) or isinstance(stored.data, np.memmap)
    xarray.testing.assert_identical(memory, stored)
    check_representation(stored)
    calls = []
    net[0].register_forward_hook(lambda *_: calls.append(1))
    again = activations(net, x, ["0", "5"], stimulus=names, store=tmp_path / "acts")
    assert not calls
    xarray.testing.assert_identical(memory, again)
    full = activations(net, x, ["0", "5"], pool=None, batch_size=4, store=tmp_path / "maps")
    assert full["0"].shape == (9, 36, 4)
    xarray.testing.assert_identical(full["0"], activations(net, x, ["0", "5"], pool=None, batch_size=4)["0"])
    assert not list(tmp_path.glob(".*part"))


def test_a_store_of_another_job_is_refused(net, tmp_path):
    x = drawn(4, 3, 8, 8)
    activations(net, x, "0", store=tmp_path / "acts")
    for change in ({"layers": "5"}, {"inputs": x + 1}, {"dtype": "float16"}, {"stimulus": list("abcd")}):
        arguments = {"inputs": x, "layers": "0", **change}
        with pytest.raises(ResumeError, match="another job"):
            activations(net, store=tmp_path / "acts", **arguments)

    def scaled(factor):
        return lambda values: values * factor

    for first, second in ((scaled(1), scaled(2)), (partial(torch.mul, other=1), partial(torch.mul, other=2))):
        place = tmp_path / str(len(list(tmp_path.iterdir())))
        activations(net, x, "0", store=place, preprocess=first)
        with pytest.raises(ResumeError, match="preprocess differ"):
            activations(net, x, "0", store=place, preprocess=second)
    with torch.no_grad():
        net[0].weight += 1
    with pytest.raises(ResumeError, match="weights differ"):
        activations(net, x, "0", store=tmp_path / "acts")
    with pytest.raises(ResumeError, match="one by one"):
        activations(net, iter([x]), "0", store=tmp_path / "acts")
    (tmp_path / "mine").mkdir()
    with pytest.raises(IntegrityError, match="no folder of activations"):
        activations(net, x, "0", store=tmp_path / "mine")


def test_a_damaged_store_is_made_again(net, tmp_path, caplog):
    x = drawn(4, 3, 8, 8)
    truth = activations(net, x, "0", store=tmp_path / "acts").values.copy()
    file = tmp_path / "acts" / "values0.npy"
    for position in (0, 60, 255, 256, file.stat().st_size - 1):
        data = bytearray(file.read_bytes())
        data[position] ^= 1
        file.unlink()
        file.write_bytes(data)
        with caplog.at_level("WARNING", logger="neurodecode"):
            again = activations(net, x, "0", store=tmp_path / "acts")
        assert "damaged" in caplog.text
        caplog.clear()
        np.testing.assert_array_equal(again.values, truth)


def test_an_interrupted_capture_leaves_nothing_that_looks_whole(net, tmp_path):
    def batches():
        yield drawn(2, 3, 8, 8)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        activations(net, batches(), "0", store=tmp_path / "acts")
    assert not list(tmp_path.iterdir())
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    (tmp_path / f".acts.{gone.stdout.strip()}.part").mkdir()  # what SIGKILL would have left
    activations(net, drawn(2, 3, 8, 8), "0", store=tmp_path / "acts")
    assert [path.name for path in tmp_path.iterdir()] == ["acts"]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_memory_does_not_grow_with_the_number_of_stimuli(tmp_path):
    script = """
        import sys, torch
        from torch import nn
        from neurodecode.sources.network import activations
        model = nn.Sequential(nn.Conv2d(1, 16, 3), nn.ReLU())
        def batches(n):
            for start in range(0, n, 50):
                yield torch.rand(50, 1, 14, 14)
        n = int(sys.argv[1])
        found = activations(model, batches(n), "1", pool=None, store=sys.argv[2])["1"]
        assert found.shape == (n, 144, 16)
        with open("/proc/self/status") as file:  # not ru_maxrss, which a child inherits from its parent
            print(next(line.split()[1] for line in file if line.startswith("VmHWM")))
    """
    peaks = []
    for n in (500, 6500):
        command = [sys.executable, "-c", textwrap.dedent(script), str(n), str(tmp_path / str(n))]
        peaks.append(float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) / 1024)
    written = sum(file.stat().st_size for file in (tmp_path / "6500").iterdir()) / 2**20
    assert written > 50
    assert peaks[1] - peaks[0] < written / 3, peaks  # MiB; whoever keeps the 6000 more stimuli of 9 kB takes 53 more


def test_activations_meet_a_recording_by_label(net):
    from neurodecode.representation import match

    x = drawn(4, 3, 8, 8)
    X = activations(net, x, "0", stimulus=list("abcd"))
    brain = as_representation(drawn(4, 2).numpy(), stimulus=list("dcba"), kind="fmri")
    left, right = match(X, brain)
    assert left["stimulus"].values.tolist() == right["stimulus"].values.tolist()
