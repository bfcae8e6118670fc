"""The cells of a sweep as Hugging Face Jobs, with a bucket of the Hub in the place of a shared file system.

Never run against the Hub. What was run: its command lines through the parser of `hf`, and a job's script here, with a
folder for the bucket.
"""

import argparse
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from cells import TRAINING, Cell
from executors import parameters
from ncvqvae.hub.publish import check_repo_id


# The bucket is laid out as the folder of the sweep is, with what jobs need in `jobs`. A job works on its own disk,
# because a mounted bucket may not lock, append and rename as a file system does. The report, which says that a cell is
# finished, is copied last.
JOB = """set -e
cp -r /sweep/jobs/source /tmp/source
pip install --quiet -c /tmp/source/constraints.txt '/tmp/source[eval]'
mkdir -p /tmp/out/{cell} /sweep/jobs/data
if [ -d /sweep/{cell} ]; then cp -r /sweep/{cell}/. /tmp/out/{cell}; fi
python {command} || failed=$?
cd /tmp/out
find {cell} -type f ! -name report.md -exec cp --parents -t /sweep {{}} +
find {cell} -name report.md -exec cp --parents -t /sweep {{}} +
exit ${{failed:-0}}
"""
SOURCE = [
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "constraints.txt",
    "src/*",
    "training/sweep/*.py",
    "training/recipes/*",
]


def submit_hf_jobs(cells: list[Cell], options: argparse.Namespace, lock: int) -> dict[str, str]:
    """Sends sources and data to the bucket, and starts a job for each cell that has none.

    A job that is stopped from outside, by its timeout too, leaves nothing; one that fails leaves its cell in the
    bucket, and the next goes on from there.
    """
    if not cells:
        print("nothing to start: every cell is finished")
        return {}
    folder, bucket = Path(options.out) / "jobs", f"hf://buckets/{options.bucket}"
    uploads = [_creation(options.bucket)]
    uploads += [["buckets", "sync", str(TRAINING.parent), f"{bucket}/jobs/source", *_included(SOURCE)]]
    arms = {cell.arm.name: cell.arm.recipe for cell in cells}
    uploads += [["buckets", "cp", str(file), f"{bucket}/jobs/recipes/{name}.yaml"] for name, file in arms.items()]
    datasets = sorted({cell.dataset for cell in cells})
    if options.data_dir:
        files = _included(f"*{name}/{name}_*.tsv" for name in datasets)
        uploads.append(["buckets", "sync", options.data_dir, f"{bucket}/jobs/data", *files])
    if options.fcn:
        files = _included(f"{name}.safetensors" for name in datasets)
        uploads.append(["buckets", "sync", options.fcn, f"{bucket}/jobs/fcn", *files])
    jobs = {_label(cell.name): hf_job(cell, options) for cell in cells}
    if options.dry_run:
        folder.mkdir(exist_ok=True)
        lines = [shlex.join(["hf", *command]) for command in [*uploads, *jobs.values()]]
        (folder / "hf-jobs.sh").write_text("\n".join(lines) + "\n")
        print(f"{len(jobs)} jobs in {folder / 'hf-jobs.sh'}, not started")
        return {}
    account = [f"--namespace={value}" for key, value in parameters(options.hf).items() if key == "namespace"]
    label = f"sweep={_label(options.bucket)}"
    listed = hf("jobs", "list", "--limit", "0", "--label", label, *account, "--format", "json")
    known = {job["name"] for job in json.loads(listed)}
    waiting = [command for name, command in jobs.items() if name not in known]
    for command in [*uploads, *waiting] if waiting else []:
        hf(*command)
    print(f"{len(waiting)} jobs started, {len(jobs) - len(waiting)} run already; --table-only fetches their cells")
    return {}


def hf_job(cell: Cell, options: argparse.Namespace) -> list[str]:
    """The arguments of `hf` that start one cell's job."""
    there = Path("/sweep/jobs")
    folders = {"--out": "/tmp/out", "--data-dir": options.data_dir and there / "data"}
    folders["--fcn"] = options.fcn and there / "fcn"
    recipe = there / "recipes" / f"{cell.arm.name}.yaml"
    command = cell.arguments(Path("/tmp/source/training/sweep/sweep.py"), options.suite, recipe, folders)
    script = JOB.format(cell=shlex.quote(cell.name), command=shlex.join(command))
    settings = {"image": "python:3.12", "timeout": "12h"} | parameters(options.hf)
    image = str(settings.pop("image"))
    chosen = [part for key, value in settings.items() for part in (f"--{key}", str(value))]
    labels = ["--name", _label(cell.name), "--label", f"sweep={_label(options.bucket)}"]
    volume = ["--volume", f"hf://buckets/{options.bucket}:/sweep"]
    return ["jobs", "run", "--detach", *chosen, *labels, *volume, image, "bash", "-c", script]


def fetch(options: argparse.Namespace) -> None:
    """Brings what is in the bucket into the folder of the sweep."""
    hf(*_creation(options.bucket))
    Path(options.out).mkdir(parents=True, exist_ok=True)
    # A lock that is replaced no longer locks.
    wanted = [*_included(["*/*/seed-*"]), "--exclude", "*/lock"]
    hf("buckets", "sync", f"hf://buckets/{options.bucket}", options.out, *wanted)


def hf(*arguments: str) -> str:
    """What a command of `hf` prints. Raises `RuntimeError` with the reason where it fails."""
    command = [sys.executable, "-m", "huggingface_hub.cli.hf", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it said nothing"]
        reason = next((line for line in lines if line.startswith("Error:")), lines[-1])
        raise RuntimeError(f"hf {' '.join(arguments[:2])}: {reason}")
    return done.stdout


def check(options: argparse.Namespace) -> None:
    """Raises `ValueError` for no bucket, a name that is none, or settings that jobs do not have."""
    if options.bucket is None:
        raise ValueError("--executor hf-jobs needs --bucket ORG/NAME")
    check_repo_id(options.bucket)
    if unknown := set(parameters(options.hf)) - {"flavor", "image", "namespace", "timeout"}:
        raise ValueError(f"unknown --hf {', '.join(sorted(unknown))}; known are flavor, image, namespace, timeout")


def _creation(bucket: str) -> list[str]:
    return ["buckets", "create", bucket, "--private", "--exist-ok"]


def _label(name: str) -> str:
    """What the Hub takes as a label."""
    return re.sub(r"[^a-zA-Z0-9_-]", "-", name)


def _included(patterns: Iterable[str]) -> list[str]:
    return [part for pattern in patterns for part in ("--include", pattern)]
