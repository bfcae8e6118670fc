"""A checkpoint as ONNX files computes what the model computes, at every size of a batch."""

import json

import numpy as np
import pytest
import torch

from ncvqvae.cli.__main__ import main
from ncvqvae.training.run_folder import save


onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.mark.slow
def test_exported_files_compute_what_the_model_does_at_batches_of_1_4_and_7(checkpoint, model, tmp_path, capsys):
    folder = tmp_path / "onnx"
    assert main(["export", checkpoint, str(folder)]) == 0
    assert "prior.onnx" in capsys.readouterr().out
    run = {
        name: onnxruntime.InferenceSession(str(folder / f"{name}.onnx"), providers=["CPUExecutionProvider"])
        for name in ("encode", "decode", "prior")
    }
    about = json.loads((folder / "export.json").read_text())
    assert about["classes"] == ["down", "up"] and about["num_codes"] == model.num_codes
    assert about["sampling"] == model.config.sampling() and about["length"] == 40
    for size in (1, 4, 7):
        values = torch.randn(size, 1, 40)
        codes = model.encode(values).codes
        np.testing.assert_array_equal(run["encode"].run(["codes"], {"values": values.numpy()})[0], codes)
        decoded = run["decode"].run(["values"], {"codes": codes.numpy()})[0]
        np.testing.assert_allclose(decoded, model.decode(codes).detach(), atol=1e-4)
        known, labels = torch.rand(codes.shape) < 0.5, torch.arange(size) % 3
        visible = codes.masked_fill(~known, about["codebook_size"])
        logits = run["prior"].run(["logits"], {"visible": visible.numpy(), "labels": labels.numpy()})[0]
        np.testing.assert_allclose(logits, model.predict(codes, known, labels).detach(), atol=1e-4)


def test_a_model_for_series_of_every_length_is_refused(base_tokenizer, tmp_path, mistake):
    save(base_tokenizer, tmp_path / "base")
    assert "series of one length" in mistake("export", tmp_path / "base", tmp_path / "onnx")
