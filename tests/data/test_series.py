import numpy as np
import pandas as pd
import pytest
from datasets import Dataset

from ncvqvae.data.series import fill_gaps, series_dataset, to_tensors


NAN = np.nan


def test_arrays_become_a_dataset_and_come_back_exactly():
    values = np.random.default_rng(0).normal(size=(7, 3, 11)).astype(np.float32)
    dataset = series_dataset(values, ["b", "a", "b", "b", "a", "c", "c"])
    back, labels = to_tensors(dataset)
    assert np.array_equal(back.numpy(), values)
    assert labels.tolist() == [1, 0, 1, 1, 0, 2, 2]
    assert dataset.features["label"].names == ["a", "b", "c"]


def test_a_selection_of_a_dataset_gives_the_selected_series():
    values = np.arange(40.0).reshape(5, 8)
    dataset = series_dataset(values, [0, 1, 0, 1, 0]).select([4, 1])
    back, labels = to_tensors(dataset)
    assert np.array_equal(back[:, 0].numpy(), values[[4, 1]])
    assert labels.tolist() == [0, 1]


def test_a_dataset_of_another_making_works_too():
    rows = {"values": [[[1.0, 2.0]], [[3.0, 4.0]]]}
    back, labels = to_tensors(Dataset.from_dict(rows))
    assert back.tolist() == rows["values"]
    assert labels is None


def test_classes_that_are_numbers_are_sorted_as_numbers():
    dataset = series_dataset(np.zeros((4, 8)), [10.0, 2.0, -1.0, 2.0])
    assert dataset.features["label"].names == ["-1", "2", "10"]


def test_a_table_gives_a_series_for_each_row():
    table = pd.DataFrame(np.arange(24.0).reshape(3, 8))
    assert to_tensors(series_dataset(table))[0][:, 0].tolist() == table.to_numpy().tolist()


def test_names_keep_what_is_not_a_number():
    dataset = series_dataset(np.zeros((3, 8)), ["v1", "v1.0", "1.0"])
    assert dataset.features["label"].names == ["1", "v1", "v1.0"]


def test_missing_values_are_interpolated_in_time_and_held_at_the_ends():
    series = [np.array([[NAN, 1.0, NAN, 3.0, NAN]]), np.array([[0.0, 1.0, 2.0, 3.0, 4.0]])]
    assert fill_gaps(series)[:, 0].tolist() == [[1, 1, 2, 3, 3], [0, 1, 2, 3, 4]]


def test_series_of_unequal_length_are_stretched_whether_padded_with_nan_or_not():
    long = np.array([[0.0, 1.0, 2.0, 3.0, 4.0]])
    padded = fill_gaps([np.array([[0.0, 2.0, 4.0, NAN, NAN]]), long])
    ragged = fill_gaps([np.array([[0.0, 2.0, 4.0]]), long])
    assert padded[:, 0].tolist() == ragged[:, 0].tolist() == [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ([np.full((1, 4), NAN)], "series 0 holds nothing but NaN"),
        ([np.zeros((2, 4)), np.stack([np.zeros(4), np.full(4, NAN)])], "series 1 has a channel that holds nothing"),
        ([np.zeros((1, 4)), np.zeros((2, 4))], "differ in their channels"),
    ],
)
def test_series_that_cannot_be_filled_are_refused(arrays, message):
    with pytest.raises(ValueError, match=message):
        fill_gaps(arrays)


def test_bad_datasets_are_refused():
    with pytest.raises(ValueError, match="empty"):
        series_dataset([])
    with pytest.raises(ValueError, match="2 labels for 3 series"):
        series_dataset(np.zeros((3, 8)), [0, 1])
    with pytest.raises(ValueError, match="unknown label 'c'; the classes are a, b"):
        series_dataset(np.zeros((1, 8)), ["c"], label_names=["a", "b"])
    with pytest.raises(ValueError, match="column 'values', found x"):
        to_tensors(Dataset.from_dict({"x": [1]}))
    with pytest.raises(ValueError, match="empty"):
        to_tensors(series_dataset(np.zeros((3, 8))).select([]))
    with pytest.raises(ValueError, match="found one series only"):
        series_dataset(np.zeros(8))
    with pytest.raises(ValueError, match="a series has no label"):
        series_dataset(np.zeros((2, 8)), [1.0, float("nan")])
    with pytest.raises(ValueError, match="not a ClassLabel"):
        to_tensors(Dataset.from_dict({"values": [[[1.0, 2.0]]], "label": [0]}))
    with pytest.raises(ValueError, match="of one shape"):
        to_tensors(Dataset.from_dict({"values": [[[1.0, 2.0]], [[1.0]]]}))
    with pytest.raises(ValueError, match="1 of 2 series hold NaN or infinite"):
        to_tensors(series_dataset(np.array([[0.0] * 8, [np.inf] * 8])))
