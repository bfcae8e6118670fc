"""Training on two real processes (gloo): equal to one process, and resumed as if never stopped."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from transformers import AutoModel

import ncvqvae  # noqa: F401, registers the models
from ncvqvae.files import write_series
from ncvqvae.runs import save
from two_processes import OBJECTIVES, REDUCTIONS


PROGRAM = Path(__file__).with_name("two_processes.py")
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node"]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def command(num_processes, *arguments):
    launcher = [*TORCHRUN, str(num_processes)] if num_processes > 1 else []
    return [sys.executable, *launcher, str(PROGRAM), *map(str, arguments)]


def run(num_processes, *arguments):
    done = subprocess.run(command(num_processes, *arguments), env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What one process made of each objective, and what each of two made of it, all reductions in place and not."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    run(1, "equal", one, *OBJECTIVES)
    run(2, "equal", two, *OBJECTIVES, *REDUCTIONS)
    alone = {case: torch.load(one / f"{case}-0.pt") for case in OBJECTIVES}
    return alone, lambda case, rank=0: torch.load(two / f"{case}-{rank}.pt")


def difference(first, second):
    """The largest one between the losses, and between the weights.

    Left out are the biases right before a batch norm and the running means that follow them: the norm cancels such a
    bias, its gradient is nothing but rounding, and Adam makes whole steps of it.
    """
    pairs = [zip(first["losses"][stage], second["losses"][stage], strict=True) for stage in ("tokenizer", "prior")]
    losses = max(abs(before[key] - after[key]) for rows in pairs for before, after in rows for key in before)
    cancelled = ("conv1.bias", "conv2.bias", "running_mean", *(f"down.{i}.bias" for i in (0, 3, 6)))
    names = [name for name in first["state"] if not name.endswith(cancelled)]
    assert len(names) > 0.7 * len(first["state"])
    return losses, max((first["state"][name] - second["state"][name]).abs().max().item() for name in names)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_losses_and_weights_of_two_processes_are_those_of_one(outcomes, objective):
    alone, of_two = outcomes
    losses, weights = difference(alone[objective], of_two(objective))
    assert losses < 1e-4 and weights < 1e-4


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_processes_end_with_the_same_bits_codebook_included(outcomes, objective):
    states = [outcomes[1](objective, rank)["state"] for rank in (0, 1)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert "tokenizer.quantizer.embedding_sum" in states[0]


@pytest.mark.parametrize("case", REDUCTIONS)
def test_without_one_of_the_reductions_they_would_differ(outcomes, case):
    alone, of_two = outcomes
    assert max(difference(alone[case.partition("-")[0]], of_two(case))) > 1e-3


def start(num_processes, folder, *overrides):
    process = command(num_processes, "resume", folder, *overrides)
    return subprocess.Popen(
        process, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def kill_all_of(process):
    """The launcher and what it has launched, each in a session of its own, at once and without a word."""
    for one in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
        one.kill()
    process.communicate()


@pytest.mark.parametrize("num_processes", [1, 2])
def test_killed_at_random_moments_in_both_stages_it_ends_with_the_bits_of_a_run_never_stopped(num_processes, tmp_path):
    longer = ["tokenizer_training.max_steps=60", "prior_training.max_steps=60"]
    whole = start(num_processes, tmp_path / "whole", *longer)
    said, _ = whole.communicate()
    assert whole.returncode == 0, said
    moments, killed = random.Random(num_processes), 0
    # In the middle of a save, between two, and at any time from the first step of a stage on.
    for pattern in ("tokenizer/partial-*", "tokenizer/checkpoint-10", "prior/partial-*", "prior/checkpoint-10"):
        process = start(num_processes, tmp_path / "killed", *longer)
        while process.poll() is None and not list((tmp_path / "killed-work").glob(pattern)):
            time.sleep(0.002)
        if "partial" not in pattern:
            time.sleep(moments.uniform(0, 0.1))
        killed += process.poll() is None
        kill_all_of(process) if process.poll() is None else process.communicate()
        assert not (tmp_path / "killed" / "config.json").exists()  # so that what follows is a resumed run
    assert killed == 4
    last = start(num_processes, tmp_path / "killed", *longer)
    said, _ = last.communicate()
    assert last.returncode == 0, said
    states = [AutoModel.from_pretrained(tmp_path / name).state_dict() for name in ("whole", "killed")]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_from_the_command_line_both_fine_tune_and_one_speaks(model, tmp_path):
    save(model, tmp_path / "start")
    write_series(tmp_path / "mine.csv", torch.randn(12, 1, 40), ["a", "b"] * 6)
    arguments = ["-m", "ncvqvae.cli", "finetune", "start", "--data", "mine.csv", "--set", "report_to=null"]
    for stage in ("tokenizer", "prior"):
        arguments += ["--set", f"{stage}_training={{max_steps: 4, batch_size: 6}}"]
    command = [sys.executable, *TORCHRUN, "2", *arguments, "--set", "tokenizer.projector_dim=16"]
    done = subprocess.run(command, env=ENVIRONMENT, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("12 series of 40 samples") == done.stdout.count("model: ncvqvae-mine/") == 1
    assert "not in the checkpoint, hence new: label_embedding.weight\n" in done.stdout
    assert AutoModel.from_pretrained(tmp_path / "ncvqvae-mine").config.id2label == {0: "a", 1: "b"}


def test_a_process_that_dies_ends_the_run_with_its_message():
    started = time.monotonic()
    done = subprocess.run(command(2, "die"), env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0 and "the second process has had enough" in done.stdout + done.stderr
    assert time.monotonic() - started < 90
