"""`training/sweep/sweep.py` elsewhere: what is rendered for SLURM and for Hugging Face Jobs, and what such a job does.

There is no SLURM here: `sbatch`, `srun` and `scontrol` are stubs, and the script that submitit wrote is run by bash.
Hugging Face Jobs are a folder for the bucket and the job's script in bash; pip is a stub.
"""

import contextlib
import fcntl
import importlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest
import yaml

from helpers.places import TRAINING
from helpers.processes import wait_until
from helpers.tiny import SWEEP_RECIPE


SWEEP = TRAINING / "sweep"


@pytest.fixture
def call(monkeypatch, tmp_path):
    """The sweep of a tiny recipe on ItalyPowerDemand in `tmp_path / "out"`; returns its exit code."""
    monkeypatch.syspath_prepend(SWEEP)
    sweep = importlib.import_module("sweep")
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(SWEEP_RECIPE))
    options = ["--datasets", "ItalyPowerDemand", "--arms", tmp_path / "tiny.yaml", "--out", tmp_path / "out"]

    def call(*arguments):
        options_here = sweep._parser().parse_args([*map(str, options), *map(str, arguments)])
        return sweep.run(sweep.main, options_here, "sweep")

    return call


def finish(folder):
    (folder / "report").mkdir(parents=True)
    scores = {"null_fid": {"mean": 1.5}}
    metrics = {"scores": scores, "network": {"source": "reference", "sha256": "1"}}
    (folder / "report" / "metrics.json").write_text(json.dumps(metrics))
    (folder / "report" / "report.md").write_text("finished")


def stub(folder, name, text):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/bash\n{text}\n")
    (folder / name).chmod(0o755)


@pytest.mark.long
def test_two_workers_run_two_cells_at_a_time_and_each_failure_has_its_reason(call, tmp_path, capsys):
    assert call("--datasets", "NoSuchOne,NoSuchOther", "--seeds", 1, "--workers", 2) == 2
    table, said = (tmp_path / "out" / "results.md").read_text(), capsys.readouterr()
    for name in ("NoSuchOne", "NoSuchOther"):
        assert f"unknown dataset '{name}'" in table and f"{name}, tiny, seed 0: " in said.out
        assert f"unknown dataset '{name}'" in (tmp_path / "out" / name / "tiny" / "seed-0" / "log.txt").read_text()
    assert "2 of 2 cells failed" in said.err


def test_the_local_executor_gives_each_device_one_cell_at_a_time(call, tmp_path, monkeypatch):
    cells, both, held, given = importlib.import_module("cells"), threading.Barrier(2), set(), []

    def run(cell, options, variables, running, locks):
        device = variables["CUDA_VISIBLE_DEVICES"]
        assert device not in held
        held.add(device)
        both.wait(30)  # which takes two cells that run at a time
        given.append(device)
        held.remove(device)
        both.wait(30)
        finish(cell.folder)

    monkeypatch.setattr(cells.Cell, "run", run)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert call("--seeds", 4) == 0
    assert sorted(given) == ["3", "3", "5", "5"]
    assert "| ItalyPowerDemand | tiny | 4 |" in (tmp_path / "out" / "results.md").read_text()


@pytest.fixture
def slurm(call):
    pytest.importorskip("submitit", reason="the extra `sweep` is not installed")
    return lambda *arguments: call("--executor", "slurm", *arguments)


def test_a_slurm_script_has_a_task_for_each_cell_that_is_neither_finished_nor_running(slurm, tmp_path, capsys):
    jobs, cells = tmp_path / "out" / "jobs", tmp_path / "out" / "ItalyPowerDemand" / "tiny"
    resources = ["--slurm", "partition=gpu", "--slurm", "gpus_per_node=1", "--slurm", "time=90"]
    assert slurm("--seeds", 5, *resources, "--slurm", "array_parallelism=2", "--dry-run") == 0
    script = (jobs / "slurm.sh").read_text()
    for line in ("array=0-4%2", "partition=gpu", "gpus-per-node=1", "time=90", "job-name=ncvqvae"):
        assert f"#SBATCH --{line}\n" in script
    assert not (tmp_path / "out" / "results.md").exists() and not cells.exists()

    finish(cells / "seed-1")
    (cells / "seed-3").mkdir()
    with open(cells / "seed-3" / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert slurm("--seeds", 5, "--dry-run") == 0
    assert "#SBATCH --array=0-2%3\n" in (jobs / "slurm.sh").read_text()
    tasks = [shlex.split(line) for line in (jobs / "slurm-tasks.sh").read_text().splitlines()]
    found = [task[task.index("--cell") + 1] for task in tasks]
    assert found == [f"ItalyPowerDemand/tiny/seed-{seed}" for seed in (0, 2, 4)]

    capsys.readouterr()
    assert slurm("--seeds", 5, "--table-only") == 0
    assert "| ItalyPowerDemand | tiny | 1 | 1.50 |" in (tmp_path / "out" / "results.md").read_text()
    assert "1 cells in" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("patition=gpu", "Unavailable parameter(s): ['patition']"),
        ("time=2:00:00", "time must be whole minutes, found 2:00:00"),
        ("gpu", "expected KEY=VALUE, found gpu"),
    ],
)
def test_a_wrong_slurm_setting_is_one_line(slurm, setting, message, capsys):
    assert slurm("--slurm", setting, "--dry-run") == 2
    assert capsys.readouterr().err == f"sweep: {message}\n"


def commands_of(task):
    """What runs below a process."""
    for child in task.children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has just ended
            yield child.cmdline()


@pytest.mark.long
def test_a_slurm_task_goes_on_after_its_time_to_the_evaluation_of_its_cell(slurm, tmp_path, monkeypatch, capsys):
    out, stubs = tmp_path / "out", tmp_path / "stubs"
    stub(stubs, "sbatch", f'cp "$1" {tmp_path}/sent.sh; echo Submitted batch job 77')
    stub(stubs, "srun", 'while [[ $1 == --* ]]; do [[ $1 == --unbuffered ]] && shift || shift 2; done; exec "$@"')
    stub(stubs, "scontrol", f"echo $* >> {tmp_path}/requeued")
    monkeypatch.setenv("PATH", f"{stubs}{os.pathsep}{os.environ['PATH']}")
    options = ["--seeds", 2, "--slurm", "gpus_per_node=1"]
    assert slurm(*options, "--dry-run") == 0
    assert slurm(*options) == 0
    assert "2 tasks submitted, the first as 77_0" in capsys.readouterr().out
    assert (out / "jobs" / "slurm.sh").read_text() == (tmp_path / "sent.sh").read_text()

    cell = out / "ItalyPowerDemand" / "tiny" / "seed-1"
    ids = {"SLURM_JOB_ID": "79", "SLURM_ARRAY_JOB_ID": "77", "SLURM_ARRAY_TASK_ID": "1"}

    def run_until(condition):
        """Runs the task until SLURM tells it that its time is over; it must then go back to the queue."""
        (tmp_path / "requeued").unlink(missing_ok=True)
        task = subprocess.Popen(["bash", str(tmp_path / "sent.sh")], env=os.environ | ids, start_new_session=True)
        wait_until(lambda: condition(psutil.Process(task.pid)), task)
        os.killpg(task.pid, signal.SIGUSR2)
        wait_until((tmp_path / "requeued").exists)
        assert (tmp_path / "requeued").read_text() == "requeue 77_1\n"

    run_until(lambda _: list((cell / "work").glob("*/checkpoint-*")))
    begun = (cell / "work" / "run.json").stat().st_mtime_ns
    assert not (cell / "checkpoint").exists()

    # How a cell is evaluated is the same wherever it runs; see test_sweep.py.
    run_until(lambda task: any("evaluate" in command for command in commands_of(task)))
    assert (cell / "work" / "run.json").stat().st_mtime_ns == begun  # a run that starts anew writes it
    assert (cell / "checkpoint" / "model.safetensors").is_file() and not (cell / "partial").exists()
    finish(cell)
    assert slurm(*options, "--dry-run") == 0
    assert "seed-1" not in (out / "jobs" / "slurm-tasks.sh").read_text()


def parse(arguments):
    """What the parser of `hf` makes of a command line, without running it."""
    from click import Context
    from huggingface_hub.cli.hf import app

    command, name = app, "hf"
    while hasattr(command, "resolve_command"):
        name, command, arguments = command.resolve_command(Context(command, info_name=name), arguments)
    return command.make_context(name, arguments).params


BUCKET = ("--executor", "hf-jobs", "--bucket", "lab/sweep")


def test_the_commands_of_hugging_face_jobs_are_those_that_hf_takes(call, tmp_path, monkeypatch):
    finish(tmp_path / "out" / "ItalyPowerDemand" / "tiny" / "seed-1")
    folders = ["--data-dir", "UCR archive", "--fcn", "networks"]
    assert call(*BUCKET, "--hf", "flavor=t4-small", "--hf", "timeout=3h", *folders, "--dry-run") == 0
    write = f"import json, sys; print(json.dumps(sys.argv[1:]), file=open({str(tmp_path / 'sent')!r}, 'a'))"
    stub(tmp_path / "stubs", "hf", f'{sys.executable} -c {shlex.quote(write)} "$@"')
    script = tmp_path / "out" / "jobs" / "hf-jobs.sh"
    monkeypatch.setenv("PATH", f"{tmp_path}/stubs:{os.environ['PATH']}")
    subprocess.run(["bash", script], check=True)
    parsed = [parse(json.loads(line)) for line in (tmp_path / "sent").read_text().splitlines()]
    assert len(parsed) == 5 + 2
    runs = [found for found in parsed if "image" in found]
    assert [run["name"] for run in runs] == [f"ItalyPowerDemand-tiny-seed-{seed}" for seed in (0, 2)]
    run = runs[1]
    assert (run["flavor"], run["timeout"], run["image"], run["detach"]) == ("t4-small", "3h", "python:3.12", True)
    assert run["volume"] == ("hf://buckets/lab/sweep:/sweep",) and run["label"] == ("sweep=lab-sweep",)
    assert run["command"][:2] == ("bash", "-c") and "--cell ItalyPowerDemand/tiny/seed-2" in run["command"][2]
    assert "--data-dir /sweep/jobs/data --fcn /sweep/jobs/fcn" in run["command"][2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--executor", "hf-jobs"], "--executor hf-jobs needs --bucket ORG/NAME"),
        (
            [*BUCKET, "--hf", "flavour=t4-small"],
            "unknown --hf flavour; known are flavor, image, namespace, timeout",
        ),
        (["--slurm", "time=3"], "--slurm is for --executor slurm"),
        (["--dry-run"], "--dry-run is for --executor slurm and hf-jobs"),
        (["--cell", "CBF/tiny/seed-0"], "there is no cell CBF/tiny/seed-0 among these datasets, arms and seeds"),
    ],
)
def test_options_that_do_not_go_together_are_one_line(call, tmp_path, arguments, message, capsys):
    assert call(*arguments) == 2
    assert capsys.readouterr().err == f"sweep: {message}\n"
    assert not (tmp_path / "out").exists()


def test_what_hf_says_of_a_failure_is_one_line(call, monkeypatch, capsys):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # where nobody listens
    monkeypatch.setenv("HF_TOKEN", "hf_dummy")
    assert call(*BUCKET) == 2
    error = capsys.readouterr().err
    assert error.startswith("sweep: hf buckets create: ") and "Connection refused" in error
    assert error.count("\n") == 1


@pytest.fixture
def hf_jobs(monkeypatch, tmp_path):
    """A folder in the place of the bucket, and the jobs that were started, which a test runs itself."""
    from huggingface_hub._buckets import FilterMatcher

    bucket, started = tmp_path / "bucket", []
    monkeypatch.syspath_prepend(SWEEP)

    def hf(*arguments):
        options = parse(list(arguments))
        match arguments[:2]:
            case ("buckets", "create"):
                bucket.mkdir(exist_ok=True)
            case ("buckets", "sync" | "cp"):
                source, target = (Path(path.replace("hf://buckets/lab/sweep", str(bucket))) for path in arguments[2:4])
                chosen = FilterMatcher(options.get("include"), options.get("exclude"))
                names = ["."] if source.is_file() else [path.relative_to(source) for path in source.rglob("*")]
                for name in names:
                    if (source / name).is_file() and chosen.matches(str(name)):
                        (target / name).parent.mkdir(parents=True, exist_ok=True)
                        shutil.copyfile(source / name, target / name)
            case ("jobs", "list"):
                return json.dumps([{"name": job["name"]} for job in started])
            case ("jobs", "run"):
                started.append(options)
        return ""

    monkeypatch.setattr(importlib.import_module("hf_jobs"), "hf", hf)
    return bucket, started


@pytest.mark.long
def test_what_a_job_left_in_the_bucket_comes_into_the_table_and_no_job_is_started_twice(
    call, hf_jobs, tmp_path, capsys
):
    bucket, started = hf_jobs
    assert call(*BUCKET, "--seeds", 2) == 0
    assert (bucket / "jobs" / "recipes" / "tiny.yaml").is_file()
    assert call(*BUCKET, "--seeds", 3) == 0 and len(started) == 3
    assert "1 jobs started, 2 run already" in capsys.readouterr().out
    finish(bucket / "ItalyPowerDemand" / "tiny" / "seed-1")
    (bucket / "ItalyPowerDemand" / "tiny" / "seed-1" / "lock").touch()
    started.clear()
    assert call(*BUCKET, "--seeds", 3, "--table-only") == 0 and not started
    assert "| ItalyPowerDemand | tiny | 1 | 1.50 |" in (tmp_path / "out" / "results.md").read_text()
    assert not list((tmp_path / "out").rglob("seed-*/lock")) and not (tmp_path / "out" / "jobs").exists()
    assert call(*BUCKET, "--seeds", 3) == 0
    assert [job["name"][-1] for job in started] == ["0", "2"]


@pytest.mark.long
@pytest.mark.parametrize(("dataset", "status"), [("NoSuchDataset", 2), ("ItalyPowerDemand", 0)])
def test_a_job_needs_what_was_sent_alone_and_leaves_its_cell_in_the_bucket(call, hf_jobs, tmp_path, dataset, status):
    bucket, started = hf_jobs
    assert call(*BUCKET, "--seeds", 1, "--datasets", dataset) == 0
    cell = bucket / dataset / "tiny" / "seed-0"
    if status == 0:
        finish(cell)  # of a job that came first: this one has only to say so, which takes no minutes
    stubs, job = tmp_path / "stubs", tmp_path / "job"
    stub(stubs, "pip", f"echo $* > {tmp_path}/installed")
    stub(stubs, "python", f'exec {sys.executable} "$@"')
    job.mkdir()
    script = started[0]["command"][2]
    for there, here in (("/sweep", bucket), ("/tmp/source", job / "source"), ("/tmp/out", job / "out")):
        script = re.sub(rf"(?<![\w/]){there}\b", str(here), script)  # the whole path, and no folder of that name
    variables = {"PATH": f"{stubs}:{os.environ['PATH']}", "PYTHONPATH": str(job / "source" / "src")}
    done = subprocess.run(["bash", "-c", script], env=os.environ | variables, capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    assert (tmp_path / "installed").read_text().endswith(f"{job}/source[eval]\n")
    assert (job / "source" / "pyproject.toml").is_file() and (job / "source" / "LICENSE").is_file()
    if status:
        assert "unknown dataset 'NoSuchDataset'" in done.stderr
        assert "unknown dataset 'NoSuchDataset'" in (cell / "log.txt").read_text()
    assert (cell / "lock").is_file()


@pytest.mark.long
def test_a_training_that_outlives_its_killed_sweep_keeps_others_out(call, tmp_path, capsys):
    from cells import only_one

    out, arguments = tmp_path / "out", ["--datasets", "ItalyPowerDemand", "--arms", tmp_path / "tiny.yaml"]
    command = [sys.executable, SWEEP / "sweep.py", *arguments, "--seeds", "1", "--out", out]
    sweep = subprocess.Popen(list(map(str, command)))

    def children():
        files = Path(f"/proc/{sweep.pid}/task").glob("*/children")
        return [int(child) for file in files for child in file.read_text().split()]

    wait_until(children, sweep)
    (training,) = children()
    os.kill(training, signal.SIGSTOP)
    sweep.kill()
    sweep.wait()
    assert call("--seeds", 1) == 2
    assert f"a sweep is running in {out}, or a training that one has left" in capsys.readouterr().err
    os.kill(training, signal.SIGKILL)

    def free():
        with contextlib.suppress(ValueError), only_one(out), only_one(out / "ItalyPowerDemand" / "tiny" / "seed-0"):
            return True

    wait_until(free)
