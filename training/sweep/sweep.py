"""Trains, evaluates and tabulates datasets x arms x seeds.

    python training/sweep/sweep.py --suite base --data-dir UCRArchive_2018 --fcn NETWORKS
    python training/sweep/sweep.py --suite cpu --arms none,barlow_slice,vibcreg_gauss --seeds 3
    python training/sweep/sweep.py --suite all --executor slurm --slurm partition=gpu --slurm gpus_per_node=1
    python training/sweep/sweep.py --suite all --executor slurm --table-only

A cell is one dataset, arm and seed, in a folder of its own. One that is finished is never run again; one that was
killed goes on from its last checkpoint. The table, `results.md`, holds every finished cell, whichever call made it.
"""

import argparse
import os
import sys
from pathlib import Path

import hf_jobs
from cells import Arm, Cell, only_one
from executors import run_local, submit_slurm
from ncvqvae.cli.__main__ import run
from ncvqvae.evaluation.report import published_results
from ncvqvae.runtime import whole_file
from ncvqvae.training.recipes import find_recipe
from table import load_results, plot_ablation, render


SMALL = ["GunPoint", "SonyAIBORobotSurface1", "CBF", "ECG200", "SyntheticControl", "ItalyPowerDemand"]
SUITES = {
    "cpu": SMALL,
    "thesis": sorted(published_results()["thesis"]),
    "all": sorted(published_results()["timevqvae"]),
    "bands": SMALL,
    "priors": SMALL,
    "precision": ["CBF", "SonyAIBORobotSurface1"],
    "base": [
        *("SonyAIBORobotSurface1", "CBF", "ECG200", "GunPoint", "ItalyPowerDemand", "SyntheticControl", "ECG5000"),
        *("ShapesAll", "TwoPatterns", "Wafer", "FordA", "ElectricDevices"),
    ],
}
ARMS = {"base": "from_base"}  # of suites with other arms than the thesis'
OBJECTIVES, VIEWS, WEIGHTS = ("barlow", "vibcreg"), ("warp", "slice", "gauss"), (0.05, 0.1, 0.15, 0.2)
# The thesis' two ablations are of stage 1, after 250 epochs.
ABLATION = ("tokenizer_training.num_epochs=250",)
ABLATION_DATASETS = ["FordA", "FordB", "ElectricDevices", "ShapesAll"]


ABLATIONS = {
    "augmented_weight": [
        Arm(
            f"{objective}_{views}-{weight}",
            find_recipe(f"thesis/{objective}_{views}"),
            (*ABLATION, f"tokenizer.augmented_weight={weight}"),
            *(views, objective, str(weight)),
        )
        for views in ("slice", "warp")
        for objective in OBJECTIVES
        for weight in WEIGHTS
    ],
    "views": [Arm("none", find_recipe("thesis/none"), ABLATION, "", "none", "none")]
    + [
        Arm(name, find_recipe(f"thesis/{name}"), ABLATION, "", objective, views)
        for objective in OBJECTIVES
        for views in VIEWS
        for name in [f"{objective}_{views}"]
    ],
}


# Whether quality moves with precision: a shorter schedule than the thesis', and a narrower projector.
SHORTER = ("tokenizer.projector_dim=512", "tokenizer_training.num_epochs=500", "prior_training.num_epochs=500")
PRECISION_KEYS = ("tokenizer_training.precision", "prior_training.precision", "prior.sampling_precision")
PRECISIONS = [
    Arm(name, find_recipe("thesis/barlow_slice"), (*SHORTER, *(f"{key}={value}" for key in PRECISION_KEYS)))
    for name, value in (("float32", "'no'"), ("bfloat16", "bf16"))  # YAML's bare no is a boolean
]
# The thesis' further work: what stands in the place of the STFT of the whole series. Two bands have half the positions
# in time, so that all have about as many codes; their views change the low one slowly and add noise to the high one.
SPLIT = ("tokenizer.split_bands=true", "tokenizer.downsampled_width=4", "views=[time_warp, amplitude_resize]")
WAVELETS = "tokenizer.transform=wavelets"
BANDS = [
    Arm(name, find_recipe("thesis/barlow_gauss"), (*SHORTER, *settings))
    for name, settings in (
        ("stft", ()),
        ("wavelets", (WAVELETS,)),
        ("stft_split", (*SPLIT, "high_views=[gaussian_noise]")),
        ("wavelets_split", (WAVELETS, *SPLIT, "high_views=[gaussian_noise]")),
    )
]
# The thesis' three priors, and the orders of sampling of the last; cells of one seed have one and the same tokenizer.
LAST = "prior.code_embedding=codebook_finetuned"
PRIORS = [
    Arm(name, find_recipe("thesis/none"), (*SHORTER, *settings))
    for name, settings in (
        ("learned", ("prior.code_embedding=learned",)),
        ("codebook", ("prior.code_embedding=codebook",)),
        ("codebook_finetuned", (LAST,)),
        ("random", (LAST, "prior.sampling_order=random")),
        ("low_discrepancy", (LAST, "prior.sampling_order=low_discrepancy")),
    )
]
OWN_ARMS = ABLATIONS | {"precision": PRECISIONS, "bands": BANDS, "priors": PRIORS}


EXECUTORS = {"local": run_local, "slurm": submit_slurm, "hf-jobs": hf_jobs.submit_hf_jobs}


def main(options: argparse.Namespace) -> None:
    check(options)
    out = Path(options.out)
    if options.table_only and not out.is_dir():
        raise ValueError(f"there is no sweep in {out}: without --table-only it runs")
    ablation = options.suite in ABLATIONS
    named = options.arms or ARMS.get(options.suite, "none,barlow_slice,vibcreg_gauss")
    arms = OWN_ARMS.get(options.suite) or [find_arm(name) for name in named.split(",")]
    datasets = options.datasets.split(",") if options.datasets else SUITES.get(options.suite, ABLATION_DATASETS)
    cells = [
        Cell(name, arm, seed, out, ablation)
        for seed in range(options.seeds)  # every dataset and arm once, before any twice
        for name in datasets
        for arm in arms
    ]
    if options.cell:
        return run_one(next((cell for cell in cells if cell.name == options.cell), None), options)
    if options.executor == "hf-jobs" and not options.dry_run:
        hf_jobs.fetch(options)
    failures = {}
    if not options.table_only:
        for cell in cells:
            cell.check()
        with only_one(out) as lock:
            failures = EXECUTORS[options.executor]([cell for cell in cells if not cell.finished], options, lock)
    if not options.dry_run:
        tabulate(out, options.suite, arms, failures)
    if failures:
        raise RuntimeError(f"{len(failures)} of {len(cells)} cells failed; see log.txt in their folders")


def check(options: argparse.Namespace) -> None:
    """Raises `ValueError` for options that do not go together."""
    for name in ("seeds", "workers"):
        if (number := getattr(options, name)) is not None and number < 1:
            raise ValueError(f"{name} must be 1 or more, found {number}")
    for name, executor in (("workers", "local"), ("slurm", "slurm"), ("hf", "hf-jobs"), ("bucket", "hf-jobs")):
        if getattr(options, name) and options.executor != executor:
            raise ValueError(f"--{name} is for --executor {executor}")
    if options.dry_run and options.executor == "local":
        raise ValueError("--dry-run is for --executor slurm and hf-jobs")
    if options.executor == "hf-jobs":
        hf_jobs.check(options)


def run_one(cell: Cell | None, options: argparse.Namespace) -> None:
    """Runs a cell in this process' place: it has all devices that this process sees."""
    if cell is None:
        raise ValueError(f"there is no cell {options.cell} among these datasets, arms and seeds")
    cell.check()
    if reason := cell.run(options, dict(os.environ), set()):
        raise RuntimeError(reason)


def tabulate(out: Path, suite: str, arms: list[Arm], failures: dict[str, str]) -> None:
    """Writes `results.md`, and the figure of an ablation, from all finished cells."""
    results, networks = load_results(out)
    # The papers' figures are of the full schedule, those of suites with their own arms are not.
    published = {"thesis": {}, "timevqvae": {}} if suite in OWN_ARMS else published_results()
    with whole_file(out / "results.md") as partial:
        partial.write_text(render(results, networks, [arm.name for arm in arms], published, failures))
    if suite in ABLATIONS:
        plot_ablation(results, arms, out / f"{suite}.png")
    print(f"{sum(map(len, results.values()))} cells in {out}/results.md, {len(failures)} failed")
    for cell, reason in failures.items():
        print(f"  {cell}: {reason}")


def find_arm(name: str) -> Arm:
    """An arm of the thesis by name, `from_base`, or a recipe of your own by the path of its YAML file."""
    path = find_recipe(name if name.endswith(".yaml") or name in ARMS.values() else f"thesis/{name}")
    return Arm(path.stem, path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--suite", choices=[*SUITES, *ABLATIONS], default="cpu", help="datasets (default: cpu)")
    add("--datasets", metavar="NAMES", help="instead of the suite's, with commas")
    arms = "recipes, with commas: of thesis/, or paths (default: none,barlow_slice,vibcreg_gauss; for base: from_base)"
    add("--arms", metavar="NAMES", help=arms)
    add("--seeds", type=int, default=3, metavar="N", help="trainings of each (default: 3)")
    add("--data-dir", metavar="DIR", help="folder of the archive (default: aeon)")
    add("--fcn", metavar="DIR", help="evaluation networks; datasets without one train their own")
    add("--out", default="sweep", metavar="DIR", help="folder of the cells (default: sweep)")
    add("--workers", type=int, metavar="N", help="cells at a time (default: one for each GPU or core)")
    add(
        "--executor",
        choices=EXECUTORS,
        default="local",
        help="where cells run (default: this machine's cores or GPUs)",
    )
    add(
        "--slurm", action="append", default=[], metavar="KEY=VALUE", help="of submitit: partition, gpus_per_node, time"
    )
    add("--bucket", metavar="ORG/NAME", help="of the Hub, for hf-jobs; it is created if need be")
    add("--hf", action="append", default=[], metavar="KEY=VALUE", help="of a job: flavor, image, namespace, timeout")
    add("--dry-run", action="store_true", help="write the jobs into OUT/jobs and submit none")
    add("--table-only", action="store_true", help="run nothing, draw the table of what is finished")
    add("--cell", metavar="NAME", help="run one cell, DATASET/ARM/seed-N, and draw no table: what a job does")
    return parser


if __name__ == "__main__":
    sys.exit(run(main, _parser().parse_args(), "sweep"))
