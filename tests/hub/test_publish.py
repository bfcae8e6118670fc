"""Publishing: what is checked, what the card says, what would be sent, and over a loopback Hub what is."""

import json
import os
import pickle
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from datasets import DatasetDict
from huggingface_hub import HfApi, InferenceClient, ModelCard
from safetensors.torch import load_file, save_file

from helpers.environments import environment_with
from helpers.loopback_hub import File
from helpers.processes import generate_as_a_stranger, in_a_fresh_process
from helpers.tensors import assert_same
from helpers.tiny import split
from ncvqvae import MaskGITForTimeSeriesGeneration, NCVQVAEConfig, NCVQVAEModel
from ncvqvae.cli.__main__ import main
from ncvqvae.data.series import to_tensors
from ncvqvae.evaluation.evaluator import evaluate
from ncvqvae.evaluation.fcn import save_fcn, train_fcn
from ncvqvae.evaluation.measures import HEADLINES
from ncvqvae.evaluation.provenance import file_digests
from ncvqvae.evaluation.report import write_report
from ncvqvae.hub.card import card_of
from ncvqvae.inference import load_checkpoint
from ncvqvae.models.integrity import sha256
from ncvqvae.training.recipes import Recipe
from ncvqvae.training.run_folder import save


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """A tiny checkpoint with its figures, made once."""
    folder = tmp_path_factory.mktemp("hub") / "ncvqvae-toy"
    torch.manual_seed(0)
    config = NCVQVAEConfig(length=40, dim=8, num_residual_blocks=1, codebook_size=6, dataset_name="GunPoint")
    tokenizer = NCVQVAEModel(config).eval()
    prior = {"hidden_size": 16, "num_hidden_layers": 1, "head_dim": 8, "intermediate_size": 16, "sampling_steps": 2}
    model = MaskGITForTimeSeriesGeneration.from_tokenizer(tokenizer, id2label={0: "down", 1: "up"}, **prior)
    save(model, folder, Recipe())
    dataset = DatasetDict(train=split(30, 0), test=split(50, 1))
    networks = tmp_path_factory.mktemp("fcn")
    save_fcn(train_fcn(*to_tensors(dataset["train"]), 2, num_steps=20), networks / "None.safetensors", "toy")
    with pytest.MonkeyPatch.context() as patch:
        for name, number in (("LEAST_STEPS", 2), ("EPOCHS", 0), ("LEAST_SYNTHETIC", 60)):
            patch.setattr(f"ncvqvae.evaluation.classification.{name}", number)
        result = evaluate(model, dataset, networks, num_seeds=1)
    digest = (folder / "model.sha256").read_text().strip()
    facts = {"checkpoint": "ncvqvae-toy", "dataset": "GunPoint", "seeds": [0], "command": "-"}
    write_report(result, model, facts | {"weights_sha256": digest} | file_digests(folder), folder)
    return folder


@pytest.fixture
def folder(evaluated, tmp_path):
    return shutil.copytree(evaluated, tmp_path / evaluated.name)


def publish(folder, *options, repo_id="org/ncvqvae-toy"):
    return main(["publish", str(folder), "--repo-id", repo_id, *options])


def write_card(folder, repo_id="org/ncvqvae-toy"):
    """The card that publishing writes, in the folder."""
    card, _ = card_of(folder, repo_id, load_checkpoint(folder).config)
    (folder / "README.md").write_text(card)
    return folder / "README.md"


def test_a_dry_run_lists_exactly_what_would_be_sent_and_changes_nothing(folder, capsys):
    (folder / "notes.txt").write_text("not for others")
    (folder / "my_own.png").write_bytes(b"not for others")
    (folder / "notes.md").write_text("Trained on a Sunday.\n")
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}
    assert publish(folder, "--dry-run") == 0
    said = capsys.readouterr().out
    listed = {line.split()[0] for line in said.splitlines() if line.endswith(" MB")}
    assert {"README.md", "config.json", "model.safetensors", "metrics.json", "recipe.yaml", "samples.png"} <= listed
    assert listed == {path.name for path in folder.iterdir()} - {"notes.txt", "my_own.png"} | {"README.md"}
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()} == before
    assert "\nTrained on a Sunday.\n" in write_card(folder).read_text()
    assert "\nwould go to https://huggingface.co/org/ncvqvae-toy\n" in said
    assert "\nREADME.md: would be written\n" in said
    assert "would be public, unless its organisation's default is private" in said
    assert publish(folder, "--dry-run", "--private") == 0 and "would be private;" in capsys.readouterr().out


def test_every_figure_of_the_card_is_that_of_its_metrics(folder):
    write_card(folder)
    card, metrics = ModelCard.load(folder / "README.md"), json.loads((folder / "metrics.json").read_text())
    said = {result.metric_name: result.metric_value for result in card.data.eval_results}
    assert said.keys() == {label for _, label, *_ in HEADLINES}
    for key, label, form, _ in HEADLINES:
        assert said[label] == round(metrics["scores"][key]["mean"], 4)
        assert format(metrics["scores"][key]["mean"], form) in card.text
    assert card.data.library_name == "transformers" and card.data.license == "apache-2.0"
    assert 'AutoModel.from_pretrained("org/ncvqvae-toy")' in card.text and "$" not in card.text
    assert "2408.16613" in card.text and "down, up" in card.text


def test_the_metadata_of_the_card_are_in_the_words_of_the_hub(folder):
    recipe = (folder / "recipe.yaml").read_text()
    (folder / "recipe.yaml").write_text(recipe.replace("start: null", "start: ncvqvae-base"))
    metadata = ModelCard.load(write_card(folder)).data
    assert metadata.pipeline_tag is None or hasattr(InferenceClient, metadata.pipeline_tag.replace("-", "_"))
    assert metadata.datasets == ["org/ucr"] and metadata.base_model == "org/ncvqvae-base"
    assert metadata.base_model_relation == "finetune"
    assert metadata.metrics == ["fid", "inception_score", "accuracy", "coverage"]
    results = metadata.eval_results
    assert list(dict.fromkeys(one.metric_type for one in results)) == metadata.metrics
    assert {(one.dataset_type, one.dataset_config, one.dataset_split) for one in results} == {
        ("ucr", "GunPoint", "test")
    }


def test_a_card_that_nobody_edited_follows_the_repository_id_and_the_figures(folder):
    first = body(write_card(folder).read_text())
    renamed = (
        first.replace("org/ncvqvae-toy", "lab/other").replace("ncvqvae-toy\n", "other\n").replace("org/ucr", "lab/ucr")
    )
    assert body(write_card(folder, "lab/other").read_text()) == renamed
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["scores"]["fid"]["mean"] += 1
    (folder / "metrics.json").write_text(json.dumps(metrics))
    assert publish(folder, "--dry-run") == 0
    found = ModelCard.load(write_card(folder)).data.eval_results
    said = {result.metric_name: result.metric_value for result in found}
    assert said["FID, classes drawn as in the training split"] == round(metrics["scores"]["fid"]["mean"], 4)


def body(card):
    return card[: card.index("\n<!-- ncvqvae: ")]


def test_what_a_person_wrote_into_the_card_stays_while_the_card_is_true(folder, capsys):
    card = write_card(folder)
    written = card.read_text().replace("## Limits", "## Limits\n\nTry it on a Monday.")
    written = written.replace("license: apache-2.0", "license: mit\nlanguage: en")
    card.write_text(written)
    assert publish(folder, "--dry-run") == 0 and card.read_text() == written
    assert "README.md: kept as it was edited" in capsys.readouterr().out
    sent = card_of(folder, "org/ncvqvae-toy", load_checkpoint(folder).config)[0]
    assert body(sent) == body(written) and "<!-- ncvqvae: edited, sha256 " in sent
    card.write_text(sent)  # as publishing leaves it: it is still a person's
    assert publish(folder, "--dry-run") == 0 and "kept as it was edited" in capsys.readouterr().out
    assert publish(folder, "--dry-run", repo_id="lab/other") == 2
    assert "lacks the line that loads lab/other; delete README.md" in capsys.readouterr().err
    (folder / "notes.md").write_text("Trained on a Sunday.")
    assert publish(folder, "--dry-run") == 2
    assert "lacks the text of notes.md" in capsys.readouterr().err and card.read_text() == sent
    (folder / "notes.md").unlink()
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["scores"]["fid"]["mean"] += 1
    (folder / "metrics.json").write_text(json.dumps(metrics))
    assert publish(folder, "--dry-run") == 2
    assert "delete README.md to have it written anew" in capsys.readouterr().err


def edited(pattern, replacement):
    """An edit of the card, which must change it."""

    def edit(folder):
        card = folder / "README.md"
        changed, count = re.subn(pattern, replacement, card.read_text(), count=1, flags=re.MULTILINE | re.DOTALL)
        assert count == 1
        card.write_text(changed)

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (edited(r"\*\*\d+\.\d+", "**0.01"), "lacks the table of metrics.json"),
        (edited(r"(\n\| FID[^\n]*)", r"\1\n| FID of ours | **0.01** |"), "lacks the table of metrics.json"),
        (edited(r"near-copies", "brand-new"), "lacks the sentences on metrics.json"),
        (edited(r"(?<=\n)seed: 0", "seed: 1"), "lacks the recipe of recipe.yaml"),
        (edited(r'toy", trust', 'toi", trust'), "lacks the line that loads org/ncvqvae-toy without the package"),
        (edited(r"value: [\d.]+", "value: 0.01"), "the metadata of"),
        (
            edited(r"    metrics:\n", "    metrics:\n    - type: mine\n      value: 1\n"),
            "has 1 for mine, metrics.json nothing",
        ),
        (edited(r"license:", "license: ["), "cannot be read"),
        (edited(r"^.*\n# ncvqvae-toy", "# ncvqvae-toy"), "has no metadata between lines of ---"),
    ],
)
def test_a_card_that_was_edited_into_something_else_is_refused_in_one_line(folder, edit, message, capsys):
    write_card(folder)
    edit(folder)
    written = (folder / "README.md").read_text()
    assert publish(folder, "--dry-run") == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1 and message in error[0] and "delete README.md" in error[0]
    assert (folder / "README.md").read_text() == written


FOREIGN = {"time-series-generation": {"impl": "other/repo--pipeline.Mine", "pt": ["AutoModel"], "type": "time"}}


def edit_code(folder):
    with open(folder / "masking.py", "a") as file:
        file.write("# mine\n")


def other_weights(folder):
    file = folder / "model.safetensors"
    weights = {name: (tensor * 0.5).to(tensor.dtype) for name, tensor in load_file(file).items()}
    save_file(weights, file, {"format": "pt"})
    (folder / "model.sha256").write_text(sha256(file))


def fewer_weights(folder):
    file = folder / "model.safetensors"
    weights = load_file(file)
    del weights["transformer.position_embedding.weight"]
    save_file(weights, file, {"format": "pt"})
    (folder / "model.sha256").unlink()


def change(file, **values):
    def edit(folder):
        known = json.loads((folder / file).read_text())
        for name, value in values.items():
            known.pop(name) if value is None else known.update({name: value})
        (folder / file).write_text(json.dumps(known))

    return edit


def trained_on(name):
    def edit(folder):
        text = (folder / "config.json").read_text()
        (folder / "config.json").write_text(text.replace('"GunPoint"', json.dumps(name)))

    return edit


def starting_from(checkpoint):
    def edit(folder):
        with open(folder / "recipe.yaml", "a") as file:
            file.write(f"start: {checkpoint}\n")

    return edit


def recipe_of_another_run(folder):
    recipe = (folder / "recipe.yaml").read_text()
    (folder / "recipe.yaml").write_text(recipe.replace("seed: 0", "seed: 1"))


def other_scaler(folder):
    config = json.loads((folder / "config.json").read_text())
    config["tokenizer_config"]["std"] = [1000.0]
    (folder / "config.json").write_text(json.dumps(config))


def saying(file, what, key=None):
    """A text in a file, which an author may have left there without a thought."""

    def edit(folder):
        path = folder / file
        if key:
            path.write_text(json.dumps(json.loads(path.read_text()) | {key: what}))
        else:
            path.write_bytes((path.read_bytes() if path.exists() else b"") + f"\n# {what}\n".encode())

    return edit


def linked(name):
    def edit(folder):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to("/etc/hostname")

    return edit


# Lists of lists, each of ten times the one before.
ALIASES = b"a0: &a0 [x, x]\n" + b"".join(
    b"a%d: &a%d [%s]\n" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 10)) for n in range(1, 9)
)


def piped(name):
    def edit(folder):
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return edit


def holding(name, content):
    return lambda folder: (folder / name).write_bytes(content)


@pytest.mark.parametrize(
    ("change", "repo_id", "message"),
    [
        (lambda folder: None, "ncvqvae-toy", "a repository's id is organisation/name"),
        (lambda folder: None, "org/with space", "a repository's id is organisation/name"),
        (edit_code, "org/name", "masking.py differs from the installed ncvqvae"),
        (lambda folder: (folder / "mine.py").write_text(""), "org/name", "mine.py is not part of ncvqvae: remove"),
        (lambda folder: (folder / "modeling_maskgit.py").unlink(), "org/name", "lacks modeling_maskgit.py"),
        (lambda folder: (folder / "time_frequency.py").unlink(), "org/name", "lacks time_frequency.py"),
        (change("config.json", auto_map=None), "org/name", "config.json has no auto_map"),
        (change("config.json", custom_pipelines=FOREIGN), "org/name", "declares pipelines that are not ncvqvae's"),
        (lambda folder: (folder / "pipeline.py").unlink(), "org/name", "lacks pipeline.py"),
        (other_weights, "org/name", "metrics.json was measured with other weights"),
        (fewer_weights, "org/name", "lacks weights, for example transformer.position_embedding.weight"),
        (lambda folder: (folder / "metrics.json").unlink(), "org/name", "lacks metrics.json"),
        (lambda folder: (folder / "metrics.json").write_text("{"), "org/name", "metrics.json is not JSON"),
        (lambda folder: (folder / "metrics.json").write_text("{}"), "org/name", "metrics.json lacks 'checkpoint'"),
        (change("metrics.json", network=None), "org/name", "metrics.json lacks 'network'"),
        (change("metrics.json", dataset="FordA"), "org/name", "metrics.json is of FordA, the checkpoint of GunPoint"),
        (trained_on(None), "org/name", "metrics.json is of GunPoint, the checkpoint of series of your own"),
        (starting_from("/home/me/mine"), "org/name", "starts from /home/me/mine, a folder of this machine"),
        (lambda folder: (folder / "recipe.yaml").unlink(), "org/name", "lacks recipe.yaml"),
        (lambda folder: (folder / "nearest.png").unlink(), "org/name", "lacks nearest.png"),
        (lambda folder: (folder / "config.json").unlink(), "org/name", "lacks config.json"),
        (lambda folder: (folder / "model.sha256").unlink(), "org/name", "lacks model.sha256"),
        (recipe_of_another_run, "org/name", "metrics.json was measured with another recipe.yaml"),
        (other_scaler, "org/name", "metrics.json was measured with another config.json"),
        (change("config.json", sampling_steps=1), "org/name", "metrics.json was measured with another config.json"),
        (change("config.json", id2label={"0": "up", "1": "down"}), "org/name", "with another config.json"),
        (change("config.json", label_shares=[0.99, 0.01]), "org/name", "with another config.json"),
        (saying("config.json", "/home/alice/x", "_name_or_path"), "org/name", "config.json says '/home/alice/x'"),
        (saying("metrics.json", "ncvqvae evaluate /data/x/y", "command"), "org/name", "metrics.json says '/data/x/y'"),
        (saying("metrics.json", "python C:\\Users\\me\\a.py", "command"), "org/name", "metrics.json says 'C:"),
        (saying("metrics.json", str(Path.home() / "series.csv"), "mine"), "org/name", "metrics.json says '"),
        (saying("recipe.yaml", "as in /home/alice/mine.yaml"), "org/name", "says '/home/alice/mine.yaml'"),
        (saying("notes.md", "see /Users/alice/notes"), "org/name", "says '/Users/alice/notes'"),
        (saying("samples.png", "/home/alice/series.csv"), "org/name", "samples.png says '/home/alice/series.csv'"),
        (linked("samples.png"), "org/name", "samples.png is a link"),
        (piped("metrics.json"), "org/name", "metrics.json is a device or a pipe"),
        (piped("bounds.py"), "org/name", "bounds.py is a device or a pipe"),
        (change("config.json", auto_map="x"), "org/name", "config.json has no auto_map"),
        (
            change("config.json", auto_map={"AutoConfig": 5, "AutoModel": [1]}),
            "org/name",
            "config.json has no auto_map",
        ),
        (holding("recipe.yaml", ALIASES), "org/name", "recipe.yaml is not YAML (it holds more than 100000 values)"),
        (holding("recipe.yaml", b"a: &a [*a]"), "org/name", "recipe.yaml is not YAML"),
        (holding("recipe.yaml", b""), "org/name", "recipe.yaml holds no keys and values"),
        (holding("notes.md", b"\xff\xfe"), "org/name", "notes.md is not text"),
        (holding("samples.png", pickle.dumps(1)), "org/name", "samples.png cannot be read (it is no picture)"),
        (holding("metrics.json", b" " * 2**23), "org/name", "metrics.json has 8388608 bytes"),
        (change("metrics.json", scores=[1]), "org/name", "metrics.json holds scores without names"),
        (change("metrics.json", published="x", sizes=5), "org/name", "metrics.json holds what was not measured"),
        (linked("notes.md"), "org/name", "notes.md is a link"),
        (lambda folder: shutil.rmtree(folder), "org/name", "there is no folder"),
    ],
)
def test_what_should_not_be_published_is_refused_in_one_line(folder, change, repo_id, message, capsys):
    change(folder)
    assert publish(folder, "--dry-run", repo_id=repo_id) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1 and message in error[0]
    assert not (folder / "README.md").exists()


@pytest.mark.slow
def test_the_command_that_is_named_for_other_code_makes_the_folder_publishable_again(folder, capsys):
    edit_code(folder)
    (folder / "distributed.py").unlink()
    assert publish(folder, "--dry-run") == 2
    command = shlex.split(capsys.readouterr().err.split("write the code of this version there with python ")[1])
    subprocess.run([sys.executable, *command], check=True)
    assert publish(folder, "--dry-run") == 0


@pytest.fixture
def publish_there(hub, monkeypatch, capsys):
    """Publishes from this process, as one that knows this hub alone; returns the exit code and what is wrong."""
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
    template = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def publish_there(folder, *options, repo_id="org/toy", token="hf_dummy"):
        monkeypatch.setenv("HF_TOKEN", token)
        code = publish(folder, *options, repo_id=repo_id)
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("ncvqvae publish: ")]
        assert len(lines) == (code != 0)
        return code, "".join(lines)

    return publish_there


def sent(hub, repo_id="org/toy"):
    return {path: data for path, data in hub.files(repo_id).items() if path != ".gitattributes"}


@pytest.mark.slow
def test_published_over_http_it_is_one_commit_of_what_the_folder_holds_and_loads_anywhere(hub, folder, tmp_path):
    command = [sys.executable, "-m", "ncvqvae.cli", "publish", str(folder), "--repo-id", "org/toy"]
    done = subprocess.run(command, env=hub.environment(tmp_path / "home"), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert sent(hub) == {path.name: path.read_bytes() for path in folder.iterdir()}
    assert hub.commits("org/toy") == 2  # the first is the Hub's own, of .gitattributes
    assert not hub.repos["model", "org/toy"].private

    packages = environment_with(tmp_path / "packages", "torch", "transformers")
    elsewhere = hub.environment(tmp_path / "other")
    weights, generated = generate_as_a_stranger(packages, "org/toy", tmp_path / "loaded.pt", elsewhere)
    model = MaskGITForTimeSeriesGeneration.from_pretrained(folder)
    assert torch.equal(generated, model.generate(4, generator=torch.Generator().manual_seed(0)))
    assert_same(weights, model.state_dict())


def test_what_goes_wrong_on_the_way_is_one_line_and_changes_nothing(hub, folder, publish_there, monkeypatch):
    assert publish_there(folder) == (0, "")
    before = sent(hub)
    other_weights(folder)
    change("metrics.json", weights_sha256=sha256(folder / "model.safetensors"))(folder)
    hub.add_repo("stranger/toy")
    hub.fail_next = "lfs"
    for repo_id, token, message in (
        ("org/toy", "hf_dummy", "the upload failed, and org/toy is as it was"),
        ("stranger/toy", "hf_dummy", "this token may not write to stranger/toy"),
        ("stranger/new", "hf_dummy", "this token may not write to stranger/new"),
        ("org/toy", "hf_read", "this token may not write to org/toy"),
        ("org/toy", "hf_expired", "the token is refused"),
    ):
        code, said = publish_there(folder, repo_id=repo_id, token=token)
        assert code == 2 and message in said
    hub.fail_status = 409
    for hub.fail_next, repo_id, message in (
        (
            "commit",
            "org/toy",
            "someone else is writing to org/toy; try again (the Hub says: the loopback hub was told",
        ),
        (
            "create",
            "org/new",
            "the name org/new is taken, by what this token may not see; choose another (the Hub say",
        ),
    ):
        code, said = publish_there(folder, repo_id=repo_id)
        assert code == 2 and message in said
    assert hub.commits("org/toy") == 2 and sent(hub) == before and ("model", "org/new") not in hub.repos
    monkeypatch.setattr("ncvqvae.hub.upload.get_token", lambda: None)
    assert "there is no token for the Hub" in publish_there(folder)[1]


def test_a_hub_that_cannot_be_reached_is_said_in_one_line(hub, folder, publish_there):
    hub.stop()
    code, said = publish_there(folder)
    assert code == 2 and f"the Hub at {hub.url} cannot be reached" in said


def test_private_makes_a_private_repository_and_refuses_one_that_is_public(hub, folder, publish_there):
    hub.add_repo("org/public")
    assert publish_there(folder, "--private") == publish_there(folder, "--private") == publish_there(folder) == (0, "")
    assert hub.repos["model", "org/toy"].private and "config.json" in hub.files("org/toy")
    code, said = publish_there(folder, "--private", repo_id="org/public")
    assert code == 2 and "org/public exists and is public, and --private makes only new ones private" in said
    assert hub.commits("org/public") == 1


def test_without_private_the_organisations_default_decides(hub, folder, publish_there):
    hub.private_by_default = True
    assert publish_there(folder) == (0, "")
    assert hub.repos["model", "org/toy"].private


def test_what_the_folder_no_longer_holds_is_deleted_there_and_what_is_not_ours_stays(hub, folder, publish_there):
    (folder / "notes.md").write_text("Trained on a Sunday.")
    publish_there(folder)
    repo = hub.repos["model", "org/toy"]
    theirs = {"LICENSE": File(b"mine"), "more/notes.md": File(b"mine")}
    repo.add_version(repo.at("main")[1] | theirs | {"old_code.py": File(b"")})
    for name in ("notes.md", "README.md"):
        (folder / name).unlink()
    publish_there(folder)
    ours = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert sent(hub) == ours | {name: file.content for name, file in theirs.items()}
    assert hub.commits("org/toy") == 4


def test_what_is_deleted_there_is_printed(hub, folder, publish_there, capsys):
    publish_there(folder)
    repo = hub.repos["model", "org/toy"]
    repo.add_version(repo.at("main")[1] | {"old_code.py": File(b"")})
    monkey = ["publish", str(folder), "--repo-id", "org/toy"]
    assert main(monkey) == 0
    assert "deleted there, as of an earlier version: old_code.py\n" in capsys.readouterr().out


def test_a_card_that_was_edited_on_the_hub_is_not_overwritten(hub, folder, publish_there):
    publish_there(folder)
    repo = hub.repos["model", "org/toy"]
    card = repo.at("main")[1]["README.md"].content
    repo.add_version(repo.at("main")[1] | {"README.md": File(card.replace(b"## Limits", b"## Limits\n\nMine."))})
    code, said = publish_there(folder)
    assert code == 2 and "README.md of org/toy was edited on the Hub, and would be overwritten; take it over" in said
    assert hub.commits("org/toy") == 3
    (folder / "README.md").write_bytes(hub.files("org/toy")["README.md"])  # as the message says
    assert publish_there(folder) == (0, "") and b"\n\nMine." in hub.files("org/toy")["README.md"]
    (folder / "README.md").unlink()
    assert publish_there(folder) == (0, "") and b"Mine." not in hub.files("org/toy")["README.md"]


def test_a_commit_in_between_is_not_overwritten(hub, folder, publish_there, monkeypatch):
    publish_there(folder)
    (folder / "notes.md").write_text("Trained on a Sunday.")
    repo, list_files = hub.repos["model", "org/toy"], HfApi.list_repo_files

    def while_somebody_commits(*arguments, **options):
        found = list_files(*arguments, **options)
        repo.add_version(repo.at("main")[1] | {"LICENSE": File(b"mine")})
        return found

    monkeypatch.setattr(HfApi, "list_repo_files", while_somebody_commits)
    code, said = publish_there(folder)
    assert code == 2 and "someone else has changed org/toy meanwhile; try again" in said
    assert hub.commits("org/toy") == 3 and hub.files("org/toy")["LICENSE"] == b"mine"


@pytest.mark.parametrize("method", ["generate", "reconstruct"])
def test_a_checkpoint_that_makes_values_that_are_not_finite_is_refused(folder, method, monkeypatch, capsys):
    made = torch.full((4, 1, 40), torch.nan)
    monkeypatch.setattr(MaskGITForTimeSeriesGeneration, method, lambda *_, **__: made)
    assert publish(folder, "--dry-run") == (2 if method == "generate" else 0)
    assert method != "generate" or "makes values that are NaN or infinite" in capsys.readouterr().err


@pytest.mark.slow
def test_a_dataset_of_the_archive_goes_to_the_hub_and_comes_back_exactly(hub, tmp_path):
    script = """
        from datasets import load_dataset
        from huggingface_hub import DatasetCard
        from ncvqvae.cli.__main__ import main
        from ncvqvae.data.ucr import load_ucr
        for name in ("ItalyPowerDemand", "GunPoint"):
            assert main(["publish-data", name, "--repo-id", "org/ucr"]) == 0
        for name in ("ItalyPowerDemand", "GunPoint"):
            ours = load_ucr(name)
            for found in (load_ucr(name, repo_id="org/ucr"), load_dataset("org/ucr", name)):
                for split in ("train", "test"):
                    assert found[split].features == ours[split].features
                    assert found[split].data.table.equals(ours[split].data.table)
        card = DatasetCard.load("org/ucr")
        assert "dau2019ucr" in card.text and "bagnall2018uea" in card.text and "$" not in card.text
        assert 'load_dataset("org/ucr", "ItalyPowerDemand")' in card.text and card.data.license == "unknown"
        assert main(["publish-data", "GunPoint", "--repo-id", "org/ucr", "--private"]) == 2
        assert main(["publish-data", "GunPoint", "--repo-id", "org/secret", "--private"]) == 0
        from ncvqvae.data.training_split import TrainingData
        assert TrainingData.from_dataset(found["train"], seed=0, validation_fraction=0.1).name == "GunPoint"
    """
    done = in_a_fresh_process(script, environment=hub.environment(tmp_path / "home"))
    assert done.returncode == 0, done.stderr
    assert "org/ucr exists and is public" in done.stderr
    assert hub.repos["dataset", "org/secret"].private and not hub.repos["dataset", "org/ucr"].private


def test_the_synthetic_series_of_a_pre_training_come_back_exactly_with_its_mixture_in_the_card(hub, tmp_path):
    (tmp_path / "mine.yaml").write_text("seed: 3\nmixture: {num_synthetic: 40, synthetic_share: 0.5}\n")
    script = f"""
        from datasets import load_dataset
        from huggingface_hub import DatasetCard
        from ncvqvae.cli.__main__ import main
        from ncvqvae.data.synthetic import synthetic_dataset
        recipe = {str(tmp_path / "mine.yaml")!r}
        assert main(["publish-data", "synthetic", "--recipe", recipe, "--repo-id", "org/synthetic"]) == 0
        found, ours = load_dataset("org/synthetic", "synthetic", split="train"), synthetic_dataset(40, 3)
        assert found.features == ours.features and found["values"][:] == ours["values"][:]
        card = DatasetCard.load("org/synthetic")
        assert "synthetic_share: 0.5" in card.text and "seed: 3" in card.text and "$" not in card.text
        assert main(["publish-data", "GunPoint", "--recipe", recipe, "--repo-id", "org/synthetic"]) == 2
    """
    done = in_a_fresh_process(script, environment=hub.environment(tmp_path / "home"))
    assert done.returncode == 0, done.stderr
    assert "--recipe is for synthetic series" in done.stderr
