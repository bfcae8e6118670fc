"""Series that stay on disk: read as a tensor would be, and trained on to the same bits."""

import numpy as np
import pytest
import torch
from datasets import Dataset, load_from_disk

from helpers.tensors import assert_same, states
from helpers.tiny import SETTINGS, toy_dataset
from ncvqvae.data.series import series_dataset, to_tensors
from ncvqvae.data.streaming import StreamedValues, chunks, column_array, open_values
from ncvqvae.data.training_split import TrainingData
from ncvqvae.evaluation.stage_scores import encode_all
from ncvqvae.inference import in_batches
from ncvqvae.training.recipes import load_recipe
from ncvqvae.training.stages import train


def test_streamed_series_are_read_by_index_slice_and_selection():
    dataset = series_dataset(np.random.default_rng(0).normal(size=(6, 2, 9)))
    values, streamed = to_tensors(dataset)[0], StreamedValues(dataset)
    order = torch.tensor([5, 0, 3, 3])
    assert streamed.shape == values.shape and len(streamed) == 6
    assert torch.equal(streamed[order], values[order])
    assert torch.equal(streamed.select(order)[torch.tensor([1, 2])], values[[0, 3]])
    assert torch.equal(torch.cat(list(streamed.split(4))), values)


def test_what_takes_too_much_memory_is_streamed_and_the_rest_is_a_tensor(monkeypatch):
    dataset, cpu = toy_dataset(), torch.device("cpu")
    values = open_values(dataset, cpu)
    assert torch.equal(values, to_tensors(dataset)[0])
    monkeypatch.setattr("ncvqvae.data.streaming.MEMORY_SHARE", 0)
    assert isinstance(open_values(dataset, cpu), StreamedValues)


def test_all_series_pass_once_in_their_order_in_chunks_and_in_batches(monkeypatch):
    dataset = toy_dataset(channels=2)
    values, streamed = to_tensors(dataset)[0], StreamedValues(dataset)
    monkeypatch.setattr("ncvqvae.data.streaming.CHUNK_VALUES", 5 * 48 + 1)
    for source in (values, streamed):
        parts = list(chunks(source))
        assert [len(part) for part in parts] == [5, 5, 2] and torch.equal(torch.cat(parts), values)
    monkeypatch.setattr("ncvqvae.inference.BATCH_SIZE", 7)
    assert torch.equal(in_batches(lambda batch: 2 * batch, streamed), 2 * values)
    monkeypatch.setattr("ncvqvae.data.streaming.CHUNK_VALUES", 1)  # never less than a series
    assert [len(part) for part in chunks(streamed)] == [1] * 12


def test_one_channel_may_lie_flat_and_rows_of_another_shape_are_refused_when_they_are_read():
    flat = StreamedValues(Dataset.from_dict({"values": [[1.0, 2.0], [3.0, 4.0]]}))
    assert flat.shape == (2, 1, 2) and flat[:].tolist() == [[[1, 2]], [[3, 4]]]
    ragged = StreamedValues(Dataset.from_dict({"values": [[1.0, 2.0], [3.0]]}))
    with pytest.raises(ValueError, match="of one shape"):
        ragged[:]
    with pytest.raises(ValueError, match=r"found the shape \(1, 1, 1\)"):
        StreamedValues(Dataset.from_dict({"values": [[[[1.0]]]]}))


def test_a_column_comes_in_the_order_of_a_selection():
    dataset = toy_dataset().select([3, 0, 5])
    assert column_array(dataset, "label").to_pylist() == [1, 0, 1]


@pytest.mark.parametrize("setting", ["code_temperature=0", "code_temperature=1"])
def test_streamed_series_train_to_the_bits_of_those_in_memory(setting, tmp_path, monkeypatch):
    recipe = load_recipe(None, [*SETTINGS, setting])
    expected, history = train(toy_dataset(), recipe, tmp_path / "1", tmp_path / "w1")
    toy_dataset().save_to_disk(tmp_path / "data")
    monkeypatch.setattr("ncvqvae.data.streaming.MEMORY_SHARE", 0)
    dataset = load_from_disk(tmp_path / "data")
    assert isinstance(
        TrainingData.from_dataset(dataset, recipe.seed, recipe.validation_fraction).values, StreamedValues
    )
    streamed, again = train(dataset, recipe, tmp_path / "2", tmp_path / "w2")
    assert_same(states(expected), states(streamed))
    assert expected.config.tokenizer_config.mean == streamed.config.tokenizer_config.mean
    for stage in history:
        assert history[stage] == again[stage]


def test_latents_in_a_file_are_those_in_memory(model, tmp_path):
    values = torch.randn(300, 1, 40)
    mapped = encode_all(model.tokenizer, values, "latents", tmp_path / "latents.bin")
    assert torch.equal(mapped, encode_all(model.tokenizer, values, "latents"))
    assert not list(tmp_path.iterdir())  # what is mapped needs no name


def test_codes_of_streamed_series_take_as_few_bytes_as_hold_them(model):
    dataset = series_dataset(torch.randn(20, 1, 40))
    streamed = encode_all(model.tokenizer, StreamedValues(dataset), "codes")
    assert streamed.dtype == torch.int16
    assert torch.equal(streamed.long(), encode_all(model.tokenizer, to_tensors(dataset)[0], "codes"))
