"""The card of a tokenizer for all series, and the base that the repository ships."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from datasets import Dataset, Features, List, Value
from huggingface_hub import ModelCard
from transformers import AutoModel

import ncvqvae  # noqa: F401, registers the models
from helpers.places import MODEL_CARDS
from helpers.processes import variables
from ncvqvae import NCVQVAEModel, load_recipe
from ncvqvae.cli.__main__ import main
from ncvqvae.data.series import series_dataset
from ncvqvae.evaluation.zero_shot import render_zero_shot
from ncvqvae.hub.card import render_card
from ncvqvae.hub.checks import check_checkpoint
from ncvqvae.hub.publish import publish as publish_checkpoint
from ncvqvae.hub.refresh import main as refresh
from ncvqvae.hub.upload import CARD, WANTED
from ncvqvae.training.pretraining import pretrain
from ncvqvae.training.prior_pretraining import pretrain_prior


SHIPPED = MODEL_CARDS / "ncvqvae-base"
SETTINGS = [
    "report_to=null",
    "tokenizer={working_length: 100, scale_each: true, channelwise: true, fold_frequencies: true, num_halvings: 2, "
    "dim: 8, code_dim: 4, normalise_codes: true, codebook_size: 16, num_residual_blocks: 1, ssl_objective: null}",
    "views=[]",
    "mixture={crop: 64, working_length: 100, num_synthetic: 30}",
    "tokenizer_training={max_steps: 5, batch_size: 8, precision: 'no'}",
]


PRIOR = [
    "report_to=null",
    "prior={code_embedding: geometry, position_encoding: rotary, hidden_size: 16, num_hidden_layers: 1, head_dim: 8}",
    "prior_training={max_steps: 3, batch_size: 8, precision: 'no'}",
]


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A tiny base that was pre-trained on two sets, one of them GunPoint, and measured on GunPoint."""
    folder = tmp_path_factory.mktemp("hub") / "ncvqvae-tiny"
    rng, features = np.random.default_rng(0), Features(values=List(Value("float32")))
    made = {
        "GunPoint": [rng.standard_normal(40) for _ in range(20)],
        "waves": [np.sin(np.arange(n)) for n in (70, 90)],
    }
    sets = {name: Dataset.from_dict({"values": values}, features=features) for name, values in made.items()}
    pretrain(sets, load_recipe(None, SETTINGS), folder, folder.parent / "work")
    assert main(["evaluate", str(folder), "--dataset", "GunPoint", "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def with_prior(measured, tmp_path_factory):
    """The tiny base with a prior over one set, measured too."""
    folder = tmp_path_factory.mktemp("prior") / "ncvqvae-tiny"
    values = np.random.default_rng(0).standard_normal((20, 40))
    sets = {"waves": series_dataset(values, ["slow"] * 10 + ["fast"] * 10)}
    pretrain_prior(NCVQVAEModel.from_pretrained(measured), sets, load_recipe(None, PRIOR), folder, folder.parent / "w")
    shutil.copy(measured / "pretraining.json", folder)
    assert main(["evaluate", str(folder), "--dataset", "GunPoint", "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def folder(measured, tmp_path):
    return shutil.copytree(measured, tmp_path / measured.name)


def publish(folder):
    return main(["publish", str(folder), "--repo-id", "my-lab/ncvqvae-tiny", "--dry-run"])


def card_that_would_go_up(folder):
    return publish_checkpoint(folder, "my-lab/ncvqvae-tiny", dry_run=True).files[CARD].decode()


def test_the_card_says_what_the_model_has_seen_and_what_it_reaches(folder, capsys):
    assert publish(folder) == 0 and "pretraining.json" in capsys.readouterr().out
    card, row = card_that_would_go_up(folder), json.loads((folder / "metrics.json").read_text())["zero_shot"][0]
    assert "| GunPoint | 20 | 40 |" in card and "| waves | 2 | 70 to 90 |" in card
    assert f"| GunPoint | 150 | 20 | {row['reconstruction_error']:.4f} |" in card
    assert "**seen in pre-training**" in card and "left out" not in card.split("## What it has seen")[0]
    assert set(re.findall(r'from_pretrained\("([^"]+)"', card)) == {"my-lab/ncvqvae-tiny"}


def test_a_base_with_a_prior_has_a_card_that_says_what_it_generates(measured, with_prior):
    card = card_that_would_go_up(with_prior)
    assert 'model.generate(16, labels="waves/fast")' in card and "It knows 1 sets: waves." in card
    figures = [json.loads((folder / "metrics.json").read_text())["zero_shot"] for folder in (measured, with_prior)]
    assert figures[0] == figures[1]  # they are the tokenizer's
    assert refresh([str(with_prior)]) == 0 and (with_prior / "README.md").read_text() == render_card(
        with_prior, with_prior.name, AutoModel.from_pretrained(with_prior).config
    )


def test_the_report_and_the_card_are_written_anew_by_refresh(folder):
    assert publish(folder) == 0
    for name in ("README.md", "report.md", "vector_quantizer.py"):
        (folder / name).write_text("# of another version")
    assert refresh([str(folder)]) == 0
    check_checkpoint(folder)
    assert (folder / "README.md").read_text() == render_card(
        folder, folder.name, NCVQVAEModel.from_pretrained(folder).config
    )
    assert (folder / "report.md").read_text() == render_zero_shot(json.loads((folder / "metrics.json").read_text()))


def test_an_edited_card_is_kept_while_its_tables_are_there(folder, capsys):
    card = folder / "README.md"
    card.write_text(card_that_would_go_up(folder) + "\nA person wrote this.\n")
    assert publish(folder) == 0 and "kept as it was edited" in capsys.readouterr().out
    card.write_text(card.read_text().replace("| waves | 2 |", "| waves | 3 |"))
    assert publish(folder) == 2 and "lacks the table of pretraining.json" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["metrics.json", "pretraining.json", "recipe.yaml"])
def test_a_folder_that_lacks_what_the_card_is_made_from_is_refused_in_one_line(folder, name, capsys):
    (folder / name).unlink()
    assert publish(folder) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert f"lacks {name}, which the card is made from" in line


def test_a_checkpoint_that_does_not_say_what_it_has_seen_is_not_measured(folder, capsys):
    (folder / "pretraining.json").unlink()
    assert main(["evaluate", str(folder), "--dataset", "GunPoint", "--out", str(folder / "out")]) == 2
    assert "has no pretraining.json that says what it was pre-trained on" in capsys.readouterr().err


def test_the_shipped_base_is_whole_small_and_says_what_its_figures_are(monkeypatch):
    assert (SHIPPED / "model.safetensors").stat().st_size < 12e6
    assert all(any(file.match(pattern) for pattern in WANTED) for file in SHIPPED.iterdir())
    model = check_checkpoint(SHIPPED)
    assert (SHIPPED / "README.md").read_text() == render_card(SHIPPED, SHIPPED.name, model.config)
    assert (SHIPPED / "report.md").read_text() == render_zero_shot(json.loads((SHIPPED / "metrics.json").read_text()))
    card = ModelCard.load(SHIPPED / "README.md")
    assert card.data.pipeline_tag == "feature-extraction" and "../" not in card.text and "/shared" not in card.text
    seen = json.loads((SHIPPED / "pretraining.json").read_text())["sets"]
    assert all(f"| {name} | {one['series']} |" in card.text for name, one in seen.items())


@pytest.mark.parametrize("shape", [(2, 1, 8), (2, 3, 40), (1, 2, 561), (1, 1, 20_000)])
def test_the_shipped_base_takes_series_of_every_shape_by_its_bare_name(shape, monkeypatch):
    monkeypatch.chdir(MODEL_CARDS)
    model = AutoModel.from_pretrained("ncvqvae-base")
    values = 10 + 3 * torch.randn(shape).cumsum(-1)
    encoded = model.encode(values)
    again = model.decode(encoded.codes, shape[2], encoded.moments)
    assert torch.equal(again, model.reconstruct(values)) and again.shape == shape
    error = ((again - values) / values.std(-1, keepdim=True)).square().mean()
    assert error < 0.1
    assert model.embed(values).shape == (shape[0], model.embed(torch.randn(1, 1, 30)).shape[1])
    if shape[2] <= 560:
        assert encoded.codes.shape[1] <= 70 * shape[1]


def test_the_shipped_base_is_found_by_its_name_in_an_empty_folder_without_the_hub(tmp_path):
    np.savez(tmp_path / "in.npz", values=np.random.default_rng(0).standard_normal((2, 3, 50)))
    command = [sys.executable, "-m", "ncvqvae.cli", "reconstruct", "ncvqvae-base", "in.npz", "out.npz"]
    environment = variables() | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert np.load(tmp_path / "out.npz")["values"].shape == (2, 3, 50)
