"""This process: its rank, its seeds, its errors and interrupts, and how it writes files.

Only the standard library is imported at the top, so that every command starts at once.
"""

import contextlib
import ctypes
import hashlib
import json
import os
import platform
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from accelerate import PartialState
    from torch import Tensor

MOST_SHOWN = 600  # characters of an error
MOST_PARTS = 100_000  # values in a YAML text
# Parameters of mallopt(3), as malloc.h numbers them.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX, M_ARENA_MAX = -1, -2, -4, -8

SAME_SIGNAL = 1.0  # seconds; see `deferred_interrupt`


def is_first_process() -> bool:
    """Whether this is rank 0 of the processes that a launcher has started, or the only process."""
    return os.environ.get("RANK", "0") == "0"


def process_state() -> "PartialState":
    """Accelerate's view of this process: its rank, its device. The first call joins the group of processes.

    Accelerate ignores a launcher on a machine without a GPU unless ACCELERATE_USE_CPU is set: each process would
    believe that it is alone. So this function asks for CPU processes itself.
    """
    import torch
    from accelerate import PartialState

    launched = int(os.environ.get("WORLD_SIZE", 1)) > 1
    asked = os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes")
    return PartialState(cpu=asked or (launched and not torch.cuda.is_available()))


def derived_seed(*parts: object) -> int:
    """A seed for this combination of parts, the same on every machine."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()[:7])


def digest(tensors: "Iterable[Tensor]") -> str:
    """The SHA-256 of the bytes of tensors."""
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(tensor.cpu().numpy().tobytes())
    return found.hexdigest()


def one_line(error: BaseException) -> str:
    """The text of an error in one line, or the name of its class if it has no text."""
    return " ".join(str(error).split()) or type(error).__name__


def first_line(error: BaseException) -> str:
    """The first line of an error's text, for a person to read; not more of it than fits on a screen.

    A configuration's own error arrives wrapped by huggingface_hub; its cause says what is wrong.
    """
    from huggingface_hub.errors import StrictDataclassError

    reason = error.__cause__ if isinstance(error, StrictDataclassError) and error.__cause__ else error
    lines = [line.strip() for line in str(reason).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    if isinstance(reason, MemoryError) or "can't allocate memory" in text:
        text = f"this machine has too little memory for that ({text})"
    if isinstance(reason, json.JSONDecodeError):
        # Files are read with errors of their own; what is left is what a server said.
        text = f"what should be JSON is something else ({text}): perhaps a login page of this network answers"
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]} ..."


def user_errors() -> tuple[type[Exception], ...]:
    """The errors whose first line tells a user what to put right."""
    from huggingface_hub.errors import StrictDataclassError

    kinds = ValueError, OSError, RuntimeError, FloatingPointError, MemoryError, OverflowError
    return *kinds, StrictDataclassError


def check_token() -> None:
    """Raises `ValueError` for a token of the Hub that cannot be sent."""
    from huggingface_hub import get_token

    if not (get_token() or "").isascii():
        raise ValueError(
            "the token for the Hub holds characters that none has; run hf auth login, or set HF_TOKEN anew"
        )


def duration(seconds: float) -> str:
    """A length of time for a person to read: `40 seconds`, `12 minutes`, `2.5 hours`."""
    if seconds < 90:
        return f"{max(round(seconds, -1), 10):.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def print_failure(line: str) -> None:
    """Prints why this process ends.

    If all ranks fail alike, only rank 0 prints: the others wait until the launcher, which ends all processes when one
    has ended, has stopped them. A rank that fails alone prints after the wait.
    """
    if not is_first_process():
        time.sleep(3 + int(os.environ.get("LOCAL_RANK", "0")))
    print(line, file=sys.stderr, flush=True)


def load_yaml(text: str) -> Any:
    """What a YAML text says. Raises `yaml.YAMLError` also for one that says without end the same, by its aliases."""
    import yaml

    found = yaml.safe_load(text)
    waiting, number = [found], 0
    while waiting:
        part, number = waiting.pop(), number + 1
        if number > MOST_PARTS:
            raise yaml.YAMLError(f"it holds more than {MOST_PARTS} values")
        if isinstance(part, dict):
            waiting += [*part.keys(), *part.values()]
        elif isinstance(part, list | tuple | set):
            waiting += part
    return found


@contextlib.contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """A temporary path in the same folder. It becomes `path` when the block ends, and is deleted if the block fails.

    So nobody ever sees half of a file. The temporary name keeps the ending, because libraries choose a format by it.
    """
    path = Path(path)
    partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def remove(path: Path) -> None:
    """Deletes a folder, a file or a link, not what a link leads to."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


@contextlib.contextmanager
def bars_for_terminals() -> Iterator[None]:
    """Shows progress bars of Datasets and transformers in the first process only, and only on a terminal."""
    import datasets
    from transformers.utils import logging

    restore = []
    if not (is_first_process() and sys.stderr.isatty()):
        if not datasets.are_progress_bars_disabled():
            datasets.disable_progress_bars()
            restore.append(datasets.enable_progress_bars)
        if logging.is_progress_bar_enabled():
            logging.disable_progress_bar()
            restore.append(logging.enable_progress_bar)
    try:
        yield
    finally:
        for enable in restore:
            enable()


@contextlib.contextmanager
def deferred_interrupt() -> Iterator[threading.Event]:
    """An event that Ctrl-C, SIGTERM, which clusters send, or SIGHUP of a lost terminal sets.

    A second Ctrl-C interrupts as usual. What comes within `SAME_SIGNAL` seconds of the first signal is no second one:
    a launcher passes on to each process what the terminal or the cluster has sent to all of them already.
    """
    asked, since = threading.Event(), 0.0
    if threading.current_thread() is not threading.main_thread():  # other threads receive no signals
        yield asked
        return
    signals = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    # Ignored ones stay ignored: SIGINT in a shell's background jobs, SIGHUP after nohup.
    before = {number: signal.getsignal(number) for number in signals}
    before = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}

    def ask(number: int, _: object) -> None:
        nonlocal since
        if not asked.is_set():
            since = time.monotonic()
            asked.set()
        elif number == signal.SIGINT and time.monotonic() - since > SAME_SIGNAL:
            signal.signal(number, before[number])
            signal.raise_signal(number)

    for number in before:
        signal.signal(number, ask)
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def keep_freed_memory() -> None:
    """Tells glibc not to return freed memory to the system, for the life of the process.

    A step of training or sampling frees and allocates the same hundreds of megabytes again and again. By default glibc
    returns large blocks at once, and the system hands them out again zeroed, at a page fault for every four kilobytes.
    All threads share one arena: with one each, as by default, each would keep what its own largest call has needed.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    kept = (M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 1 << 30), (M_TOP_PAD, 1 << 28), (M_ARENA_MAX, 1)
    for parameter, value in kept:
        libc.mallopt(parameter, value)
