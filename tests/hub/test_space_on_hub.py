"""The Space and the metrics over a loopback Hub: uploaded, downloaded, run as a stranger would, and called."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.environments import environment_with
from helpers.loopback_hub import File
from helpers.places import MODEL_CARDS, SPACES
from helpers.processes import served
from ncvqvae.cli.__main__ import main
from ncvqvae.hub.publish import publish_space


gradio_client = pytest.importorskip("gradio_client", reason="the extra `demo` is not installed")

SPACE = SPACES / "ncvqvae-sampler"
SHOWN = ("real.json", "samples.png")  # of a checkpoint in the static Space

# Python started with -S knows no installed packages, nor this one: only those of the Space's own requirements.
RUN = """
import runpy, sys
packages, folder = sys.argv[1:]
sys.path[:0] = [folder, packages]
import ncvqvae
assert ncvqvae.__file__.startswith(folder), ncvqvae.__file__
sys.argv = ["app.py"]
runpy.run_path(folder + "/app.py", run_name="__main__")
"""

METRIC = """
import evaluate
import torch
from ncvqvae.evaluation.fcn import FCN
torch.manual_seed(0)
network, values = FCN(1, 2, mean=0.0, std=1.0).eval(), torch.randn(40, 1, 30)
fid = evaluate.load("org/time_series_fid")
assert fid.compute(predictions=values.tolist(), references=values, network=network)["fid"] < 1e-3
assert fid.compute(predictions=(3 * values).tolist(), references=values, network=network)["fid"] > 0.1
"""


@pytest.fixture
def environment(hub, tmp_path, monkeypatch):
    """That of a process which knows this Hub alone; this process too."""
    environment = hub.environment(tmp_path / "home")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
    return environment


def command(*arguments, environment):
    done = subprocess.run(
        [sys.executable, "-m", "ncvqvae.cli", *map(str, arguments)], env=environment, capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_the_space_goes_up_in_one_commit_and_runs_from_its_download_with_its_requirements_alone(
    hub, environment, tmp_path
):
    # What an earlier version left: Python would import its modules still.
    old = {"ncvqvae/old.py", "ncvqvae-old/config.json", "ncvqvae-old/model.safetensors", "old.py"}
    theirs = {"LICENSE", "ncvqvae/data.bin", "pictures/a.png"}
    hub.add_repo("org/sampler", "space").add_version({name: File(b"{}") for name in old | theirs})
    code, said = command("publish-space", SPACE, "--repo-id", "org/sampler", environment=environment)
    assert code == 0 and "published:" in said, said
    assert hub.commits("org/sampler", "space") == 3  # its creation, the earlier version, and everything
    names = set(hub.files("org/sampler", "space"))
    assert theirs < names and not old & names and {"app.py", "ncvqvae/demo/app.py"} < names
    code = "from huggingface_hub import snapshot_download as get; print(get('org/sampler', repo_type='space'))"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    folder = Path(done.stdout.strip())
    assert (folder / "ncvqvae-gunPoint" / "model.safetensors").stat().st_size > 1e6
    requirements = (folder / "requirements.txt").read_text().split()
    # Datasets take the packages of a folder by another name for code of the user's own, and try to pickle them.
    packages = environment_with(tmp_path / "site-packages", "gradio", *requirements)
    stranger = [sys.executable, "-u", "-I", "-S", "-c", RUN, str(packages), str(folder)]
    with served(stranger, tmp_path / "log", environment) as address:
        client = gradio_client.Client(address, download_files=tmp_path, verbose=False, analytics_enabled=False)
        said, *_, csv = client.predict(num_samples=3, label="2", api_name="/generate")
        assert said.startswith("3 series in ") and "training split of GunPoint" in said
        assert len(Path(csv).read_text().splitlines()) == 4
        said, *_ = client.predict(file=gradio_client.handle_file(csv), api_name="/reconstruct")
        assert said.startswith("3 series, mean squared error ")


@pytest.mark.long
def test_a_space_is_private_where_that_is_asked_and_is_never_made_public_by_mistake(hub, environment):
    ask = ["publish-space", SPACE, "--private", "--repo-id"]
    hub.add_repo("org/public", "space")
    code, said = command(*ask, "org/public", environment=environment)
    assert code == 2 and "org/public exists and is public" in said and hub.commits("org/public", "space") == 1
    code, said = command(*ask, "org/secret", environment=environment)
    assert code == 0 and hub.repos["space", "org/secret"].private, said


def test_a_dry_run_lists_the_files_of_the_space_and_sends_nothing(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    space = shutil.copytree(SPACE, tmp_path / "space", symlinks=False)
    (space / ".env").write_text("TOKEN=secret")
    (space / "ncvqvae-gunPoint" / "notes.txt").write_text("not for others")
    assert main(["publish-space", str(space), "--repo-id", "org/sampler", "--dry-run"]) == 0
    said = capsys.readouterr().out
    card = publish_space(space, "org/sampler", dry_run=True).files["README.md"].decode()
    assert (
        "- org/ncvqvae-fordA" in card
        and "datasets:\n- org/ucr\n" in card
        and "org/sampler/resolve/main/ncvqvae-cBF/samples.png" in card
    )
    for name in ("app.py", "ncvqvae/demo/app.py", "ncvqvae/hub/model_card.md", "ncvqvae-gunPoint/model.safetensors"):
        assert f"  {name} " in said
    assert not any(name in said for name in ("__pycache__", ".env", "notes.txt")) and "would go to" in said


def test_what_is_no_space_is_refused_in_one_line(tmp_path, capsys):
    (tmp_path / "app.py").write_text("")
    (tmp_path / "requirements.txt").write_text("")
    ask = ["publish-space", str(tmp_path), "--repo-id", "org/sampler"]
    assert main(ask) == 2 and "is not a Space: it lacks README.md" in capsys.readouterr().err
    (tmp_path / "README.md").write_text("---\nsdk: docker\n---\n")
    assert main(ask) == 2 and "does not say `sdk: gradio`" in capsys.readouterr().err
    for metadata, message in (("---\nsdk: [\n---\n", "cannot be read"), ("# App\n", "does not say `sdk: gradio`")):
        (tmp_path / "README.md").write_text(metadata)
        assert main(ask) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
    assert main([*ask[:-1], "sampler"]) == 2 and "organisation/name" in capsys.readouterr().err


def test_a_static_space_goes_up_with_what_its_page_loads_and_nothing_else(hub, environment, tmp_path):
    space = shutil.copytree(SPACE.with_name("ncvqvae-browser"), tmp_path / "page")
    for name in ("vendor/ort.wasm.min.mjs", *(f"models/gunPoint/{one}" for one in ("decode.onnx", *SHOWN))):
        (space / name).parent.mkdir(parents=True, exist_ok=True)
        (space / name).write_text("{}")
    shutil.copy(MODEL_CARDS / "ncvqvae-gunPoint" / "samples.png", space / "models" / "gunPoint")
    code, said = command("publish-space", space, "--repo-id", "org/page", environment=environment)
    assert code == 0, said
    names = set(hub.files("org/page", "space"))
    assert {"index.html", "sampler.js", "vendor/ort.wasm.min.mjs", "models/gunPoint/decode.onnx"} < names
    assert not any(name.startswith("ncvqvae/") for name in names)
    card = hub.files("org/page", "space")["README.md"].decode()
    assert "models:\n- org/ncvqvae-gunPoint\n" in card and "datasets:\n- org/ucr\n" in card
    assert "/spaces/org/page/resolve/main/models/gunPoint/samples.png" in card
    shutil.rmtree(space / "models")
    code, said = command("publish-space", space, "--repo-id", "org/page", environment=environment)
    assert code == 2 and "lacks models; build it with make browser" in said


@pytest.mark.slow
def test_a_metric_loads_from_the_hub(hub, environment):
    files = {path.name: path.read_bytes() for path in (SPACES / "time_series_fid").iterdir() if path.is_file()}
    hub.add_repo("org/time_series_fid", "space").add_version({name: File(data) for name, data in files.items()})
    done = subprocess.run([sys.executable, "-c", METRIC], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert any("/spaces/org/time_series_fid/resolve/" in request for request in hub.requests)
