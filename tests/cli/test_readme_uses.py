"""What the README shows of other uses of a checkpoint runs as it stands there, on GunPoint's."""

import re
import shlex

import numpy as np
import pandas as pd
import pytest
import torch

from helpers.places import ROOT
from ncvqvae import load_checkpoint
from ncvqvae.cli.__main__ import main
from ncvqvae.data.files import write_series


SECTION = re.search(r"## Fill, edit, score, classify\n(.*?)\n## ", (ROOT / "README.md").read_text(), re.DOTALL)[1]
BLOCKS = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)
COMMANDS = re.search(r"```bash\n(.*?)```", SECTION, re.DOTALL)[1].splitlines()


@pytest.fixture
def names(monkeypatch):
    """What the examples suppose to be there, a few series each."""
    monkeypatch.chdir(ROOT / "model_cards")
    model = load_checkpoint("ncvqvae-gunPoint")
    series = model.generate(labels=["1", "2", "1", "2", "2", "2"], generator=torch.Generator().manual_seed(0))
    X, y = series[:, 0].numpy(), np.array([1, 2, 1, 2, 2, 2])
    given = {"gappy": series[:2, 0].clone(), "series": series[:2]}
    return {"model": model, "X": X, "y": y, "X_test": X[:2], **given}


@pytest.mark.parametrize("index", range(len(BLOCKS)))
def test_each_example_runs_and_takes_three_lines(index, names):
    lines = [line for line in BLOCKS[index].splitlines() if line and not line.startswith(("from ", "import "))]
    assert len(lines) <= 3
    original = names["gappy"].clone()
    exec(BLOCKS[index], names)
    if "filled" in names:
        kept = ~names["gappy"].isnan()
        assert torch.equal(names["values"][:, 0][kept], original[kept]) and names["spread"].max() > 0
    if "edited" in names:
        assert torch.equal(names["values"][..., :75], names["series"][..., :75])
    if "oddest" in names:
        own = names["model"].score(names["series"], labels="2").codes[1]
        assert names["oddest"] in (0, 1) and names["scores"].codes[1] < own  # the second series is of class 2
    if "predicted" in names:
        assert names["predicted"].tolist() == [1, 2]
    if "X_balanced" in names:
        assert names["X_balanced"].shape == (8, 150) and names["y_balanced"].tolist() == [*names["y"], 1, 1]


def test_the_commands_run_on_a_tiny_checkpoint(checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    values = torch.randn(4, 1, 40)
    write_series("series.csv", values, ["up", "up", "up", "down"])
    values[:2, :, 10:20] = torch.nan
    write_series("gappy.csv", values, None)
    known = {"ncvqvae-gunPoint": checkpoint, "0:75": "0:20", "2": "down"}
    for line in COMMANDS:
        words = [known.get(word, word) for word in shlex.split(line)]
        assert words[0] == "ncvqvae" and main(words[1:]) == 0
    assert len(pd.read_csv("more.csv")) == 6 and not pd.read_csv("filled.csv").isna().any().any()
    assert pd.read_csv("edited.csv")["label"].tolist() == ["down"] * 4 and len(pd.read_csv("scores.csv")) == 4
