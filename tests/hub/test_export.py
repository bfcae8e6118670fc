"""`ncvqvae export`: ONNX files that do for batches of every size what the checkpoint does."""

import json
import math
import sys

import numpy as np
import onnxruntime
import pytest
import torch

from helpers.places import MODEL_CARDS
from helpers.tiny import ANY_LENGTH, TINY, TINY_PRIOR
from ncvqvae import MaskGITConfig, MaskGITForTimeSeriesGeneration, NCVQVAEConfig, NCVQVAEModel
from ncvqvae.cli.__main__ import main
from ncvqvae.models import masking, modeling_maskgit


LAYER = TINY_PRIOR | {"num_hidden_layers": 1}
FROM_BASE = {"code_embedding": "geometry", "position_encoding": "rotary", "convolution_width": 3}
SCALED = {"mean": [1013.25], "std": [4.0]}


def thesis():
    return MaskGITForTimeSeriesGeneration(MaskGITConfig(tokenizer_config=TINY | SCALED, **LAYER))


def from_base():
    sizes = ANY_LENGTH | SCALED | {"length": 41, "scale_each": False}
    order = {"sampling_order": "low_discrepancy", "sampling_guidance_scale": 1.5, "sampling_steps": 4}
    return MaskGITForTimeSeriesGeneration(MaskGITConfig(tokenizer_config=sizes, **LAYER, **FROM_BASE, **order))


def tokenizer_of_two_channels():
    return NCVQVAEModel(NCVQVAEConfig(**ANY_LENGTH | {"length": 30, "num_channels": 2}))


def run(folder, name, **inputs):
    session = onnxruntime.InferenceSession(str(folder / f"{name}.onnx"))
    return session.run(None, {key: np.asarray(value) for key, value in inputs.items()})


@pytest.fixture(scope="module", params=[thesis, from_base, pytest.param("gunPoint", marks=pytest.mark.long)])
def exported(request, tmp_path_factory):
    """A checkpoint and the folder of its files, as the command writes it."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("export")
    checkpoint = MODEL_CARDS / f"ncvqvae-{request.param}"
    if callable(request.param):
        checkpoint = folder / "checkpoint"
        request.param().save_pretrained(checkpoint)
    assert main(["export", str(checkpoint), "--out", str(folder / "made")]) == 0
    return MaskGITForTimeSeriesGeneration.from_pretrained(checkpoint), folder / "made"


@torch.no_grad()
@pytest.mark.parametrize("size", [1, 4, 7])
def test_the_files_give_what_the_checkpoint_gives(exported, size):
    model, folder = exported
    length, config = model.config.tokenizer_config.length, model.config
    values = 3 * torch.randn(size, 1, length).cumsum(-1) + config.tokenizer_config.mean[0]
    codes = model.encode(values).codes
    assert np.mean(run(folder, "encode", values=values)[0] != codes.numpy()) < 0.01
    torch.testing.assert_close(torch.from_numpy(run(folder, "decode", codes=codes)[0]), model.decode(codes))
    known, labels = torch.rand(codes.shape) < 0.5, torch.arange(size) % 3 - 1
    visible = codes.masked_fill(~known, model.codebook_size)
    (logits,) = run(folder, "prior_step", codes=visible, labels=labels)
    expected = model.predict(codes, known, labels.masked_fill(labels == -1, config.num_labels))
    torch.testing.assert_close(torch.from_numpy(logits), expected, atol=1e-4, rtol=1e-4)


def softmax(logits):
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def drawn(probabilities, uniform):
    cumulative = np.cumsum(probabilities, -1)
    return (cumulative <= uniform[..., None] * cumulative[..., -1:]).sum(-1)


def loop_outside(folder, labels, uniform, order):
    """Codes from the files alone, from uniform numbers in their order; `order` is that of places, if there is one."""
    said = json.loads((folder / "export.json").read_text())
    number, steps, scale = said["num_codes"], said["num_steps"], said["guidance_scale"]
    codes = np.full((len(labels), number), said["codebook_size"])
    masked = np.tile(np.arange(number), (len(labels), 1)) if order is None else order
    for step in range(1, min(steps, number) + 1):
        left = int(number * math.cos(math.pi / 2 * step / steps))
        (logits,) = run(folder, "prior_step", codes=codes, labels=labels)
        if scale != 1:
            (without,) = run(folder, "prior_step", codes=codes, labels=np.full_like(labels, -1))
            logits = without + scale * (logits - without)
        places = masked if order is None else masked[:, : masked.shape[1] - left]
        if not places.size:
            continue
        logits = np.take_along_axis(logits, places[..., None], 1)
        probabilities = softmax(logits.astype(np.float64) / said["temperature"])
        found = drawn(probabilities, next(uniform))
        np.put_along_axis(codes, places, found, 1)
        if order is not None:
            masked = masked[:, places.shape[1] :]
        elif left:
            chances = np.take_along_axis(probabilities, found[..., None], -1)[..., 0]
            noise = said["choice_temperature"] * (1 - step / steps)
            confidence = np.log(chances + 1e-5) - noise * np.log(-np.log(next(uniform)))
            masked = np.take_along_axis(masked, np.argsort(confidence, 1)[:, :left], 1)
            np.put_along_axis(codes, masked, said["codebook_size"], 1)
    return codes


def test_a_loop_outside_python_generates_the_same_series_from_the_same_uniform_numbers(exported, monkeypatch):
    model, folder = exported
    uniform, orders = [], []

    def recorded(function, kept):
        def call(*arguments, **named):
            kept.append(function(*arguments, **named))
            return kept[-1]

        return call

    monkeypatch.setattr(masking, "uniform", recorded(masking.uniform, uniform))
    monkeypatch.setattr(modeling_maskgit, "decoding_order", recorded(modeling_maskgit.decoding_order, orders))
    labels = torch.tensor([0, 1, 1])
    made = model.generate(labels=labels, generator=torch.Generator().manual_seed(0), return_codes=True, precision="no")
    order = None if orders[0] is None else orders[0].numpy()
    codes = loop_outside(folder, labels.numpy(), iter([one.numpy().astype(np.float64) for one in uniform]), order)
    assert np.array_equal(codes, made.codes.numpy())
    torch.testing.assert_close(torch.from_numpy(run(folder, "decode", codes=codes)[0]), made.values)


def test_a_tokenizer_alone_that_scales_each_series_gives_and_takes_its_moments(tmp_path, capsys):
    torch.manual_seed(0)
    model = tokenizer_of_two_channels().eval()
    model.save_pretrained(tmp_path / "tokenizer")
    assert main(["export", str(tmp_path / "tokenizer"), "--out", str(tmp_path / "made")]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[0].rpartition("/")[2] for line in said] == ["encode.onnx", "decode.onnx", "export.json"]
    values = 100 + 5 * torch.randn(7, 2, 30).cumsum(-1)
    codes, moments = run(tmp_path / "made", "encode", values=values)
    (again,) = run(tmp_path / "made", "decode", codes=codes, moments=moments)
    torch.testing.assert_close(torch.from_numpy(again), model.reconstruct(values), rtol=1e-4, atol=1e-3)


def test_what_cannot_be_exported_is_said_in_one_line(tmp_path, monkeypatch, capsys):
    assert main(["export", "ncvqvae-base", "--out", str(tmp_path)]) == 2
    assert "takes series of every length" in capsys.readouterr().err
    thesis().save_pretrained(tmp_path / "thesis")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert main(["export", str(tmp_path / "thesis")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "onnxruntime" in said and "[eval,demo,export]" in said
