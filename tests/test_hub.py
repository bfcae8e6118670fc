"""Publishing: what is checked, what the card says, what would be sent, and over a loopback Hub what is."""

import hashlib
import json
import shutil
import subprocess
import sys
import textwrap

import pytest
import torch
from datasets import DatasetDict
from huggingface_hub import ModelCard
from safetensors.torch import load_file, save_file

from loopback_hub import LoopbackHub
from ncvqvae import MaskGITForTimeSeriesGeneration, NCVQVAEConfig, NCVQVAEModel
from ncvqvae.cli import main
from ncvqvae.evaluation import evaluate
from ncvqvae.fcn import save_fcn, train_fcn
from ncvqvae.recipes import Recipe
from ncvqvae.report import write_report
from ncvqvae.report_rows import HEADLINES
from ncvqvae.runs import save
from ncvqvae.series import to_tensors
from test_evaluation import split


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """A tiny checkpoint with its figures, made once."""
    folder = tmp_path_factory.mktemp("hub") / "ncvqvae-toy"
    torch.manual_seed(0)
    tokenizer = NCVQVAEModel(NCVQVAEConfig(length=40, dim=8, num_residual_blocks=1, codebook_size=6)).eval()
    prior = {"hidden_size": 16, "num_hidden_layers": 1, "head_dim": 8, "intermediate_size": 16, "sampling_steps": 2}
    model = MaskGITForTimeSeriesGeneration.from_tokenizer(tokenizer, id2label={0: "down", 1: "up"}, **prior)
    save(model, folder, Recipe())
    dataset = DatasetDict(train=split(30, 0), test=split(50, 1))
    networks = tmp_path_factory.mktemp("fcn")
    save_fcn(train_fcn(*to_tensors(dataset["train"]), 2, num_steps=20), networks / "None.safetensors", "toy")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ncvqvae.classification.LEAST_STEPS", 2)
        result = evaluate(model, dataset, networks, num_seeds=1)
    digest = (folder / "model.sha256").read_text().strip()
    facts = {"checkpoint": "ncvqvae-toy", "dataset": "GunPoint", "seeds": [0], "command": "-"}
    write_report(result, model, facts | {"weights_sha256": digest}, folder)
    return folder


@pytest.fixture
def folder(evaluated, tmp_path):
    return shutil.copytree(evaluated, tmp_path / evaluated.name)


def publish(folder, *options, repo_id="org/ncvqvae-toy"):
    return main(["publish", str(folder), "--repo-id", repo_id, *options])


def test_a_dry_run_writes_the_card_and_lists_exactly_what_would_be_sent(folder, capsys):
    (folder / "notes.txt").write_text("not for others")
    (folder / "notes.md").write_text("Trained on a Sunday.\n")
    assert publish(folder, "--dry-run") == 0
    *lines, last = capsys.readouterr().out.splitlines()
    listed = {line.split()[0] for line in lines}
    assert {"README.md", "config.json", "model.safetensors", "metrics.json", "recipe.yaml", "samples.png"} <= listed
    assert listed == {path.name for path in folder.iterdir()} - {"notes.txt"}
    assert "\nTrained on a Sunday.\n" in (folder / "README.md").read_text()
    assert last == "would go to https://huggingface.co/org/ncvqvae-toy"


def test_every_figure_of_the_card_is_that_of_its_metrics(folder):
    publish(folder, "--dry-run")
    card, metrics = ModelCard.load(folder / "README.md"), json.loads((folder / "metrics.json").read_text())
    said = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert said.keys() == {key for key, *_ in HEADLINES}
    for key, _, form, _ in HEADLINES:
        assert said[key] == round(metrics["scores"][key]["mean"], 4)
        assert format(metrics["scores"][key]["mean"], form) in card.text
    assert card.data.library_name == "transformers" and card.data.license == "apache-2.0"
    assert 'AutoModel.from_pretrained("org/ncvqvae-toy")' in card.text and "$" not in card.text
    assert "2408.16613" in card.text and "down, up" in card.text


def test_what_a_person_wrote_into_the_card_stays_while_its_figures_are_true(folder, capsys):
    publish(folder, "--dry-run")
    card = folder / "README.md"
    written = card.read_text().replace("## Limits", "## Limits\n\nTry it on a Monday.")
    card.write_text(written)
    assert publish(folder, "--dry-run") == 0 and card.read_text() == written
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["scores"]["fid"]["mean"] += 1
    (folder / "metrics.json").write_text(json.dumps(metrics))
    assert publish(folder, "--dry-run") == 2
    assert "delete README.md to have it written anew" in capsys.readouterr().err


def edit_code(folder):
    with open(folder / "masking.py", "a") as file:
        file.write("# mine\n")


def other_weights(folder):
    file = folder / "model.safetensors"
    save_file({name: tensor * 0.5 for name, tensor in load_file(file).items()}, file, {"format": "pt"})
    (folder / "model.sha256").unlink()


@pytest.mark.parametrize(
    ("change", "repo_id", "message"),
    [
        (lambda folder: None, "ncvqvae-toy", "a repository's id is organisation/name"),
        (lambda folder: None, "org/with space", "a repository's id is organisation/name"),
        (edit_code, "org/name", "masking.py is not this package's"),
        (other_weights, "org/name", "metrics.json is of other weights"),
        (lambda folder: (folder / "metrics.json").unlink(), "org/name", "lacks metrics.json"),
        (lambda folder: (folder / "recipe.yaml").unlink(), "org/name", "lacks recipe.yaml"),
        (lambda folder: (folder / "config.json").unlink(), "org/name", "lacks config.json"),
        (lambda folder: shutil.rmtree(folder), "org/name", "there is no folder"),
    ],
)
def test_what_should_not_be_published_is_refused_in_one_line(folder, change, repo_id, message, capsys):
    change(folder)
    assert publish(folder, "--dry-run", repo_id=repo_id) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1 and message in error[0]
    assert not (folder / "README.md").exists()


def in_a_fresh_process(script, environment):
    command = [sys.executable, "-c", textwrap.dedent(script)]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_published_over_http_it_is_one_commit_of_what_the_folder_holds_and_a_failure_changes_nothing(folder, tmp_path):
    call = f"main(['publish', {str(folder)!r}, '--repo-id', repo_id])"
    with LoopbackHub() as hub:
        environment = hub.environment(tmp_path / "home")
        done = in_a_fresh_process(
            f"from ncvqvae.cli import main; repo_id = 'org/toy'; assert {call} == 0", environment
        )
        assert done.returncode == 0, done.stderr
        sent = {path: data for path, data in hub.files("org/toy").items() if path != ".gitattributes"}
        assert sent == {path.name: path.read_bytes() for path in folder.iterdir()}
        assert hub.commits("org/toy") == 2  # the first is the Hub's own, of .gitattributes

        other_weights(folder)
        metrics = json.loads((folder / "metrics.json").read_text())
        metrics["weights_sha256"] = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
        (folder / "metrics.json").write_text(json.dumps(metrics))
        hub.fail_next = "lfs"
        attempts = [
            ("org/toy", "hf_dummy"),
            ("stranger/toy", "hf_dummy"),
            ("org/toy", "hf_read"),
            ("org/toy", "hf_expired"),
        ]
        script = f"""
            import os
            from ncvqvae.cli import main
            for repo_id, os.environ["HF_TOKEN"] in {attempts}:
                assert {call} == 2
            del os.environ["HF_TOKEN"]
            assert {call} == 2
        """
        failed = in_a_fresh_process(script, environment)
        assert failed.returncode == 0, failed.stderr
        messages = [line for line in failed.stderr.splitlines() if line.startswith("ncvqvae publish: ")]
        for line, message in zip(
            messages,
            (
                "the upload failed, and org/toy is as it was",
                "this token may not write to stranger/toy",
                "this token may not write to org/toy",
                "the token is refused",
                "there is no token for the Hub",
            ),
            strict=True,
        ):
            assert message in line
        assert hub.commits("org/toy") == 2 and hub.files("org/toy")["model.safetensors"] == sent["model.safetensors"]
    script = f"from ncvqvae.cli import main; repo_id = 'org/toy'; assert {call} == 2"  # the server is gone
    assert "cannot be reached" in in_a_fresh_process(script, environment).stderr


def test_a_dataset_of_the_archive_goes_to_the_hub_and_comes_back_exactly(tmp_path):
    script = """
        from datasets import load_dataset
        from huggingface_hub import DatasetCard
        from ncvqvae.cli import main
        from ncvqvae.ucr import load_ucr
        for name in ("ItalyPowerDemand", "GunPoint"):
            assert main(["publish-data", name, "--repo-id", "org/ucr"]) == 0
        for name in ("ItalyPowerDemand", "GunPoint"):
            ours = load_ucr(name)
            for found in (load_ucr(name, repo_id="org/ucr"), load_dataset("org/ucr", name)):
                for split in ("train", "test"):
                    assert found[split].features == ours[split].features
                    assert found[split].data.table.equals(ours[split].data.table)
        assert "Dau" in DatasetCard.load("org/ucr").text
        from ncvqvae.recipes import Recipe
        from ncvqvae.training_data import TrainingData
        assert TrainingData.from_dataset(found["train"], Recipe()).name == "GunPoint"
    """
    with LoopbackHub() as hub:
        done = in_a_fresh_process(script, hub.environment(tmp_path / "home"))
    assert done.returncode == 0, done.stderr
