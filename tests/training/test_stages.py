"""The loop and both stages on tiny real models: what is saved, what resumes, what moves."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoModel
from transformers.utils import ModelOutput

from helpers.tensors import assert_same, states
from helpers.tiny import SETTINGS, toy_dataset
from ncvqvae.data.series import series_dataset
from ncvqvae.data.training_split import TrainingData
from ncvqvae.training.loop import Stage, batch_indices, fit
from ncvqvae.training.recipes import TrainingSettings, load_recipe
from ncvqvae.training.run_folder import Run, only_run_in
from ncvqvae.training.stages import check_run, train, train_prior, train_tokenizer


def training_data():
    """The toy series, split as `SETTINGS` say."""
    return TrainingData.from_dataset(toy_dataset(), seed=0, validation_fraction=0.25)


@pytest.fixture
def recipe():
    return load_recipe(None, SETTINGS)


def test_both_stages_leave_a_checkpoint_that_loads_bitwise_with_scaler_classes_and_shares(recipe, tmp_path):
    model, history = train(toy_dataset(), recipe, tmp_path / "out", tmp_path / "work")
    loaded = AutoModel.from_pretrained(tmp_path / "out")
    assert_same(states(model), states(loaded))
    assert loaded.config.id2label == {0: "0", 1: "1"}
    assert loaded.config.label_shares == [0.5, 0.5]
    assert loaded.config.tokenizer_config.mean == pytest.approx([10], abs=0.6)
    generated = loaded.generate(64, generator=torch.Generator().manual_seed(0))
    assert generated.shape == (64, 1, 24)
    assert generated.mean().item() == pytest.approx(10, abs=2)  # in the units of the data
    assert [row["step"] for row in history["tokenizer"].validation] == [4, 8, 12]
    assert [row["step"] for row in history["prior"].training] == [5, 10, 12]


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(recipe, tmp_path):
    first, _ = train(toy_dataset(), recipe, tmp_path / "1", tmp_path / "w1")
    second, _ = train(toy_dataset(), recipe, tmp_path / "2", tmp_path / "w2")
    assert_same(states(first), states(second))
    other, _ = train(toy_dataset(), load_recipe(None, [*SETTINGS, "seed=1"]), tmp_path / "3", tmp_path / "w3")
    assert not torch.equal(first.tokenizer.quantizer.codebook, other.tokenizer.quantizer.codebook)


@pytest.mark.parametrize("stage", ["tokenizer", "prior"])
def test_a_run_resumed_from_a_checkpoint_ends_with_the_bits_and_curves_of_one_never_stopped(stage, recipe, tmp_path):
    model, history = train(toy_dataset(), recipe, tmp_path / "out", tmp_path / "work")
    for name in ("tokenizer", "prior"):
        checkpoints = sorted((tmp_path / "work" / name).glob("checkpoint-*"), key=lambda path: int(path.name[11:]))
        assert [path.name for path in checkpoints] == ["checkpoint-10", "checkpoint-12"]  # save_total_limit is 2
        if name == stage or stage == "tokenizer":
            checkpoints[-1].rename(tmp_path / f"gone-{name}")  # as if killed after step 10
    if stage == "tokenizer":
        (tmp_path / "work" / "prior" / "checkpoint-10").rename(tmp_path / "gone-10")
    again, history_again = train(toy_dataset(), recipe, tmp_path / "again", tmp_path / "work", resume=True)
    assert_same(states(model), states(again))
    for name in ("tokenizer", "prior"):
        assert history[name] == history_again[name]


def test_without_labels_both_stages_train_and_sample(recipe, tmp_path):
    model, _ = train(toy_dataset(labelled=False), recipe, tmp_path / "out", tmp_path / "work")
    assert model.config.num_labels == 0
    assert AutoModel.from_pretrained(tmp_path / "out").generate(3).shape == (3, 1, 24)


def test_many_channels_and_codes_drawn_anew_train_too(tmp_path):
    recipe = load_recipe(None, [*SETTINGS, "code_temperature=1.0", "tokenizer.ssl_objective=vibcreg"])
    model, history = train(toy_dataset(channels=3), recipe, tmp_path / "out", tmp_path / "work")
    assert model.generate(2).shape == (2, 3, 24)
    assert np.isfinite(history["prior"].training[-1]["loss"])


@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_a_prior_learns_the_codes_of_its_views(temperature, tmp_path):
    plain = load_recipe(None, [*SETTINGS, f"code_temperature={temperature}"])
    flipping = load_recipe(None, [*SETTINGS, f"code_temperature={temperature}", "prior_views=[flip]"])
    tokenizer = train_tokenizer(training_data(), Run(plain, tmp_path / "1"))[0].tokenizer
    reversed_series = toy_dataset().map(lambda row: {"values": [channel[::-1] for channel in row["values"]]})
    data = TrainingData.from_dataset(reversed_series, seed=0, validation_fraction=0.25)
    first, _ = train_prior(tokenizer, training_data(), Run(flipping, tmp_path / "2"))
    second, _ = train_prior(tokenizer, data, Run(plain, tmp_path / "3"))
    assert_same(states(first), states(second))


def test_bfloat16_trains_stage_one_and_leaves_a_float32_model(tmp_path):
    recipe = load_recipe(None, [*SETTINGS, "tokenizer_training.precision=bf16", "prior_training.precision=bf16"])
    model, history = train(toy_dataset(), recipe, tmp_path / "out", tmp_path / "work")
    assert {tensor.dtype for tensor in model.state_dict().values()} == {torch.float32, torch.int64}
    assert model.reconstruct(torch.randn(2, 1, 24)).dtype == torch.float32
    assert np.isfinite(history["tokenizer"].training[-1]["loss"])


def test_training_lowers_the_loss(tmp_path):
    recipe = load_recipe(None, [*SETTINGS, "tokenizer_training.max_steps=150", "prior_training.max_steps=150"])
    _, history = train(toy_dataset(), recipe, tmp_path / "out", tmp_path / "work")
    for stage, loss in (("tokenizer", "time_loss"), ("prior", "loss")):
        assert history[stage].training[-1][loss] < 0.7 * history[stage].training[0][loss]


def test_the_last_checkpoint_is_there_when_an_evaluation_fails(recipe, tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("no evaluation today")

    monkeypatch.setattr("ncvqvae.training.stages.score_tokenizer", fail)
    settings = load_recipe(None, [*SETTINGS, "tokenizer_training.eval_steps=5"])
    with pytest.raises(RuntimeError, match="no evaluation today"):
        train_tokenizer(training_data(), Run(settings, tmp_path))
    assert json.loads((tmp_path / "tokenizer" / "checkpoint-5" / "history.json").read_text())["step"] == 5


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    recipe = load_recipe(None, [*SETTINGS, "tokenizer_training.learning_rate=1e30"])
    with pytest.raises(FloatingPointError, match="lower learning_rate"):
        train(toy_dataset(), recipe, tmp_path / "out", tmp_path / "work")


class Root(torch.nn.Module):
    """The root of a parameter that is zero: a finite loss, whose gradient is infinite."""

    def __init__(self):
        super().__init__()
        self.parameter = torch.nn.Parameter(torch.zeros(1))

    def forward(self, values, generator):
        return ModelOutput(loss=self.parameter.sqrt().sum())


def test_a_gradient_that_is_not_finite_stops_the_run_before_it_is_saved(tmp_path):
    stage = Stage("root", 4, lambda indices, generator: {"values": indices})
    with pytest.raises(FloatingPointError, match="the gradient_norm of root is inf at step 1; lower learning_rate"):
        fit(Root(), stage, TrainingSettings(max_steps=1, batch_size=4), Run(load_recipe(None, SETTINGS), tmp_path))
    assert not list(tmp_path.rglob("*checkpoint-*"))


def test_the_learning_rate_that_is_logged_is_the_one_of_the_step(recipe, tmp_path):
    _, history = train(toy_dataset(), recipe, tmp_path / "out", tmp_path / "work")
    for row in history["prior"].training:
        assert row["learning_rate"] == pytest.approx(1e-3 * (1 + np.cos(np.pi * (row["step"] - 1) / 12)) / 2)


def test_the_recipe_decides_the_precision_whatever_the_launcher_says(recipe, tmp_path, monkeypatch):
    expected, _ = train(toy_dataset(), recipe, tmp_path / "1", tmp_path / "w1")
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    AcceleratorState._reset_state()  # as at the start of a process
    found, _ = train(toy_dataset(), recipe, tmp_path / "2", tmp_path / "w2")
    assert_same(states(expected), states(found))


def test_a_prior_alone_needs_a_checkpoint(recipe, tmp_path):
    with pytest.raises(ValueError, match=r"name one with start=Start\(model\)"):
        train(toy_dataset(), recipe, tmp_path / "out", tmp_path / "work", only="prior")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder that not even root can write")
def test_a_folder_that_cannot_be_written_is_refused_before_training(recipe, tmp_path):
    with pytest.raises(ValueError, match="cannot write to /proc/out"):
        train(toy_dataset(), recipe, "/proc/out", tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_saving_leaves_other_files_of_the_folder_and_nothing_half_written(recipe, tmp_path):
    (tmp_path / "out" / ".partial-killed").mkdir(parents=True)  # by a run that was killed as it saved
    (tmp_path / "out" / "README.md").write_text("mine")
    train(toy_dataset(), recipe, tmp_path / "out", tmp_path / "work")
    assert (tmp_path / "out" / "README.md").read_text() == "mine"
    assert not list((tmp_path / "out").glob(".partial*"))


@pytest.mark.parametrize(("batch_size", "num_series"), [(8, 20), (7, 5), (5, 5)])
def test_batches_run_through_permutations_of_all_series(batch_size, num_series):
    steps = num_series  # batch_size epochs in all
    stream = torch.cat([batch_indices(step, batch_size, num_series, seed=3) for step in range(steps)])
    epochs = stream.view(batch_size, num_series)
    assert torch.equal(epochs.sort(1).values, torch.arange(num_series).expand(batch_size, -1))
    assert len({tuple(epoch.tolist()) for epoch in epochs}) > 1


def test_a_tracker_that_is_not_installed_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr("accelerate.tracking._available_trackers", [])
    with pytest.raises(ValueError, match="tracker trackio is not installed"):
        train(toy_dataset(), load_recipe(None, [*SETTINGS, "report_to=trackio"]), tmp_path / "out", tmp_path / "work")


def test_a_run_that_starts_anew_deletes_the_checkpoints_that_a_later_resume_would_mistake_for_its_own(tmp_path):
    first, second = load_recipe(None, SETTINGS), load_recipe(None, [*SETTINGS, "seed=1"])
    train(toy_dataset(), first, tmp_path / "out", tmp_path / "work")
    expected, _ = train(toy_dataset(), second, tmp_path / "expected", tmp_path / "other")
    check_run(training_data(), Run(second, tmp_path / "work"))  # the second run is killed here, before its first step
    resumed, _ = train(toy_dataset(), second, tmp_path / "again", tmp_path / "work", resume=True)
    assert_same(states(expected), states(resumed))


def test_a_run_touches_no_checkpoints_but_its_own(recipe, tmp_path):
    other = tmp_path / "work" / "other" / "tokenizer" / "checkpoint-5"
    other.mkdir(parents=True)
    train(toy_dataset(), recipe, tmp_path / "out", tmp_path / "work")
    assert other.is_dir()


def test_two_runs_do_not_share_a_folder(recipe, tmp_path):
    with only_run_in(tmp_path / "work"), pytest.raises(ValueError, match="another training runs in"):
        train(toy_dataset(), recipe, tmp_path / "out", tmp_path / "work")


def test_what_is_half_written_is_deleted_with_a_warning(recipe, tmp_path, caplog):
    half = tmp_path / "work" / "tokenizer" / "partial-checkpoint-5"
    train(toy_dataset(), recipe, tmp_path / "out", tmp_path / "work")
    half.mkdir()
    train(toy_dataset(), recipe, tmp_path / "out", tmp_path / "work", resume=True)
    assert not half.exists() and "partial-checkpoint-5 is half written, and deleted" in caplog.text


def test_a_prior_is_not_resumed_on_another_tokenizer(recipe, tmp_path):
    model, _ = train(toy_dataset(), recipe, tmp_path / "out", tmp_path / "work")
    model.tokenizer.quantizer.embedding_sum += 1
    with pytest.raises(ValueError, match="cannot resume: tokenizer was"):
        train_prior(model.tokenizer, training_data(), Run(recipe, tmp_path / "work", resume=True))


def test_a_damaged_checkpoint_is_left_aside_for_the_one_before(recipe, tmp_path, caplog):
    model, _ = train(toy_dataset(), recipe, tmp_path / "out", tmp_path / "work")
    for stage in ("tokenizer", "prior"):
        file = tmp_path / "work" / stage / "checkpoint-12" / "model.safetensors"
        file.write_bytes(file.read_bytes()[:1000])
    again, _ = train(toy_dataset(), recipe, tmp_path / "again", tmp_path / "work", resume=True)
    assert_same(states(model), states(again))
    assert "checkpoint-12 is damaged" in caplog.text
    for checkpoint in (tmp_path / "work" / "prior").glob("checkpoint-*"):
        (checkpoint / "optimizer.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match=r"all checkpoints in .* are damaged"):
        train(toy_dataset(), recipe, tmp_path / "third", tmp_path / "work", resume=True)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (lambda: series_dataset(np.zeros((4, 24)) + 1), "channel 0 is constant"),
        (lambda: series_dataset(np.random.default_rng(0).normal(size=(4, 7))), "length must be at least 8"),
        (lambda: series_dataset(np.random.default_rng(0).normal(size=(1, 24))), "batches of two series or more"),
        (lambda: series_dataset(np.zeros((4, 24)), [0, 0, 0, 1]), "class '1' has 1 training series"),
    ],
)
def test_data_that_cannot_be_trained_on_is_refused_before_anything_is_written(recipe, tmp_path, dataset, message):
    with pytest.raises((ValueError, StrictDataclassError), match=message):
        train(dataset(), recipe, tmp_path / "out", tmp_path / "work")
    assert not list(tmp_path.iterdir())
