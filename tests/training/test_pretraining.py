"""Pre-training of a tokenizer on a mixture: what it leaves, and that it resumes to the same bits."""

import numpy as np
import pytest
import torch
from datasets import Dataset, Features, List, Value

from helpers.tiny import as_options
from helpers.trainings import together
from ncvqvae import NCVQVAEModel, load_recipe
from ncvqvae.cli.__main__ import main
from ncvqvae.training.pretraining import pretrain


SETTINGS = [
    "report_to=null",
    "validation_fraction=0.1",
    "tokenizer={working_length: 100, scale_each: true, channelwise: true, fold_frequencies: true, num_halvings: 2, "
    "dim: 8, code_dim: 4, normalise_codes: true, codebook_size: 16, num_residual_blocks: 1, projector_dim: 8, "
    "decoder_noise: true}",
    "views=[amplitude_resize]",
    "mixture={crop: 64, working_length: 100, num_synthetic: 30}",
    "tokenizer_training={max_steps: 12, batch_size: 8, save_steps: 5, eval_steps: 6, precision: 'no'}",
    "decoder_training={max_steps: 12, batch_size: 8, save_steps: 5, eval_steps: 6, precision: 'no'}",
]


@pytest.fixture(scope="module")
def sets():
    rng, features = np.random.default_rng(0), Features(values=List(Value("float32")))
    made = {"noise": [rng.standard_normal(40) for _ in range(20)], "waves": [np.sin(np.arange(70))] * 30}
    return {name: Dataset.from_dict({"values": values}, features=features) for name, values in made.items()}


def states(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def test_it_leaves_a_tokenizer_that_takes_series_of_every_shape(sets, tmp_path):
    model, histories = pretrain(sets, load_recipe(None, SETTINGS), tmp_path / "base", tmp_path / "work")
    loaded = NCVQVAEModel.from_pretrained(tmp_path / "base")
    assert loaded.config.length is None and loaded.config.working_length == 100 and loaded.config.scale_each
    values = 7 + torch.randn(2, 3, 33)
    assert torch.equal(loaded.reconstruct(values), model.reconstruct(values))
    for history in histories.values():
        assert [row["step"] for row in history.validation] == [6, 12]
        assert 0 < history.validation[-1]["usage"] <= 1


@pytest.mark.parametrize("phase", ["tokenizer", "decoder"])
def test_a_run_resumed_from_a_checkpoint_ends_with_the_bits_of_one_never_stopped(sets, phase, tmp_path):
    recipe = load_recipe(None, SETTINGS)
    model, histories = pretrain(sets, recipe, tmp_path / "base", tmp_path / "work")
    (tmp_path / "work" / phase / "checkpoint-12").rename(tmp_path / "gone")  # as if killed after step 10
    if phase == "tokenizer":
        (tmp_path / "work" / "decoder").rename(tmp_path / "gone too")
    again, histories_again = pretrain(sets, recipe, tmp_path / "again", tmp_path / "work", resume=True)
    first, second = states(model), states(again)
    assert all(torch.equal(first[name], second[name]) for name in first) and histories == histories_again


def test_a_new_run_forgets_the_checkpoints_of_both_phases_of_an_earlier_one(sets, tmp_path):
    recipe = load_recipe(None, SETTINGS)
    pretrain(sets, recipe, tmp_path / "base", tmp_path / "work")
    for phase in ("tokenizer", "decoder"):  # newer than any that the second run makes
        (tmp_path / "work" / phase / "checkpoint-12").rename(tmp_path / "work" / phase / "checkpoint-99")
    pretrain(sets, recipe, tmp_path / "again", tmp_path / "work")
    assert not list((tmp_path / "work").glob("*/checkpoint-99"))


def test_a_mixture_of_other_sets_is_not_resumed(sets, tmp_path):
    recipe = load_recipe(None, SETTINGS)
    pretrain(sets, recipe, tmp_path / "base", tmp_path / "work")
    with pytest.raises(ValueError, match="cannot resume: sets"):
        pretrain({"noise": sets["noise"]}, recipe, tmp_path / "base", tmp_path / "work", resume=True)


def test_training_lowers_the_error_of_held_out_series(sets, tmp_path):
    recipe = load_recipe(None, [*SETTINGS, "tokenizer_training.max_steps=120", "tokenizer_training.eval_steps=60"])
    _, histories = pretrain(sets, recipe, tmp_path / "base", tmp_path / "work")
    losses = [row["time_loss"] for row in histories["tokenizer"].training]
    assert losses[-1] < 0.7 * losses[0]


def test_the_second_phase_leaves_encoder_and_codebook_as_they_were(sets, tmp_path):
    recipe = load_recipe(None, SETTINGS)
    both, _ = pretrain(sets, recipe, tmp_path / "base", tmp_path / "work")
    recipe.tokenizer["decoder_noise"] = False
    first, _ = pretrain(sets, recipe, tmp_path / "first", tmp_path / "other")
    expected = states(first)
    changed = {
        name.split(".")[0] for name, one in states(both).items() if not torch.equal(one, expected.get(name, one))
    }
    assert changed == {"from_code", "decoder"}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("mixture.crop=104", "mixture.crop is 104 samples, but whole series are tokenized at 100 samples"),
        ("mixture.crop=65", "mixture.crop must be a whole number of codes, 8 samples each; found 65"),
    ],
)
def test_crops_that_are_unlike_whole_series_are_refused(sets, setting, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        pretrain(sets, load_recipe(None, [*SETTINGS, setting]), tmp_path / "base", tmp_path / "work")
    assert not (tmp_path / "base").exists()


@pytest.mark.slow
def test_two_processes_pre_train_as_one_does_in_both_phases(tmp_path):
    rows = np.random.default_rng(0).standard_normal((12, 60))
    (tmp_path / "Tiny").mkdir()
    lines = ["\t".join(map(str, [1, *row])) for row in rows]
    (tmp_path / "Tiny" / "Tiny_TRAIN.tsv").write_text("\n".join(lines))
    command = ["pretrain", "--stage", "tokenizer", "--archive", str(tmp_path), *as_options(SETTINGS)]
    runs = {}
    for count in (1, 2):
        folders = ["--output-dir", str(tmp_path / f"of-{count}"), "--work-dir", str(tmp_path / f"work-{count}")]
        runs[count] = together(tmp_path / f"log-{count}", count, main, [*command, *folders])
    found = []
    for count, run in runs.items():
        assert run.wait() == 0, run.said
        # Not weights: a bias before a batch norm has a gradient of rounding alone, of which Adam makes whole steps.
        model = NCVQVAEModel.from_pretrained(tmp_path / f"of-{count}")
        decoded = model.decode(torch.arange(16).repeat(3, 2)[:, :26], 200, torch.ones(2, 1, 1, 1))
        found.append(
            (decoded, model.embed(torch.from_numpy(rows[:, None]).float())[:, : 3 * 4], model.quantizer.codebook)
        )
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(two, one, atol=2e-3, rtol=2e-3)
