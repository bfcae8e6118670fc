"""Times of samples: every kind has its order, and what is unclear is asked about."""

import numpy as np
import pandas as pd
import pytest

from ncvqvae import describe, load_series
from ncvqvae.data.series import to_tensors


def recording(times):
    return pd.DataFrame({"time": times, "value": 1.0 * np.arange(len(times))})


@pytest.mark.parametrize(
    "times",
    [
        ["1", "2", "10"],
        ["2020-01-01 23:00:00", "2020-01-02", "2020-01-02 01:00:00"],
        ["2020-10-25 02:30:00+02:00", "2020-10-25 02:30:00+01:00", "2020-10-25 03:30:00+01:00"],
        ["2020/1/9", "2020/1/10", "2020/1/11"],
        ["2019Q4", "2020Q1", "2020Q2"],
        ["0:59", "1:00", "10:01"],
        ["0:59.5", "1:00", "10:00.5"],
        ["11:00 AM", "12:00 PM", "1:00 PM"],
        ["2020-01-01 11:00 AM", "2020-01-01 12:00 PM", "2020-01-01 01:00 PM"],
        ["90m", "2h", "10h"],
        ["PT59S", "PT1M", "PT10M"],
        ["12:00:00,250", "12:00:00,500", "12:00:01,000"],
        ["1700000000900", "1700000001000", "1700000010000"],
        ["5 Jan 2020", "12 Jan 2020", "1 Feb 2020"],
        ["01/13/2020", "01/14/2020", "02/01/2020"],
        pd.to_timedelta([0, 1, 2], unit="s"),
        pd.period_range("2020-01", periods=3, freq="M"),
        pd.date_range("2020-01-01", periods=3, tz="Europe/Berlin"),
    ],
    ids=lambda times: str(times[0]),
)
@pytest.mark.filterwarnings("ignore:the times")
def test_times_of_every_kind_have_their_order(times):
    table = pd.DataFrame({"series": "a", "time": times, "value": [0.0, 1.0, 2.0]})
    assert to_tensors(load_series(table.iloc[[2, 0, 1]]))[0].tolist() == [[[0, 1, 2]]]


def test_dates_with_the_day_first_are_read_on_request_and_asked_about_else():
    table = pd.DataFrame({"time": ["01/02/2020", "10/01/2020", "02/02/2020"], "value": [1.0, 0.0, 2.0]})
    with pytest.raises(ValueError, match=r"row 1 of the column 'time' holds '01/02/2020': .*add --day-first"):
        load_series(table)
    with pytest.warns(UserWarning, match="the largest is 22 days"):
        assert to_tensors(load_series(table, day_first=True))[0].tolist() == [[[0, 1, 2]]]
    with pytest.raises(ValueError, match=r"row 2 .*'13.01.2020', with the day first: add --day-first"):
        load_series(pd.DataFrame({"time": ["10.01.2020", "13.01.2020"], "value": [1.0, 0.0]}))


def test_the_steps_of_dates_are_exact():
    times = pd.date_range("2026-01-01", periods=40, freq="10ms").delete([5, 6, 7, 8])
    with pytest.warns(
        UserWarning, match=r"the largest is 0 days 00:00:00\.050000, the usual one 0 days 00:00:00\.010000$"
    ):
        load_series(recording(times))


def test_unequal_steps_are_warned_about_with_the_largest_gap():
    table = pd.DataFrame({"id": 7, "time": [0, 1, 2, 9], "value": 1.0 * np.arange(4)})
    with pytest.warns(UserWarning, match="the largest is 7 in series 7, the usual one 1"):
        load_series(table)


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (
            ["23:58", "23:59", "0:00"],
            "the times in 'time' pass midnight, hence have no order: write them with their dates",
        ),
        (["11:00 PM", "11:30 PM", "12:00 AM"], "pass midnight"),
        (["0:59", "1:00", "1:00:01"], "row 1 .* holds '0:59', unlike others without seconds"),
        (["Jan-22", "Feb-22", "Mar-22"], "row 1 of the column 'time' holds 'Jan-22'; expected"),
        (["Dec 31 23:59:59", "Jan 1 00:00:00"], "holds 'Dec 31 23:59:59'; expected"),
        (["9999-12-31", "2020-01-01"], "row 1 .* holds '9999-12-31'"),
        ([0.0, 1.0, np.inf], "row 3 holds no time in the column 'time', but inf"),
        (["2020-01-01 00:00Z", "2020-01-01 01:00"], "row 2 .* lacks the others' time zone"),
        (["1 month", "2 months"], "holds no durations"),
    ],
    ids=lambda given: str(given[0]) if isinstance(given, list) else "",
)
def test_times_without_an_order_are_refused(times, message):
    with pytest.raises(ValueError, match=message) as caught:
        load_series(recording(times))
    assert "\n" not in str(caught.value)


def test_a_column_of_dates_is_the_time_whatever_it_is_called(tmp_path):
    log = pd.DataFrame({"x": np.arange(20.0), "y": -np.arange(20.0)}, index=pd.date_range("2026-01-01", periods=20))
    shuffled = log.sample(frac=1, random_state=0)
    shuffled.to_parquet(tmp_path / "index.parquet")
    shuffled.to_csv(tmp_path / "index.csv")
    named = shuffled.rename_axis("when").reset_index()
    named.to_csv(tmp_path / "when.csv", index=False)
    as_text = shuffled.set_axis(shuffled.index.astype(str).astype(object))
    sources = [tmp_path / name for name in ("index.parquet", "index.csv", "when.csv")]
    for source in (*sources, shuffled, named, as_text, [shuffled["x"], shuffled["x"]]):
        found = load_series(source)
        assert to_tensors(found)[0][0, 0].tolist() == list(range(20))
        assert "times 2026-01-01 00:00:00 to 2026-01-20 00:00:00" in describe(found)
    shuffled.to_csv(tmp_path / "german.csv", date_format="%d.%m.%Y")
    with pytest.raises(
        ValueError, match=r"the first column of .* has no name, but holds '\d\d.01.2026': call it time"
    ):
        load_series(tmp_path / "german.csv", window=10)


def test_another_clock_beside_the_times_is_no_channel():
    random = np.random.default_rng(0)
    log = recording(range(20)).assign(x=random.normal(size=20), energy=random.uniform(1, 2, 20).cumsum())
    found = load_series(log.drop(columns="value").assign(epoc=1.7e9 + log["time"]))
    assert "channels energy, x" in describe(found)
    assert "without epoc: it counts the rows or the time" in describe(found)
    with pytest.raises(ValueError, match="the column 'epoc' grows from row to row, as times do: name it with"):
        load_series(log[["x"]].assign(sample=log["time"], epoc=1.7e9 + log["time"]), window=10)
