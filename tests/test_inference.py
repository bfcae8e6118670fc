from pathlib import Path

import pytest
import torch

from helpers.tensors import assert_same, tensors
from ncvqvae import MaskGITForTimeSeriesGeneration, NCVQVAEModel
from ncvqvae.inference import find_checkpoint, in_batches, is_tokenizer, load_checkpoint, load_model
from ncvqvae.training.run_folder import save


def test_a_checkpoint_loads_as_what_it_holds_in_evaluation_mode(model, checkpoint, tmp_path):
    save(model.tokenizer, tmp_path / "stage1")
    for folder, expected in ((checkpoint, model), (tmp_path / "stage1", model.tokenizer)):
        loaded = load_checkpoint(folder)
        assert type(loaded) is type(expected) and not loaded.training
        assert_same(tensors(loaded.cpu()), tensors(expected))
        assert is_tokenizer(folder) == (expected is model.tokenizer)
    assert isinstance(load_model(NCVQVAEModel, checkpoint), NCVQVAEModel)  # stage 1 of a composite


@pytest.mark.parametrize("name", ["/no/such/folder", "./nowhere", "a/b/c"])
def test_what_can_only_be_a_folder_is_not_looked_up_on_the_hub(name, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ValueError, match=f"^there is no folder {name}$"):
        load_model(MaskGITForTimeSeriesGeneration, name)


def test_the_base_is_a_folder_here_or_else_the_one_of_the_package(base_tokenizer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = Path(find_checkpoint("ncvqvae-base"))
    assert found.is_absolute() and found.name == "ncvqvae-base" and (found / "model.safetensors").is_file()
    save(base_tokenizer, tmp_path / "ncvqvae-base")
    assert find_checkpoint("ncvqvae-base") == "ncvqvae-base"
    assert load_checkpoint("ncvqvae-base").config.dim == 8
    assert find_checkpoint("my-lab/ncvqvae-base") == "my-lab/ncvqvae-base"


def test_batches_give_what_all_series_at_once_give_without_gradients(model, monkeypatch):
    values, sizes = torch.randn(7, 1, 40), []

    def reconstruct(batch):
        sizes.append(len(batch))
        return model.reconstruct(batch)

    monkeypatch.setattr("ncvqvae.inference.BATCH_SIZE", 3)
    found, moved = in_batches(reconstruct, values), in_batches(reconstruct, values, "cpu")
    assert sizes == [3, 3, 1] * 2 and not found.requires_grad and torch.equal(found, moved)
    torch.testing.assert_close(found, model.reconstruct(values).detach(), atol=1e-5, rtol=1e-5)
