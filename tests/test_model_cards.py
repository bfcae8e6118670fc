"""The checkpoints that the repository ships are what a Hub repository would hold, and what their cards say."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModel

import ncvqvae  # noqa: F401, registers the models
from environments import environment_with
from ncvqvae.card import check_card, render_card
from ncvqvae.hub import WANTED, check_checkpoint


STRANGER = """
import sys
sys.path.insert(0, sys.argv[1])
import torch
from transformers import AutoModel
model = AutoModel.from_pretrained(sys.argv[2], trust_remote_code=True)
torch.save(model.generate(4, generator=torch.Generator().manual_seed(0)), sys.argv[3])
assert "ncvqvae" not in sys.modules and "accelerate" not in sys.modules
"""
CARDS = Path(__file__).parents[1] / "model_cards"
FOLDERS = sorted(path.parent for path in CARDS.glob("*/config.json"))


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def folder(request):
    return request.param


def test_there_are_checkpoints_to_try():
    assert {"ncvqvae-gunPoint", "ncvqvae-fordA"} <= {folder.name for folder in FOLDERS}


def test_a_shipped_checkpoint_is_whole_small_and_loads_by_its_bare_name(folder, monkeypatch):
    assert sum(file.stat().st_size for file in folder.iterdir()) < 12e6
    assert all(any(file.match(pattern) for pattern in WANTED) for file in folder.iterdir())
    check_checkpoint(folder)
    monkeypatch.chdir(CARDS)
    model = AutoModel.from_pretrained(folder.name)
    values = model.generate(num_samples=2, labels=0, generator=torch.Generator().manual_seed(0))
    assert values.isfinite().all() and values.shape[2] == model.config.tokenizer_config.length


def test_with_only_torch_and_transformers_it_generates_the_same(folder, tmp_path):
    packages = environment_with(tmp_path / "packages", "torch", "transformers")
    command = [sys.executable, "-I", "-S", "-c", STRANGER, packages, folder, tmp_path / "made.pt"]
    environment = os.environ | {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([*map(str, command)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected = AutoModel.from_pretrained(folder).generate(4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(torch.load(tmp_path / "made.pt"), expected)


def test_the_card_of_a_shipped_checkpoint_is_what_its_figures_make(folder):
    card, metrics = folder / "README.md", json.loads((folder / "metrics.json").read_text())
    check_card(card.read_text(), metrics, card)
    repo_id = next(line for line in card.read_text().splitlines() if "from_pretrained(" in line).split('"')[1]
    model = AutoModel.from_pretrained(folder)
    assert card.read_text() == render_card(folder, repo_id, model.config)
