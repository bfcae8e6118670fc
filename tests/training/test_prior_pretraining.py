"""Pre-training of a prior over many sets: what it leaves, and that it resumes to the same bits."""

import numpy as np
import pytest
import torch
from transformers import AutoModel

from helpers.tensors import assert_same, states
from helpers.tiny import ANY_LENGTH, as_options
from ncvqvae import NCVQVAEConfig, NCVQVAEModel, load_recipe
from ncvqvae.cli.__main__ import main
from ncvqvae.data.series import series_dataset
from ncvqvae.training.finetuning import Start
from ncvqvae.training.prior_pretraining import pretrain_prior
from ncvqvae.training.stages import train


OF_TOKENIZER = [
    "tokenizer={working_length: 100, scale_each: true, channelwise: true, fold_frequencies: true, num_halvings: 2, "
    "dim: 8, code_dim: 4, normalise_codes: true, codebook_size: 16, num_residual_blocks: 1, ssl_objective: null}",
    "views=[]",
    "mixture={crop: 64, working_length: 100, num_synthetic: 30}",
    "tokenizer_training={batch_size: 8, precision: 'no'}",
]
SETTINGS = [
    "report_to=null",
    "validation_fraction=0.2",
    "prior={code_embedding: geometry, position_encoding: rotary, convolution_width: 3, hidden_size: 16, "
    "num_hidden_layers: 2, head_dim: 8, intermediate_size: 16, sampling_order: low_discrepancy}",
    "prior_views=[time_warp, offset]",
    "prior_training={max_steps: 12, batch_size: 16, save_steps: 5, eval_steps: 6, precision: 'no'}",
]


@pytest.fixture(scope="module")
def tokenizer():
    torch.manual_seed(0)
    return NCVQVAEModel(NCVQVAEConfig(**ANY_LENGTH)).eval()


@pytest.fixture(scope="module")
def sets():
    rng = np.random.default_rng(0)
    waves = np.sin(np.arange(40) * np.repeat([0.2, 0.6], 10)[:, None]) + 0.1 * rng.standard_normal((20, 40))
    noise = 50 + 7 * rng.standard_normal((9, 33))
    return {
        "waves": series_dataset(waves, ["slow"] * 10 + ["fast"] * 10),
        "noise": series_dataset(noise, ["a"] * 8 + ["once"]),
    }


def test_it_leaves_a_checkpoint_that_generates_each_set_by_class(tokenizer, sets, tmp_path):
    model, history = pretrain_prior(tokenizer, sets, load_recipe(None, SETTINGS), tmp_path / "base", tmp_path / "work")
    loaded = AutoModel.from_pretrained(tmp_path / "base")
    assert_same(states(model), states(loaded))
    assert_same(states(tokenizer), states(NCVQVAEModel.from_pretrained(tmp_path / "base")))
    assert list(loaded.config.id2label.values()) == ["waves/fast", "waves/slow", "noise/a", "noise/once"]
    assert loaded.generate(3, "waves/slow").shape == (3, 1, 40)
    noise = loaded.generate(30, "noise", generator=torch.Generator().manual_seed(0))
    assert noise.shape == (30, 1, 33) and noise.mean().item() == pytest.approx(50, abs=7)  # in the units of the set
    assert [row["step"] for row in history.validation] == [6, 12]


def test_a_run_resumed_from_a_checkpoint_ends_with_the_bits_of_one_never_stopped(tokenizer, sets, tmp_path):
    recipe = load_recipe(None, SETTINGS)
    model, history = pretrain_prior(tokenizer, sets, recipe, tmp_path / "base", tmp_path / "work")
    (tmp_path / "work" / "prior" / "checkpoint-12").rename(tmp_path / "gone")  # as if killed after step 10
    again, history_again = pretrain_prior(tokenizer, sets, recipe, tmp_path / "again", tmp_path / "work", resume=True)
    assert_same(states(model), states(again))
    assert history == history_again
    other = NCVQVAEModel(tokenizer.config)
    with pytest.raises(ValueError, match="cannot resume: tokenizer_weights"):
        pretrain_prior(other, sets, recipe, tmp_path / "other", tmp_path / "work", resume=True)


def test_training_lowers_the_loss_of_held_out_series(tokenizer, sets, tmp_path):
    recipe = load_recipe(None, [*SETTINGS, "prior_training.max_steps=150", "prior_training.learning_rate=3e-3"])
    _, history = pretrain_prior(tokenizer, sets, recipe, tmp_path / "base", tmp_path / "work")
    assert history.validation[-1]["loss"] < 0.8 * history.validation[0]["loss"]


def test_the_command_trains_both_stages_or_the_prior_on_a_tokenizer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("Waves", "Noise"):
        rows = np.random.default_rng(0).standard_normal((8, 40))
        (tmp_path / "archive" / name).mkdir(parents=True)
        lines = ["\t".join(map(str, [index % 2, *row])) for index, row in enumerate(rows)]
        for split in ("TRAIN", "TEST"):
            (tmp_path / "archive" / name / f"{name}_{split}.tsv").write_text("\n".join(lines))
    few = ["tokenizer_training.max_steps=2", "decoder_training.max_steps=2", "prior_training.max_steps=2"]
    data = ["--archive", "archive", *as_options([*OF_TOKENIZER, *SETTINGS, *few])]
    assert main(["pretrain", "--stage", "both", *data, "--output-dir", "both"]) == 0
    assert main(["pretrain", *data, "--output-dir", "first"]) == 0
    assert main(["pretrain", "--stage", "prior", "--tokenizer", "first", *data, "--output-dir", "second"]) == 0
    assert_same(*(states(AutoModel.from_pretrained(folder)) for folder in ("both", "second")))
    assert (tmp_path / "both" / "pretraining.json").read_text() == (tmp_path / "second/pretraining.json").read_text()
    model = AutoModel.from_pretrained("both")
    assert model.generate(2, "Waves/1").shape == (2, 1, 40)


def test_a_fine_tuning_on_a_set_that_the_prior_knows_starts_at_its_classes(tokenizer, sets, tmp_path):
    model, _ = pretrain_prior(tokenizer, sets, load_recipe(None, SETTINGS), tmp_path / "base", tmp_path / "work")
    recipe = load_recipe(
        None, ["report_to=null", "prior_training={max_steps: 1, learning_rate: 1e-12, batch_size: 4}"]
    )
    tuned = {}
    for name in ("waves", "unknown"):
        data = sets["waves"]
        data.info.config_name = name
        tuned[name], _ = train(data, recipe, tmp_path / name, tmp_path / f"w-{name}", start=Start(model), only="prior")
    vectors, found = model.label_embedding.weight, tuned["waves"].label_embedding.weight
    null = vectors[4]  # of waves: the classes of both sets come before
    torch.testing.assert_close(found, torch.stack((vectors[0] + null, vectors[1] + null, null)), atol=1e-6, rtol=0)
    torch.testing.assert_close(tuned["unknown"].label_embedding.weight[-1], vectors[4:].mean(0), atol=1e-6, rtol=0)
    assert tuned["waves"].config.sets is None and tuned["waves"].config.tokenizer_config.scale_each is False
    made = tuned["waves"].generate(4, "fast")
    assert made.shape == (4, 1, 40) and made.isfinite().all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--stage", "prior"], "--stage prior builds on a tokenizer, named with --tokenizer"),
        (["--stage", "both", "--set", "prior.position_encoding=learned"], "the recipe's prior: sets need"),
    ],
)
def test_a_command_that_cannot_work_is_refused_before_it_trains(options, message, capsys):
    assert main(["pretrain", *options]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line


def test_what_cannot_be_is_said_in_one_line(tokenizer, sets, tmp_path):
    recipe = load_recipe(None, SETTINGS)
    with pytest.raises(ValueError, match="no univariate set of one length with classes"):
        pretrain_prior(tokenizer, {}, recipe, tmp_path / "base")
    fixed = NCVQVAEModel(NCVQVAEConfig(**ANY_LENGTH | {"length": 40, "scale_each": False}))
    with pytest.raises(ValueError, match="for series of 40 samples, and not for all sets"):
        pretrain_prior(fixed, sets, recipe, tmp_path / "base")
