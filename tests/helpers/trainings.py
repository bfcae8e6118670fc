"""Trainings in processes of their own, to interrupt, to kill, and to run as several that train together."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from .processes import variables, wait_until


TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node"]
ENVIRONMENT = variables() | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}

_ALONE = """
import resource, sys
from pathlib import Path
from helpers.tiny import SETTINGS, toy_dataset
from ncvqvae.cli.__main__ import run
from ncvqvae.training.recipes import load_recipe
from ncvqvae.training.stages import train
folder, file_limit, *overrides = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(file_limit),) * 2)  # larger files are refused, as on a full disk
recipe, work = load_recipe(None, [*SETTINGS, *overrides]), Path(f"{folder}-work")
begun = (work / "run.json").is_file()
sys.exit(run(lambda folder: train(toy_dataset(), recipe, folder, work, begun), folder, "train"))
"""


def begin(folder: Path, *overrides: str, file_limit: int = 2**30) -> subprocess.Popen:
    """Trains both stages on toy series into `folder`, with `folder`-work beside it, and resumes what is there."""
    command = [sys.executable, "-c", _ALONE, str(folder), str(file_limit), *overrides]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True, env=variables())


def interrupt_once_there_is(process: subprocess.Popen, pattern: str, folder: Path) -> tuple[str, str]:
    """Ctrl-C to a training and all that it started, as soon as `folder` holds such a file; returns what it said."""
    wait_until(lambda: process.poll() is not None or list(folder.glob(pattern)), every=0.002)
    os.killpg(process.pid, signal.SIGINT)
    return process.communicate()


def together(num_processes: int, *arguments: object) -> list[str]:
    """The command that runs `two_processes` in so many processes."""
    launcher = [*TORCHRUN, str(num_processes)] if num_processes > 1 else []
    return [sys.executable, *launcher, "-m", "helpers.two_processes", *map(str, arguments)]


def start_together(num_processes: int, *arguments: object) -> subprocess.Popen:
    return subprocess.Popen(
        together(num_processes, *arguments),
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
