"""What a run can be watched by: the losses, the learning rate, the gradient's norm, code usage, scores, pictures."""

import sqlite3

import pytest
import yaml

from helpers.tiny import SETTINGS, toy_dataset
from ncvqvae.training.recipes import load_recipe
from ncvqvae.training.stages import train


SCALARS = {"loss", "time_loss", "ssl_loss", "usage", "perplexity", "learning_rate", "gradient_norm"}
SCALARS |= {"validation_reconstruction_error"}


def run(tracker, tmp_path):
    train(toy_dataset(), load_recipe(None, [*SETTINGS, f"report_to={tracker}"]), tmp_path / "out", tmp_path / "work")


def test_tensorboard_has_the_scalars_and_pictures_of_both_stages(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run("tensorboard", tmp_path)
    for stage in ("tokenizer", "prior"):
        folder = tmp_path / "work" / stage / f"ncvqvae-{stage}"
        events = EventAccumulator(str(folder)).Reload()
        (shown,) = folder.rglob("hparams.yml")
        settings = yaml.safe_load(shown.read_text())
        assert settings["prior_training.batch_size"] == 8 and "window_warp" in settings["views"]
        names = set(events.Tags()["scalars"])
        wanted = SCALARS if stage == "tokenizer" else {"loss", "accuracy", "gradient_norm", "validation_loss"}
        assert {f"{stage}/{name}" for name in wanted} <= names
        assert [event.step for event in events.Scalars(f"{stage}/loss")] == [5, 10, 12]
        picture = events.Images(f"{stage}/series")[0]
        assert picture.width > 300 and picture.height > 100 and picture.step == 4


@pytest.mark.slow
def test_wandb_offline_writes_its_files(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    run("wandb", tmp_path)
    files = list((tmp_path / "wandb").glob("offline-run-*/*.wandb"))
    assert len(files) == 2  # one a stage
    written = b"".join(file.read_bytes() for file in files)  # records whose names are plain text
    for name in ("tokenizer/ssl_loss", "tokenizer/gradient_norm", "prior/accuracy", "prior/validation_loss"):
        assert name.encode() in written
    assert b"tokenizer_training.max_steps" in written
    assert len(list((tmp_path / "wandb").glob("offline-run-*/files/media/images/*/series_*.png"))) >= 2


@pytest.mark.slow
def test_trackio_has_the_scalars_and_pictures(tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))  # read when it is imported
    pytest.importorskip("trackio")
    run("trackio", tmp_path)
    for stage in ("tokenizer", "prior"):
        (file,) = (tmp_path / "trackio").rglob(f"ncvqvae-{stage}*.db")
        with sqlite3.connect(file) as connection:
            rows = " ".join(str(row) for row in connection.execute("select * from metrics"))
        assert all(f"{stage}/{name}" in rows for name in ("loss", "gradient_norm", "series"))
