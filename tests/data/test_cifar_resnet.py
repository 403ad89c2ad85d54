"""Published networks on real data: the figures of their data sets' descriptions."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from neurodecode.sources import zoo
from neurodecode.sources.network import activations


@pytest.mark.parametrize(("depth", "right"), [(20, 0.8135), (32, 0.838)])
def test_cifar_resnets_name_the_pictures_as_measured(data_root, depth, right):
    with np.load(data_root / "cifar10_images" / "images.npz", allow_pickle=False) as stored:
        pictures, labels, names = stored["images"], stored["labels"], stored["class_names"].tolist()
    model = zoo.cifar_resnet(data_root / "cifar10_resnets" / f"resnet{depth}.safetensors")
    assert model.name == f"resnet{depth}"
    assert list(model.classes) == names
    logits = activations(model, pictures, "linear", batch_size=250)
    assert (logits.values.argmax(1) == labels).mean() == pytest.approx(right, abs=0.001)


def test_stages_of_a_real_network_do_not_depend_on_the_batch(data_root):
    with np.load(data_root / "cifar10_images" / "images.npz", allow_pickle=False) as stored:
        pictures = stored["images"][::250]
    model = zoo.cifar_resnet(data_root / "cifar10_resnets" / "resnet20.safetensors")
    together = activations(model, pictures, model.stages)
    alone = activations(model, pictures, model.stages, batch_size=1)
    np.testing.assert_allclose(together.values, alone.values, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(together["stimulus"].values, alone["stimulus"].values)


def test_the_story_model_predicts_stories(data_root):
    folder = data_root / "stories260k_lm"
    model, tokenizer = zoo.story_model(folder), zoo.story_tokenizer(folder)
    text = (folder / "sample_stories.txt").read_text(encoding="utf-8")
    total = count = 0.0
    for story in filter(None, map(str.strip, text.split("<|endoftext|>"))):
        ids = tokenizer.encode(story)
        assert tokenizer.decode(ids) == story
        row = torch.tensor(ids[: model.sizes.max_seq_len])[None]
        with torch.no_grad():
            said = model(row)[0, :-1].log_softmax(-1)
        total -= float(said.gather(1, row[0, 1:, None]).sum())
        count += row.shape[1] - 1
    assert total / count == pytest.approx(1.27, abs=0.01)  # nats a token


def test_the_character_model_predicts_titles(data_root):
    folder = data_root / "char_lstm_lm"
    model = zoo.char_lstm(folder / "general.safetensors")
    vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    titles = (folder / "hacker_news_titles.txt").read_text(encoding="utf-8").split("\n")[1:121]
    rows, right = [], []
    for title in titles:
        ids = [vocabulary["<s>"], *(vocabulary.get(c, 0) for c in title), vocabulary["<s>"]]
        for end in range(1, len(ids)):
            rows.append([0] * max(0, 40 - end) + ids[max(0, end - 40) : end])
            right.append(ids[end])
    logits = torch.from_numpy(activations(model, torch.tensor(rows), "out", batch_size=512).values)
    bits = float(torch.nn.functional.cross_entropy(logits, torch.tensor(right))) / math.log(2)
    assert bits == pytest.approx(2.55, abs=0.05)
    assert (logits.argmax(1).numpy() == np.array(right)).mean() == pytest.approx(0.493, abs=0.01)


def test_digit_models_do_as_measured(data_root):
    with np.load(data_root / "mnist_digits" / "digits.npz", allow_pickle=False) as stored:
        pictures, labels = torch.from_numpy(stored["images"][:, None] / 255).float(), stored["labels"]
    denoiser = zoo.mnist_ddpm(data_root / "mnist_ddpm" / "ddpm_base.safetensors")
    noise = torch.randn(256, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for step, measured in {50: 0.059, 200: 0.031, 500: 0.0051, 800: 0.0006}.items():
            kept = denoiser.alpha_bar[step]
            noisy = kept.sqrt() * (pictures[:256] - 0.5) + (1 - kept).sqrt() * noise
            assert float((denoiser(noisy, step) - noise).square().mean()) == pytest.approx(measured, rel=0.1)
        vae = zoo.mnist_vae(data_root / "mnist_vae" / "vae.safetensors")
        classify = zoo.latent_classifier(data_root / "mnist_vae" / "latent_classifier.safetensors")
        means = torch.cat([vae.encode(part)[0] for part in pictures.split(500)])
        error = float((vae.decode(means[:1000]) - pictures[:1000]).square().mean())
        assert error == pytest.approx(0.0092, rel=0.15)  # of 1000 of the 10,000 pictures it was measured on
        assert (classify(means).argmax(1).numpy() == labels).mean() == pytest.approx(0.969, abs=0.02)
