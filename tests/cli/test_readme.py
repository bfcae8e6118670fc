"""What the README shows of a sensor log works as it stands there, on a small log that is made here."""

import re
import shlex
import tomllib

import numpy as np
import pandas as pd
import pytest

from helpers.places import ROOT
from helpers.tiny import as_options
from ncvqvae.cli.__main__ import main


BLOCK = re.search(r"```bash\n(pip install [^`]*--data log\.csv[^`]*)```", (ROOT / "README.md").read_text())[1]
FROM_SCRATCH = ["--from-scratch", *as_options()]
FROM_BASE = as_options(
    ["report_to=null", "choose_sampling=false", "prior.sampling_steps=1", "prior_training={max_steps: 2}"]
)


def write_log(path, columns):
    """A recording with a row a time stamp, of two activities in turn."""
    random, activity = np.random.default_rng(0), np.repeat(["walk", "run"] * 4, 300)
    phase = np.cumsum(np.where(activity == "run", 0.5, 0.2))
    made = {"timestamp": pd.date_range("2026-01-01 08:00", periods=len(phase), freq="20ms"), "activity": activity}
    made |= {f"acc_{axis}": np.sin(phase + place) for place, axis in enumerate("xyz")}
    table = pd.DataFrame(made)[columns]
    numbers = table.select_dtypes("number").columns
    table[numbers] += 0.1 * random.normal(size=(len(table), len(numbers)))
    table.to_csv(path, index=False)


@pytest.mark.parametrize("few", [FROM_SCRATCH, pytest.param(FROM_BASE, marks=pytest.mark.slow)], ids=["tiny", "base"])
def test_three_commands_lead_from_a_sensor_log_to_new_recordings(few, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    columns = re.search(r"# columns (.*)", BLOCK)[1].split(", ")
    write_log(tmp_path / "log.csv", columns)
    install, train, sample = (shlex.split(line, comments=True) for line in BLOCK.splitlines())
    extra = re.fullmatch(r"\.\[(\w+)\]", install[-1])[1]
    assert extra in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert train[0] == sample[0] == "ncvqvae"
    assert main([*train[1:], *few]) == 0
    said = capsys.readouterr().out
    assert "24 windows, cut from 8 series, of 128 samples, 3 channels, 2 classes (run: 12, walk: 12)" in said
    assert main(sample[1:]) == 0
    made = pd.read_csv("samples.csv")
    assert made.shape == (20, 1 + 3 * 128) and set(made["label"]) <= {"run", "walk"}
