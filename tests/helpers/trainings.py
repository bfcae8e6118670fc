"""Trainings to interrupt, to kill, and to run as several that train together, in processes of their own.

They are forked from a server that has imported everything once. A fresh Python takes seconds of a core for that.
"""

import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from .processes import variables, wait_until


TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node"]
ENVIRONMENT = variables() | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}

FORKING = multiprocessing.get_context("forkserver")
FORKING.set_forkserver_preload(["helpers.two_processes"])


class Forked:
    """A process that calls a function, leads a session of its own, and says what it says into a file."""

    def __init__(self, log: Path, function: Callable, *arguments: object, **environment: str):
        self.log = log
        self.process = FORKING.Process(target=_call, args=(log, environment, function, arguments))
        self.process.start()

    @property
    def running(self) -> bool:
        return self.process.is_alive()

    @property
    def said(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def wait(self, seconds: float = 300) -> int | None:
        """The exit code."""
        self.process.join(seconds)
        return self.process.exitcode

    def send(self, number: int) -> None:
        """A signal to the process and to all that it started."""
        os.killpg(self.process.pid, number)


def _call(log: Path, environment: dict[str, str], function: Callable, arguments: tuple) -> None:
    os.setsid()
    os.environ.update(environment)
    torch.set_num_threads(1)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(file, stream)
    sys.exit(function(*arguments))


def begin(folder: Path, *overrides: str, file_limit: int = 2**30) -> Forked:
    """Trains both stages on toy series into `folder`, with `folder`-work beside it, or goes on with what is there."""
    return Forked(log_of(folder), _limited, file_limit, str(folder), was_begun(folder), *overrides)


def log_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.log")


def was_begun(folder: Path) -> bool:
    return Path(f"{folder}-work", "run.json").is_file()


def _limited(file_limit: int, *arguments: object) -> int:
    from .two_processes import trains

    resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit,) * 2)  # larger files are refused, as on a full disk
    return trains(*arguments)


def together(log: Path, num_processes: int, function: Callable, *arguments: object) -> Forked:
    """Calls a function in several processes, as torchrun does a command: by its agent, which is told of signals."""
    return Forked(log, _launch, num_processes, function, arguments, ACCELERATE_USE_CPU="true")


def _launch(num_processes: int, function: Callable, arguments: tuple) -> int:
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    rendezvous = {"rdzv_backend": "c10d", "rdzv_endpoint": "localhost:0", "run_id": str(os.getpid())}
    config = LaunchConfig(1, 1, num_processes, max_restarts=0, start_method="fork", **rendezvous)
    try:
        elastic_launch(config, _worker)(function, arguments)
    except ChildFailedError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _worker(function: Callable, arguments: tuple) -> None:
    from ncvqvae.models.distributed import leave_processes

    code = function(*arguments)
    leave_processes()
    if code:
        sys.exit(code)


def interrupt_once_there_is(process: Forked, pattern: str, folder: Path, number: int = signal.SIGINT) -> str:
    """Ctrl-C, or another signal, to a training and all that it started, as soon as `folder` holds such a file.

    Returns what it said.
    """
    wait_until(lambda: not process.running or list(folder.glob(pattern)), every=0.002)
    process.send(number)
    process.wait()
    return process.said
