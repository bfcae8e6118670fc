"""Trains, evaluates and tabulates datasets x arms x seeds.

    python training/benchmark.py --suite cpu --arms none,barlow_slice,vibcreg_gauss --seeds 3

A cell is one dataset, arm and seed, in a folder of its own. One that is finished is never run again; one that was
killed goes on from its last checkpoint. The table, `results.md`, holds every finished cell, whichever call made it.
"""

import argparse
import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

import torch
from tqdm.auto import tqdm

from benchmark_table import load_results, plot_ablation, render
from ncvqvae.cli import run
from ncvqvae.recipes import load_recipe
from ncvqvae.report import published_results


TRAINING = Path(__file__).resolve().parent
SUITES = {
    "cpu": ["GunPoint", "SonyAIBORobotSurface1", "CBF", "ECG200", "SyntheticControl", "ItalyPowerDemand"],
    "thesis": sorted(published_results()["thesis"]),
    "all": sorted(published_results()["timevqvae"]),
}
OBJECTIVES, VIEWS, WEIGHTS = ("barlow", "vibcreg"), ("warp", "slice", "gauss"), (0.05, 0.1, 0.15, 0.2)
# The thesis' two ablations are of stage 1, after 250 epochs.
ABLATION = ("tokenizer_training.num_epochs=250",)
ABLATION_DATASETS = ["FordA", "FordB", "ElectricDevices", "ShapesAll"]


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


ABLATIONS = {
    "augmented_weight": [
        Arm(
            f"{objective}_{views}-{weight}",
            TRAINING / f"recipes/thesis/{objective}_{views}.yaml",
            (*ABLATION, f"tokenizer.augmented_weight={weight}"),
            *(views, objective, str(weight)),
        )
        for views in ("slice", "warp")
        for objective in OBJECTIVES
        for weight in WEIGHTS
    ],
    "views": [Arm("none", TRAINING / "recipes/thesis/none.yaml", ABLATION, "", "none", "none")]
    + [
        Arm(name, TRAINING / f"recipes/thesis/{name}.yaml", ABLATION, "", objective, views)
        for objective in OBJECTIVES
        for views in VIEWS
        for name in [f"{objective}_{views}"]
    ],
}


@dataclass(frozen=True)
class Cell:
    dataset: str
    arm: Arm
    seed: int
    folder: Path
    only_tokenizer: bool

    @property
    def finished(self) -> bool:
        return (self.folder / "report" / "report.md").is_file()

    def check(self) -> None:
        """Raises `ValueError` where the cell was begun with another recipe."""
        file = self.folder / "work" / "run.json"
        if file.is_file():
            before = json.loads(file.read_text())
            for key, value in json.loads(json.dumps(self._recipe().to_dict())).items():
                if before.get(key) != value:
                    found = f"{key} {before.get(key)} and the recipe now says {value}"
                    raise ValueError(f"{self.folder} was made with {found}; delete it or choose another --out")

    def commands(self, options: argparse.Namespace) -> Iterator[list[str]]:
        """What is left to do, as command lines."""
        sources = ["--data-dir", options.data_dir] if options.data_dir else []
        checkpoint = self.folder / "checkpoint"
        if not checkpoint.is_dir():
            script = [str(TRAINING / "train_tokenizer.py")] if self.only_tokenizer else ["-m", "ncvqvae.cli", "train"]
            settings = [part for setting in self._settings for part in ("--set", setting)]
            folders = ["--output-dir", str(self.folder / "partial"), "--work-dir", str(self.folder / "work")]
            yield [*script, self.dataset, "--recipe", str(self.arm.recipe), *settings, *folders, *sources, "--resume"]
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

    def _recipe(self):
        return load_recipe(self.arm.recipe, self._settings)


def main(options: argparse.Namespace) -> None:
    for name in ("seeds", "workers"):
        if (number := getattr(options, name)) is not None and number < 1:
            raise ValueError(f"{name} must be 1 or more, found {number}")
    out = Path(options.out)
    ablation = options.suite in ABLATIONS
    arms = ABLATIONS[options.suite] if ablation else [find_arm(name) for name in options.arms.split(",")]
    datasets = options.datasets.split(",") if options.datasets else SUITES.get(options.suite, ABLATION_DATASETS)
    cells = [
        Cell(name, arm, seed, out / name / arm.name / f"seed-{seed}", ablation)
        for seed in range(options.seeds)  # every dataset and arm once, before any twice
        for name in datasets
        for arm in arms
    ]
    for cell in cells:
        cell.check()
    with only_one(out):
        failures = run_cells([cell for cell in cells if not cell.finished], options)
    results, networks = load_results(out)
    # The papers' figures are of the full schedule, an ablation's are not.
    published = {"thesis": {}, "timevqvae": {}} if ablation else published_results()
    partial = out / "results.partial"
    partial.write_text(render(results, networks, [arm.name for arm in arms], published, failures))
    partial.replace(out / "results.md")
    if ablation:
        plot_ablation(results, arms, out / f"{options.suite}.png")
    print(f"{sum(map(len, results.values()))} cells in {out}/results.md, {len(failures)} failed")
    for cell, reason in failures.items():
        print(f"  {cell}: {reason}")
    if failures:
        raise RuntimeError(f"{len(failures)} of {len(cells)} cells failed; see log.txt in their folders")


def run_cells(cells: list[Cell], options: argparse.Namespace) -> dict[str, str]:
    """Runs cells in parallel processes; returns why each that failed did."""
    devices = visible_devices()
    workers = options.workers or len(devices) or os.cpu_count()
    slots: Queue[str] = Queue()
    for index in range(workers):
        slots.put(devices[index % len(devices)] if devices else "")
    failures, running = {}, set()

    def work(cell: Cell) -> str | None:
        device = slots.get()
        try:
            cell.folder.mkdir(parents=True, exist_ok=True)
            for command in cell.commands(options):
                if reason := run_command(command, cell.folder / "log.txt", environment(workers, device), running):
                    return reason
        except OSError as error:
            return str(error)
        finally:
            slots.put(device)

    pool, bar = ThreadPoolExecutor(workers), tqdm(total=len(cells), desc="cells", unit="cell")
    futures = {pool.submit(work, cell): cell for cell in cells}
    try:
        for future in as_completed(futures):
            cell = futures[future]
            if reason := future.result():
                failures[f"{cell.dataset}, {cell.arm.name}, seed {cell.seed}"] = reason
            bar.update()
    except BaseException:  # Ctrl-C: nothing new is begun, and what runs is stopped; it can be resumed
        pool.shutdown(wait=False, cancel_futures=True)
        for process in list(running):
            process.terminate()
        raise
    bar.close()
    return failures


def run_command(command: list[str], file: Path, variables: dict[str, str], running: set) -> str | None:
    """Runs one command with its output appended to `file`; returns why it failed, if it did."""
    with open(file, "a") as log:
        start = log.tell()
        process = subprocess.Popen([sys.executable, *command], stdout=log, stderr=log, env=variables, close_fds=False)
        running.add(process)
        status = process.wait()
        running.discard(process)
    if status:
        lines = file.read_text()[start:].strip().splitlines()
        return lines[-1] if lines else f"exit status {status}, without a word: killed, or out of memory?"
    return None


def visible_devices() -> list[str]:
    """The GPUs that this process may use, as `CUDA_VISIBLE_DEVICES` names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return named.split(",") if named else [str(index) for index in range(torch.cuda.device_count())]


def environment(workers: int, device: str) -> dict[str, str]:
    variables = os.environ | {"OMP_NUM_THREADS": str(max(1, os.cpu_count() // workers))}
    return variables | ({"CUDA_VISIBLE_DEVICES": device} if device else {})


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Raises `ValueError` where another benchmark, or what one has left running, works in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        os.set_inheritable(lock.fileno(), True)  # trainings that outlive a killed benchmark go on holding it
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"a benchmark is running in {folder}, or a training that one has left") from None
        yield


def find_arm(name: str) -> Arm:
    """A recipe of `training/recipes/thesis` by name, or one by its path."""
    path = Path(name) if name.endswith(".yaml") else TRAINING / "recipes" / "thesis" / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in path.parent.glob("*.yaml"))) if path.parent.is_dir() else "none"
        raise ValueError(f"there is no recipe {path}; {path.parent} has {known}")
    return Arm(path.stem, path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--suite", choices=[*SUITES, *ABLATIONS], default="cpu", help="datasets (default: cpu)")
    parser.add_argument("--datasets", metavar="NAMES", help="instead of the suite's, with commas")
    parser.add_argument("--arms", default="none,barlow_slice,vibcreg_gauss", help="recipes: of thesis/, or paths")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="trainings of each (default: 3)")
    parser.add_argument("--data-dir", metavar="DIR", help="folder of the archive (default: aeon)")
    parser.add_argument("--fcn", metavar="DIR", help="evaluation networks; datasets without one train their own")
    parser.add_argument("--out", default="benchmark", metavar="DIR", help="folder of the cells (default: benchmark)")
    parser.add_argument("--workers", type=int, metavar="N", help="cells at a time (default: one for each GPU or core)")
    return parser


if __name__ == "__main__":
    sys.exit(run(main, _parser().parse_args(), "benchmark"))
