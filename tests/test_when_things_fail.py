"""Ctrl-C, a full disk, a lost tracker, too little memory: what was trained is kept, and one line says what to do."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from transformers import AutoModel

import ncvqvae  # noqa: F401, registers the models
from ncvqvae.recipes import load_recipe
from ncvqvae.stages import train
from test_training import SETTINGS, assert_same, toy_dataset
from test_two_processes import start


PROGRAM = """
import resource, sys
sys.path.insert(0, sys.argv[1])
from ncvqvae.cli import run
from test_training import SETTINGS, load_recipe, toy_dataset, train
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)  # larger files are refused, as on a full disk
recipe = load_recipe(None, [*SETTINGS, *sys.argv[4:]])
sys.exit(run(lambda folder: train(toy_dataset(), recipe, folder, f"{folder}-work", resume=True), sys.argv[2], "train"))
"""


def begin(folder, *overrides, file_limit=2**30):
    command = [sys.executable, "-c", PROGRAM, os.path.dirname(__file__), str(folder), str(file_limit), *overrides]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)


def weights(folder):
    return AutoModel.from_pretrained(folder).state_dict()


def interrupted_once_there_is(process, pattern, folder):
    while process.poll() is None and not list(folder.glob(pattern)):
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGINT)
    return process.communicate()


@pytest.mark.parametrize("stage", ["tokenizer", "prior"])
def test_ctrl_c_saves_the_step_says_how_to_go_on_and_the_end_is_bitwise_the_same(stage, tmp_path):
    longer = ["tokenizer_training.max_steps=60", "prior_training.max_steps=60"]
    assert begin(tmp_path / "whole", *longer).wait() == 0
    process = begin(tmp_path / "run", *longer)
    _, said = interrupted_once_there_is(process, f"{stage}/checkpoint-5", tmp_path / "run-work")
    assert process.returncode == 130 and f"train: {stage} stopped and saved at step " in said, said
    assert said.strip().endswith("; a training goes on with the same command and --resume")
    step = said.split("at step ")[1].split()[0]
    assert (tmp_path / "run-work" / stage / f"checkpoint-{step}").is_dir()
    assert begin(tmp_path / "run", *longer).wait() == 0
    assert_same(weights(tmp_path / "whole"), weights(tmp_path / "run"))


def test_ctrl_c_on_two_processes_saves_one_step_for_both(tmp_path):
    process = start(2, tmp_path / "run", "tokenizer_training.max_steps=4000")
    said, _ = interrupted_once_there_is(process, "tokenizer/checkpoint-5", tmp_path / "run-work")
    saved = {path.name for path in (tmp_path / "run-work" / "tokenizer").glob("*checkpoint-*")}
    step = said.split("tokenizer stopped and saved at step ")[1].split()[0]
    assert f"checkpoint-{step}" in saved and not any("partial" in name for name in saved)


def test_a_full_disk_leaves_the_last_checkpoint_and_nothing_half_written(tmp_path):
    longer = ["tokenizer_training.max_steps=4000"]
    process, work = begin(tmp_path / "run", *longer), tmp_path / "run-work"
    interrupted_once_there_is(process, "tokenizer/checkpoint-5", work)
    before = {path: path.read_bytes() for path in work.rglob("*checkpoint-*/*")}
    process = begin(tmp_path / "run", *longer, file_limit=20_000)
    _, said = process.communicate()
    assert process.returncode == 2 and "cannot save step " in said and "make room and resume" in said, said
    assert not list(work.rglob("*partial*"))
    assert before and all(path.read_bytes() == data for path, data in before.items())


def test_a_lost_tracker_does_not_end_the_run(tmp_path, monkeypatch, caplog):
    def fails(*_, **__):
        raise ConnectionError("the service is gone")

    monkeypatch.setattr("accelerate.Accelerator.log", fails)
    recipe = load_recipe(None, [*SETTINGS, "report_to=tensorboard"])
    _, histories = train(toy_dataset(), recipe, tmp_path / "out", tmp_path / "work")
    assert histories["prior"].training[-1]["step"] == 12
    said = [record.message for record in caplog.records if "is lost" in record.message]
    assert said == ["tensorboard is lost, and the run goes on without it: the service is gone"] * 2  # one a stage


def test_too_little_memory_names_the_setting_to_change(tmp_path, monkeypatch):
    def fails(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    monkeypatch.setattr("ncvqvae.training._share", fails)
    with pytest.raises(
        RuntimeError, match=r"out of memory in tokenizer: lower tokenizer_training.batch_size \(now 8\)"
    ):
        train(toy_dataset(), load_recipe(None, SETTINGS), tmp_path / "out", tmp_path / "work")


def test_an_allocation_that_the_cpu_refuses_is_recognised(tmp_path, monkeypatch):
    monkeypatch.setattr("ncvqvae.training._share", lambda *_: torch.empty(2**60))
    with pytest.raises(RuntimeError, match="out of memory in tokenizer"):
        train(toy_dataset(), load_recipe(None, SETTINGS), tmp_path / "out", tmp_path / "work")
