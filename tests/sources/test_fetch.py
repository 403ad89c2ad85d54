"""A server that cuts, lies, stalls, drips and answers with web pages; what is on disk afterwards."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from neurodecode.exceptions import DownloadError, IntegrityError
from neurodecode.sources import transfer
from neurodecode.sources.fetch import consent, fetch_file, sha256_of

CONTENT = np.random.default_rng(5).bytes(300_000)
SHA = hashlib.sha256(CONTENT).hexdigest()
OTHER = np.random.default_rng(6).bytes(300_000)
PAGE = b"<!DOCTYPE html><html><title>Log in</title><body>please log in</body></html>"


class Handler(BaseHTTPRequestHandler):
    """One behaviour per address; ``server.asked`` remembers the requests."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        kind = self.path.strip("/").split("/")[0]
        asked = self.server.asked
        asked.append((kind, self.headers.get("Range")))
        times = sum(1 for known, _ in asked if known == kind)
        getattr(self, f"do_{kind}")(times)
        self.close_connection = True

    def answer(self, status, body, length=None, **headers):
        self.send_response(status)
        if length != "none":
            self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def rest(self):
        start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
        span = f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
        self.answer(206, CONTENT[start:], Content_Range=span)

    def do_whole(self, times):
        self.answer(200, CONTENT, Content_Type="application/octet-stream")

    def do_cut(self, times):
        if self.headers.get("Range"):
            self.rest()
        else:
            self.answer(200, CONTENT[:100_000], length=len(CONTENT))

    def do_cutalways(self, times):
        self.answer(200, CONTENT[:100_000], length=len(CONTENT))

    def do_cutnorange(self, times):
        self.answer(200, CONTENT if times > 1 else CONTENT[:100_000], length=len(CONTENT))

    def do_wrongplace(self, times):
        if self.headers.get("Range"):
            self.answer(206, CONTENT[5:], Content_Range=f"bytes 5-{len(CONTENT) - 1}/{len(CONTENT)}")
        else:
            self.answer(200, CONTENT if times > 2 else CONTENT[:100_000], length=len(CONTENT))

    def do_toolong(self, times):
        if self.headers.get("Range"):
            self.answer(416, b"")
        else:
            self.answer(200, CONTENT)

    def do_lies(self, times):
        self.answer(200, OTHER)

    def do_otherlength(self, times):
        self.answer(200, CONTENT + b"more")

    def do_endless(self, times):
        self.answer(200, CONTENT + CONTENT, length="none")

    def do_html(self, times):
        self.answer(200, PAGE, Content_Type="text/html; charset=utf-8")

    def do_htmlinside(self, times):
        self.answer(200, PAGE, Content_Type="application/octet-stream")

    def do_stall(self, times):
        self.answer(200, CONTENT[:100_000], length=len(CONTENT))
        self.server.released.wait(20)

    def do_silent(self, times):
        self.server.released.wait(20)

    def do_drip(self, times):
        self.answer(200, b"", length=len(CONTENT))
        for byte in range(400):
            if self.server.released.wait(0.02):
                return
            try:
                self.wfile.write(CONTENT[byte : byte + 1])
                self.wfile.flush()
            except OSError:
                return

    def do_busy(self, times):
        self.answer(200, CONTENT) if times > 2 else self.answer(503, b"later")

    def do_login(self, times):
        self.answer(403, b"no")

    def do_gone(self, times):
        self.answer(404, b"no")

    def do_moved(self, times):
        self.answer(302, b"", Location="/whole")

    def do_zipped(self, times):
        assert self.headers["Accept-Encoding"] == "identity"
        self.answer(200, CONTENT)


def directly(monkeypatch):
    """Past any proxy of this machine; where both names are set, the small letters count."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")


@pytest.fixture
def server(monkeypatch):
    directly(monkeypatch)
    monkeypatch.delenv("NEURODECODE_OFFLINE", raising=False)
    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.daemon_threads = True
    served.asked, served.released = [], threading.Event()
    thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    served.at = lambda kind: f"http://127.0.0.1:{served.server_port}/{kind}"
    yield served
    served.released.set()
    served.shutdown()
    served.server_close()
    thread.join(5)


def get(server, tmp_path, kind, **changes):
    # Only a server that stands still by design may be given up: a busy machine answers late too.
    settings = {"size": len(CONTENT), "retries": 2, "stall": 60.0, "pause": 0.01} | changes
    return fetch_file(server.at(kind), tmp_path / "in" / "data.bin", SHA, **settings)


def left(tmp_path):
    folder = tmp_path / "in"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.mark.parametrize("kind", ["whole", "cut", "cutnorange", "wrongplace", "busy", "moved", "zipped"])
def test_the_file_arrives_through_every_fault_that_passes(server, tmp_path, kind):
    path = get(server, tmp_path, kind, retries=3)
    assert path.read_bytes() == CONTENT
    assert left(tmp_path) == ["data.bin"]


def test_a_cut_transfer_is_resumed_where_it_stopped(server, tmp_path):
    get(server, tmp_path, "cut")
    assert server.asked == [("cut", None), ("cut", "bytes=100000-")]


def test_what_arrived_is_kept_for_another_day_and_never_taken_for_the_file(server, tmp_path):
    with pytest.raises(DownloadError, match=r"cut.*3 attempts"):
        get(server, tmp_path, "cutalways")
    assert left(tmp_path) == [".data.bin.part"]
    get(server, tmp_path, "cut")
    assert server.asked[-1] == ("cut", "bytes=100000-")
    assert left(tmp_path) == ["data.bin"]


def test_a_part_of_another_file_is_thrown_away(server, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / ".data.bin.part").write_bytes(OTHER[:50_000])
    assert get(server, tmp_path, "cut", retries=1).read_bytes() == CONTENT
    (tmp_path / "in" / "data.bin").unlink()
    (tmp_path / "in" / ".data.bin.part").write_bytes(OTHER + OTHER)
    assert get(server, tmp_path, "toolong").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("lies", f"expected {SHA}, found {hashlib.sha256(OTHER).hexdigest()}"),
        ("otherlength", "announces 300004 bytes, expected 300000"),
        ("endless", "more than 300000 bytes"),
        ("html", "web page instead of data.bin"),
        ("htmlinside", "web page instead of data.bin"),
    ],
)
def test_wrong_bytes_are_refused_and_leave_nothing(server, tmp_path, kind, words):
    size = None if kind == "htmlinside" else len(CONTENT)
    if kind == "html":
        size = None
    with pytest.raises(IntegrityError, match=words):
        get(server, tmp_path, kind, size=size)
    assert left(tmp_path) == []
    assert len(server.asked) == 1, "bytes that are wrong are not asked for again"


def test_a_wrong_file_is_seen_without_knowing_its_size(server, tmp_path):
    for kind in ("otherlength", "endless"):
        with pytest.raises(IntegrityError, match=r"expected .* found"):
            get(server, tmp_path, kind, size=None)
    assert left(tmp_path) == []


@pytest.mark.parametrize("kind", ["stall", "silent", "drip"])
def test_a_server_that_stands_still_is_given_up(server, tmp_path, kind):
    with pytest.raises(DownloadError, match="2 attempts"):
        get(server, tmp_path, kind, retries=1, stall=0.4)
    assert "data.bin" not in left(tmp_path)
    for _ in range(600):  # the server may come to the second request after it was given up
        if len(server.asked) >= 2:
            break
        threading.Event().wait(0.05)
    assert len(server.asked) == 2


@pytest.mark.parametrize(("kind", "words"), [("login", "403.*login"), ("gone", "404.*not there")])
def test_a_refusal_is_not_repeated(server, tmp_path, kind, words):
    with pytest.raises(DownloadError, match=words):
        get(server, tmp_path, kind)
    assert len(server.asked) == 1


def test_a_mirror_takes_over(server, tmp_path):
    path = tmp_path / "data.bin"
    addresses = [server.at("gone"), server.at("lies"), server.at("whole")]
    assert fetch_file(addresses, path, SHA, pause=0.01).read_bytes() == CONTENT
    path.unlink()
    with pytest.raises(IntegrityError, match="none of 2 addresses"):
        fetch_file(addresses[:2], path, SHA, pause=0.01)


def test_what_is_on_disk_is_not_fetched_again_and_damage_is(server, tmp_path, caplog):
    path = get(server, tmp_path, "whole")
    get(server, tmp_path, "whole")
    assert len(server.asked) == 1
    path.write_bytes(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]))
    get(server, tmp_path, "whole")
    assert len(server.asked) == 2
    assert path.read_bytes() == CONTENT
    assert "not the published file" in caplog.text


def test_offline_uses_the_disk_only(server, tmp_path, monkeypatch):
    monkeypatch.setenv("NEURODECODE_OFFLINE", "1")
    with pytest.raises(DownloadError, match="NEURODECODE_OFFLINE allows only what is on disk"):
        get(server, tmp_path, "whole")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "data.bin").write_bytes(CONTENT)
    assert get(server, tmp_path, "whole").read_bytes() == CONTENT
    (tmp_path / "in" / "data.bin").write_bytes(OTHER)
    with pytest.raises(IntegrityError, match=f"expected {SHA}"):
        get(server, tmp_path, "whole")
    assert server.asked == []


def test_no_network_says_so(tmp_path, monkeypatch):
    directly(monkeypatch)
    with pytest.raises(DownloadError, match=r"no connection to 127\.0\.0\.1.*put the file into"):
        fetch_file("http://127.0.0.1:1/x.bin", tmp_path / "x.bin", SHA, retries=1, pause=0.01)


def test_no_address_and_no_checksum_are_said(tmp_path):
    with pytest.raises(DownloadError, match="no public address"):
        fetch_file([], tmp_path / "x.bin", SHA)
    for wrong in ("", "abc", SHA.upper(), None):
        with pytest.raises(ValueError, match="64 hexadecimal"):
            fetch_file("http://127.0.0.1:1/x", tmp_path / "x.bin", wrong)
    with pytest.raises(IntegrityError, match="protocol"):
        fetch_file("gopher://127.0.0.1:1/x", tmp_path / "x.bin", SHA)


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "no space left in .* free some space"), (errno.EROFS, "cannot write data.bin into")],
)
def test_a_full_or_read_only_disk_is_one_sentence(server, tmp_path, monkeypatch, number, words):
    def full(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(transfer.os, "fsync", full)
    with pytest.raises(DownloadError, match=words) as caught:
        get(server, tmp_path, "whole")
    assert "\n" not in str(caught.value)
    assert "data.bin" not in left(tmp_path)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs the device that is always full")
def test_a_disk_that_is_really_full(server, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / ".data.bin.part").symlink_to("/dev/full")
    with pytest.raises(DownloadError, match=r"no space left in .*\(0\.3 MB\)"):
        get(server, tmp_path, "whole")
    assert "data.bin" not in left(tmp_path)


FETCH = """
import sys
from neurodecode.sources.fetch import fetch_file
print(fetch_file(sys.argv[1], sys.argv[2], sys.argv[3], pause=0.01).name)
"""


def test_two_processes_that_want_the_same_file(server, tmp_path):
    command = [sys.executable, "-c", FETCH, server.at("whole"), str(tmp_path / "in" / "data.bin"), SHA]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate(timeout=300)[0].strip() for process in both] == ["data.bin"] * 2
    assert (tmp_path / "in" / "data.bin").read_bytes() == CONTENT
    assert left(tmp_path) == ["data.bin"]
    assert len(server.asked) == 1, "the second waited and found it"


def test_a_killed_transfer_leaves_no_file_and_the_next_one_arrives(server, tmp_path):
    target = tmp_path / "in" / "data.bin"
    process = subprocess.Popen([sys.executable, "-c", FETCH, server.at("stall"), str(target), SHA])
    part = target.with_name(".data.bin.part")
    for _ in range(6000):
        if server.asked and part.exists():
            break
        threading.Event().wait(0.05)
    process.kill()
    process.wait(60)
    assert not target.exists()
    assert get(server, tmp_path, "cut").read_bytes() == CONTENT


def test_a_licence_is_shown_accepted_once_and_written_down(tmp_path):
    text = "You may use this for research.\nCite it."
    with pytest.raises(DownloadError, match="You may use this for research") as caught:
        consent(tmp_path / "set", "toy", "research only", text)
    assert "--accept-licence" in str(caught.value)
    assert not (tmp_path / "set").exists()
    record = consent(tmp_path / "set", "toy", "research only", text, accept=True)
    said = json.loads(record.read_text())
    assert said["dataset"] == "toy"
    assert said["sha256_of_text"] == hashlib.sha256(text.encode()).hexdigest()
    assert said["accepted_at"].endswith("+00:00")
    before = record.read_bytes()
    assert consent(tmp_path / "set", "toy", "research only", text) == record
    assert record.read_bytes() == before
    with pytest.raises(DownloadError, match="accepted"):
        consent(tmp_path / "set", "toy", "research only", text + " And pay.")
    record.write_text("{broken")
    with pytest.raises(DownloadError, match="accepted"):
        consent(tmp_path / "set", "toy", "research only", text)


def test_the_checksum_is_that_of_the_standard_library(tmp_path):
    path = tmp_path / "ü name with space.bin"
    path.write_bytes(CONTENT)
    assert sha256_of(path) == SHA
