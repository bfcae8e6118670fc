"""The command line as a user meets it: what it writes, and one line for each mistake."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from helpers.tiny import as_options
from ncvqvae.cli.__main__ import main, run
from ncvqvae.data.files import write_series
from ncvqvae.data.own_series import read_series
from ncvqvae.training.run_folder import save


@pytest.mark.parametrize("suffix", [".csv", ".npz", ".parquet"])
def test_sample_writes_series_with_labels_that_read_back_and_are_seeded(checkpoint, model, tmp_path, suffix):
    file = tmp_path / f"samples{suffix}"
    assert main(["sample", checkpoint, str(file), "-n", "5", "--label", "up", "--seed", "7"]) == 0
    values, labels, _ = read_series(file)
    expected = model.generate(5, labels="up", generator=torch.Generator().manual_seed(7))
    torch.testing.assert_close(values, expected, atol=1e-6, rtol=1e-5)
    assert labels == ["up"] * 5


def test_sample_takes_a_label_for_each_series(checkpoint, tmp_path):
    file = tmp_path / "samples.csv"
    assert main(["sample", checkpoint, str(file), "--label", "up", "--label", "down"]) == 0
    assert pd.read_csv(file)["label"].tolist() == ["up", "down"]


def test_reconstruct_and_embed_go_through_files(checkpoint, model, tmp_path):
    values = torch.randn(6, 1, 40)
    np.savez(tmp_path / "in.npz", values=values.numpy(), labels=np.array(list("ababab")))
    assert main(["reconstruct", checkpoint, str(tmp_path / "in.npz"), str(tmp_path / "out.parquet")]) == 0
    reconstruction, labels, _ = read_series(tmp_path / "out.parquet")
    torch.testing.assert_close(reconstruction, model.reconstruct(values).detach())
    assert labels == list("ababab")
    assert main(["embed", checkpoint, str(tmp_path / "out.parquet"), str(tmp_path / "features.csv")]) == 0
    assert pd.read_csv(tmp_path / "features.csv").shape == (6, 1 + 7 * 8)


def test_info_says_what_is_in_a_checkpoint(checkpoint, capsys):
    assert main(["info", checkpoint]) == 0
    shown = capsys.readouterr().out
    assert "1 channels x 40 samples" in shown
    assert "down (25.0%), up (75.0%)" in shown


@pytest.mark.parametrize("shape", [(6, 1, 40), (3, 4, 333), (2, 2, 8)])
@pytest.mark.parametrize("suffix", [".csv", ".npz", ".parquet"])
def test_a_tokenizer_for_all_series_takes_files_of_every_shape(base_tokenizer, shape, suffix, tmp_path, capsys):
    save(base_tokenizer, tmp_path / "base")
    values, files = 50 + 9 * torch.randn(shape), [tmp_path / f"{name}{suffix}" for name in ("in", "out", "features")]
    write_series(files[0], values, list("abcdef")[: shape[0]])
    assert main(["reconstruct", str(tmp_path / "base"), *map(str, files[:2])]) == 0
    expected = base_tokenizer.reconstruct(values).detach()
    found, labels, _ = read_series(files[1])
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert labels == list("abcdef")[: shape[0]]
    scaled = ((expected - values) / values.std(-1, keepdim=True, correction=0)).square().mean()
    assert f"scaled series {scaled:.4f}" in capsys.readouterr().out
    assert main(["embed", str(tmp_path / "base"), str(files[0]), str(files[2])]) == 0


def test_info_of_a_tokenizer_for_all_series_says_what_a_series_costs(base_tokenizer, tmp_path, capsys):
    save(base_tokenizer, tmp_path / "base")
    assert main(["info", str(tmp_path / "base")]) == 0
    shown = capsys.readouterr().out
    assert "any number of channels x any number of samples" in shown
    assert "17, 65, 257 a channel of 128, 512, 2048 samples, of 16" in shown


def test_mistakes_in_series_for_it_get_one_line(base_tokenizer, mistake, tmp_path):
    save(base_tokenizer, tmp_path / "base")
    out = tmp_path / "out.npz"
    cases = (
        (np.random.randn(2, 1, 7), "of at least 8 samples, found (2, 1, 7)"),
        (np.ones((2, 1, 40)), "a series is constant: give the mean and std to scale it by"),
        (np.full((2, 40), np.nan), "series 0 holds nothing but NaN"),
        (np.full((2, 40), np.inf), "series 0 holds infinite values"),
    )
    for values, message in cases:
        np.savez(tmp_path / "in.npz", values=values)
        for command in ("reconstruct", "embed"):
            assert message in mistake(command, tmp_path / "base", tmp_path / "in.npz", out)
    assert not out.exists()


@pytest.mark.parametrize("dataset", ["GunPoint", "BasicMotions"])
def test_train_leaves_checkpoint_pictures_and_table(dataset, tmp_path, capsys):
    out = tmp_path / "out"
    assert (
        main(
            [
                "train",
                dataset,
                "--from-scratch",
                *as_options(),
                "--output-dir",
                str(out),
                "--work-dir",
                str(tmp_path / "work"),
            ]
        )
        == 0
    )
    for name in ("samples", "reconstructions", "training"):
        assert (out / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    table = capsys.readouterr().out
    assert "test accuracy of 1-NN" in table and "reconstruction error" in table
    assert main(["info", str(out)]) == 0


def test_pictures_go_to_a_folder_that_is_not_there_yet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "GunPoint", "--from-scratch", *as_options(), "--figures", "new/pictures"]) == 0
    assert len(list((tmp_path / "new" / "pictures").glob("*.png"))) == 3


def test_ctrl_c_says_how_to_go_on_for_trainings_alone(capsys):
    def interrupted(_):
        raise KeyboardInterrupt

    assert run(interrupted, None, "ncvqvae sample") == 130
    assert capsys.readouterr().err == "ncvqvae sample: interrupted\n"


def test_help_reads_from_the_shell_and_needs_no_training_extra():
    done = subprocess.run(
        [sys.executable, "-m", "ncvqvae.cli", "sample", "--help"], capture_output=True, text=True, check=True
    )
    assert "drawn at their shares in the training split" in " ".join(done.stdout.split())


def test_mistakes_in_sampling_get_one_line(mistake, checkpoint, tmp_path):
    out = tmp_path / "out.csv"
    assert "unknown label 'sideways'; the model's classes are 0 ('down'), 1 ('up')" in mistake(
        "sample", checkpoint, out, "--label", "sideways"
    )
    assert "unknown label '7'" in mistake("sample", checkpoint, out, "--label", 7)
    assert "num_steps must be at least 1, found 0" in mistake("sample", checkpoint, out, "--num-steps", 0)
    assert "must end in .csv" in mistake("sample", checkpoint, tmp_path / "out.txt")
    assert "there is no folder" in mistake("sample", checkpoint, tmp_path / "nowhere" / "out.csv")
    assert not list(tmp_path.glob("*out.*"))


def test_mistakes_in_series_get_one_line(mistake, checkpoint, tmp_path):
    out = tmp_path / "out.npz"

    def write(values):
        np.savez(tmp_path / "in.npz", values=values)
        return tmp_path / "in.npz"

    cases = (
        (np.zeros((2, 1, 39)), "must have the shape (batch, 1, 40), found (2, 1, 39)"),
        (np.zeros((2, 3, 40)), "must have the shape (batch, 1, 40), found (2, 3, 40)"),
        (np.full((2, 1, 40), np.nan), "series 0 holds nothing but NaN"),
        (np.full((2, 40), np.inf), "series 0 holds infinite values"),
        (np.zeros((0, 1, 40)), "there are no series"),
    )
    for values, message in cases:
        for command in ("reconstruct", "embed"):
            assert message in mistake(command, checkpoint, write(values), out)
    assert "there is no file" in mistake("embed", checkpoint, tmp_path / "none.csv", out)
    (tmp_path / "headless.csv").write_text("1,2,3\n4,5,6\n")
    assert "is a series, not the names of the columns" in mistake("embed", checkpoint, tmp_path / "headless.csv", out)
    (tmp_path / "cut.npz").write_bytes(write(np.zeros((2, 1, 40))).read_bytes()[:-30])
    assert "does not hold series" in mistake("embed", checkpoint, tmp_path / "cut.npz", out)
    np.savez(tmp_path / "in.npz", values=np.zeros((3, 1, 40)), labels=np.array(["a"]))
    assert "found 1 labels for 3 series" in mistake("reconstruct", checkpoint, tmp_path / "in.npz", out)
    (tmp_path / "words.csv").write_text("label,a\nx,hello\n")
    assert "the column 'a' does not hold numbers" in mistake("embed", checkpoint, tmp_path / "words.csv", out)
    assert not out.exists()


def test_samples_without_a_class_have_no_label_and_are_read_back_without(checkpoint, tmp_path):
    file = tmp_path / "samples.csv"
    assert main(["sample", checkpoint, str(file), "-n", "2", "--label", "null"]) == 0
    assert read_series(file)[1] is None


def test_a_tokenizer_is_not_taken_for_a_generator(mistake, model, tmp_path):
    save(model.tokenizer, tmp_path / "tokenizer")
    message = "holds a model of type 'ncvqvae'; MaskGITForTimeSeriesGeneration loads ncvqvae_maskgit"
    assert message in mistake("sample", tmp_path / "tokenizer", tmp_path / "out.csv")


def test_a_checkpoint_that_lacks_a_weight_is_refused(mistake, checkpoint, tmp_path):
    file = Path(checkpoint) / "model.safetensors"
    weights = load_file(file)
    del weights["logit_bias"]
    save_file(weights, file, metadata={"format": "pt"})
    file.with_suffix(".sha256").unlink()
    assert "lacks weights, for example logit_bias" in mistake("info", checkpoint)


def test_broken_checkpoints_get_one_line(mistake, checkpoint, tmp_path):
    out, folder = tmp_path / "out.csv", tmp_path / "broken"
    assert "there is no folder" in mistake("info", tmp_path / "nothing-here")
    for name in ("model.safetensors", "config.json"):
        shutil.copytree(checkpoint, folder)
        (folder / name).unlink()
        assert name in mistake("sample", folder, out)
        shutil.rmtree(folder)
    shutil.copytree(checkpoint, folder)
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    assert "truncated" in mistake("sample", folder, out)
    assert not out.exists()


def test_mistakes_in_training_get_one_line_and_leave_nothing(mistake, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "the closest names are GunPoint" in mistake("train", "GunPiont")
    assert "did you mean 'prior_training.batch_size'" in mistake(
        "train", "GunPoint", "--set", "prior_training.batch=3"
    )
    assert "there is no recipe" in mistake("train", "GunPoint", "--recipe", "nowhere.yaml")
    assert "unknown view 'flop'" in mistake("train", "GunPoint", "--set", "views=[flop]")
    assert "expected one of" in mistake("train", "GunPoint", "--set", "prior_training.precision=float17")
    assert "cannot write to /proc" in mistake("train", "GunPoint", "--output-dir", "/proc/out")
    assert not list(tmp_path.iterdir())
