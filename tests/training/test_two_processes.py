"""Training on two real processes (gloo): equal to one process, and with one voice. `test_killed.py` resumes it."""

import re
import subprocess
import sys
import time

import pytest
import torch
from transformers import AutoModel

import ncvqvae  # noqa: F401, registers the models
from helpers import two_processes
from helpers.trainings import ENVIRONMENT, TORCHRUN, Forked, together
from helpers.two_processes import CASES, REDUCTIONS
from ncvqvae.data.files import write_series
from ncvqvae.training.run_folder import save


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What one process made of each case, and what each of two made of it, all reductions in place and not."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    alone = Forked(one / "log", two_processes.equal, one, [*CASES])
    both = together(two / "log", 2, two_processes.equal, two, [*CASES, *REDUCTIONS])
    assert alone.wait() == both.wait() == 0, alone.said + both.said
    alone = {case: torch.load(one / f"{case}-0.pt") for case in CASES}
    return alone, lambda case, rank=0: torch.load(two / f"{case}-{rank}.pt")


CANCELLED = re.compile(
    r"running_mean$|encoder\.down\.[036]\.bias$|encoder\.blocks\.\d+\.conv[12]\.bias$|"
    r"decoder\.blocks\.\d+\.conv2\.bias$|projector\.layers\.[0367]\.bias$"
)


def difference(first, second):
    """The largest one between what the steps logged, and between the weights: relative to what is above one.

    Left out are the biases right before a norm over the batch, and that norm's running mean: the norm cancels such a
    bias, its gradient is nothing but rounding, and Adam makes whole steps of it. Every norm here follows a bias. The
    objectives cancel the projector's last bias likewise.
    """
    pairs = [zip(first["losses"][stage], second["losses"][stage], strict=True) for stage in ("tokenizer", "prior")]
    both = [(before[key], after[key]) for rows in pairs for before, after in rows for key in before]
    losses = max(abs(before - after) / max(1, abs(before)) for before, after in both)
    names = [name for name in first["state"] if not CANCELLED.search(name)]
    assert len(names) > 0.75 * len(first["state"])
    weights = [(first["state"][name], second["state"][name]) for name in names]
    return losses, max(((before - after) / before.abs().clamp_min(1)).abs().max().item() for before, after in weights)


@pytest.mark.parametrize("case", CASES)
def test_losses_and_weights_of_two_processes_are_those_of_one(outcomes, case):
    alone, of_two = outcomes
    losses, weights = difference(alone[case], of_two(case))
    assert losses < 1e-4 and weights < 5e-5


@pytest.mark.parametrize("case", CASES)
def test_the_processes_end_with_the_same_bits_codebook_included(outcomes, case):
    states = [outcomes[1](case, rank)["state"] for rank in (0, 1)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert "tokenizer.quantizer.embedding_sum" in states[0]
    assert ("projector.layers.0.weight" in states[0]) == (case in ("barlow_twins", "vibcreg"))
    assert ("projector.layers.7.running_whitening" in states[0]) == (case == "vibcreg")


@pytest.mark.parametrize("case", REDUCTIONS)
def test_without_one_of_the_reductions_they_would_differ(outcomes, case):
    alone, of_two = outcomes
    assert max(difference(alone[case.partition("-")[0]], of_two(case))) > 1e-3


def test_from_the_command_line_both_fine_tune_and_one_speaks(model, tmp_path):
    save(model, tmp_path / "start")
    write_series(tmp_path / "mine.csv", torch.randn(12, 1, 40), ["a", "b"] * 6)
    arguments = ["-m", "ncvqvae.cli", "finetune", "start", "--data", "mine.csv", "--set", "report_to=null"]
    for stage in ("tokenizer", "prior"):
        arguments += ["--set", f"{stage}_training={{max_steps: 4, batch_size: 6}}"]
    command = [sys.executable, *TORCHRUN, "2", *arguments, "--set", "tokenizer.projector_dim=16"]
    done = subprocess.run(command, env=ENVIRONMENT, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "█" not in done.stderr and "ncvqvae finetune" not in done.stderr
    assert done.stdout.count("12 series of 40 samples") == done.stdout.count("model: ncvqvae-mine/") == 1
    assert "not in the checkpoint, hence new: label_embedding.weight\n" in done.stdout
    assert AutoModel.from_pretrained(tmp_path / "ncvqvae-mine").config.id2label == {0: "a", 1: "b"}


def test_no_thread_of_the_group_outlives_a_command(tmp_path):
    both = together(tmp_path / "log", 2, two_processes.leave)
    assert both.wait() == 0, both.said  # one did, and now and then aborted the process as Python ended


@pytest.mark.parametrize(("which", "speaks"), [("both", 0), ("second", 1)])
def test_a_failure_of_both_is_said_once_and_one_of_the_second_alone_is_said_too(which, speaks, tmp_path):
    both = together(tmp_path / "log", 2, two_processes.fail, which)
    assert both.wait(120) == 1
    assert [line for line in both.said.splitlines() if "no luck" in line] == [f"train: no luck in process {speaks}"]


def test_a_process_that_dies_ends_the_run_with_its_message(tmp_path):
    started = time.monotonic()
    both = together(tmp_path / "log", 2, two_processes.die)
    assert both.wait(120) == 1
    # The launcher tells of the process that it finds first; the other one misses its partner, in one of many words.
    assert re.search("the second process has had enough|gloo/transport", both.said), both.said
    assert time.monotonic() - started < 90
