"""What a training says of how far it is, where there is no terminal."""

import re
import sys

import pytest

from helpers.tiny import SETTINGS, toy_dataset
from ncvqvae.training import progress
from ncvqvae.training.recipes import load_recipe
from ncvqvae.training.stages import train


class Clock:
    """Time that goes on by ten seconds with each step."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_without_a_terminal_a_line_a_minute_says_how_long_it_still_takes(clock, capsys):
    with progress.Progress("prior", 100, start=20) as shown:
        for done in range(21, 101):
            clock.now += 10
            shown.update(done)
            shown.note_loss(3 - done / 100)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 13  # of 800 seconds
    assert lines[0] == "prior: step 26 of 100, loss 2.750, about 12 minutes left"
    assert lines[-1] == "prior: step 98 of 100, loss 2.030, about 20 seconds left"


def test_other_processes_say_nothing(clock, capsys):
    with progress.Progress("prior", 100, silent=True) as shown:
        for done in range(1, 101):
            clock.now += 100
            shown.update(done)
    assert capsys.readouterr().err == ""


def test_on_a_terminal_the_bar_is_enough(clock, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with progress.Progress("prior", 10) as shown:
        for done in range(1, 11):
            clock.now += 100
            shown.update(done)
            shown.note_loss(1.5)
    said = capsys.readouterr().err
    assert "10/10" in said and "loss=1.500" in said and "left" not in said


def test_a_training_says_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(progress, "SECONDS", 0.0)
    train(toy_dataset(), load_recipe(None, SETTINGS), tmp_path / "out", tmp_path / "work")
    said = capsys.readouterr().err
    for stage in ("tokenizer", "prior"):
        assert re.search(rf"^{stage}: step 11 of 12, loss \d+\.\d+, about 10 seconds left$", said, re.MULTILINE)
