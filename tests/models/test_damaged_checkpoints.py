import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from helpers.tensors import tensors
from helpers.tiny import TINY
from ncvqvae import MaskGITForTimeSeriesGeneration, NCVQVAEConfig, NCVQVAEForPreTraining, NCVQVAEModel


LOADERS = [AutoModel, MaskGITForTimeSeriesGeneration, NCVQVAEModel]


@pytest.fixture
def folder(model, tmp_path):
    """A composite checkpoint."""
    model.save_pretrained(tmp_path)
    return tmp_path


def test_weights_in_several_files_load_and_are_checked(model, tmp_path):
    model.save_pretrained(tmp_path, max_shard_size="10KB")
    shards = sorted(tmp_path.glob("*.safetensors"))
    assert len(shards) > 1
    loaded, saved = tensors(AutoModel.from_pretrained(tmp_path)), tensors(model)
    assert loaded.keys() == saved.keys() and all(torch.equal(loaded[name], saved[name]) for name in saved)
    shards[-1].write_bytes(shards[-1].read_bytes()[:-1] + b"?")
    with pytest.raises(ValueError, match=f"{shards[-1].name} was changed"):
        AutoModel.from_pretrained(tmp_path)


@pytest.mark.parametrize("stage", ["composite", "vibcreg"])
def test_a_tensor_that_is_to_be_drawn_anew_is_initialised_and_no_other_is_touched(model, stage, tmp_path):
    if stage == "vibcreg":
        model = NCVQVAEForPreTraining(NCVQVAEConfig(**TINY, ssl_objective="vibcreg"))
        model(torch.randn(8, 1, 40), torch.randn(8, 1, 40))
    model.save_pretrained(tmp_path)
    (tmp_path / "model.sha256").unlink()
    saved, expected, touched = load_file(tmp_path / "model.safetensors"), tensors(model), set()
    fresh = tensors(type(model)(model.config))
    for changed, tensor in saved.items():
        other = saved | {changed: torch.ones(*tensor.shape, 2, dtype=tensor.dtype)}
        save_file(other, tmp_path / "model.safetensors", metadata={"format": "pt"})
        loaded = type(model).from_pretrained(tmp_path, ignore_mismatched_sizes=True)
        drawn = tensors(loaded)[changed]
        if len(fresh[changed].unique()) == 1:
            assert torch.equal(drawn, fresh[changed]), changed
        else:
            assert 0.01 < drawn.abs().mean() / fresh[changed].abs().mean() < 100, changed
        for name, tensor in tensors(loaded).items():
            assert tensor.isfinite().all(), f"{name} without {changed}"
            if name != changed and not torch.equal(tensor, expected[name]):
                touched.add(f"{name} without {changed}")
    assert not touched


def test_a_tensor_of_another_shape_is_refused(folder):
    saved = load_file(folder / "model.safetensors")
    saved["tokenizer.quantizer.embedding_sum"] = torch.zeros(7, 8)
    save_file(saved, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.sha256").unlink()
    with pytest.raises(RuntimeError, match="ignore_mismatched_sizes"):
        AutoModel.from_pretrained(folder)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-1], "model.safetensors is truncated"),
        (lambda data: data[:1000], "model.safetensors is truncated"),
        (lambda data: b"", "model.safetensors is truncated or not a safetensors file"),
        (lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:], "model.safetensors was changed"),
    ],
)
@pytest.mark.parametrize("loader", LOADERS)
def test_damaged_weights_are_refused(folder, loader, damage, message):
    weights = folder / "model.safetensors"
    weights.write_bytes(damage(weights.read_bytes()))
    with pytest.raises(ValueError) as error:
        loader.from_pretrained(folder)
    assert message in str(error.value).splitlines()[0]


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
@pytest.mark.parametrize("loader", LOADERS)
def test_a_folder_with_a_file_missing_is_refused(folder, loader, name):
    (folder / name).unlink()
    with pytest.raises((OSError, ValueError)) as error:
        loader.from_pretrained(folder)
    assert str(folder) in str(error.value).splitlines()[0]


def test_a_tokenizer_without_its_config_is_refused_though_the_defaults_fit(tmp_path):
    NCVQVAEModel(NCVQVAEConfig(mean=[20.0], std=[5.0])).save_pretrained(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises((OSError, ValueError)):  # else it would scale by 0 and 1
        NCVQVAEModel.from_pretrained(tmp_path)
