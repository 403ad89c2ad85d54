"""Progress: silent under pytest, lines in a log where nobody looks, a bar on a terminal; never a lost item."""

import io
import logging
import sys

import pytest

from neurodecode.compute import progress as module
from neurodecode.compute.progress import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    """Goes on by the same step whenever it is looked at, however busy the machine is."""

    def __init__(self, step):
        self.step, self.now = step, 0.0

    def monotonic(self):
        self.now += self.step
        return self.now


def look_from(stream, monkeypatch):
    """As if outside of pytest, which sets its variable anew before each call of a test."""
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    monkeypatch.setattr(sys, "stderr", stream)


def test_silent_in_tests(capsys, caplog):
    with caplog.at_level(logging.INFO, logger="neurodecode"):
        assert list(progress([1, 2, 3], "working")) == [1, 2, 3]
    assert capsys.readouterr() == ("", "")
    assert not caplog.records


def test_lines_elsewhere(monkeypatch, caplog):
    look_from(io.StringIO(), monkeypatch)
    monkeypatch.setattr(module, "SECONDS_BETWEEN_LINES", 0.0)
    monkeypatch.setattr(module, "SECONDS_WORTH_A_LINE", 0.0)
    with caplog.at_level(logging.INFO, logger="neurodecode"):
        assert list(progress((i for i in range(3)), "fitting voxels", total=3)) == [0, 1, 2]
    said = [record.getMessage() for record in caplog.records]
    assert said[0].startswith("fitting voxels: 1 of 3")
    assert said[-1].startswith("fitting voxels: done, 3 of 3")
    assert sys.stderr.getvalue() == ""


def test_without_a_length(monkeypatch, caplog):
    look_from(io.StringIO(), monkeypatch)
    monkeypatch.setattr(module, "SECONDS_WORTH_A_LINE", 0.0)
    with caplog.at_level(logging.INFO, logger="neurodecode"):
        assert list(progress(iter("ab"), "reading")) == ["a", "b"]
    assert caplog.records[-1].getMessage().startswith("reading: done, 2,")


def test_what_takes_no_time_says_nothing(monkeypatch, caplog):
    look_from(io.StringIO(), monkeypatch)
    monkeypatch.setattr(module, "time", Clock(0.1))
    with caplog.at_level(logging.INFO, logger="neurodecode"):
        assert list(progress(range(3), "fitting voxels")) == [0, 1, 2]
    assert not caplog.records
    monkeypatch.setattr(module, "time", Clock(1.0))
    with caplog.at_level(logging.INFO, logger="neurodecode"):
        assert list(progress(range(3), "fitting voxels")) == [0, 1, 2]
    assert [record.getMessage() for record in caplog.records] == ["fitting voxels: done, 3 of 3, 4.0 s"]


def test_bar_on_a_terminal_that_closes_when_left(monkeypatch):
    terminal = Terminal()
    look_from(terminal, monkeypatch)
    assert list(progress(range(4), "fitting voxels")) == [0, 1, 2, 3]
    assert "fitting voxels" in terminal.getvalue()
    assert "4/4" in terminal.getvalue()

    def stopped():
        for step in progress(range(4), "interrupted"):
            if step == 1:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert terminal.getvalue().endswith("\n")
