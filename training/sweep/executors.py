"""Where the cells of a sweep run: on this machine, or as an array job of SLURM (`hf_jobs.py` is a third place).

An executor takes the cells that are not finished, and returns why those failed that it has waited for. Only the local
one waits; the jobs of the others run `sweep.py --cell NAME`.
"""

import argparse
import json
import os
import shlex
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from queue import Queue

import torch
from tqdm.auto import tqdm

from cells import SWEEP, Cell


def run_local(cells: list[Cell], options: argparse.Namespace, lock: int) -> dict[str, str]:
    """Runs cells in parallel processes, each of which holds the lock of the sweep."""
    devices = visible_devices()
    workers = options.workers or len(devices) or os.cpu_count()
    slots: Queue[str] = Queue()
    for index in range(workers):
        slots.put(devices[index % len(devices)] if devices else "")
    failures, running = {}, set()

    def work(cell: Cell) -> str | None:
        device = slots.get()
        try:
            return cell.run(options, environment(workers, device), running, [lock])
        except (OSError, ValueError) as error:
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


def visible_devices() -> list[str]:
    """The GPUs that this process may use, as `CUDA_VISIBLE_DEVICES` names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return named.split(",") if named else [str(index) for index in range(torch.cuda.device_count())]


def environment(workers: int, device: str) -> dict[str, str]:
    variables = {"OMP_NUM_THREADS": str(max(1, os.cpu_count() // workers))} | os.environ
    return variables | ({"CUDA_VISIBLE_DEVICES": device} if device else {})


def submit_slurm(cells: list[Cell], options: argparse.Namespace, lock: int) -> dict[str, str]:
    """Submits a job array of submitit, a task for each cell that does not run already.

    A task works in the cell's folder, so all nodes must see `--out`, and the file system must take locks. A cell that
    was submitted twice runs once: the task that comes later finds it running and fails, or finished and ends. A task
    that reaches its time, or is preempted, goes back to the queue and on from its last checkpoint.
    """
    try:
        import submitit
        from submitit.helpers import CommandFunction, DelayedSubmission
    except ImportError:
        raise ValueError("--executor slurm needs submitit: pip install -e '.[sweep]'") from None

    class Renderer(submitit.SlurmExecutor):
        @classmethod
        def affinity(cls) -> int:
            return 1  # what is not sent can be written on a machine without SLURM

    folder = Path(options.out).resolve() / "jobs"
    folder.mkdir(exist_ok=True)
    executor = (Renderer if options.dry_run else submitit.SlurmExecutor)(folder)
    # submitit's own time is five minutes.
    executor.update_parameters(**{"job_name": "ncvqvae", "time": 24 * 60} | parameters(options.slurm))
    if not isinstance(executor.parameters["time"], int):
        raise ValueError(f"time must be whole minutes, found {executor.parameters['time']}")
    folders = {"--out": options.out, "--data-dir": options.data_dir, "--fcn": options.fcn}
    places = {option: Path(place).resolve() for option, place in folders.items() if place}
    tasks = []
    for cell in cells:
        if not cell.running:
            command = cell.arguments(SWEEP, options.suite, cell.arm.recipe.resolve(), places)
            tasks.append(CommandFunction([sys.executable, *command]))
            # submitit queues again only what has a checkpoint; ours are in the cell's folder.
            tasks[-1].checkpoint = partial(DelayedSubmission, tasks[-1])
    if not tasks:
        print("nothing to submit: every cell is finished, or running")
    elif options.dry_run:
        executor.parameters |= {"map_count": len(tasks)} if len(tasks) > 1 else {}
        script = executor._make_submission_file_text(executor._submitit_command_str, "")
        (folder / "slurm.sh").write_text(script)
        (folder / "slurm-tasks.sh").write_text("".join(f"{shlex.join(task.command)}\n" for task in tasks))
        print(f"{len(tasks)} tasks in {folder / 'slurm.sh'} and slurm-tasks.sh, not submitted")
    else:
        jobs = executor.submit_array(tasks)
        print(f"{len(jobs)} tasks submitted, the first as {jobs[0].job_id}; logs in {folder}")
    return {}


def parameters(settings: Sequence[str]) -> dict[str, object]:
    """`KEY=VALUE` as a dictionary; values are JSON where they can be read so, and text where not."""
    found = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise ValueError(f"expected KEY=VALUE, found {setting}")
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return found
