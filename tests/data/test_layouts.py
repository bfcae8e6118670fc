"""People's files: layouts, separators and times of each kind give the same series; what is unclear is asked about."""

import gzip
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest
from datasets import Dataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ncvqvae import describe, load_series
from ncvqvae.cli.__main__ import main
from ncvqvae.data.files import write_series
from ncvqvae.data.own_series import read_series
from ncvqvae.data.series import to_tensors


RANDOM = np.random.default_rng(0)


def names_of(found):
    return [found.features["label"].names[label] for label in found["label"]]


def log(num_series=4, length=20, channels="xyz"):
    """A sensor log: a row a time stamp, a column a channel."""
    rows = [
        {"recording": one, "timestamp": f"2024-05-01T00:{one:02d}:{time:02d}"}
        | {f"acc_{axis}": float(RANDOM.normal()) for axis in channels}
        | {"activity": "walk" if one % 2 else "run"}
        for one in range(num_series)
        for time in range(length)
    ]
    return pd.DataFrame(rows)


def values_of_log(table):
    channels = [name for name in table if name.startswith("acc_")]
    return np.stack([part[channels].to_numpy().T for _, part in table.groupby("recording")])


LAYOUTS = ("wide", "log", "long")
SEPARATORS = {",": ".", ";": ",", "\t": "."}


def laid_out(values, labels, layout):
    """A random dataset as a table of one layout; ids and columns sort as the series and channels do."""
    count, channels, length = values.shape
    if layout == "wide":
        columns = [f"s{channel}_{sample}" for channel in range(channels) for sample in range(length)]
        return pd.DataFrame(values.reshape(count, -1), columns=columns).assign(label=labels)
    rows = [
        {"ID": f"r{one}", "Time": time, "Label": labels[one]}
        | {f"ch{c}": values[one, c, time] for c in range(channels)}
        for one in range(count)
        for time in range(length)
    ]
    table = pd.DataFrame(rows)
    return table if layout == "log" else table.melt(["ID", "Time", "Label"], var_name="Channel", value_name="Value")


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    shape=st.tuples(st.integers(2, 6), st.integers(1, 3), st.integers(8, 12)),
    layout=st.sampled_from(LAYOUTS),
    separator=st.sampled_from(list(SEPARATORS)),
    seed=st.integers(0, 999),
)
def test_a_dataset_comes_back_from_every_layout_and_separator_however_rows_and_columns_are_shuffled(
    shape, layout, separator, seed, tmp_path_factory
):
    random = np.random.default_rng(seed)
    values, labels = random.normal(size=shape).round(3), [f"class {index % 2}" for index in range(shape[0])]
    table = laid_out(values, labels, layout)
    table = table[random.permutation(table.columns)]
    if layout != "wide":
        table = table.iloc[random.permutation(len(table))]
    file = tmp_path_factory.mktemp("laid_out") / "mine.csv"
    table.to_csv(file, index=False, sep=separator, decimal=SEPARATORS[separator])
    found = load_series(file)
    np.testing.assert_allclose(to_tensors(found)[0].numpy(), values, rtol=1e-6)
    assert names_of(found) == labels


def test_a_sensor_log_is_read_whether_it_is_a_frame_a_file_polars_or_has_its_times_in_the_index(tmp_path):
    table = log()
    table.to_csv(tmp_path / "log.csv", index=False)
    indexed = table.assign(timestamp=pd.to_datetime(table["timestamp"])).set_index(["recording", "timestamp"])
    for source in (table, tmp_path / "log.csv", pl.from_pandas(table), indexed):
        found = load_series(source, label_column="activity")
        np.testing.assert_allclose(to_tensors(found)[0].numpy(), values_of_log(table), rtol=1e-6)
        assert names_of(found) == ["run", "walk"] * 2
    said = describe(load_series(tmp_path / "log.csv", label_column="activity"))
    assert said.startswith("4 series of 20 samples, 3 channels, 2 classes (run: 2, walk: 2), no missing values")
    for part in ("a time in each row (channels acc_x, acc_y, acc_z)", "separated by commas", "2024-05-01 00:00:00 to"):
        assert part in said


def test_one_recording_is_cut_by_the_window_and_where_its_class_changes():
    table = log(2).drop(columns="recording")
    found = load_series(table, label_column="activity", window=10)
    assert names_of(found) == ["run", "run", "walk", "walk"]
    with pytest.raises(
        ValueError, match="several labels in the column 'activity': add a column of ids, or cut it with"
    ):
        load_series(table, label_column="activity")
    with pytest.raises(ValueError, match="may be channels or samples: if a row is a time, name its column"):
        load_series(table.drop(columns="timestamp"), label_column="activity")


def test_value_columns_choose_the_channels_and_their_order(tmp_path):
    table = log()
    table.to_csv(tmp_path / "log.csv", index=False)
    for source in (table, tmp_path / "log.csv"):
        found = load_series(source, value_columns=["acc_z", "acc_x"])
        np.testing.assert_allclose(to_tensors(found)[0].numpy(), values_of_log(table)[:, [2, 0]], rtol=1e-6)
        assert "without acc_y: it was not asked for" in describe(found)


@pytest.mark.parametrize(
    ("text", "expected", "told"),
    [
        ("label;t0;t1\nwalk;1,5;2,5\nrun;3;4\n", [[1.5, 2.5], [3, 4]], "separated by semicolons, with decimal commas"),
        ("label\tt0\tt1\nwalk\t1.5\t2.5\nrun\t3\t4\n", [[1.5, 2.5], [3, 4]], "separated by tabs"),
        ('label,t0,t1\nwalk,"1,5","2,5"\nrun,3,4\n', [[1.5, 2.5], [3, 4]], "with decimal commas"),
        ("\ufeff# logger 3\r\nlabel,t0,t1\r\n\r\nwalk,1.5,2.5\r\nrun,3,4\r\n", [[1.5, 2.5], [3, 4]], "by commas"),
        ("label,t0,t1,\nwalk,1.5,2.5,\nrun,3,4,\n", [[1.5, 2.5], [3, 4]], "separated by commas"),
        ("index,t1,label,t0\n0,2.5,walk,1.5\n1,4,run,3\n", [[1.5, 2.5], [3, 4]], "without index: it numbers the rows"),
    ],
)
def test_text_files_are_read_as_spreadsheets_and_loggers_write_them(text, expected, told, tmp_path):
    (tmp_path / "mine.CSV").write_bytes(text.encode())
    (tmp_path / "mine.csv.gz").write_bytes(gzip.compress(text.encode()))
    for name in ("mine.CSV", "mine.csv.gz"):
        found = load_series(tmp_path / name)
        assert to_tensors(found)[0][:, 0].tolist() == expected and names_of(found) == ["walk", "run"]
        assert told in describe(found)


def test_the_archives_own_files_are_read(tmp_path):
    head = "@problemName x\n@timestamps false\n@missing false\n@univariate true\n@equalLength true\n@seriesLength 3\n"
    (tmp_path / "mine.ts").write_text(f"{head}@classLabel true a b\n@data\n1,2,3:b\n4,5,6:a\n")
    attributes = "".join(f"@attribute t{index} numeric\n" for index in range(3))
    (tmp_path / "mine.arff").write_text(
        f"@relation x\n{attributes}@attribute target {{a,b}}\n@data\n1,2,3,b\n4,5,6,a\n"
    )
    for name in ("mine.ts", "mine.arff"):
        found = load_series(tmp_path / name)
        assert to_tensors(found)[0][:, 0].tolist() == [[1, 2, 3], [4, 5, 6]] and names_of(found) == ["b", "a"]


@pytest.mark.parametrize(
    "times",
    [
        ["1", "2", "10"],
        ["2020-01-01 23:00:00", "2020-01-02", "2020-01-02 01:00:00"],
        ["2020-10-25 02:30:00+02:00", "2020-10-25 02:30:00+01:00", "2020-10-25 03:30:00+01:00"],
        ["2020/1/9", "2020/1/10", "2020/1/11"],
        ["2019Q4", "2020Q1", "2020Q2"],
        ["0:59", "1:00", "10:01"],
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


def test_unequal_steps_are_warned_about_with_the_largest_gap():
    table = pd.DataFrame({"id": 7, "time": [0, 1, 2, 9], "value": 1.0 * np.arange(4)})
    with pytest.warns(UserWarning, match="the largest is 7 in series 7, the usual one 1"):
        load_series(table)


def write(folder, text):
    (folder / "mine.csv").write_text(text)
    return folder / "mine.csv"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label,t0,t1\nwalk,1,2,\n", "row 1 of .* has 4 fields, the line of names 3"),
        ("label,t0,t1\nwalk,1,2\nrun,3\n", "row 2 of .* has 2 fields, the line of names 3"),
        ("0.5,0.5,0.7\n0.1,0.2,0.3\n", "is a series, not the names of the columns"),
        ("walk,1.5,2.5\nrun,3,4\n", "is a series, not the names of the columns"),
        ("label,t0,t1\na,1,2\nb,3,4\nc,5,x6\n", "row 3 of .* holds 'x6' in the column 't1'; expected a number"),
        ("label;t0;t1\na;1,5;2\nb;3.5;4\n", "decimal commas and decimal points, '1,5' and '3.5'"),
        ("label,t0,t0\na,1,2\n", "several columns of the name 't0'"),
        ("t0,t1,label,class\n1,2,a,b\n", "the label may be in the columns label, class: name one with --label-column"),
        ("time,value\n2020-01-01,1\nsoon,2\n2020-01-03,3\n", "row 2 .* holds 'soon', unlike the other times"),
        ("time,value\n2020-01-01,1\n,2\n", "row 2 has no time"),
        ("time,value\n2020-01-01,1\n2020-01-01,2\n", "two rows for time 2020-01-01; .* --id-column"),
    ],
)
def test_what_a_text_file_has_wrong_gets_one_line(text, message, tmp_path):
    with pytest.raises(ValueError, match=message) as caught:
        load_series(write(tmp_path, text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.zeros((16, 24, 10)), "found 24 channels of 10 samples: .* add --channels-last"),
        ([np.zeros((24, 10)), np.zeros((30, 10))], "add --channels-last"),
        (np.zeros((500, 3)), "found 500 series of 3 samples, too few to learn from"),
        (np.zeros((2, 9), complex), "series must be real numbers"),
        (pd.DataFrame(np.zeros((2, 9), complex)).add_prefix("t"), "the column 't0' does not hold numbers"),
        (RANDOM.normal(size=(20, 30)) + 1e12 * (np.arange(600).reshape(20, 30) == 100), "series 3 holds 1e.12, while"),
        (pd.DataFrame(RANDOM.normal(size=(30, 9)), columns=list("ABCDEFGHI")), "may be channels or samples"),
        (pd.DataFrame(RANDOM.normal(size=(300, 3)), columns=["s1", "s2", "s3"]), "may be channels or samples"),
    ],
    ids=[
        "channels last",
        "ragged",
        "rows for times",
        "complex",
        "complex frame",
        "outlier",
        "unnumbered",
        "few columns",
    ],
)
def test_absurd_shapes_and_numbers_are_refused(source, message):
    with pytest.raises(ValueError, match=message):
        load_series(source)


def test_channels_last_lists_of_frames_and_columns_of_lists_are_series():
    values = RANDOM.normal(size=(3, 2, 12))
    frames = [pd.DataFrame(one.T, columns=["x", "y"]) for one in values]
    lists = Dataset.from_dict({"y": values[:, 1].tolist(), "x": values[:, 0].tolist(), "note": list("abc")})
    targets = Dataset.from_dict({"item_id": list("abc"), "target": values.tolist()})
    for source, how in ((values.swapaxes(1, 2), {"channels_last": True}), (frames, {}), (lists, {}), (targets, {})):
        np.testing.assert_allclose(to_tensors(load_series(source, **how))[0].numpy(), values, rtol=1e-6)


def test_a_number_may_stand_for_missing_values_and_a_large_offset_keeps_its_digits():
    found = load_series(np.array([[0.0, -9999, 2, 3], [1, 1, 2, -9999]]), missing_value=-9999)
    assert to_tensors(found)[0].tolist() == [[[0, 1, 2, 3]], [[1, 1, 2, 2]]]
    values = 1.7e9 + 50 * np.sin(np.arange(64) / 5)[None].repeat(2, 0)
    assert np.array_equal(to_tensors(load_series(values))[0][:, 0].numpy(), values)


def test_rare_classes_are_dropped_on_request_and_a_longer_test_series_stretches_nothing():
    values = RANDOM.normal(size=(5, 10))
    both = load_series(
        values, list("aabbc"), test=pd.DataFrame(RANDOM.normal(size=(2, 20))).add_prefix("t").assign(label="a")
    )
    assert both["train"].features["values"].feature.length == both["test"].features["values"].feature.length == 10
    assert to_tensors(both["train"])[0][:, 0].numpy() == pytest.approx(values, rel=1e-6)
    found = load_series(values, list("aabbc"), drop_rare_classes=True)
    assert found.features["label"].names == ["a", "b"] and "without the classes c" in describe(found)


def test_names_that_a_spreadsheet_would_run_are_quoted_and_read_back(tmp_path):
    names = ["=cmd", "null", "$5_$", "-1", "+x"]
    values = to_tensors(load_series(RANDOM.normal(size=(5, 9))))[0]
    write_series(tmp_path / "out.csv", values, names)
    assert (tmp_path / "out.csv").read_text().splitlines()[1].startswith("'=cmd,")
    assert read_series(tmp_path / "out.csv")[1] == names


def test_info_shows_what_is_read_before_training(tmp_path, capsys):
    log().to_csv(tmp_path / "log.csv", index=False)
    picture = tmp_path / "log.png"
    assert (
        main(["info", "--data", str(tmp_path / "log.csv"), "--label-column", "activity", "--picture", str(picture)])
        == 0
    )
    assert "4 series of 20 samples, 3 channels, 2 classes (run: 2, walk: 2)" in capsys.readouterr().out
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert main(["info"]) == 2 and main(["info", "mine", "--window", "5"]) == 2
    assert "--window is for series of your own" in capsys.readouterr().err


def test_the_order_of_classes_is_the_same_in_every_process():
    program = "import numpy as np; from ncvqvae import load_series; "
    program += "print(load_series(np.arange(9.0).reshape(3, 3), ['7', '07', '007']).features['label'].names)"
    for seed in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True
        )
        assert done.stdout == "['007', '07', '7']\n", done.stderr
