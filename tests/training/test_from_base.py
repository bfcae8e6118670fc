"""`ncvqvae train` from a pre-trained base: what it keeps, what it says, and what it refuses."""

import re

import pytest
import torch
import yaml
from transformers import AutoModel

import ncvqvae
from helpers.tensors import assert_same, states
from helpers.tiny import ANY_LENGTH, as_options
from ncvqvae import NCVQVAEConfig, NCVQVAEModel, inference, load_recipe
from ncvqvae.cli.__main__ import main
from ncvqvae.data.ucr import load_ucr
from ncvqvae.training.prior_pretraining import pretrain_prior


OF_BASE = [
    "report_to=null",
    "half_weights=true",
    "prior={code_embedding: geometry, position_encoding: rotary, convolution_width: 3, hidden_size: 16, "
    "num_hidden_layers: 1, num_attention_heads: 1, head_dim: 8, intermediate_size: 16, knows_strength: true}",
    "prior_views=[time_warp]",
    "prior_training={max_steps: 4, batch_size: 16}",
]
SHORT = [
    "start=base",
    "report_to=null",
    "choose_sampling=false",
    "prior_training={max_steps: 6, batch_size: 8, save_steps: 4, eval_steps: 3}",
    "tokenizer_training={max_steps: 3, batch_size: 8}",
    "prior.sampling_steps=2",
]


def make_base(seed, folder):
    torch.manual_seed(seed)
    tokenizer = NCVQVAEModel(NCVQVAEConfig(**ANY_LENGTH | {"working_length": 160})).eval()
    sets = {"GunPoint": load_ucr("GunPoint")["train"], "ItalyPowerDemand": load_ucr("ItalyPowerDemand")["train"]}
    pretrain_prior(tokenizer, sets, load_recipe(None, OF_BASE), folder, folder.with_name("work-of-base"))


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bases")
    for seed, name in enumerate(("base", "other")):
        make_base(seed, folder / name)
    return folder


@pytest.fixture
def run(bases, tmp_path, monkeypatch):
    """`ncvqvae train GunPoint` in a folder beside the two bases, with the default recipe but short."""
    monkeypatch.chdir(tmp_path)
    for name in ("base", "other"):
        (tmp_path / name).symlink_to(bases / name)
    return lambda *options, settings=SHORT: main(["train", "GunPoint", *as_options(settings), *options])


def test_the_tokenizer_stays_and_the_prior_learns(run, tmp_path, capsys):
    assert run() == 0
    said = capsys.readouterr().out
    assert "GunPoint, from base" in said and "Trained enough? Nobody can say, 5 held-out series are too few." in said
    assert re.search("It (does not copy|copies): [0-9]+% of its series are near-copies", said)
    base, made = AutoModel.from_pretrained("base"), AutoModel.from_pretrained("ncvqvae-gunPoint")
    for name, tensor in base.tokenizer.state_dict().items():
        assert torch.equal(made.tokenizer.state_dict()[name], tensor), name
    assert not torch.equal(made.code_embedding.weight, base.code_embedding.weight)
    assert made.config.id2label == {0: "1", 1: "2"} and made.generate(3, "2").shape == (3, 1, 150)
    recipe = yaml.safe_load((tmp_path / "ncvqvae-gunPoint" / "recipe.yaml").read_text())
    assert recipe["start"] == "base" and recipe["prior"]["hidden_size"] == 16


def test_the_recipe_that_it_leaves_makes_the_same_checkpoint(run):
    assert run() == 0
    command = ["train", "GunPoint", "--recipe", "ncvqvae-gunPoint/recipe.yaml", "--output-dir", "again"]
    assert main(command) == 0
    made, again = (AutoModel.from_pretrained(name) for name in ("ncvqvae-gunPoint", "again"))
    assert_same(states(made), states(again))


def test_a_run_stopped_and_resumed_is_one_never_stopped_and_another_base_is_refused(run, tmp_path, capsys):
    assert run() == 0
    whole = states(AutoModel.from_pretrained("ncvqvae-gunPoint"))
    (tmp_path / "runs" / "ncvqvae-gunPoint" / "prior" / "checkpoint-6").rename(tmp_path / "gone")
    assert run("--resume") == 0
    assert_same(states(AutoModel.from_pretrained("ncvqvae-gunPoint")), whole)
    capsys.readouterr()
    assert run("--resume", "--set", "start=other") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot resume: start was 'base'" in line and "is 'other' now" in line


def test_a_tuned_tokenizer_is_another_one(run):
    assert run("--tune-tokenizer", "--set", "views=[gaussian_noise]") == 0
    base, made = (AutoModel.from_pretrained(name).tokenizer for name in ("base", "ncvqvae-gunPoint"))
    before, after = (dict(model.named_parameters()) for model in (base, made))
    assert all(not torch.equal(before[name], after[name]) for name in before if "encoder" in name and "conv" in name)


def test_long_runs_say_before_they_start_how_long_they_take(run, capsys):
    settings = [*SHORT, "prior_training={max_steps: 60, batch_size: 4}"]
    assert run(settings=settings) == 0
    assert re.search("prior: 60 steps, about [0-9]+ seconds", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--set", "start=nowhere/at/all"], "there is no folder nowhere/at/all"),
        (["--stage", "tokenizer"], "the tokenizer of base stays as it is: add --tune-tokenizer or --from-scratch"),
        (["--from-scratch", "--tune-tokenizer"], "--tune-tokenizer is for a training from a checkpoint"),
        (["--set", "prior.hidden_size=32"], "prior.hidden_size is 16 in the checkpoint and 32 in the recipe"),
    ],
)
def test_mistakes_get_one_line(run, capsys, options, said):
    assert run(*options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_info_of_a_base_names_its_sets(run, capsys):
    assert main(["info", "base"]) == 0
    assert re.search(r"sets +GunPoint \(2 classes\), ItalyPowerDemand \(2 classes\)\n", capsys.readouterr().out)


def test_a_base_that_an_installation_lacks_gets_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(inference, "__file__", str(tmp_path / "package" / "inference.py"))
    monkeypatch.chdir(tmp_path)
    assert main(["train", "GunPoint"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "ncvqvae-base should lie in this installation of ncvqvae, and does not: install ncvqvae again" in line


def test_weights_of_half_precision_are_stored_so_and_load_as_they_were(bases, tmp_path):
    base = ncvqvae.MaskGITForTimeSeriesGeneration.from_pretrained(bases / "base")
    assert all(parameter.dtype == torch.float32 for parameter in base.parameters())
    base.save_pretrained(tmp_path / "halves")
    with torch.no_grad():
        for parameter in base.parameters():
            parameter += 1e-6 * torch.randn_like(parameter)
    base.save_pretrained(tmp_path / "whole")
    halves, whole = ((tmp_path / name / "model.safetensors").stat().st_size for name in ("halves", "whole"))
    assert halves < 0.85 * whole
    assert_same(states(AutoModel.from_pretrained(tmp_path / "whole")), states(base))
