"""The app through its API, on a server on loopback."""

import inspect
import os
import re
import runpy
import shutil
import socket
import sys
import urllib.request
from pathlib import Path

import pytest
import torch
from huggingface_hub import SpaceCard

from helpers.places import MODEL_CARDS, SPACES
from helpers.processes import in_a_fresh_process, served
from helpers.tiny import TINY, TINY_PRIOR
from ncvqvae import MaskGITForTimeSeriesGeneration, NCVQVAEConfig, NCVQVAEModel
from ncvqvae.data.files import write_series
from ncvqvae.data.own_series import read_series
from ncvqvae.data.sources import ENDINGS, OPTIONS
from ncvqvae.training.run_folder import save


gradio = pytest.importorskip("gradio", reason="the extra `demo` is not installed")
gradio_client = pytest.importorskip("gradio_client")

from ncvqvae.demo.app import LAUNCH, build_demo, choose, default_checkpoint, generate, reconstruct  # noqa: E402
from ncvqvae.demo.inputs import real_series  # noqa: E402
from ncvqvae.demo.reconstruction import take  # noqa: E402


SPACE = SPACES / "ncvqvae-sampler"


def is_picture(html):
    return html.startswith("<section>") and ("<svg " in html or 'title="code ' in html)


def titles(html):
    return re.findall(r"<figcaption[^>]*>([^<]*)<", html)


def message(client, **inputs):
    with pytest.raises(gradio_client.exceptions.AppError) as caught:
        client.predict(**inputs)
    assert "Traceback" not in str(caught.value)
    return str(caught.value)


def test_a_seed_means_what_it_means_to_the_model(client, model):
    said, *pictures, csv = client.predict(num_samples=5, label="up", num_steps=4, seed=7, api_name="/generate")
    wanted = model.generate(5, "up", num_steps=4, generator=torch.Generator().manual_seed(7))
    values, labels, _ = read_series(csv)
    torch.testing.assert_close(values, wanted)
    assert labels == ["up"] * 5
    assert said.startswith("5 series in ")
    assert len(pictures) == 3 and all(map(is_picture, pictures))


def test_all_classes_come_at_their_shares(client, model):
    *_, csv = client.predict(num_samples=40, api_name="/generate")
    labels = read_series(csv)[1]
    assert set(labels) == {"down", "up"} and labels.count("up") > labels.count("down")


def test_it_says_why_no_real_series_are_shown(client):
    said, *_ = client.predict(num_samples=1, api_name="/generate")
    assert "does not name the dataset" in said
    assert "unknown dataset 'NoSuchSet'" in real_series("NoSuchSet")[1]


def test_an_uploaded_file_is_reconstructed(client, model, tmp_path):
    values = torch.randn(3, 1, 40)
    for ending in ("csv", "npz", "parquet"):
        write_series(tmp_path / f"mine.{ending}", values, ["a", "b", "a"])
        file = gradio_client.handle_file(tmp_path / f"mine.{ending}")
        said, *pictures, csv = client.predict(file=file, api_name="/reconstruct")
        found, labels, _ = read_series(csv)
        torch.testing.assert_close(found, model.reconstruct(values), rtol=1e-4, atol=1e-4)
        assert labels == ["a", "b", "a"] and said.startswith("3 series, mean squared error ")
        assert len(pictures) == 2 and all(map(is_picture, pictures))


def test_a_file_is_read_with_the_options_of_the_command_line(client, model, tmp_path):
    values = torch.linspace(0, 1, 120).view(3, 1, 40) ** 2
    days = [f"{day:02}.{month:02}.2024 12:00" for month in (1, 2, 3, 4, 5) for day in range(1, 25)]
    numbers = [f"{value:.6f}".replace(".", ",") for value in values.flatten()]
    rows = [f"{day};{number};7" for day, number in zip(days, numbers, strict=True)]
    (tmp_path / "log.CSV").write_text("\n".join(["Zeit;Wert;Kanal", *reversed(rows)]), encoding="utf-8-sig")
    ask = {"file": gradio_client.handle_file(tmp_path / "log.CSV"), "api_name": "/reconstruct"}
    how = {"time_column": "Zeit", "value_columns": "Wert", "window": 40}
    assert "add --day-first" in message(client, **ask, **how)
    said, *_, csv = client.predict(**ask, **how, day_first="yes")
    torch.testing.assert_close(read_series(csv)[0], model.reconstruct(values), rtol=1e-3, atol=1e-3)
    assert "Read: 3 windows, cut from 1 series, of 40 samples" in said and "with decimal commas" in said
    assert "without Kanal: it was not asked for" in said
    assert message(client, **ask, window="wide") == "--window takes a whole number, found 'wide'"
    asked = message(client, text="1 2 3", window=40, api_name="/reconstruct")
    assert asked == "--window is for a file: upload one"


def test_every_kind_of_file_can_be_uploaded_and_every_option_of_the_command_line_given(client):
    asked = {
        one["parameter_name"]
        for one in client.view_api(return_format="dict")["named_endpoints"]["/reconstruct"]["parameters"]
    }
    assert asked == {"checkpoint", "file", "text", *OPTIONS}
    (file,) = (one for one in client.config["components"] if one["props"].get("label") == "File")
    assert tuple(file["props"]["file_types"]) == ENDINGS


def test_pasted_numbers_are_reconstructed(client, model):
    values = torch.randn(2, 1, 40)
    text = "[" + "\n".join(", ".join(map(str, series.tolist())) for series in values[:, 0]) + "]"
    *_, csv = client.predict(text=text, api_name="/reconstruct")
    torch.testing.assert_close(read_series(csv)[0], model.reconstruct(values), rtol=1e-4, atol=1e-4)


def test_series_of_another_length_are_stretched_and_come_back_at_theirs(client, model):
    values = torch.sin(torch.linspace(0, 6, 118)).view(1, 1, 118)
    said, *_, csv = client.predict(text=" ".join(map(str, values.flatten().tolist())), api_name="/reconstruct")
    assert "stretched from 118 to 40 samples, and back" in said
    again = model.reconstruct(values[..., ::3])  # 3 x 39 + 1 samples: every third one is kept
    torch.testing.assert_close(read_series(csv)[0][..., ::3], again, rtol=1e-3, atol=1e-3)


def test_a_generated_series_can_be_taken_for_reconstruction(client):
    text = client.predict(api_name="/take")
    said, *_, csv = client.predict(text=text, api_name="/reconstruct")
    assert read_series(csv)[0].shape == (1, 1, 40) and said.startswith("1 series, mean squared error ")


def test_pictures_are_there_before_anybody_asks(client):
    pictures = [one["props"].get("value") for one in client.config["components"] if one["type"] == "html"]
    assert len(pictures) == 5 and all(map(is_picture, pictures[:3])) and not any(pictures[3:])


def test_every_argument_of_the_api_is_explained(client):
    """To people who look at the API, and to programs that use it as an MCP server's tools."""
    for function in (generate, reconstruct, take, choose):
        names = [name for name in inspect.signature(function).parameters if name != "progress"]
        assert re.findall(r"^        (\w+): ", inspect.getdoc(function).replace("\n    ", "\n        "), re.M) == names


def test_what_is_wrong_is_said_in_one_line(client, tmp_path):
    ask = {"api_name": "/reconstruct"}
    assert message(client, **ask) == "upload a file or paste the numbers of a series first"
    assert message(client, text="1 2 x", **ask) == "'x' is not a number"
    refused = "the checkpoint takes series of 40 samples, found 3 samples; from 8 to 10,000 samples are stretched"
    assert message(client, text="1 2 3", **ask) == refused
    assert message(client, text="1,5; 2,5", **ask).startswith("'1,5' may be one number or two: write decimal points")
    assert "NaN or infinite" in message(client, text="nan " * 40, **ask)
    bad = tmp_path / "bad.csv"
    bad.write_text("1,2,3\n4,5,6\n")
    file = gradio_client.handle_file(bad)
    assert message(client, file=file, **ask).startswith("the first line of bad.csv is a series")
    assert message(client, file=file, text="1 2 3", **ask) == "give a file or numbers, not both"
    ask = {"api_name": "/generate"}
    assert message(client, seed=None, **ask) == "the seed is a whole number from 0 to 4294967295, found nothing"
    assert message(client, label="sideways", **ask).startswith("unknown label 'sideways'")


def test_another_checkpoint_is_loaded_where_any_may_be(client_of_any, pretraining_model, tmp_path):
    names = dict(id2label={0: "$5_$", 1: "<b>", 2: "c"}, label_shares=[0.2, 0.2, 0.6], sampling_steps=3)
    other = MaskGITForTimeSeriesGeneration.from_tokenizer(pretraining_model.tokenizer, **TINY_PRIOR | names)
    save(other, tmp_path / "other")
    about, classes, steps, *_ = client_of_any.predict(str(tmp_path / "other"), api_name="/load")
    assert "**other**" in about and r"\$5\_\$: 20%, \<b>: 20%, c: 60%" in about and steps == 3
    assert [name for name, _ in classes["choices"]] == ["all classes", "$5_$", "<b>", "c"]
    *_, csv = client_of_any.predict(str(tmp_path / "other"), label="c", num_samples=2, api_name="/generate")
    assert read_series(csv)[1] == ["c", "c"]


def test_a_checkpoint_that_is_none_is_said_in_one_line(client_of_any, tmp_path):
    client = client_of_any
    assert message(client, checkpoint=" ", api_name="/load").startswith("name a checkpoint")
    assert message(client, checkpoint="/no/such", api_name="/load") == "there is no folder /no/such"
    (tmp_path / "empty").mkdir()
    assert "lacks config.json" in message(client, checkpoint=str(tmp_path / "empty"), api_name="/load")
    with pytest.raises(ValueError, match="no folder"):
        build_demo("/no/such")


def test_real_series_stand_under_the_generated_ones(tmp_path):
    tokenizer = NCVQVAEModel(NCVQVAEConfig(**TINY | {"length": 150, "dataset_name": "GunPoint"}))
    prior = TINY_PRIOR | {"id2label": {0: "1", 1: "2"}}
    save(MaskGITForTimeSeriesGeneration.from_tokenizer(tokenizer, **prior), tmp_path / "gun")
    said, series, spectrogram, *_ = generate(str(tmp_path / "gun"), "2", 3)
    assert "training split of GunPoint" in said
    assert titles(series) == ["class 2 (point): 3 generated, 12 of 26 real"]
    assert titles(spectrogram) == ["mean of 3 generated series, in dB", "mean of 26 real series, in dB"]


def test_channels_and_missing_classes_are_no_trouble(tmp_path):
    tokenizer = NCVQVAEModel(NCVQVAEConfig(**TINY | {"num_channels": 2}))
    prior = TINY_PRIOR | {"id2label": None, "label_shares": None}
    save(MaskGITForTimeSeriesGeneration.from_tokenizer(tokenizer, **prior), tmp_path / "plain")
    *_, csv = generate(str(tmp_path / "plain"), num_samples=2)
    values, labels, _ = read_series(csv)
    assert values.shape == (2, 2, 40) and labels is None
    *_, csv = reconstruct(str(tmp_path / "plain"), csv)
    assert read_series(csv)[0].shape == (2, 2, 40)


def test_the_space_starts_with_the_checkpoint_of_its_variable_or_of_its_option(checkpoint, monkeypatch):
    monkeypatch.setenv("NCVQVAE_CHECKPOINT", checkpoint)
    launched = []
    monkeypatch.setattr(gradio.Blocks, "launch", lambda app, **options: launched.append((app, options)))
    other = str(shutil.copytree(checkpoint, f"{checkpoint}-other"))
    for arguments in ([], ["--checkpoint", other]):
        monkeypatch.setattr(sys, "argv", ["app.py", *arguments])
        runpy.run_path(str(SPACE / "app.py"), run_name="__main__")
    for (app, options), wanted in zip(launched, (checkpoint, other), strict=True):
        assert options == LAUNCH
        chosen = next(block for block in app.blocks.values() if isinstance(block, gradio.Dropdown))
        assert chosen.value == Path(wanted).name and chosen.preprocess(chosen.value) == wanted
        others = {folder.name for folder in MODEL_CARDS.iterdir()} - {"ncvqvae-base"}  # which is of no one set
        assert [name for name, _ in chosen.choices] == [chosen.value, *sorted(others)]
    card = SpaceCard.load(SPACE / "README.md").data
    assert card.sdk == "gradio" and (SPACE / card.app_file).is_file()


@pytest.mark.slow
def test_without_a_checkpoint_the_command_serves_the_shipped_one_in_an_empty_folder(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-u", "-m", "ncvqvae.cli", "demo", "--port", str(port)]
    with served(command, tmp_path / "log", cwd=tmp_path) as address:
        assert address.endswith(f":{port}")
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        answer = direct.open(f"{address}/config", timeout=60).read().decode()
    assert "**ncvqvae-gunPoint**" in answer and "series of 150 samples" in answer


def test_a_folder_of_the_name_or_the_variable_comes_before_the_shipped_checkpoint(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NCVQVAE_CHECKPOINT", raising=False)
    assert default_checkpoint() == str(MODEL_CARDS / "ncvqvae-gunPoint")
    (tmp_path / "ncvqvae-gunPoint").mkdir()
    assert default_checkpoint() == "ncvqvae-gunPoint"
    monkeypatch.setenv("NCVQVAE_CHECKPOINT", "org/other")
    assert default_checkpoint() == "org/other"


@pytest.mark.slow
def test_where_zerogpu_is_its_decorator_is_around_what_computes(tmp_path):
    (tmp_path / "spaces.py").write_text(
        """
import functools
lent = []
def GPU(function):
    @functools.wraps(function)
    def on_gpu(*arguments, **options):
        lent.append(function.__name__)
        return function(*arguments, **options)
    return on_gpu
"""
    )
    script = f"""
import spaces
from ncvqvae.demo.app import generate, reconstruct
checkpoint = {str(MODEL_CARDS / "ncvqvae-gunPoint")!r}
*_, csv = generate(checkpoint, num_samples=1, num_steps=1)
reconstruct(checkpoint, csv)
assert spaces.lent == ["generate", "reconstruct"]
"""
    done = in_a_fresh_process(script, environment=os.environ | {"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 0, done.stderr
