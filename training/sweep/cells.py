"""The cells of a sweep: what one is, what it runs, and that nobody else runs it at the same time."""

import argparse
import contextlib
import fcntl
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ncvqvae.training.recipes import Recipe, load_recipe
from ncvqvae.training.run_folder import RUN, changes, read_run


TRAINING = Path(__file__).resolve().parents[1]
SWEEP = TRAINING / "sweep" / "sweep.py"


@dataclass(frozen=True)
class Arm:
    """A recipe with settings. `name` is the folder's; an ablation compares `objective` over `choice`, in a panel for
    each dataset and `panel`.
    """

    name: str
    recipe: Path
    settings: tuple[str, ...] = ()
    panel: str = ""
    objective: str = ""
    choice: str = ""


@dataclass(frozen=True)
class Cell:
    """One training of an arm on a dataset, and its evaluation, in a folder of its own below `out`."""

    dataset: str
    arm: Arm
    seed: int
    out: Path
    only_tokenizer: bool

    @property
    def name(self) -> str:
        return f"{self.dataset}/{self.arm.name}/seed-{self.seed}"

    @property
    def folder(self) -> Path:
        return self.out / self.name

    @property
    def finished(self) -> bool:
        return (self.folder / "report" / "report.md").is_file()

    @property
    def running(self) -> bool:
        if not (self.folder / "lock").is_file():
            return False
        try:
            with only_one(self.folder):
                return False
        except ValueError:
            return True

    def check(self) -> None:
        """Raises `ValueError` where the cell was begun with another recipe."""
        file = self.folder / "work" / RUN
        if file.is_file():
            before = read_run(file)
            recipe = json.loads(json.dumps(self._recipe().to_dict()))
            for key, old, new in changes({key: before.get(key) for key in recipe}, recipe):
                found = f"{key} {old} and the recipe now says {new}"
                raise ValueError(f"{self.folder} was made with {found}; delete it or choose another --out")

    def arguments(self, script: Path, suite: str, recipe: Path, folders: dict[str, Path | str | None]) -> list[str]:
        """Of Python, to run this cell alone, where script, recipe and folders are there under these names."""
        chosen = ["--suite", suite, "--datasets", self.dataset, "--arms", str(recipe), "--seeds", str(self.seed + 1)]
        places = [part for option, folder in folders.items() if folder for part in (option, str(folder))]
        return [str(script), "--cell", self.name, *chosen, *places]

    def run(
        self, options: argparse.Namespace, variables: dict[str, str], running: set, locks: Sequence[int] = ()
    ) -> str | None:
        """Runs what is left to do, with the output in `log.txt`; returns why it failed, if it did.

        Raises:
            ValueError: where another process runs the cell.
        """
        with only_one(self.folder) as lock:
            if self.finished:
                return None
            for command in self._commands(options):
                if reason := run_command(command, self.folder / "log.txt", variables, running, (*locks, lock)):
                    return reason

    def _commands(self, options: argparse.Namespace) -> Iterator[list[str]]:
        sources = ["--data-dir", options.data_dir] if options.data_dir else []
        checkpoint = self.folder / "checkpoint"
        if not checkpoint.is_dir():
            script = ["-m", "ncvqvae.cli", "train", "--stage", "tokenizer" if self.only_tokenizer else "both"]
            settings = [part for setting in self._settings for part in ("--set", setting)]
            folders = ["--output-dir", str(self.folder / "partial"), "--work-dir", str(self.folder / "work")]
            begun = ["--resume"] if (self.folder / "work" / RUN).is_file() else []
            yield [*script, self.dataset, "--recipe", str(self.arm.recipe), *settings, *folders, *sources, *begun]
            (self.folder / "partial").rename(checkpoint)
            for path in (self.folder / "work").glob("*/checkpoint-*"):  # with a wide projector, most of a gigabyte
                shutil.rmtree(path)
        networks = options.fcn and (Path(options.fcn) / f"{self.dataset}.safetensors").is_file()
        sources += ["--fcn", options.fcn] if networks else []
        sources += ["--only", "tokenizer"] if self.only_tokenizer else []
        report = ["--out", str(self.folder / "report"), "--seeds", "1"]
        yield ["-m", "ncvqvae.cli", "evaluate", str(checkpoint), "--dataset", self.dataset, *report, *sources]

    @property
    def _settings(self) -> list[str]:
        return [*self.arm.settings, f"seed={self.seed}"]

    def _recipe(self) -> Recipe:
        return load_recipe(self.arm.recipe, self._settings)


def run_command(
    command: list[str], file: Path, variables: dict[str, str], running: set, locks: Sequence[int] = ()
) -> str | None:
    """Runs one command with its output appended to `file`; returns why it failed, if it did.

    It stays in the set `running` for as long as it runs, and holds `locks` even if this process is killed.
    """
    with open(file, "a") as log:
        start = log.tell()
        process = subprocess.Popen([sys.executable, *command], stdout=log, stderr=log, env=variables, pass_fds=locks)
        running.add(process)
        status = process.wait()
        running.discard(process)
    if status:
        lines = file.read_text()[start:].strip().splitlines()
        return lines[-1] if lines else f"exit status {status}, without a word: killed, or out of memory?"
    return None


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[int]:
    """Locks the folder and yields the lock, for `run_command`.

    On NFS the lock ends with this process, whatever it has started.

    Raises:
        ValueError: where another sweep, or a training that one has left running, works in the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"a sweep is running in {folder}, or a training that one has left") from None
        yield lock.fileno()
