import os
import sysconfig

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from transformers import AutoModel

from helpers.processes import as_a_stranger, in_a_fresh_process
from helpers.tensors import assert_same, tensors
from helpers.tiny import TINY
from ncvqvae import MaskGITForTimeSeriesGeneration, NCVQVAEConfig, NCVQVAEForPreTraining, NCVQVAEModel


STAGE1_CODE = {"configuration_ncvqvae", "encoder_decoder", "modeling_ncvqvae", "distributed", "time_frequency"}
STAGE1_CODE |= {
    "vector_quantizer",
    "cpu_kernels",
    "integrity",
    "bounds",
    "plain",
    "precision",
    "ssl_objectives",
}  # the names of the objectives
STAGE1_CODE |= {"folded_encoder_decoder", "resampling", "scaler", "series_input", "features", "noise_input"}
PRIOR_CODE = STAGE1_CODE | {"bidirectional_transformer", "configuration_maskgit", "masking", "modeling_maskgit"}
PRIOR_CODE |= {"class_labels", "imputation", "interpolation", "likelihood", "pipeline"}
PRETRAINING_CODE = STAGE1_CODE | {"modeling_ncvqvae_pretraining", "projector"}

# Loads each folder and writes beside it what the model there computes. A stranger has imported these two already.
COMPUTE = """
import sys
import torch
from transformers import AutoModel
for folder in sys.argv[1:]:
    stranger = "ncvqvae" not in sys.modules
    model = AutoModel.from_pretrained(folder, trust_remote_code=stranger)
    assert type(model).__module__.startswith("transformers_modules" if stranger else "ncvqvae")
    outputs = [model.reconstruct(torch.load(folder + "/../values.pt"))]
    if hasattr(model, "generate"):
        outputs.append(model.generate(4, generator=torch.Generator().manual_seed(0)))
    torch.save(outputs, folder + ".pt")
    if stranger:
        model.save_pretrained(folder + "-saved-again")
"""


def computed_elsewhere(tmp_path, *folders, with_package):
    environment = os.environ | dict(HF_HOME=str(tmp_path), HF_MODULES_CACHE=str(tmp_path), HF_HUB_OFFLINE="1")
    if with_package:
        done = in_a_fresh_process("import ncvqvae\n" + COMPUTE, *folders, environment=environment)
        assert done.returncode == 0, done.stderr
    else:
        as_a_stranger(sysconfig.get_path("purelib"), COMPUTE, *folders, environment=environment)
    return [torch.load(f"{folder}.pt") for folder in folders]


def code(folder):
    return {path.stem for path in folder.glob("*.py")}


def assert_computes(outputs, model, values):
    expected = [model.reconstruct(values)]
    if len(outputs) == 2:
        expected.append(model.generate(4, generator=torch.Generator().manual_seed(0)))
    assert len(outputs) == len(expected)
    assert all(torch.equal(output, tensor) for output, tensor in zip(outputs, expected, strict=True))


@pytest.fixture
def values(tmp_path):
    values = torch.randn(4, 1, 40)
    torch.save(values, tmp_path / "values.pt")
    return values


@pytest.fixture
def folder(model, tmp_path):
    """A composite checkpoint."""
    model.save_pretrained(tmp_path / "ncvqvae-tiny")
    return tmp_path / "ncvqvae-tiny"


@pytest.mark.slow
def test_a_fresh_process_that_imports_the_package_computes_the_same(model, folder, values, tmp_path):
    model.tokenizer.save_pretrained(tmp_path / "stage1")
    composite, stage1 = computed_elsewhere(tmp_path, folder, tmp_path / "stage1", with_package=True)
    assert_computes(composite, model, values)
    assert_computes(stage1, model.tokenizer, values)
    assert len(composite) == 2 and len(stage1) == 1


@pytest.mark.slow
def test_a_fresh_process_without_the_package_computes_the_same(model, folder, values, tmp_path):
    again = tmp_path / "again"
    AutoModel.from_pretrained(folder).save_pretrained(again)  # the trap: an auto_map whose code is not there
    NCVQVAEModel.from_pretrained(folder).save_pretrained(tmp_path / "stage1")
    outputs = computed_elsewhere(tmp_path, folder, again, tmp_path / "stage1", with_package=False)
    for output in outputs[:2]:
        assert len(output) == 2
        assert_computes(output, model, values)
    assert_computes(outputs[2], model.tokenizer, values)
    assert code(folder) == code(again) == code(tmp_path / "ncvqvae-tiny-saved-again") == PRIOR_CODE
    assert code(tmp_path / "stage1") == code(tmp_path / "stage1-saved-again") == STAGE1_CODE


@pytest.mark.slow
def test_without_the_package_the_pipeline_comes_with_the_weights(model, folder, tmp_path):
    script = """
import sys
import torch
from transformers import pipeline
generate = pipeline("time-series-generation", model=sys.argv[1], trust_remote_code=True)
torch.save([one["values"] for one in generate(["up", "down"], seed=3)], sys.argv[1] + ".pt")
"""
    environment = os.environ | dict(HF_HOME=str(tmp_path), HF_MODULES_CACHE=str(tmp_path), HF_HUB_OFFLINE="1")
    as_a_stranger(sysconfig.get_path("purelib"), script, folder, environment=environment)
    found = torch.load(f"{folder}.pt", weights_only=False)
    expected = model.generate(labels=["up", "down"], generator=torch.Generator().manual_seed(3))
    assert all(torch.equal(torch.from_numpy(one), series) for one, series in zip(found, expected, strict=True))


def test_a_published_folder_holds_neither_code_nor_weight_of_the_projector(pretraining_model, folder, tmp_path):
    pretraining_model.save_pretrained(tmp_path / "pretraining")
    assert code(folder) == PRIOR_CODE
    assert code(tmp_path / "pretraining") == PRETRAINING_CODE
    assert {path.name for path in folder.iterdir()} == {
        "config.json",
        "model.safetensors",
        "model.sha256",
        *(f"{name}.py" for name in PRIOR_CODE),
    }
    assert any("projector" in name for name in load_file(tmp_path / "pretraining" / "model.safetensors"))
    weights = set(load_file(folder / "model.safetensors"))
    assert not any("projector" in name or "time_frequency" in name for name in weights)


@pytest.mark.parametrize("stage", ["composite", "pretraining", "stage1"])
def test_stage_1_loads_from_every_kind_of_folder(pretraining_model, model, stage, tmp_path):
    saved = {"composite": model, "pretraining": pretraining_model, "stage1": model.tokenizer}[stage]
    saved.save_pretrained(tmp_path)
    loaded, report = NCVQVAEModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values()), report
    assert type(loaded.config) is NCVQVAEConfig and not loaded.training
    assert_same(tensors(loaded), tensors(pretraining_model.tokenizer))


@pytest.mark.parametrize("objective", ["barlow_twins", "vibcreg", None])
def test_all_parameters_and_buffers_survive_saving(objective, tmp_path):
    model = NCVQVAEForPreTraining(NCVQVAEConfig(**TINY, n_fft=16, ssl_objective=objective, mean=[3.0], std=[2.0]))
    model(torch.randn(8, 1, 40), torch.randn(8, 1, 40))
    model.save_pretrained(tmp_path)
    loaded, report = NCVQVAEForPreTraining.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values()), report
    assert any(name.startswith("tokenizer.time_frequency") for name, _ in loaded.named_buffers())
    assert_same(tensors(loaded), tensors(model))
    written = (tmp_path / "config.json").read_text()
    loaded.save_pretrained(tmp_path)
    assert (tmp_path / "config.json").read_text() == written


def test_in_bfloat16_the_quantizer_stays_in_float32(model, folder, generator):
    loaded = MaskGITForTimeSeriesGeneration.from_pretrained(folder, dtype=torch.bfloat16)
    assert loaded.dtype == loaded.tokenizer.dtype == torch.bfloat16
    for name in ("cluster_size", "embedding_sum", "codebook"):
        kept, saved = getattr(loaded.tokenizer.quantizer, name), getattr(model.tokenizer.quantizer, name)
        assert kept.dtype == torch.float32 and torch.equal(kept, saved)
    output = loaded.generate(4, guidance_scale=2.0, generator=generator, return_codes=True)
    assert output.values.shape == (4, 1, 40) and output.values.isfinite().all()
    torch.testing.assert_close(output.values.float(), model.decode(output.codes), atol=0.05, rtol=0.05)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_integer_buffers_stay_integers(folder, dtype):
    loaded = MaskGITForTimeSeriesGeneration.from_pretrained(folder, dtype=dtype)
    counters = {name: buffer.dtype for name, buffer in loaded.named_buffers() if "num_" in name}
    assert counters
    assert {name for name, dtype in counters.items() if dtype != torch.long} == set()


def test_a_new_model_keeps_pytorchs_own_initialisation():
    stage1 = NCVQVAEForPreTraining(NCVQVAEConfig(**TINY | dict(dim=16, projector_dim=64)))
    prior = MaskGITForTimeSeriesGeneration.from_tokenizer(stage1.tokenizer, hidden_size=64)
    for layer, reference in (
        (stage1.tokenizer.encoder.blocks[0].conv1, nn.Conv2d(16, 16, 3)),
        (stage1.projector.layers[3], nn.Linear(64, 64)),
        (prior.transformer.project_in, nn.Linear(16, 64)),
        (prior.transformer.position_embedding, nn.Embedding(51, 64)),
    ):
        assert layer.weight.std().item() == pytest.approx(reference.weight.std().item(), rel=0.1)
    assert stage1.tokenizer.quantizer.embedding_sum.std().item() == pytest.approx(1, rel=0.2)


@pytest.mark.parametrize("objective", ["barlow_twins", "vibcreg"])
def test_models_are_built_on_the_meta_device(model, objective):
    with torch.device("meta"):
        stage1 = NCVQVAEModel(NCVQVAEConfig(**TINY))
        pretraining = NCVQVAEForPreTraining(NCVQVAEConfig(**TINY, ssl_objective=objective))
        composite = MaskGITForTimeSeriesGeneration(model.config)
    for built in (stage1, pretraining, composite):
        assert all(tensor.is_meta for tensor in tensors(built).values())
