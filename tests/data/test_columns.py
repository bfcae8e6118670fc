"""How series lie in columns; `test_own_series.py` has every kind of source."""

import numpy as np
import pytest
from datasets import Dataset

from ncvqvae.data.columns import arrays, kind_of, reader, windows
from ncvqvae.data.layout import Layout, find_columns
from ncvqvae.data.own_series import load_series


def stacked(columns, label=None):
    dataset = Dataset.from_dict(columns)
    kinds = {field.name: kind_of(field.type) for field in dataset.data.schema}
    return np.stack(list(arrays(dataset, reader(find_columns(kinds, Layout(label=label), lambda name: False)))))


def test_columns_are_samples_in_the_order_of_their_numbers_and_the_label_is_none_of_them():
    found = stacked({"t10": [3.0, 4.0], "t9": [1.0, 2.0], "kind": ["x", "y"]}, "kind")
    assert found.tolist() == [[[1, 3]], [[2, 4]]]


def test_columns_that_name_channel_and_sample_are_sorted_by_both():
    names = ["c1_0", "c0_10", "c0_2", "c0_0", "c1_10", "c1_2"]
    wrong = {name: [float(place)] for place, name in enumerate(names)}
    with pytest.raises(ValueError, match="between c0_2 and c0_10 samples seem to be missing"):
        stacked(wrong)  # samples 1 and 3 to 9 are missing
    names = [f"c{channel}_{sample}" for sample in range(11) for channel in (1, 0)]
    found = stacked({name: [float(name[1]) * 100 + float(name[3:])] for name in names})
    assert found.tolist() == [[list(range(11)), list(range(100, 111))]]


def test_integers_booleans_and_gaps_are_numbers():
    found = stacked({"values": [[1, None, 3], [0, 1, 1]]})
    assert found.dtype == np.float64 and np.isnan(found[0, 0, 1]) and found[1].tolist() == [[0, 1, 1]]
    assert stacked({"t0": [True, False], "t1": [None, None]})[:, 0, 0].tolist() == [1, 0]


def test_a_series_that_is_null_or_infinite_is_named():
    with pytest.raises(ValueError, match="a series is empty"):
        stacked({"values": [[1.0], None]})
    with pytest.raises(ValueError, match="series 2 holds infinite values"):
        stacked({"t0": [0.0, 1.0, float("inf")]})


@pytest.mark.parametrize(
    ("window", "stride", "starts"),
    [(4, 4, [0, 4, 6]), (4, 3, [0, 3, 6]), (10, 10, [0]), (9, 5, [0, 1]), (2, 8, [0, 8])],
)
def test_the_last_window_ends_with_the_series(window, stride, starts):
    series = np.arange(20.0).reshape(2, 10)
    found = windows(series, window, stride)
    assert [one[0, 0] for one in found] == starts
    assert all(
        np.array_equal(one, series[:, start : start + window]) for one, start in zip(found, starts, strict=True)
    )


def test_many_chunks_give_what_one_gives(monkeypatch):
    values = np.random.default_rng(0).normal(size=(23, 2, 9))
    whole = load_series(values, window=4, stride=3)
    monkeypatch.setattr("ncvqvae.data.columns.CHUNK_BYTES", 500)
    parts = load_series(values + 0.0, window=4, stride=3)
    assert parts[:] == whole[:] and parts["series"][:] == [one for one in range(23) for _ in range(3)]
