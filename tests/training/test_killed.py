"""SIGKILL at any moment, on one process and (`make test-long`) on two: resumed, a run ends as one never stopped."""

import os
import random
import shutil
import signal
import socket
import time

import pytest
import torch
from transformers import AutoModel

import ncvqvae  # noqa: F401, registers the models
from helpers import two_processes
from helpers.trainings import Forked, was_begun


pytestmark = pytest.mark.slow


KILLS = int(os.environ.get("NCVQVAE_KILLS", "1"))  # in each stage; training/LOG.md has a run of 20
STAGES, STEPS = ("tokenizer", "prior"), 60
LONGER = "tokenizer.ssl_objective=vibcreg", *(f"{stage}_training.max_steps={STEPS}" for stage in STAGES)


class Run:
    """A training that goes on where one was begun, in one process or in several that find each other as torchrun's.

    It has a checkpoint each five steps.
    """

    def __init__(self, num_processes, folder):
        for stage in STAGES:
            self.began(folder, stage).unlink(missing_ok=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.folder, self.processes = folder, []
        begun = was_begun(folder)
        for rank in range(num_processes):
            variables = {"ACCELERATE_USE_CPU": "true"}
            if num_processes > 1:
                variables |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(num_processes)}
                variables |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(num_processes)}
            log = folder.parent / f"{folder.name}-{rank}.log"
            self.processes.append(Forked(log, two_processes.trains, str(folder), begun, *LONGER, **variables))

    @property
    def running(self):
        return all(process.running for process in self.processes)

    @property
    def said(self):
        return "".join(process.said for process in self.processes)

    @staticmethod
    def began(folder, stage):
        return folder.parent / f"{folder.name}-{stage}"

    def wait(self):
        """The exit codes."""
        return [process.wait() for process in self.processes]

    def send(self, sent):
        """To all, in any order."""
        for process in random.sample(self.processes, len(self.processes)):
            if process.running:
                process.send(sent)

    def kill(self):
        self.send(signal.SIGKILL)
        return all(code == -signal.SIGKILL for code in self.wait())

    def kill_after(self, stage, step, seconds):
        """Whether it was killed so long after it began a step of the stage, and had not ended before."""
        file = self.began(self.folder, stage)
        while self.running and not (file.exists() and file.stat().st_size >= step):
            time.sleep(0.001)
        time.sleep(seconds)
        killed = self.kill()
        assert killed or self.wait() == [0] * len(self.processes), self.said
        return killed

    def kill_while_saving(self, stage):
        """Whether it was killed with a checkpoint half written."""
        partial = self.folder.parent / f"{self.folder.name}-work" / stage
        while self.running:
            if list(partial.glob("partial-checkpoint-*")):
                self.send(signal.SIGSTOP)
                if list(partial.glob("partial-checkpoint-*")):  # still: no process moves any more
                    return self.kill()
                self.send(signal.SIGCONT)
            time.sleep(0.0005)
        return False


@pytest.fixture(scope="module", params=[1, pytest.param(2, marks=pytest.mark.long)])
def whole(request, tmp_path_factory):
    """The number of processes, and the folder of a run never stopped."""
    folder = tmp_path_factory.mktemp("whole") / "whole"
    run = Run(request.param, folder)
    assert run.wait() == [0] * request.param, run.said
    return request.param, folder


def assert_ends_as(whole, num_processes, folder):
    last = Run(num_processes, folder)
    assert last.wait() == [0] * num_processes, last.said
    states = [AutoModel.from_pretrained(path).state_dict() for path in (whole, folder)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    return last.said


def test_killed_at_random_moments_in_both_stages_it_ends_with_the_bits_of_a_run_never_stopped(whole, tmp_path):
    num_processes, folder = whole
    seed = random.SystemRandom().randrange(10**6)
    draw = random.Random(seed)
    for stage in STAGES:
        # From a step's beginning to the next, through a save and an evaluation, are up to so many seconds.
        moments = sorted((draw.randint(1, STEPS), draw.uniform(0, 0.05)) for _ in range(KILLS))
        for moment in moments:  # each run goes on from where one was killed
            while not Run(num_processes, tmp_path / "run").kill_after(stage, *moment):
                print(f"seed {seed}: ended before it was killed, hence begun anew")
                for ended in (tmp_path / "run", tmp_path / "run-work"):
                    shutil.rmtree(ended)
            print(f"seed {seed}: {stage} killed {moment[1]:.3f} s after it began step {moment[0]}")
    assert_ends_as(folder, num_processes, tmp_path / "run")


def test_killed_in_the_middle_of_a_save_it_goes_on_from_the_checkpoint_before(whole, tmp_path):
    num_processes, folder = whole
    assert Run(num_processes, tmp_path / "run").kill_while_saving("tokenizer")
    half = list((tmp_path / "run-work" / "tokenizer").glob("partial-checkpoint-*"))
    second = Run(num_processes, tmp_path / "run")
    assert second.kill_while_saving("prior")
    assert len(half) == 1 and f"{half[0]} is half written, and deleted" in second.said
    said = assert_ends_as(folder, num_processes, tmp_path / "run")
    assert said.count("is half written, and deleted") == 1  # once for all processes
    assert not list(tmp_path.rglob("partial-*"))


def test_a_damaged_checkpoint_is_named_once_and_all_go_on_from_the_one_before(whole, tmp_path):
    num_processes, folder = whole
    shutil.copytree(f"{folder}-work", tmp_path / "run-work")
    for stage, name in (("tokenizer", "model.safetensors"), ("prior", "optimizer.safetensors")):
        (tmp_path / "run-work" / stage / "checkpoint-60" / name).write_bytes(b"")
    said = assert_ends_as(folder, num_processes, tmp_path / "run")
    assert said.count("checkpoint-60 is damaged and set aside") == 2, said  # once a stage


def test_another_number_of_processes_is_refused(whole, tmp_path):
    num_processes, folder = whole
    shutil.copytree(f"{folder}-work", tmp_path / "run-work")
    other = Run(3 - num_processes, tmp_path / "run")
    assert 2 in other.wait()
    assert f"cannot resume: processes was {num_processes} in " in other.said
