"""Pictures: names, hashes, sizes, and everything about their numbers that could be read in two ways."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from PIL import Image
from references.sources import slow_luma

from neurodecode.exceptions import AlignmentError, DegenerateDataError, IntegrityError, NeurodecodeWarning
from neurodecode.sources import stimuli


def drawn(n=6, rows=8, columns=8, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, rows, columns, channels), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "pictures ü"
    for name, pixels in zip("cabdfe", drawn()):
        where = root / ("animals" if name < "d" else "tools")
        where.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(where / f"{name}.png")
    (root / "notes.txt").write_text("not a picture")
    return root


class TestRead:
    def test_a_folder(self, folder):
        pictures = stimuli.read(folder, "folder")
        assert pictures.dims == ("sample", "row", "column", "channel") and pictures.dtype == np.uint8
        assert pictures["stimulus"].values.tolist() == list("abcdef")
        assert pictures["category"].values.tolist() == ["animals"] * 3 + ["tools"] * 3
        by_name = dict(zip("cabdfe", drawn()))
        for picture in pictures:
            np.testing.assert_array_equal(picture.values, by_name[str(picture["stimulus"].values)])
        assert pictures.attrs["range"] == [0, 255] and pictures.attrs["kind"] == "pictures"
        assert pictures.attrs["duplicates"] == [] and pictures.attrs["size"] == [8, 8]

    def test_identity_is_the_pixels(self, folder, tmp_path):
        before = stimuli.read(folder)
        for path in folder.rglob("*.png"):
            Image.open(path).save(path.with_suffix(".bmp"))
            path.unlink()
        after = stimuli.read(folder)
        assert after["sha256"].values.tolist() == before["sha256"].values.tolist(), "another file, the same pixels"
        first = sorted(folder.rglob("*.bmp"))[0]
        pixels = np.asarray(Image.open(first)).copy()
        pixels[0, 0, 0] ^= 1
        Image.fromarray(pixels).save(first)
        changed = stimuli.read(folder)["sha256"].values != before["sha256"].values
        assert changed.sum() == 1
        sized = stimuli.read(folder, size=4)
        assert (sized["sha256"].values != before["sha256"].values).sum() == 1, "size and hash are apart"
        array = stimuli.read(before.values, stimulus=before["stimulus"].values)
        assert array["sha256"].values.tolist() == before["sha256"].values.tolist()

    def test_tables_of_labels_meet_by_name(self, folder, tmp_path):
        table = pd.DataFrame({"file": [f"{n}.png" for n in "fbdace"], "condition": list("xyzxyz"), "size": range(6)})
        pictures = stimuli.read(folder, table)
        assert dict(zip("fbdace", "xyzxyz")) == dict(
            zip(pictures["stimulus"].values.tolist(), pictures["category"].values.tolist())
        )
        assert pictures["size"].values.tolist() == [3, 1, 4, 2, 5, 0]
        table.to_csv(tmp_path / "labels.csv", index=False)
        xr.testing.assert_identical(stimuli.read(folder, tmp_path / "labels.csv"), pictures)
        mapping = stimuli.read(folder, dict(zip("fbdace", "xyzxyz")))
        assert mapping["category"].values.tolist() == pictures["category"].values.tolist()
        with pytest.raises(AlignmentError, match="1 pictures have no label"):
            stimuli.read(folder, table[:-1])
        with pytest.raises(AlignmentError, match=r"1 labels have no picture \(such as \['g.png'\]"):
            stimuli.read(folder, pd.concat([table, pd.DataFrame({"file": ["g.png"], "condition": ["x"], "size": [1]})]))
        with pytest.raises(AlignmentError, match="more than once"):
            stimuli.read(folder, pd.concat([table, table[:1]]))
        with pytest.raises(ValueError, match="'file' or 'stimulus'"):
            stimuli.read(folder, table.rename(columns={"file": "name"}))
        with pytest.raises(AlignmentError, match="5 labels for 6 pictures"):
            stimuli.read(drawn(), list("abcde"))

    def test_names_that_occur_twice(self, folder):
        Image.fromarray(drawn(1, seed=5)[0]).save(folder / "tools" / "a.png")
        with pytest.raises(AlignmentError, match='ids="path"'):
            stimuli.read(folder)
        assert "tools/a.png" in stimuli.read(folder, ids="path")["stimulus"].values

    def test_the_same_picture_under_two_names(self):
        twice = np.concatenate([drawn(), drawn()[:1]])
        with pytest.warns(NeurodecodeWarning, match=r"\['picture-0000', 'picture-0006'\]"):
            pictures = stimuli.read(twice)
        assert pictures.attrs["duplicates"] == [["picture-0000", "picture-0006"]]
        assert stimuli.read(twice, duplicates="allow").attrs["duplicates"]
        with pytest.raises(AlignmentError, match="they are one stimulus"):
            stimuli.read(twice, duplicates="raise")

    def test_files_that_are_no_pictures(self, folder, tmp_path):
        (folder / "broken.jpg").write_text("<html>404</html>")
        with pytest.raises(IntegrityError, match=r"broken\.jpg cannot be read"):
            stimuli.read(folder)
        whole = (folder / "animals" / "a.png").read_bytes()
        (folder / "broken.jpg").unlink()
        (folder / "animals" / "a.png").write_bytes(whole[: len(whole) // 2])
        with pytest.raises(IntegrityError, match=r"a\.png cannot be read"):
            stimuli.read(folder)
        with pytest.raises(FileNotFoundError, match="no folder"):
            stimuli.read(tmp_path / "absent")
        (tmp_path / "empty").mkdir()
        with pytest.raises(DegenerateDataError, match="holds no pictures"):
            stimuli.read(tmp_path / "empty")

    def test_a_list_of_files_keeps_its_order(self, folder):
        files = [folder / "tools" / "d.png", folder / "animals" / "a.png"]
        assert stimuli.read(files)["stimulus"].values.tolist() == ["d", "a"]
        with pytest.raises(FileNotFoundError, match=r"1 of 3 pictures are not there, such as 'z\.png'"):
            stimuli.read([*files, folder / "z.png"])


class TestNumbers:
    def test_grey_colour_and_transparency_are_said(self, tmp_path):
        pixels = drawn(1)[0]
        Image.fromarray(pixels).save(tmp_path / "colour.png")
        Image.fromarray(pixels[..., 0]).save(tmp_path / "grey.png")
        with pytest.raises(ValueError, match=r"differ in shape.*Pass mode="):
            stimuli.read(tmp_path)
        colour = stimuli.read(tmp_path, mode="RGB")
        np.testing.assert_array_equal(colour.values[1], np.repeat(pixels[..., :1], 3, axis=2))
        grey = stimuli.read(tmp_path, mode="L")
        np.testing.assert_array_equal(grey.values[0, ..., 0], np.round(slow_luma(pixels)))
        np.testing.assert_array_equal(grey.values[1, ..., 0], pixels[..., 0])
        with pytest.raises(ValueError, match="mode='rgb' is not known"):
            stimuli.read(tmp_path, mode="rgb")

    def test_alpha_needs_a_background(self, tmp_path):
        pixels = drawn(1)[0]
        alpha = np.full((8, 8, 1), 255, np.uint8)
        alpha[:4] = 0
        alpha[4, 0] = 51
        Image.fromarray(np.concatenate([pixels, alpha], axis=2)).save(tmp_path / "a.png")
        with pytest.raises(ValueError, match="transparent"):
            stimuli.read(tmp_path)
        found = stimuli.read(tmp_path, background=(255, 0, 10)).values[0]
        assert (found[:4] == [255, 0, 10]).all()
        np.testing.assert_array_equal(found[5:], pixels[5:])
        np.testing.assert_allclose(found[4, 0], 0.2 * pixels[4, 0] + 0.8 * np.array([255, 0, 10]), atol=0.5)

    def test_photographs_stand_upright(self, tmp_path):
        pixels = drawn(1, rows=4, columns=8)[0]
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
        np.testing.assert_array_equal(stimuli.read(tmp_path).values[0], np.rot90(pixels, -1))

    def test_stored_in_another_way(self, tmp_path):
        Image.fromarray(np.full((4, 4), 40000, np.uint16)).save(tmp_path / "a.png")
        with pytest.raises(ValueError, match="'I;16'"):
            stimuli.read(tmp_path)
        (tmp_path / "a.png").unlink()
        frames = [Image.fromarray(frame) for frame in drawn(3)]
        frames[0].save(tmp_path / "b.gif", save_all=True, append_images=frames[1:])
        with pytest.raises(ValueError, match="3 frames"):
            stimuli.read(tmp_path)

    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            (drawn(), (0, 255)),
            (drawn() / 255.0, (0, 1)),
            (np.float32(drawn()) / 255, (0, 1)),
            (drawn() > 100, (0, 1)),
        ],
    )
    def test_ranges_that_are_plain(self, values, expected):
        assert tuple(stimuli.read(values).attrs["range"]) == expected

    @pytest.mark.parametrize(
        "values",
        [drawn().astype(float), drawn().astype(int), drawn() // 200, drawn() / 100.0, drawn() / 255 - 0.5],
    )
    def test_ranges_that_are_ambiguous(self, values):
        with pytest.raises(ValueError, match="can be read in several ways"):
            stimuli.read(values)
        told = (min(values.min(), 0), 255)
        assert tuple(stimuli.read(values, value_range=told, duplicates="allow").attrs["range"]) == told
        with pytest.raises(ValueError, match="and the pixels go from"):
            stimuli.read(values, value_range=(values.min(), values.max() * 0.9))

    def test_shapes_and_values_that_are_no_pictures(self):
        with pytest.raises(ValueError, match=r"not \(6, 3, 8, 8\)"):
            stimuli.read(np.moveaxis(drawn(), -1, 1))
        bad = drawn() / 255
        bad[0, 0, 0, 0] = np.nan
        with pytest.raises(DegenerateDataError, match="1 pixels are not finite"):
            stimuli.read(bad)
        with pytest.raises(DegenerateDataError, match="no pictures"):
            stimuli.read(drawn(0))
        with pytest.raises(AlignmentError, match="stimulus names 2"):
            stimuli.read(drawn(), stimulus=["a", "b"])
        assert stimuli.read(drawn()[..., 0]).sizes["channel"] == 1


class TestTensor:
    def test_formula(self):
        pictures = stimuli.read(drawn(), list("aabbcc"))
        found = stimuli.to_tensor(pictures, mean=stimuli.IMAGENET_MEAN, std=stimuli.IMAGENET_STD)
        assert found.dims == ("sample", "channel", "row", "column") and found.dtype == np.float32
        for n in range(6):
            for channel in range(3):
                expected = (drawn()[n, ..., channel] / 255 - stimuli.IMAGENET_MEAN[channel]) / stimuli.IMAGENET_STD[
                    channel
                ]
                np.testing.assert_allclose(found.values[n, channel], expected, atol=1e-6)
        assert found["category"].equals(pictures["category"]) and found.attrs["size"] == [8, 8]
        assert pictures.dtype == np.uint8

    def test_the_scale_of_the_numbers_does_not_matter(self):
        whole = stimuli.to_tensor(drawn())
        np.testing.assert_allclose(whole, stimuli.to_tensor(drawn() / 255.0), atol=1e-6)
        np.testing.assert_allclose(whole, stimuli.to_tensor(drawn() * 3.0, value_range=(0, 765)), atol=1e-6)
        assert isinstance(whole, np.ndarray) and torch.from_numpy(whole).shape == (6, 3, 8, 8)

    def test_resizing_is_antialiased_as_torch_does_it(self):
        smooth = np.random.default_rng(0).random((2, 40, 40, 3))
        found = stimuli.to_tensor(smooth, 10)
        other = torch.nn.functional.interpolate(
            torch.from_numpy(np.moveaxis(smooth, -1, 1)), 10, mode="bilinear", antialias=True, align_corners=False
        )
        np.testing.assert_allclose(found, other.numpy(), atol=1e-5)
        board = (np.indices((40, 40)).sum(0)[None] % 2 * 255).astype(np.uint8)
        assert np.ptp(stimuli.to_tensor(board, 10)) < 0.1, "a chequerboard becomes grey, not noise"

    @pytest.mark.parametrize("resize", list(stimuli.FILTERS))
    def test_a_uniform_picture_stays_uniform(self, resize):
        np.testing.assert_allclose(stimuli.to_tensor(np.full((1, 9, 9, 3), 100, np.uint8), 5, resize=resize), 100 / 255)

    def test_other_shapes_need_a_word(self):
        wide = np.zeros((1, 8, 16, 3), np.uint8)
        wide[:, :, 4:12] = 200
        with pytest.raises(ValueError, match="fit='crop', 'pad' or 'stretch'"):
            stimuli.to_tensor(wide, 8)
        np.testing.assert_allclose(stimuli.to_tensor(wide, 8, fit="crop"), 200 / 255)
        padded = stimuli.to_tensor(wide, 16, fit="pad")
        assert (
            not padded[:, :, :4].any()
            and not padded[:, :, 12:].any()
            and padded[0, 0, 8, 8] == pytest.approx(200 / 255)
        )
        assert stimuli.to_tensor(wide, 8, fit="stretch").shape == (1, 3, 8, 8)
        assert stimuli.to_tensor(wide, (4, 8)).shape == (1, 3, 4, 8)
        with pytest.raises(ValueError, match="fit='zoom'"):
            stimuli.to_tensor(wide, 8, fit="zoom")

    def test_channels_must_meet(self):
        with pytest.raises(ValueError, match="mean has 3 values for pictures of 1 channels"):
            stimuli.to_tensor(drawn(channels=1), mean=stimuli.IMAGENET_MEAN)
        with pytest.raises(ValueError, match="must be positive"):
            stimuli.to_tensor(drawn(), std=(1, 0, 1))


class TestFolder:
    def test_batches_equal_the_whole(self, folder):
        opened = stimuli.open_folder(folder, "folder")
        whole = stimuli.read(folder, "folder")
        assert len(opened) == 6 and opened.ids == whole["stimulus"].values.tolist()
        np.testing.assert_array_equal(opened[3], whole.values[3])
        parts = list(opened.batches(4))
        assert [part.sizes["sample"] for part in parts] == [4, 2]
        np.testing.assert_array_equal(np.concatenate([part.values for part in parts]), whole.values)
        assert [c for part in parts for c in part["category"].values] == whole["category"].values.tolist()
        assert opened.hashes() == whole["sha256"].values.tolist() and opened.duplicates() == []
        tensors = stimuli.tensor_batches(opened, 4, batch_size=4, mean=[0.5], std=[0.5])
        assert len(tensors) == 2
        for _ in range(2):
            np.testing.assert_array_equal(
                np.concatenate([part.values for part in tensors]),
                stimuli.to_tensor(whole, 4, mean=[0.5], std=[0.5]).values,
            )

    def test_sizes_that_differ(self, folder):
        Image.fromarray(drawn(1, rows=12, columns=8)[0]).save(folder / "z.png")
        with pytest.raises(ValueError, match=r"differ in shape.*Pass size="):
            stimuli.read(folder)
        assert stimuli.read(folder, size=6, fit="crop").shape == (7, 6, 6, 3)

    def test_memory_does_not_grow_with_the_number_of_pictures(self, tmp_path):
        peaks = []
        for n in (10, 60):
            root = tmp_path / str(n)
            root.mkdir()
            for number, pixels in enumerate(drawn(n, 64, 64)):
                Image.fromarray(pixels).save(root / f"{number:03d}.bmp")
            tracemalloc.start()
            for batch in stimuli.tensor_batches(stimuli.open_folder(root), 32, batch_size=5):
                assert batch.shape == (5, 3, 32, 32)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        assert peaks[1] < 1.3 * peaks[0]


def test_a_network_takes_either_form(folder):
    from neurodecode.sources import network

    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
    whole = stimuli.to_tensor(stimuli.read(folder, "folder"), 6)
    opened = stimuli.tensor_batches(stimuli.open_folder(folder, "folder"), 6, batch_size=4)
    one = network.activations(model, whole, ["1"])
    other = network.activations(model, opened, ["1"])
    assert one["stimulus"].values.tolist() == list("abcdef") == other["stimulus"].values.tolist()
    assert one["sha256"].values.tolist() == whole["sha256"].values.tolist() == other["sha256"].values.tolist()
    np.testing.assert_allclose(one.values, other.values, atol=1e-6)
