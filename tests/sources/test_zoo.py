"""The zoo: architectures as they are described, weights from safe files only, training that repeats."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from neurodecode.exceptions import DegenerateDataError, IntegrityError, UnsafeFileError
from neurodecode.sources import zoo
from neurodecode.sources.network import activations, list_layers
from neurodecode.sources.zoo.characters import CharLSTM
from neurodecode.sources.zoo.digits import DigitDenoiser, DigitVAE
from neurodecode.sources.zoo.residual import CifarResNet
from neurodecode.sources.zoo.stories import StoryConfig, StoryModel, StoryTokenizer, rotate


@pytest.fixture
def resnet_file(tmp_path):
    torch.manual_seed(0)
    model = CifarResNet(2)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    save_file(model.state_dict(), tmp_path / "net.safetensors")
    return model.eval(), tmp_path / "net.safetensors"


def slow_resnet(weights, x, n):
    """He et al. 2016, section 4.2, written out with functional calls only."""

    def norm(x, name):
        mean, var = weights[f"{name}.running_mean"], weights[f"{name}.running_var"]
        scale, shift = weights[f"{name}.weight"], weights[f"{name}.bias"]
        return (x - mean[:, None, None]) / torch.sqrt(var + 1e-5)[:, None, None] * scale[:, None, None] + shift[
            :, None, None
        ]

    conv = nn.functional.conv2d
    x = norm(conv(x, weights["conv1.weight"], padding=1), "bn1").clamp(min=0)
    for stage in (1, 2, 3):
        for block in range(n):
            name = f"layer{stage}.{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            y = norm(conv(x, weights[f"{name}.conv1.weight"], stride=stride, padding=1), f"{name}.bn1").clamp(min=0)
            y = norm(conv(y, weights[f"{name}.conv2.weight"], padding=1), f"{name}.bn2")
            if stride == 2:
                x = x[:, :, ::2, ::2]
                zero = torch.zeros(len(x), x.shape[1] // 2, *x.shape[2:])
                x = torch.cat((zero, x, zero), 1)
            x = (y + x).clamp(min=0)
    return x.mean((2, 3)) @ weights["linear.weight"].T + weights["linear.bias"]


def test_the_residual_network_equals_its_description(resnet_file):
    model, path = resnet_file
    loaded = zoo.cifar_resnet(path)
    assert loaded.name == "resnet14"
    assert not loaded.training
    x = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(loaded(x), model(x), rtol=0, atol=0)
        torch.testing.assert_close(loaded(x), slow_resnet(loaded.state_dict(), x, 2), rtol=1e-4, atol=1e-4)


def test_every_stage_can_be_captured(resnet_file):
    model = zoo.cifar_resnet(resnet_file[1])
    pictures = np.random.default_rng(0).integers(0, 256, (4, 96, 96, 3), dtype=np.uint8)
    X = activations(model, pictures, model.stages)
    assert {layer: int((X["layer"] == layer).sum()) for layer in model.stages} == {
        "relu": 16, "layer1": 16, "layer2": 32, "layer3": 64, "linear": 10,
    }  # fmt: skip
    assert X.attrs["input"] == [3, 32, 32]
    assert set(X["model"].values.tolist()) == {"resnet14"}
    shapes = list_layers(model, torch.zeros(1, 3, 32, 32))["shape"]
    assert shapes["layer3"] == (1, 64, 8, 8)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".th", ".ckpt", ".bin", ".pkl", ".npy", ".npz", ".h5"])
def test_files_that_could_run_code_are_refused(tmp_path, suffix):
    path = tmp_path / f"weights{suffix}"
    torch.save({"a": torch.zeros(1)}, path)
    with pytest.raises(UnsafeFileError, match="safetensors files only"):
        zoo.cifar_resnet(path)


def test_files_that_are_not_what_they_say(tmp_path, resnet_file):
    _, path = resnet_file
    data = path.read_bytes()
    for broken in (data[:1000], data[:-10], b"<html>not found</html>", b""):
        other = tmp_path / "broken.safetensors"
        other.write_bytes(broken)
        with pytest.raises(IntegrityError, match="not a whole safetensors file"):
            zoo.cifar_resnet(other)
    with pytest.raises(FileNotFoundError, match="no such file"):
        zoo.cifar_resnet(tmp_path / "absent.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    for load in (zoo.cifar_resnet, zoo.char_lstm, zoo.mnist_ddpm, zoo.mnist_vae, zoo.latent_classifier):
        with pytest.raises(IntegrityError, match="does not hold"):
            load(tmp_path / "other.safetensors")
    tensors = zoo.read_weights(path)
    tensors["linear.weight"] = torch.zeros(10, 63)
    del tensors["bn1.bias"]
    save_file(tensors, tmp_path / "shape.safetensors")
    with pytest.raises(IntegrityError, match=r"missing bn1.bias; of another shape linear.weight \(10, 63\)"):
        zoo.cifar_resnet(tmp_path / "shape.safetensors")


def test_loading_leaves_the_random_state_alone(resnet_file):
    state = torch.get_rng_state()
    zoo.cifar_resnet(resnet_file[1])
    zoo.small_conv(3)
    assert torch.equal(torch.get_rng_state(), state)


def test_pictures_have_one_range_and_one_layout():
    values = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    a = zoo.as_pictures(values)
    torch.testing.assert_close(a, zoo.as_pictures(values / 255), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(a, zoo.as_pictures(values.transpose(0, 3, 1, 2)), rtol=0, atol=0)
    assert zoo.as_pictures(np.full((1, 9, 9, 3), 0.5), 4).sub(0.5).abs().max() < 1e-6
    for wrong, said in (
        (values.astype(float), "expected 0..1"),
        (values.astype(int), "no known range"),
        (np.zeros((2, 8, 8, 4), np.uint8), "alpha"),
        (np.zeros((2, 3, 8, 3), np.uint8), "leaves open"),
        (values[0], "expected"),
        (np.full((1, 2, 2, 3), np.nan), "expected 0..1"),
    ):
        with pytest.raises(ValueError, match=said):
            zoo.as_pictures(wrong)


def squares(n, seed):
    """Red squares and green bars at free places on grey, with noise."""
    rng = np.random.default_rng(seed)
    pictures = np.full((n, 16, 16, 3), 0.5) + rng.normal(0, 0.05, (n, 16, 16, 3))
    kinds = rng.integers(0, 2, n)
    for picture, kind in zip(pictures, kinds):
        row, col = rng.integers(0, 11, 2)
        height, width = ((4, 4), (2, 6))[kind]
        picture[row : row + height, col : col + width, kind] = 1
    return pictures.clip(0, 1), np.array(["square", "bar"])[kinds]


def test_a_small_network_learns_and_repeats():
    pictures, names = squares(200, 1)
    model = zoo.train_small_conv(pictures, names, epochs=5, random_state=3, channels=(8, 16))
    assert model.classes == ("bar", "square")
    assert model.picture_size == 16
    test, truth = squares(100, 2)
    with torch.no_grad():
        said = np.array(model.classes)[model(model.preprocess(test)).argmax(1)]
    assert (said == truth).mean() > 0.9
    shuffled = np.random.default_rng(0).permutation(names)
    blind = zoo.train_small_conv(pictures, shuffled, epochs=5, random_state=3, channels=(8, 16))
    with torch.no_grad():
        said = np.array(blind.classes)[blind(blind.preprocess(test)).argmax(1)]
    assert abs((said == truth).mean() - 0.5) < 0.25
    again = zoo.train_small_conv(pictures, names, epochs=5, random_state=3, channels=(8, 16))
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), again.state_dict().values()))
    other = zoo.train_small_conv(pictures, names, epochs=1, random_state=4, channels=(8, 16))
    assert not torch.equal(other.linear.weight, model.linear.weight)


def test_the_same_seed_gives_the_same_weights_at_one_and_two_threads():
    script = """
import sys, numpy as np, torch
torch.set_num_threads(int(sys.argv[1]))
from neurodecode.sources import zoo
from neurodecode.sources.network import weights_hash
rng = np.random.default_rng(0)
pictures = rng.random((64, 32, 32, 3))
model = zoo.train_small_conv(pictures, rng.integers(0, 3, 64), epochs=2, random_state=5)
assert torch.get_num_threads() == int(sys.argv[1])
print(weights_hash(model))
"""
    found = {
        subprocess.run([sys.executable, "-c", script, n], capture_output=True, text=True, check=True).stdout
        for n in ("1", "2")
    }
    assert len(found) == 1


def test_attributes_can_be_learnt_together():
    pictures, names = squares(120, 1)
    table = np.stack([names == "square", pictures[:, :, :, 2].mean((1, 2)) > 0.5], 1).astype(int)
    model = zoo.train_small_conv(pictures, table, epochs=4, channels=(8, 16))
    with torch.no_grad():
        said = model(model.preprocess(pictures)) > 0
    assert said.shape == (120, 2)
    assert (said[:, 0].numpy() == table[:, 0]).mean() > 0.9


def test_labels_that_cannot_be_learnt():
    pictures, names = squares(6, 1)
    with pytest.raises(DegenerateDataError, match="6 pictures; expected one row each"):
        zoo.train_small_conv(pictures, names[:5])
    with pytest.raises(DegenerateDataError, match="two classes"):
        zoo.train_small_conv(pictures, ["a"] * 6)


# Language models


def test_the_story_model_equals_a_slow_reading_of_its_description(tmp_path):
    config = StoryConfig(dim=8, hidden_dim=12, n_layers=2, n_heads=4, n_kv_heads=2, vocab_size=11, max_seq_len=9)
    torch.manual_seed(0)
    shapes = {
        "rms_att": (2, 8), "wq": (2, 8, 8), "wk": (2, 4, 8), "wv": (2, 4, 8), "wo": (2, 8, 8), "rms_ffn": (2, 8),
        "w1": (2, 12, 8), "w3": (2, 12, 8), "w2": (2, 8, 12), "emb": (11, 8), "rms_final": (8,),
    }  # fmt: skip
    w = {name: torch.randn(shape) for name, shape in shapes.items()}
    angles = torch.outer(torch.arange(9.0), torch.tensor([1.0]))
    w |= {"fr": angles.cos(), "fi": angles.sin()}
    save_file(w, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({**vars(config), "tied_embeddings": True}))
    model = zoo.story_model(tmp_path)
    ids = torch.tensor([[1, 4, 10, 3, 3]])

    def norm(x, g):
        return x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-5) * g

    x = w["emb"][ids[0]]
    for layer in range(2):
        h = norm(x, w["rms_att"][layer])
        q, k, v = (h @ w[name][layer].T for name in ("wq", "wk", "wv"))
        heads = []
        for head in range(4):
            rows = []
            for t in range(5):
                turned = []
                for vectors, which, at in [(q, head, t)] + [(k, head // 2, s) for s in range(t + 1)]:
                    a, b = vectors[at, 2 * which], vectors[at, 2 * which + 1]
                    turned.append(complex(a, b) * np.exp(1j * at))
                scores = torch.tensor([(turned[0] * key.conjugate()).real / 2**0.5 for key in turned[1:]])
                weights = scores.softmax(0).float()
                rows.append(weights @ v[: t + 1, 2 * (head // 2) : 2 * (head // 2) + 2])
            heads.append(torch.stack(rows))
        x = x + torch.cat(heads, 1) @ w["wo"][layer].T
        h = norm(x, w["rms_ffn"][layer])
        gate = h @ w["w1"][layer].T
        x = x + (gate * gate.sigmoid() * (h @ w["w3"][layer].T)) @ w["w2"][layer].T
    logits = norm(x, w["rms_final"]) @ w["emb"].T
    with torch.no_grad():
        torch.testing.assert_close(model(ids)[0], logits, rtol=1e-3, atol=1e-3)
        padded = model(torch.cat((ids, torch.zeros(1, 3, dtype=torch.long)), 1))
        torch.testing.assert_close(padded[0, :5], model(ids)[0], rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="context of 9"):
        model(torch.ones(1, 10, dtype=torch.long))
    X = activations(model, torch.tensor([[1, 4, 10, 0], [1, 5, 6, 7]]), ["layers.0", "layers.1.mlp.act"])
    assert X.shape == (2, 20)
    pattern = activations(model, ids, "layers.1.attention.pattern", pool=lambda p: p.sum(-1).flatten(1))
    np.testing.assert_allclose(pattern.values, 1, rtol=1e-5)


def test_rotary_positions_keep_lengths_and_depend_on_distance_only():
    x, y = torch.randn(2, 1, 6, 1, 4, generator=torch.Generator().manual_seed(0))
    x, y = x[:, :1].expand(1, 6, 1, 4), y[:, :1].expand(1, 6, 1, 4)
    angles = torch.outer(torch.arange(6.0), torch.tensor([1.0, 0.1]))
    a, b = rotate(x, angles.cos(), angles.sin()), rotate(y, angles.cos(), angles.sin())
    torch.testing.assert_close(a.norm(dim=-1), x.norm(dim=-1))
    torch.testing.assert_close((a[0, 3] * b[0, 1]).sum(), (a[0, 5] * b[0, 3]).sum())


def test_the_tokenizer_merges_by_score_and_spells_the_rest_in_bytes(tmp_path):
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{b:02X}>" for b in range(256)), " ", "a", "b", "ab", " a", "ba"]
    scores = [0.0] * 262 + [-2.0, -1.0, -3.0]
    rows = [{"id": i, "piece": p, "score": s} for i, (p, s) in enumerate(zip(pieces, scores))]
    (tmp_path / "tokenizer.json").write_text(json.dumps(rows[::-1]))
    tokenizer = zoo.story_tokenizer(tmp_path)
    assert tokenizer.encode("") == [1]
    assert [tokenizer.pieces[i] for i in tokenizer.encode("ab")[1:]] == [" a", "b"]  # the higher score goes first
    assert [tokenizer.pieces[i] for i in tokenizer.encode("bab")[1:]] == [" ", "b", "ab"]
    for text in ("ab ba", "é🙂", "a\r\nb", "  b", "e\u0301", "\x00"):
        ids = tokenizer.encode(text)
        assert ids[0] == 1
        assert tokenizer.decode(ids) == text
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(IntegrityError, match="not a list of pieces"):
        zoo.story_tokenizer(tmp_path)
    with pytest.raises(FileNotFoundError):
        zoo.story_tokenizer(tmp_path / "absent")
    assert isinstance(tokenizer, StoryTokenizer)
    assert isinstance(StoryModel(StoryConfig(n_layers=1)), nn.Module)


def test_the_character_model_equals_its_description(tmp_path):
    torch.manual_seed(0)
    lstm_1, lstm_2 = nn.LSTM(5, 3, batch_first=True), nn.LSTM(3, 3, batch_first=True)
    w = {"embedding": torch.randn(7, 5), "attention": torch.randn(11, 1), "out_w": torch.randn(7, 11)}
    w["out_b"] = torch.randn(7)
    for name, lstm in (("rnn_1", lstm_1), ("rnn_2", lstm_2)):
        w |= {f"{name}.{key.removesuffix('_l0')}": value.detach() for key, value in lstm.state_dict().items()}
    save_file({key: value.contiguous() for key, value in w.items()}, tmp_path / "char.safetensors")
    model = zoo.char_lstm(tmp_path / "char.safetensors")
    ids = torch.randint(0, 7, (2, 40), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        e = w["embedding"][ids]
        a = lstm_1(e)[0]
        z = torch.cat((e, a, lstm_2(a)[0]), -1)
        score = torch.exp(z @ w["attention"])[..., 0]
        mixed = (z * (score / score.sum(1, keepdim=True))[..., None]).sum(1)
        torch.testing.assert_close(model(ids), mixed @ w["out_w"].T + w["out_b"], rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="last 40"):
        model(ids[:, :30])
    assert CharLSTM(7)(ids).shape == (2, 7)


# Generative models


def test_the_denoiser_takes_one_step_or_one_for_each(tmp_path):
    torch.manual_seed(0)
    model = DigitDenoiser().eval()
    with pytest.raises(ValueError, match=r"\(2, 3, 28, 28\).*\(n, 1, 28, 28\)"):
        model(torch.zeros(2, 3, 28, 28), 1)
    stored = {"alpha_t": model.alpha_bar, "beta_t": model.beta}
    for name, value in model.state_dict().items():
        if name in ("alpha_bar", "beta"):
            continue
        name = name.replace("last.", "blocks.4.")
        parts = name.split(".")
        if parts[0] == "blocks" and parts[1] != "4":
            parts.insert(2, "net")
        stored["gt." + ".".join(parts)] = value
    save_file(stored, tmp_path / "ddpm.safetensors")
    loaded = zoo.mnist_ddpm(tmp_path / "ddpm.safetensors")
    x = torch.randn(3, 1, 28, 28)
    with torch.no_grad():
        torch.testing.assert_close(loaded(x, 7), model(x, 7), rtol=0, atol=0)
        each = loaded(x, torch.tensor([7, 300, 7]))
        torch.testing.assert_close(each[[0, 2]], loaded(x, 7)[[0, 2]], rtol=1e-4, atol=1e-5)
        assert not torch.allclose(each[1], loaded(x, 7)[1])
    assert loaded.alpha_bar.shape == (1001,)
    assert loaded.alpha_bar[0] > 0.999
    assert bool((loaded.alpha_bar.diff() < 0).all())


def test_the_autoencoder_repeats_border_pixels_and_decodes_its_mean(tmp_path):
    torch.manual_seed(0)
    model = DigitVAE().eval()
    save_file(model.state_dict(), tmp_path / "vae.safetensors")
    loaded = zoo.mnist_vae(tmp_path / "vae.safetensors")
    x = torch.rand(2, 1, 28, 28)
    with torch.no_grad():
        torch.testing.assert_close(loaded(x), loaded.decode(loaded.encode(x)[0]), rtol=0, atol=0)
        w = model.state_dict()
        padded = nn.functional.pad(x, (1, 1, 1, 1), mode="replicate")
        first = nn.functional.conv2d(padded, w["encoder.conv1.weight"], w["encoder.conv1.bias"])
        torch.testing.assert_close(loaded.encoder["conv1"](x), first, rtol=1e-5, atol=1e-6)
    classifier = nn.Sequential(nn.Linear(20, 50), nn.ReLU(), nn.Linear(50, 10))
    save_file({f"module.{k}": v for k, v in classifier.state_dict().items()}, tmp_path / "classes.safetensors")
    z = torch.randn(3, 20)
    torch.testing.assert_close(zoo.latent_classifier(tmp_path / "classes.safetensors")(z), classifier(z))
