"""The checkpoints that the repository ships are what a Hub repository would hold, and what their cards say."""

import json
import os
import re
import shutil

import pytest
import torch
from huggingface_hub import ModelCard
from transformers import AutoConfig, AutoModel

import ncvqvae  # noqa: F401, registers the models
from helpers.environments import environment_with
from helpers.places import MODEL_CARDS
from helpers.processes import as_a_stranger
from ncvqvae.cli.__main__ import main
from ncvqvae.evaluation.measures import HEADLINES
from ncvqvae.evaluation.pictures import CAPTIONS
from ncvqvae.evaluation.report import render
from ncvqvae.hub.card import render_card
from ncvqvae.hub.publish import WANTED, check_checkpoint


BASE = MODEL_CARDS / "ncvqvae-base"  # see test_base_card.py
FOLDERS = sorted(path.parent for path in MODEL_CARDS.glob("*/config.json") if path.parent != BASE)


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def folder(request):
    return request.param


def test_there_are_checkpoints_to_try():
    assert {"ncvqvae-gunPoint", "ncvqvae-fordA"} <= {folder.name for folder in FOLDERS}


def test_a_shipped_checkpoint_is_whole_small_and_loads_by_its_bare_name(folder, monkeypatch):
    assert sum(file.stat().st_size for file in folder.iterdir()) < 6e6
    assert all(any(file.match(pattern) for pattern in WANTED) for file in folder.iterdir())
    check_checkpoint(folder)
    monkeypatch.chdir(MODEL_CARDS)
    model = AutoModel.from_pretrained(folder.name)
    values = model.generate(num_samples=2, labels=0, generator=torch.Generator().manual_seed(0))
    assert values.isfinite().all() and values.shape[2] == model.config.tokenizer_config.length


# One process for all, which takes as long to start as to generate.
_GENERATE = """
from pathlib import Path
for folder in map(Path, sys.argv[2:]):
    model = AutoModel.from_pretrained(folder, trust_remote_code=True)
    assert type(model).__module__.startswith("transformers_modules")
    torch.save(model.generate(4, generator=torch.Generator().manual_seed(0)), Path(sys.argv[1], folder.name))
"""


@pytest.mark.slow
def test_with_only_torch_and_transformers_they_generate_the_same(tmp_path):
    packages = environment_with(tmp_path / "packages", "torch", "transformers")
    environment = os.environ | {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    as_a_stranger(packages, _GENERATE, tmp_path, *FOLDERS, environment=environment)
    for folder in FOLDERS:
        expected = AutoModel.from_pretrained(folder).generate(4, generator=torch.Generator().manual_seed(0))
        assert torch.equal(torch.load(tmp_path / folder.name), expected), folder.name


def test_the_card_and_the_report_of_a_shipped_checkpoint_are_what_its_figures_make(folder):
    model = AutoModel.from_pretrained(folder)
    assert (folder / "README.md").read_text() == render_card(folder, folder.name, model.config)
    metrics, pictures = json.loads((folder / "metrics.json").read_text()), [file.name for file in folder.glob("*.png")]
    assert (folder / "report.md").read_text() == render(metrics, [name for name in CAPTIONS if name in pictures])


def test_the_hub_can_read_the_card_of_a_shipped_checkpoint_and_it_names_no_organisation(folder):
    card, scores = ModelCard.load(folder / "README.md"), json.loads((folder / "metrics.json").read_text())["scores"]
    assert card.data.model_name == folder.name and card.data.eval_results
    keys = {label: key for key, label, *_ in HEADLINES}
    for result in card.data.eval_results:
        assert result.metric_value == pytest.approx(scores[keys[result.metric_name]]["mean"], abs=5e-5)
    assert card.data.base_model == "ncvqvae-base" and card.data.base_model_relation == "finetune"
    named = re.findall(r'from_pretrained\("([^"]+)"', card.text)
    assert set(named) == {folder.name} and f"`<organisation>/{folder.name}`" in card.text
    assert "../" not in card.text and "/shared" not in card.text
    for picture in re.findall(r"!\[[^]]+\]\(([^)]+)\)", card.text):
        assert (folder / picture).is_file()


def test_published_under_a_name_the_card_of_a_shipped_checkpoint_says_that_name(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / folder.name)
    assert main(["publish", str(copy), "--repo-id", f"my-lab/{folder.name}", "--dry-run"]) == 0
    assert (copy / "README.md").read_text() == (folder / "README.md").read_text()  # a dry run changes nothing
    text = render_card(copy, f"my-lab/{folder.name}", AutoConfig.from_pretrained(copy))
    assert set(re.findall(r'from_pretrained\("([^"]+)"', text)) == {f"my-lab/{folder.name}"}
    assert folder.name == "ncvqvae-base" or ModelCard(text).data.base_model == "my-lab/ncvqvae-base"
    assert "<organisation>" not in text


def numbers(value):
    """Every number of `metrics.json` that a card may show: not those of single seeds."""
    if isinstance(value, dict):
        return [number for key, part in value.items() if key not in ("values", "interval") for number in numbers(part)]
    if isinstance(value, list):
        return [number for part in value for number in numbers(part)]
    return [value] if isinstance(value, int | float) else []


def written_as(text, number):
    """Whether `number` rounded to as many digits is the figure `text`, such as -1.6% or 9.82."""
    digits = len(text.partition(".")[2].rstrip("%"))
    return format(number, f".{digits}{'%' if text.endswith('%') else 'f'}").lstrip("+") == text.lstrip("+")


def test_every_figure_of_the_card_is_in_its_metrics(folder):
    text, known = (folder / "README.md").read_text(), numbers(json.loads((folder / "metrics.json").read_text()))
    text = text[text.index("## How good it is") : text.index("## Limits")]
    lines = [line for line in text.splitlines() if line.startswith(("| ", "- "))]
    figures = [figure for line in lines for figure in re.findall(r"[-+]?\d+\.\d+%?|[-+]?\d+%", line)]
    assert len(figures) > 20
    # 5% of near-copies are what the threshold is made for.
    assert {one for one in figures if not any(written_as(one, number) for number in known)} <= {"5%"}


def test_the_notes_of_a_shipped_checkpoint_hold_no_figure_that_its_metrics_do_not(folder):
    known = numbers(json.loads((folder / "metrics.json").read_text()))
    figures = re.findall(r"(?<![\d.])\d*\.\d+ ?%?|\d+ ?%", (folder / "notes.md").read_text())
    assert [one for one in figures if not any(written_as(one.replace(" ", ""), number) for number in known)] == []
