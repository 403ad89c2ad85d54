"""Models of a hub or a folder: which weights are taken, and what is said where they cannot be had."""

from __future__ import annotations

import socket
import time

import numpy as np
import pytest
import torch

from neurodecode.exceptions import DownloadError, UnsafeFileError
from neurodecode.sources.network import activations, load_hub, weights_hash


def tiny_language_model(folder, safe=True):
    import transformers

    config = transformers.GPT2Config(
        n_layer=2, n_head=2, n_embd=8, vocab_size=30, n_positions=16, bos_token_id=1, eos_token_id=2
    )
    torch.manual_seed(0)
    model = transformers.GPT2Model(config)
    if safe:
        model.save_pretrained(folder)
    else:
        folder.mkdir()
        config.save_pretrained(folder)
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return model


def test_a_language_model_of_a_hub(tmp_path):
    truth = tiny_language_model(tmp_path / "tiny")
    model, processor = load_hub(tmp_path / "tiny")
    assert processor is None
    assert not model.training
    ids = torch.tensor([[1, 5, 6, 7], [1, 8, 9, 0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    X = activations(model, {"input_ids": ids, "attention_mask": mask, "use_cache": False}, ["h.0.mlp", "ln_f"])
    truth.eval()
    out = truth(input_ids=ids, attention_mask=mask).last_hidden_state.detach().numpy()
    assert sorted(set(X["layer"].values.tolist())) == ["h.0.mlp", "ln_f"]
    rows = X.values[:, X["layer"].values == "ln_f"]
    np.testing.assert_allclose(rows, [out[0, 1:].mean(0), out[1, 1:3].mean(0)], rtol=1e-4, atol=1e-5)
    left = {"input_ids": ids.flip(1), "attention_mask": mask.flip(1), "use_cache": False}
    with pytest.raises(ValueError, match="Pad on the other side"):
        activations(model, left, "ln_f")


def test_a_vision_model_of_a_hub(tmp_path):
    import transformers

    config = transformers.ViTConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=16, patch_size=8
    )
    transformers.ViTModel(config).save_pretrained(tmp_path / "vit")
    transformers.ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(tmp_path / "vit")
    model, processor = load_hub(tmp_path / "vit")
    assert processor is not None
    X = activations(model, {"pixel_values": torch.randn(3, 3, 16, 16)}, "layernorm", pool=None)["layernorm"]
    assert X.shape == (3, 5, 8)  # the class token and four patches


def test_a_hub_gives_safetensors_of_a_pinned_revision_only(tmp_path):
    tiny_language_model(tmp_path / "unsafe", safe=False)
    with pytest.raises(UnsafeFileError, match=r"pytorch_model.bin"):
        load_hub(tmp_path / "unsafe")
    with pytest.raises(ValueError, match="needs a revision"):
        load_hub("somebody/model")
    tiny_language_model(tmp_path / "tiny")
    with pytest.raises(ValueError, match="AutoModel"):
        load_hub(tmp_path / "tiny", head="NoSuchModel")


@pytest.fixture
def hub_at(monkeypatch, tmp_path):
    """The hub at an address of this machine, with a cache of its own; no switch or proxy of the machine counts."""
    constants = pytest.importorskip("huggingface_hub").constants
    monkeypatch.setattr("urllib.request.getproxies", dict)
    monkeypatch.delenv("NEURODECODE_OFFLINE", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))

    def at(port):
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")
        return constants

    return at


@pytest.fixture
def closed_port():
    with socket.socket() as taken:  # bound and never listening: whoever knocks is refused
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def test_without_a_network_a_hub_says_at_once_how_to_bring_the_model(hub_at, closed_port, monkeypatch):
    asked = []
    monkeypatch.setattr(time, "sleep", asked.append)  # what the hub's own client does between its attempts
    hub_at(closed_port)
    with pytest.raises(DownloadError, match=r"cannot be reached.*hf download somebody/model .*pass its path") as caught:
        load_hub("somebody/model", revision="0" * 40)
    assert f"http://127.0.0.1:{closed_port}" in str(caught.value) and "UnsafeFileError" not in repr(caught.value)
    assert not asked


def test_a_proxy_that_is_not_there_is_named(hub_at, closed_port, monkeypatch):
    hub_at(9)
    monkeypatch.setattr("urllib.request.getproxies", lambda: {"http": f"http://127.0.0.1:{closed_port}"})
    monkeypatch.setattr("urllib.request.proxy_bypass", lambda host: False)
    with pytest.raises(DownloadError, match="through the proxy"):
        load_hub("somebody/model", revision="0" * 40)


@pytest.mark.parametrize("switch", ["offline", "NEURODECODE_OFFLINE", "HF_HUB_OFFLINE"])
def test_a_hub_that_must_not_be_asked_is_not(hub_at, closed_port, monkeypatch, switch):
    constants = hub_at(closed_port)
    if switch == "HF_HUB_OFFLINE":
        monkeypatch.setattr(constants, switch, True)
    elif switch == "NEURODECODE_OFFLINE":
        monkeypatch.setenv(switch, "1")
    monkeypatch.setattr(socket, "create_connection", lambda *a, **k: pytest.fail("the network was touched"))
    with pytest.raises(DownloadError, match=f"{switch}.* forbids asking the hub"):
        load_hub("somebody/model", revision="0" * 40, offline=switch == "offline")


def test_a_hub_that_answers_is_asked_by_its_own_client(hub_at, monkeypatch):
    import transformers

    given = {}

    def load(source, **settings):
        given[source] = settings["local_files_only"]
        return torch.nn.Linear(1, 1)

    for kind in ("AutoModel", "AutoTokenizer", "AutoImageProcessor"):
        monkeypatch.setattr(getattr(transformers, kind), "from_pretrained", load)
    with socket.create_server(("127.0.0.1", 0)) as server:
        hub_at(server.getsockname()[1])
        load_hub("somebody/model", revision="0" * 40)
        assert given == {"somebody/model": False}
        load_hub("somebody/model", revision="0" * 40, offline=True)
    assert given == {"somebody/model": True}


def test_what_a_hub_left_on_this_disk_is_used_without_a_network(hub_at, closed_port, tmp_path):
    truth = tiny_language_model(tmp_path / "tiny")
    commit = "1" * 40
    kept = tmp_path / "cache" / "models--somebody--tiny" / "snapshots" / commit
    kept.parent.mkdir(parents=True)
    (tmp_path / "tiny").rename(kept)
    hub_at(closed_port)
    model, _ = load_hub("somebody/tiny", revision=commit, cache_dir=tmp_path / "cache")
    assert weights_hash(model) == weights_hash(truth)
    (kept / "model.safetensors").unlink()
    with pytest.raises(DownloadError, match="not whole"):
        load_hub("somebody/tiny", revision=commit, cache_dir=tmp_path / "cache")
