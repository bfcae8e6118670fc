"""A checkpoint of a user's own series, from `evaluate --data` to the Hub, on two tiny ones that are trained once."""

import json
import re
import shutil

import pandas as pd
import pytest
import torch
from huggingface_hub import ModelCard
from transformers import AutoModel

from helpers.tiny import as_options, sines_in_noise
from ncvqvae.cli.__main__ import main
from ncvqvae.data.own_series import load_series
from ncvqvae.data.training_split import split_series
from ncvqvae.evaluation.evaluator import evaluate
from ncvqvae.evaluation.fcn import evaluation_network
from ncvqvae.hub.publish import publish
from ncvqvae.hub.upload import CARD
from ncvqvae.inference import load_checkpoint
from ncvqvae.training.run_folder import save


QUICK = {
    "classification": {"LEAST_STEPS": 2, "EPOCHS": 0, "LEAST_SYNTHETIC": 40},
    "fcn": {"LEAST_STEPS": 60, "EPOCHS": 0},
    "generation": {"LEAST_GENERATED": 40},
}
KIND = ("--label-column", "kind")
SEVERAL_SPLITS = ("train", "test")


def table(size, seed, names=("fast", "slow")):
    """Series that float32 cannot tell apart, with their classes."""
    values, labels = sines_in_noise(size, 24, seed)
    columns = {f"t{index}": 1.7e9 + 50 * values[:, 0, index].double().numpy() for index in range(24)}
    return pd.DataFrame(columns | {"kind": [names[label] for label in labels]})


def run(*arguments):
    return main([str(argument) for argument in arguments])


@pytest.fixture(scope="module", autouse=True)
def quick(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        for module, numbers in QUICK.items():
            for name, number in numbers.items():
                patch.setattr(f"ncvqvae.evaluation.{module}.{name}", number)
        patch.setattr("ncvqvae.evaluation.fcn.HF_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with tables, `ncvqvae-mine` of series with classes, and `ncvqvae-plain` of series without."""
    folder = tmp_path_factory.mktemp("private")
    mine = table(96, 0)
    mine.to_csv(folder / "mine.csv", index=False)
    mine.drop(columns="kind").to_csv(folder / "plain.csv", index=False)
    table(24, 1).to_csv(folder / "later.csv", index=False)
    table(24, 1, ("quick", "slow")).to_csv(folder / "renamed.csv", index=False)
    mine.drop(columns=[f"t{index}" for index in range(12, 24)]).to_csv(folder / "short.csv", index=False)
    options = ("--from-scratch", "--work-dir", folder / "work", *as_options())
    assert run("train", "--data", folder / "mine.csv", *KIND, *options, "--output-dir", folder / "ncvqvae-mine") == 0
    none_held_out = ("--set", "validation_fraction=0", "--output-dir", folder / "ncvqvae-plain")
    assert run("train", "--data", folder / "plain.csv", *options, *none_held_out) == 0
    return folder


def evaluated(trained, name, out, *options):
    """Evaluates a checkpoint by the table of its name; returns the figures and the report."""
    source = ("--data", trained / f"{name.removeprefix('ncvqvae-')}.csv", *options)
    assert run("evaluate", trained / name, *source, "--seeds", 1, "--out", out) == 0
    return json.loads((out / "metrics.json").read_text()), (out / "report.md").read_text()


@pytest.fixture(scope="module")
def tested(trained):
    """Figures and report of `ncvqvae-mine`, in its folder, on a test file."""
    return evaluated(trained, "ncvqvae-mine", trained / "ncvqvae-mine", *KIND, "--test", trained / "later.csv")


@pytest.fixture(scope="module")
def plain(trained):
    """Figures and report of `ncvqvae-plain`, in its folder."""
    return evaluated(trained, "ncvqvae-plain", trained / "ncvqvae-plain")


def test_on_a_test_file_everything_is_measured_as_for_a_set_of_the_archive_but_beside_no_published_figures(tested):
    metrics, report = tested
    assert {"fid", "cas_fcn", "nearest_ratio", "svm", "linear_svm", "test_masked_accuracy"} <= metrics["scores"].keys()
    assert not metrics["not_measured"] and metrics["published"] == {"thesis": {}, "timevqvae": {}}
    assert metrics["sizes"] == {"train": 96, "test": 24, "generated": 40, "generated_by_class": 96}
    assert "The test split is `later.csv`" in report and "published" not in report and "TimeVQVAE" not in report


def test_without_a_test_file_it_is_judged_by_the_series_that_training_held_out(trained, tmp_path):
    metrics, report = evaluated(trained, "ncvqvae-mine", tmp_path / "report", *KIND, "--only", "tokenizer")
    parts = split_series(load_series(trained / "mine.csv", label_column="kind"), seed=0, validation_fraction=0.25)
    assert [metrics["sizes"][name] for name in SEVERAL_SPLITS] == [len(part) for part in parts]
    assert metrics["data"]["judged_by"] == "held-out" and "the series that training held out" in report
    assert "svm" in metrics["scores"] and "--only tokenizer`" in report


def test_without_classes_and_held_out_series_the_rest_is_measured_and_said_to_be_of_training_series(plain):
    metrics, report = plain
    assert metrics["data"]["judged_by"] == "training" and "these figures are of training series" in report
    known = {"minirocket_fid", "minirocket_kernel_distance", "autocorrelation_difference", "test_perplexity"}
    assert known | {"test_masked_loss", "test_reconstruction_error"} <= metrics["scores"].keys()
    assert not {"fid", "cas_fcn", "svm", "nearest_ratio"} & metrics["scores"].keys() and metrics["network"] == {}
    reasons = metrics["not_measured"]
    assert [key for key in reasons if "FID" in key and "probes" in key] and "copying" in reasons
    assert "by class" not in report.split("## Pictures")[1] and "features.png" not in report


def test_of_very_many_series_some_are_measured_and_the_report_says_so(trained, tmp_path, monkeypatch):
    monkeypatch.setattr("ncvqvae.cli.evaluation.MOST_SERIES", 32)
    metrics, report = evaluated(trained, "ncvqvae-plain", tmp_path, "--only", "tokenizer")
    assert metrics["sizes"] == {"train": 32, "test": 32} and "without 128 others" in report
    assert "`plain.csv` has 96 series" in report


def test_classes_that_a_checkpoint_does_not_know_are_left_out(trained, tmp_path):
    checkpoint = ("evaluate", trained / "ncvqvae-plain", "--data", trained / "mine.csv", "--seeds", 1)
    assert run(*checkpoint, *KIND, "--test", trained / "later.csv", "--out", tmp_path) == 0
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert "nearest_ratio" in metrics["scores"] and metrics["network"] == {}


def test_own_series_are_compared_as_the_scaler_scales_them_whatever_their_offset(trained, tested):
    data = load_series(trained / "mine.csv", label_column="kind", test=trained / "later.csv")
    result = evaluate(load_checkpoint(trained / "ncvqvae-mine").tokenizer, data, num_seeds=1, scaled=True)
    for values in (result.train[0], result.reconstruction):
        assert values.dtype == torch.float32 and abs(values.mean()) < 0.2
    assert result.train[0].std() == pytest.approx(1, abs=1e-3)
    assert tested[0]["scores"]["autocorrelation_difference"]["real"] < 0.5
    assert tested[0]["network"]["test_accuracy"] > 0.9


def test_a_cached_network_is_of_the_same_series_and_classes_or_trained_anew(monkeypatch):
    monkeypatch.setattr("ncvqvae.evaluation.fcn.LEAST_STEPS", 1)
    values, labels = sines_in_noise(12, 24)

    def file(*train, classes=2):
        return evaluation_network(None, train, classes)[1]["file"]

    first = file(values, labels)
    assert first == file(values.clone(), labels)
    others = [file(values + 1, labels), file(values, 1 - labels), file(values, labels, classes=3)]
    assert len({first, *others, file(values.view(12, 2, 12), labels)}) == 5


def test_no_file_that_is_sent_says_where_the_series_lie(trained, tested, plain):
    for name in ("ncvqvae-mine", "ncvqvae-plain"):
        files = publish(trained / name, f"lab/{name}", dry_run=True).files
        texts = {path: file for path, file in files.items() if path.endswith((".md", ".json", ".yaml"))}
        assert len(texts) == 5
        for path, file in texts.items():
            assert str(trained.parent).encode() not in (file if isinstance(file, bytes) else file.read_bytes()), path
    command = "ncvqvae evaluate ncvqvae-mine --data mine.csv --test later.csv --label-column kind --out ncvqvae-mine"
    assert tested[0]["command"].startswith("ncvqvae evaluate ncvqvae-mine --data mine.csv")
    assert f"`{command} --seeds 1`" in tested[1]


def test_the_card_says_what_was_trained_on_what_how_good_it_is_and_how_to_load_it(trained, tested):
    folder = trained / "ncvqvae-mine"
    card = ModelCard(publish(folder, "lab/ncvqvae-mine", dry_run=True).files[CARD].decode())
    text = " ".join(card.text.split())
    assert "**mine.csv**, its author's own data: 96 series of 24 samples, 2 classes (fast 50%, slow 50%)." in text
    assert "`ncvqvae train --data mine.csv --label-column kind --recipe recipe.yaml`" in text
    assert "UCR" not in card.text and "TimeVQVAE |" not in card.text and "$" not in card.text
    assert card.data.datasets is None
    (result,) = [one for one in card.data.eval_results if one.metric_name.startswith("FID, classes drawn")]
    assert (result.dataset_name, result.dataset_split) == ("mine.csv", "test")
    assert format(tested[0]["scores"]["fid"]["mean"], ".2f") in card.text
    said = re.search(r"(import ncvqvae.*?)```", card.text, re.DOTALL)[1].replace('"lab/ncvqvae-mine"', f'"{folder}"')
    found = {}
    exec(said, found)
    assert found["values"].shape == (8, 1, 24) and found["values"].dtype == torch.float64


def test_the_card_of_series_without_classes_speaks_of_none(trained, plain):
    folder = trained / "ncvqvae-plain"
    card = ModelCard(publish(folder, "lab/ncvqvae-plain", dry_run=True).files[CARD].decode())
    assert "24 samples, without classes" in card.text and "generate(num_samples=8)" in card.text
    assert "given a class" not in card.text and "nearest.png" not in card.text and "not take generated" in card.text
    assert {one.metric_type for one in card.data.eval_results} >= {"fid", "mse", "accuracy", "perplexity"}
    assert AutoModel.from_pretrained(folder).generate(2).shape == (2, 1, 24)


def test_published_it_is_on_the_hub_what_the_folder_holds(hub, trained, tested, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HF_TOKEN", "hf_dummy")
    folder = trained / "ncvqvae-mine"
    assert run("publish", folder, "--repo-id", "org/mine") == 0
    sent = {path: content for path, content in hub.files("org/mine").items() if path != ".gitattributes"}
    assert sent == {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--data", "mine.csv", "--dataset", "GunPoint"),
            "--dataset is for the archive, --data for series of your own",
        ),
        (("--data", "mine.csv", "--data-dir", "archive"), "--data-dir is for the archive"),
        (("--data", "mine.csv", "--fcn", "networks"), "--fcn is for the archive"),
        (("--window", "5"), "--window is for series of your own; name them with --data"),
        (("--test", "later.csv"), "--test is for series of your own; name them with --data"),
        ((), "does not name its dataset; name one with --dataset, or with --data the series of your own"),
        (("--data", "none.csv"), "there is no file none.csv"),
        (("--data", "later.csv", *KIND), "the checkpoint was trained on other series: these have a mean"),
        (("--data", "renamed.csv", *KIND), "the checkpoint's classes are fast, slow; the dataset's quick, slow"),
        (("--data", "plain.csv"), "the checkpoint's classes are fast, slow; the series have none"),
        (("--data", "short.csv", *KIND), "takes series of 1 channels x 24 samples, the dataset has 1 x 12"),
    ],
)
def test_mistakes_get_one_line_and_leave_nothing(trained, arguments, message, monkeypatch, capsys):
    monkeypatch.chdir(trained)
    assert run("evaluate", "ncvqvae-mine", *arguments, "--out", "nothing") == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1 and message in error[0]
    assert not (trained / "nothing").exists()


def test_a_checkpoint_for_all_series_is_to_be_trained_on_them_first(base_tokenizer, trained, tmp_path, capsys):
    save(base_tokenizer, tmp_path / "base")
    assert run("evaluate", tmp_path / "base", "--data", trained / "mine.csv", "--out", tmp_path / "out") == 2
    assert "train on yours first: ncvqvae train --data" in capsys.readouterr().err


def test_one_that_was_not_evaluated_is_refused_with_the_command_to_run(trained, tmp_path, capsys):
    folder = shutil.copytree(trained / "ncvqvae-plain", tmp_path / "ncvqvae-plain")
    (folder / "metrics.json").unlink(missing_ok=True)
    assert run("publish", folder, "--repo-id", "lab/ncvqvae-plain", "--dry-run") == 2
    assert f"run ncvqvae evaluate {folder} --data SOURCE --out {folder}" in capsys.readouterr().err
