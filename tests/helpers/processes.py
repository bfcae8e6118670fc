"""Fresh processes: one that knows these helpers, one that has only a few packages, one that serves the app."""

import contextlib
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from .places import TESTS


def variables(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Variables of a process that can import these helpers."""
    paths = [str(TESTS), environment.get("PYTHONPATH", "")]
    return {**environment, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def in_a_fresh_process(
    script: str,
    *arguments: object,
    environment: Mapping[str, str] = os.environ,
    flags: Sequence[str] = (),
    **options: object,
) -> subprocess.CompletedProcess:
    """Runs a script of Python in a process of its own, to its end; `flags` are those of the interpreter."""
    command = [sys.executable, *flags, "-c", textwrap.dedent(script), *map(str, arguments)]
    return subprocess.run(command, env=variables(environment), capture_output=True, text=True, **options)


# Python started with -I and -S knows no installed packages, nor the links of editable installs.
_STRANGER = """
import sys
sys.path.insert(0, sys.argv.pop(1))
try:
    import ncvqvae.runtime  # an editable install leaves an empty `ncvqvae` among the packages
except ImportError:
    sys.modules.pop("ncvqvae", None)
else:
    raise AssertionError("the package is importable")
import torch
from transformers import AutoModel
"""

_GENERATE = """
checkpoint, out, *revision = sys.argv[1:]
model = AutoModel.from_pretrained(checkpoint, trust_remote_code=True, **{"revision": one for one in revision})
assert type(model).__module__.startswith("transformers_modules")
torch.save([model.state_dict(), model.generate(4, generator=torch.Generator().manual_seed(0))], out)
"""


def as_a_stranger(packages: Path | str, script: str, *arguments: object, environment: Mapping[str, str]) -> None:
    """Runs a script in a process that has only the folder `packages`; torch and `AutoModel` are imported for it."""
    command = [sys.executable, "-I", "-S", "-c", _STRANGER + script, str(packages), *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def generate_as_a_stranger(
    packages: Path | str, checkpoint: object, out: Path, environment: Mapping[str, str], revision: str | None = None
) -> tuple[dict[str, Tensor], Tensor]:
    """Weights of a checkpoint, and four series of seed 0, as a machine without this package makes them."""
    revisions = [revision] if revision else []
    as_a_stranger(packages, _GENERATE, checkpoint, out, *revisions, environment=environment)
    return torch.load(out)


def wait_until(
    condition: Callable[[], object], process: subprocess.Popen | None = None, seconds: float = 120, every: float = 0.05
) -> None:
    """Waits for a condition, and fails where that takes too long, or where a process ends before."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert process is None or process.poll() is None, "it has ended"
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(every)


@contextlib.contextmanager
def served(
    command: Sequence[str], log: Path, environment: Mapping[str, str] = os.environ, **options: object
) -> Iterator[str]:
    """Serves the app by a command that prints its address, as soon as it can; gives the address.

    The app has no network, and no variable names another checkpoint.
    """
    chosen = {name: value for name, value in environment.items() if name != "NCVQVAE_CHECKPOINT"}
    chosen |= {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1", "NO_PROXY": "127.0.0.1"}
    with open(log, "w") as out, subprocess.Popen(command, stdout=out, stderr=out, env=chosen, **options) as process:
        try:
            deadline = time.monotonic() + 180
            while "http://" not in (said := log.read_text()):
                assert process.poll() is None and time.monotonic() < deadline, said
                time.sleep(0.1)
            yield "http://" + said.split("http://")[1].split()[0]
        finally:
            process.terminate()
