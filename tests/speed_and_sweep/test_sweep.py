"""`training/sweep/sweep.py`: what a cell is, what is never run twice, and what the table says."""

import importlib
import json
import signal
import subprocess
import sys
import time
from functools import partial

import numpy as np
import pytest
import yaml
from scipy.stats import wilcoxon

from helpers.places import TRAINING
from helpers.tiny import SWEEP_RECIPE
from ncvqvae import NCVQVAEConfig
from ncvqvae.cli.__main__ import main
from ncvqvae.data.series import to_tensors
from ncvqvae.data.ucr import load_ucr
from ncvqvae.evaluation.fcn import save_fcn, train_fcn
from ncvqvae.evaluation.metrics import bootstrap_interval
from ncvqvae.training.recipes import load_recipe
from ncvqvae.training.run_folder import changes


SWEEP = TRAINING / "sweep"


@pytest.fixture(scope="module")
def modules():
    sys.path.insert(0, str(SWEEP))
    yield importlib.import_module("sweep"), importlib.import_module("table")
    sys.path.remove(str(SWEEP))


@pytest.fixture
def call(modules, monkeypatch):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["sweep.py", *map(str, arguments)])
        return modules[0].run(modules[0].main, modules[0]._parser().parse_args(), "sweep")

    return call


@pytest.fixture
def evaluated_here(modules, monkeypatch):
    """Cells train in processes of their own, but are evaluated in this one, which does little of what takes long."""
    cells = importlib.import_module("cells")
    run_command = cells.run_command

    def run(command, *others):
        if "evaluate" not in command:
            return run_command(command, *others)
        return None if main(command[2:]) == 0 else "not evaluated"

    monkeypatch.setattr(cells, "run_command", run)
    for name, few in (("LEAST_STEPS", 4), ("EPOCHS", 0), ("LEAST_SYNTHETIC", 60)):
        monkeypatch.setattr(f"ncvqvae.evaluation.classification.{name}", few)
    monkeypatch.setattr(
        "ncvqvae.evaluation.comparison.bootstrap_interval", partial(bootstrap_interval, num_replicates=4)
    )
    monkeypatch.setattr("ncvqvae.evaluation.pictures.plot_features", lambda *_: None)


@pytest.mark.long
@pytest.mark.usefixtures("evaluated_here")
def test_a_cell_that_was_interrupted_goes_on_and_one_that_is_finished_is_never_run_again(call, tmp_path, capsys):
    train = to_tensors(load_ucr("ItalyPowerDemand")["train"])
    save_fcn(train_fcn(*train, 2, num_steps=20), tmp_path / "fcn" / "ItalyPowerDemand.safetensors", "ItalyPowerDemand")
    recipe, out = tmp_path / "tiny.yaml", tmp_path / "out"
    recipe.write_text(yaml.safe_dump(SWEEP_RECIPE))
    options = ("--datasets", "ItalyPowerDemand", "--arms", recipe, "--seeds", 1, "--out", out)
    options += ("--fcn", tmp_path / "fcn")
    cell = out / "ItalyPowerDemand" / "tiny" / "seed-0"
    interrupted = subprocess.Popen([sys.executable, str(SWEEP / "sweep.py"), *map(str, options)])
    while not list((cell / "work").glob("*/checkpoint-*")):
        assert interrupted.poll() is None
        time.sleep(0.05)
    interrupted.send_signal(signal.SIGINT)
    assert interrupted.wait(60) == 130 and not (cell / "checkpoint").exists()
    begun = (cell / "work" / "run.json").stat().st_mtime_ns

    assert call(*options) == 0
    assert (cell / "work" / "run.json").stat().st_mtime_ns == begun  # a run that starts anew writes it
    assert json.loads((cell / "report" / "metrics.json").read_text())["network"]["source"] == "reference"
    assert not list((cell / "work").glob("*/checkpoint-*")) and not (cell / "partial").exists()
    table, stamp = (out / "results.md").read_text(), (cell / "report" / "report.md").stat().st_mtime_ns
    assert (
        "| ItalyPowerDemand | tiny | 1 |" in table
        and "*TimeVQVAE*" in table
        and "*copies of the training series*" in table
    )

    assert call(*options) == 0
    assert (cell / "report" / "report.md").stat().st_mtime_ns == stamp
    assert (out / "results.md").read_text() == table

    recipe.write_text(yaml.safe_dump(SWEEP_RECIPE | {"views": ["flip"]}))
    capsys.readouterr()
    assert call(*options) == 2
    assert "was made with views ['gaussian_noise']" in capsys.readouterr().err.replace('"', "'")

    recipe.write_text(yaml.safe_dump(SWEEP_RECIPE | {"report_to": "tensorboard"}))  # which changes no number
    assert call(*options) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--arms", "barlow_slcie"], "there is no recipe"),
        (["--arms", "none", "--seeds", "0"], "seeds must be 1 or more, found 0"),
        (["--arms", "none", "--workers", "-1"], "workers must be 1 or more, found -1"),
    ],
)
def test_mistakes_get_one_line_before_anything_runs(call, tmp_path, arguments, message, capsys):
    assert call(*arguments, "--out", tmp_path / "out") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def figures(rng, shift):
    keys = {"null_fid": 3 + shift, "null_inception_score": 2 - shift, "svm": 0.8 - shift}
    keys |= {"duplicates": 0, "nearest_ratio": 1}
    scores = {key: {"mean": value + 0.01 * rng.random()} for key, value in keys.items()}
    scores["null_fid"]["real"] = 0.25
    return scores


def test_the_table_has_means_deviations_ranks_and_the_paired_test(modules):
    rng = np.random.default_rng(0)
    datasets, shifts = [f"Set{index}" for index in range(6)], {"none": 0.3, "barlow_slice": 0.0, "vibcreg_gauss": 0.1}
    cells = [(name, arm) for name in datasets for arm in shifts]
    results = {cell: [figures(rng, shifts[cell[1]]) for _ in range(3)] for cell in cells}
    thesis = {"Set0": {"none": {"fid": [5.0, 0.5], "svm": [0.7, 0.0]}}}
    published = {"thesis": thesis, "timevqvae": {"Set0": {"fid": [1.5, 0]}}}
    networks = {name: {"reference 1"} for name in datasets}
    table = modules[1].render(results, networks, list(shifts), published, {})
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    heading = rows[0]
    assert heading == ["dataset", "arm", "seeds", "FID", "duplicates", "nearest", "IS", "SVM"]
    assert all(len(row) == len(heading) for row in rows)
    values = [run["null_fid"]["mean"] for run in results["Set0", "barlow_slice"]]
    cells = next(row for row in rows if row[:2] == ["Set0", "barlow_slice"])
    assert cells[3] == f"**{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}**"
    assert ["Set0", "*thesis, none*", "", "5.00 ± 0.50", "", "", "", "70.0%"] in rows
    assert ["Set0", "*TimeVQVAE*", "", "1.50", "", "", "", ""] in rows
    assert ["Set3", "*copies of the training series*", "", "0.25", "", "", "", ""] in rows
    ranks = {row[1]: row[3] for row in rows if row[0].startswith("mean rank")}
    assert ranks == {"none": "3.00", "barlow_slice": "1.00", "vibcreg_gauss": "2.00"}
    means = {arm: [np.mean([run["svm"]["mean"] for run in results[name, arm]]) for name in datasets] for arm in shifts}
    expected = wilcoxon(np.array(means["barlow_slice"]) - means["none"]).pvalue
    tests = {row[1]: row[7] for row in rows if row[0].startswith("Wilcoxon")}
    assert tests["barlow_slice against none"] == f"p {expected:.3f}"


def test_ranks_are_over_the_datasets_that_all_arms_have(modules):
    rng = np.random.default_rng(0)
    results = {cell: [figures(rng, 0)] for cell in (("Set0", "none"), ("Set0", "gauss"), ("Set1", "none"))}
    failures = {"Set1, gauss, seed 0": "killed"}
    networks = {"Set0": {"reference 1"}, "Set1": {"trained here 2", "reference 3"}}
    table = modules[1].render(results, networks, ["none", "gauss"], {"thesis": {}, "timevqvae": {}}, failures)
    assert "Set1 was measured with 2 evaluation networks" in table and "Set0 was" not in table
    assert "mean rank, 1 datasets" in table and "Failed: Set1, gauss, seed 0: killed" in table


def test_published_distances_stand_beside_those_of_the_same_network_only(modules):
    results = {("Set0", "none"): [figures(np.random.default_rng(0), 0)]}
    published = {"thesis": {}, "timevqvae": {"Set0": {"fid": [1.5, 0], "inception_score": [1.25, 0], "cas": [0.9, 0]}}}
    networks = {"Set0": {"reference 1"}}, {"Set0": {"trained 2"}}
    same, other = (modules[1].render(results, network, ["none"], published, {}) for network in networks)
    assert "1.50" in same and "1.25" in same
    assert "1.50" not in other and "1.25" not in other and "the network is our own" in other


def test_a_command_that_is_killed_without_a_word_has_a_reason_of_its_own(modules, tmp_path):
    log, run = tmp_path / "log.txt", importlib.import_module("cells").run_command
    environment = importlib.import_module("executors").environment(1, "")
    assert run(["-c", "print('all good')"], log, environment, set()) is None
    silent = run(["-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"], log, environment, set())
    assert silent == "exit status -9, without a word: killed, or out of memory?"
    assert run(["-c", "import sys; sys.exit('too small')"], log, environment, set()) == "too small"


def test_two_sweeps_in_one_folder_are_refused(modules, tmp_path):
    only_one, refused = modules[0].only_one, pytest.raises(ValueError, match="a sweep is running")
    with only_one(tmp_path / "out"), refused, only_one(tmp_path / "out"):
        pass
    with only_one(tmp_path / "out"):
        pass


def test_suites_are_those_of_the_papers_and_ablations_vary_what_they_say(modules):
    sweep = modules[0]
    assert [len(sweep.SUITES[name]) for name in ("cpu", "thesis", "all")] == [6, 13, 128]
    weights = sweep.ABLATIONS["augmented_weight"]
    assert len(weights) == 2 * 2 * 4 and len({arm.name for arm in weights}) == 16
    for arm in weights + sweep.ABLATIONS["views"]:
        recipe = load_recipe(arm.recipe, arm.settings)
        assert recipe.tokenizer_training.num_epochs == 250
        assert arm.recipe.stem.split("_")[0] == arm.objective
    assert {load_recipe(arm.recipe, arm.settings).tokenizer["augmented_weight"] for arm in weights} == {
        0.05,
        0.1,
        0.15,
        0.2,
    }


def test_the_suites_of_bands_and_priors_vary_what_they_say(modules):
    shared = ("tokenizer_training", "prior_training")
    for suite, varied in (("bands", {"tokenizer", "views", "high_views"}), ("priors", {"prior"})):
        recipes = [load_recipe(arm.recipe, arm.settings).to_dict() for arm in modules[0].OWN_ARMS[suite]]
        assert {key for key in recipes[0] if any(recipe[key] != recipes[0][key] for recipe in recipes)} == varied
        assert all(recipe[key] == recipes[0][key] for key in shared for recipe in recipes)
    codes = {NCVQVAEConfig(length=100, **recipe["tokenizer"]).num_codes for recipe in recipes}
    bands = [load_recipe(arm.recipe, arm.settings).tokenizer for arm in modules[0].OWN_ARMS["bands"]]
    codes |= {NCVQVAEConfig(length=100, **tokenizer).num_codes for tokenizer in bands}
    assert max(codes) <= 1.3 * min(codes)


def test_a_table_of_no_sweep_is_refused(call, tmp_path, capsys):
    assert call("--table-only", "--out", tmp_path / "none") == 2
    assert "there is no sweep in" in capsys.readouterr().err


def test_the_suite_of_precisions_varies_precision_alone(modules):
    sweep = modules[0]
    exact, rounded = (load_recipe(arm.recipe, list(arm.settings)).to_dict() for arm in sweep.PRECISIONS)
    found = {name: values for name, *values in changes(exact, rounded)}
    assert found == {key: ["no", "bf16"] for key in sweep.PRECISION_KEYS}


def test_an_ablation_draws_a_panel_for_each_dataset_and_set_of_views(modules, tmp_path):
    sweep, table = modules
    rng, arms = np.random.default_rng(0), sweep.ABLATIONS["augmented_weight"]
    keys = "svm", "test_reconstruction_error"
    results = {("FordA", arm.name): [{key: {"mean": rng.random()} for key in keys}] for arm in arms}
    table.plot_ablation(results, arms, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
