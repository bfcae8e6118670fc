"""What the names of columns say: their roles, and their order as samples of channels."""

import numpy as np
import pandas as pd
import pytest

from ncvqvae import describe, load_series
from ncvqvae.data.names import ROW_NUMBERS, role_of
from ncvqvae.data.series import to_tensors


@pytest.mark.parametrize(
    ("role", "names"),
    [
        ("label", ["label", "Class", " LABELS "]),
        ("id", ["ID", "unique_id", "Series", "Recording ID", "run", "rec-id", "unit number", "experiment_id"]),
        (
            "time",
            ["Time (s)", "timestamp_ms", "Date-Time", "epoch_ms", "Unix Time", "Elapsed(s)", "ds", "seconds_elapsed"],
        ),
        ("channel", ["channel", "Sensor", "sensor_id", "variable"]),
        (None, ["t0", "time0", "value", "acc_x", "identity", "y", "label_1", "12"]),
    ],
)
def test_columns_have_their_roles_by_name_in_any_case(role, names):
    assert [role_of(name) for name in names] == [role] * len(names)


def test_columns_that_number_the_rows_are_known():
    assert all(ROW_NUMBERS.fullmatch(name) for name in ("No.", "Nr", "row", "Row_Number", "INDEX", "unnamed: 0", "#"))
    assert not any(ROW_NUMBERS.fullmatch(name) for name in ("row0", "node", "t1", "number"))


def read(names):
    table = pd.DataFrame(np.arange(2.0 * len(names)).reshape(2, -1), columns=names)
    return load_series(table.sample(frac=1, axis=1, random_state=0))


@pytest.mark.parametrize(
    ("names", "channels"),
    [
        ([f"{channel}_{index}" for channel in ("acc_x", "acc_y") for index in range(12)], 2),
        ([f"acc{channel}_x_{index}" for channel in (1, 2) for index in range(12)], 2),
        ([f"{channel}_{index}" for channel in (1, 2) for index in range(12)], 2),
        ([f"x.{index}" for index in range(12)], 1),
        ([f"t_{index / 10}" for index in range(95, 115)], 1),
        ([f"{index / 10}" for index in range(20)], 1),
        ([f"{index}" for index in range(-12, 3)], 1),
        ([f"t{index:03d}" for index in range(12)], 1),
        ([f"2020-{month:02d}" for month in range(1, 13)], 1),
        ([str(date) for date in pd.date_range("2020-01-25", periods=12)], 1),
    ],
    ids=lambda given: given[0] if isinstance(given, list) else "",
)
def test_samples_are_in_the_order_of_their_numbers_or_times(names, channels):
    values, _ = to_tensors(read(names))
    assert values.shape == (2, channels, len(names) // channels)
    assert values[0].flatten().tolist() == list(range(len(names)))


@pytest.mark.parametrize(
    "names",
    [
        [f"c{channel}.{index}" for channel in (0, 1) for index in range(10)],
        [f"{channel}.{index}" for channel in (0, 1) for index in range(12)],
        [f"t-{index}" for index in range(12)],
        [f"x_t-{index}" for index in range(12)],
        [f"lag_{index}" for index in range(12)],
        [f"t{index}_ch{channel}" for index in range(12) for channel in range(12)],
    ],
    ids=lambda names: names[0],
)
def test_numbers_that_may_be_read_in_several_ways_are_asked_about(names):
    with pytest.raises(ValueError, match=r"may be read in several ways: number the columns t0, t1, \.\.\."):
        read(names)


def test_columns_of_two_levels_are_channel_and_sample():
    values = np.arange(48.0).reshape(2, 2, 12)
    columns = pd.MultiIndex.from_product([["x", "y"], range(12)])
    found = load_series(pd.DataFrame(values.reshape(2, -1), columns=columns))
    assert to_tensors(found)[0].tolist() == values.tolist() and "(x_0 ... y_11)" in describe(found)
