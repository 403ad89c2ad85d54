"""Rows 46, 47, 49, 51: damage is always noticed, a kill leaves old or new, unsafe files stay closed."""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import neurodecode.representation.atomic as atomic
import neurodecode.representation.store as store
from neurodecode.exceptions import IntegrityError, UnsafeFileError
from neurodecode.representation import as_representation, load, save, verify, write_atomic

WRITERS = Path(__file__).with_name("writers.py")


def array(seed=0):
    values = np.random.default_rng(seed).normal(size=(2, 3))
    return as_representation(
        values, stimulus=["cat", "dog"], kind="fmri", unit={"roi": ["V1", "V2", "V3"]}, attrs={"tr": 2.0}
    )


@pytest.fixture
def saved(tmp_path):
    return save(array(), tmp_path / "x.zarr")


def files_of(path):
    return sorted(found for found in path.rglob("*") if found.is_file())


class TestDamage:
    def test_a_flipped_bit_in_any_byte_is_noticed(self, saved):
        """Every byte of every file, one bit each time: no load may succeed."""
        silent, bytes_seen = [], 0
        for file in files_of(saved):
            whole = file.read_bytes()
            for at in range(len(whole)):
                bit = 1 << (at * 5 + len(whole)) % 8
                file.write_bytes(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
                bytes_seen += 1
                try:
                    load(saved)
                    silent.append((file.relative_to(saved).as_posix(), at))
                except IntegrityError:
                    pass
            file.write_bytes(whole)
        assert silent == []
        assert bytes_seen > 2000
        xr.testing.assert_identical(load(saved), array())

    def test_every_bit_of_the_values_and_of_the_manifest_head(self, saved):
        for file, upto in ((saved / "values" / "c" / "0" / "0", 10**6), (saved / "zarr.json", 150)):
            whole = file.read_bytes()
            for at in range(min(upto, len(whole))):
                for bit in range(8):
                    file.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
                    with pytest.raises(IntegrityError):
                        load(saved)
            file.write_bytes(whole)

    def test_verify_names_what_is_damaged(self, saved):
        assert verify(saved) == []
        for file in files_of(saved):
            whole = file.read_bytes()
            name = file.relative_to(saved).as_posix()
            for damaged, says in (
                (
                    bytes([whole[0] ^ 1]) + whole[1:],
                    "manifest" if name == "zarr.json" else f"{name}: its checksum differs",
                ),
                (whole[:-1], "manifest" if name == "zarr.json" else f"{name}: {len(whole) - 1} bytes, {len(whole)}"),
                (whole + b"\0", "manifest" if name == "zarr.json" else f"{name}: {len(whole) + 1} bytes"),
                (b"", "manifest" if name == "zarr.json" else f"{name}: 0 bytes"),
            ):
                file.write_bytes(damaged)
                assert len(verify(saved)) == 1
                assert says in verify(saved)[0]
            file.unlink()
            assert any("missing" in problem or "no manifest" in problem for problem in verify(saved))
            with pytest.raises(IntegrityError):
                load(saved)
            file.write_bytes(whole)
        assert verify(saved) == []

    def test_several_damages_are_all_listed(self, saved):
        for name in ("values/c/0/0", "stimulus/c/0"):
            (saved / name).write_bytes(b"x")
        assert len(verify(saved)) == 2
        with pytest.raises(
            IntegrityError, match=r"stimulus/c/0: 1 bytes, .* were saved \(and 1 more\).*neurodecode verify"
        ):
            load(saved)

    def test_a_missing_chunk_is_not_read_as_zeros(self, saved):
        shutil.rmtree(saved / "values" / "c")
        with pytest.raises(IntegrityError, match="values/c/0/0: missing"):
            load(saved)

    def test_lazy_checks_first(self, saved):
        (saved / "values" / "c" / "0" / "0").write_bytes(b"x")
        with pytest.raises(IntegrityError):
            load(saved, lazy=True)

    def test_a_part_is_never_the_whole(self, saved, tmp_path):
        """Everything but the manifest, as a writer would leave it just before its last step."""
        (saved / "zarr.json").unlink()
        with pytest.raises(IntegrityError, match="not written by save, or not to its end"):
            load(saved)
        (tmp_path / "empty.zarr").mkdir()
        with pytest.raises(IntegrityError, match="no manifest"):
            load(tmp_path / "empty.zarr")

    def test_unexpected_files_are_listed_and_do_not_matter(self, saved):
        (saved / "values" / "c" / "7").mkdir()
        (saved / "values" / "c" / "7" / "0").write_bytes(b"stray")
        (saved / ".DS_Store").write_bytes(b"")
        assert verify(saved) == ["values/c/7/0: is not part of what was saved"]
        xr.testing.assert_identical(load(saved), array())

    def test_a_foreign_zarr_is_not_taken_for_ours(self, tmp_path):
        zarr = pytest.importorskip("zarr")
        zarr.open_group(tmp_path / "x.zarr", mode="w").create_array("values", shape=(2,), dtype="f8")
        with pytest.raises(IntegrityError, match="was not written by save"):
            load(tmp_path / "x.zarr")

    def test_parts_of_two_saves_do_not_mix(self, saved, tmp_path):
        other = save(array(seed=1), tmp_path / "y.zarr")
        shutil.copy(other / "values" / "c" / "0" / "0", saved / "values" / "c" / "0" / "0")
        with pytest.raises(IntegrityError, match="values/c/0/0"):
            load(saved)

    def test_a_codec_that_save_never_uses_is_not_run(self, saved):
        """A whole folder of good checksums could still ask for a decoder that runs code."""
        metadata = saved / "values" / "zarr.json"
        said = json.loads(metadata.read_bytes())
        said["codecs"][-1] = {"name": "numcodecs.pickle", "configuration": {}}
        metadata.write_text(json.dumps(said))
        forge(saved, "values/zarr.json")
        with pytest.raises(IntegrityError, match=r"uses \['numcodecs.pickle'\] in 'values'"):
            load(saved)

    @pytest.mark.parametrize("key", ["../outside", "/etc", "a/../../b", "c:d"])
    def test_a_manifest_cannot_lead_outside(self, saved, key):
        manifest = json.loads((saved / "zarr.json").read_bytes())
        manifest["attributes"]["neurodecode"]["nodes"][0]["variables"][0]["key"] = key
        forge(saved, manifest=manifest)
        with pytest.raises(IntegrityError, match=r"save never writes|not in its list of files"):
            load(saved)


def forge(path, changed=None, manifest=None):
    """Give a changed folder a manifest whose checksums hold, as an attacker would."""
    import hashlib

    manifest = manifest or json.loads((path / "zarr.json").read_bytes())
    said = manifest["attributes"]["neurodecode"]
    if changed:
        content = (path / changed).read_bytes()
        said["files"][changed] = [hashlib.sha256(content).hexdigest(), len(content)]
    said["sha256"] = "0" * 64
    raw = json.dumps(manifest, separators=(",", ":")).encode()
    (path / "zarr.json").write_bytes(raw.replace(b"0" * 64, hashlib.sha256(raw).hexdigest().encode(), 1))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
class TestKills:
    """SIGKILL at any moment: the next reader finds the old content or the new, whole."""

    def ran(self, mode, folder, seed=0):
        root = str(Path(__file__).resolve().parents[2])
        paths = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {**os.environ, "PYTHONPATH": paths, "PYTHONWARNINGS": "ignore"}
        done = subprocess.run(
            [sys.executable, str(WRITERS), mode, str(folder), str(seed)],
            capture_output=True, text=True, timeout=1800, env=environment,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def test_at_random_moments(self, tmp_path):
        *rounds, left = self.ran("random", tmp_path, seed=20)
        assert len(rounds) == 12
        for row in rounds:
            assert row["found"].isdigit(), row
            assert int(row["found"]) >= row["before"], "what was once read is never lost"
        assert int(rounds[-1]["found"]) > 1, "some saves were finished"
        assert left["after sweeping"] == 0

    @pytest.mark.parametrize("mode", ["steps", "steps-without-exchange"])
    def test_at_every_step_of_a_save(self, tmp_path, mode):
        rounds = self.ran(mode, tmp_path)
        found = [row["found"] for row in rounds]
        assert set(found) == {"1", "2"}
        assert found == sorted(found), "old until the one moment from which on it is new"
        assert found.count("1") > 8 and sum(row["died"] for row in rounds) > 10

    @pytest.mark.parametrize("mode", ["together", "together-without-exchange"])
    def test_several_writers_of_one_name(self, tmp_path, mode):
        (row,) = self.ran(mode, tmp_path)
        exits = [answer for answer in row["answers"] if answer.startswith("exit")]
        assert exits == ["exit 0"] * 3
        reads = [answer for answer in row["answers"] if not answer.startswith("exit")]
        first = next(at for at, answer in enumerate(reads) if answer != "nothing")
        assert set(reads[first:]) <= {"1", "2", "3"}, reads
        assert row["left"] == []


class TestUnsafe:
    """Row 49: what could run code is refused by its bytes, whatever its name."""

    class Payload:
        def __reduce__(self):
            return (os.mkdir, ("was-run",))

    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    @pytest.mark.parametrize("name", ["decoder.pkl", "decoder.bin", "decoder.nc", "decoder.zarr", "decoder"])
    def test_pickles(self, tmp_path, monkeypatch, protocol, name):
        monkeypatch.chdir(tmp_path)
        Path(name).write_bytes(pickle.dumps(self.Payload(), protocol=protocol))
        with pytest.raises(UnsafeFileError, match=f"'{name}' is a pickle, which can run any code"):
            load(name)
        assert "not opened" in verify(name)[0]
        assert not Path("was-run").exists()

    def test_torch_files(self, tmp_path):
        torch = pytest.importorskip("torch")
        for name, old in (("w.pt", False), ("w.bin", False), ("w.pth", True)):
            torch.save({"w": torch.zeros(2)}, tmp_path / name, _use_new_zipfile_serialization=not old)
            with pytest.raises(UnsafeFileError, match="safetensors"):
                load(tmp_path / name)

    def test_arrays_of_objects(self, tmp_path):
        np.save(tmp_path / "o.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
        np.savez(tmp_path / "o.npz", a=np.zeros(2), b=np.array([None], dtype=object))
        np.save(tmp_path / "record.npy", np.array([(1, None)], dtype=[("a", int), ("b", object)]), allow_pickle=True)
        for name in ("o.npy", "o.npz", "record.npy"):
            with pytest.raises(UnsafeFileError, match="Python objects"):
                load(tmp_path / name)

    @pytest.mark.parametrize("ending", [".pkl", ".pt", ".joblib", ".CKPT"])
    def test_by_name_even_when_the_bytes_say_nothing(self, tmp_path, ending):
        (tmp_path / f"x{ending}").write_bytes(b"\x1f\x8b compressed")
        with pytest.raises(UnsafeFileError, match="by its name"):
            load(tmp_path / f"x{ending}")

    def test_plain_files_are_explained_instead(self, tmp_path):
        np.save(tmp_path / "values.npy", np.zeros((2, 2)))
        with pytest.raises(ValueError, match="without labels; label it: as_representation"):
            load(tmp_path / "values.npy")
        (tmp_path / "notes.txt").write_text("hello")
        with pytest.raises(ValueError, match=r"expected a \.zarr folder"):
            load(tmp_path / "notes.txt")
        (tmp_path / "cut.nc").write_bytes(b"<html>")
        with pytest.raises(IntegrityError, match="does not begin like a netCDF file"):
            load(tmp_path / "cut.nc")


class TestFileSystems:
    """Row 51: full, read-only or strange places give one line that says what to do."""

    @pytest.mark.parametrize(
        ("number", "says"),
        [
            (errno.EROFS, "Read-only file system; choose a folder that can be written"),
            (errno.EACCES, "Permission denied; choose a folder that you may write"),
            (errno.ENOSPC, "No space left on device; free some space"),
            (errno.EDQUOT, "quota is full"),
        ],
    )
    @pytest.mark.parametrize("write", [lambda path: save(array(), path), lambda path: write_atomic(path, b"new")])
    def test_one_line(self, tmp_path, monkeypatch, number, says, write):
        def failing(*_):
            raise OSError(number, os.strerror(number), "somewhere")

        monkeypatch.setattr(os, "fsync", failing)
        with pytest.raises(OSError, match=says) as error:
            write(tmp_path / "x.zarr")
        assert error.value.errno == number
        assert "x.zarr" in str(error.value) and "\n" not in str(error.value)
        assert list(tmp_path.iterdir()) == [], "nothing half-written is left"

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
    def test_a_read_only_folder(self, tmp_path):
        tmp_path.chmod(0o500)
        with pytest.raises(PermissionError, match="choose a folder that you may write"):
            save(array(), tmp_path / "x.zarr")
        tmp_path.chmod(0o700)

    def test_a_file_in_the_way(self, tmp_path):
        (tmp_path / "file").write_text("x")
        for write in (lambda path: save(array(), path), lambda path: write_atomic(path, b"x")):
            with pytest.raises(OSError, match="cannot write"):
                write(tmp_path / "file" / "x.zarr")

    def test_the_old_content_survives_a_full_disk(self, saved, monkeypatch):
        def full(*_):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(store, "place_folder", full)
        with pytest.raises(OSError, match="free some space"):
            save(array(seed=1), saved)
        xr.testing.assert_identical(load(saved), array())

    def test_without_exchange(self, saved, monkeypatch):
        monkeypatch.setattr(atomic, "exchange", lambda one, two: False)
        save(array(seed=1), saved)
        xr.testing.assert_identical(load(saved), array(seed=1))
        assert [found.name for found in saved.parent.iterdir()] == ["x.zarr"]

    def test_leftovers_of_the_dead_go_and_those_of_the_living_stay(self, tmp_path):
        process = subprocess.run(
            [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True
        )
        dead = tmp_path / f".x.zarr.part-{atomic._machine()}-{process.stdout.strip()}-0000.new"
        living = tmp_path / f".x.zarr.part-{atomic._machine()}-{os.getppid()}-0000.new"
        elsewhere = tmp_path / ".x.zarr.part-0000dead-1-0000.new"
        for folder in (dead, living, elsewhere):
            (folder / "values").mkdir(parents=True)
        save(array(), tmp_path / "x.zarr")
        assert not dead.exists()
        assert living.exists() and elsewhere.exists()
        assert verify(tmp_path / "x.zarr") == []
