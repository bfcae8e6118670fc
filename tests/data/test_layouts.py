"""People's files: layouts, separators and times of each kind give the same series; what is unclear is asked about."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from datasets import Dataset
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ncvqvae import describe, load_series
from ncvqvae.cli.__main__ import main
from ncvqvae.data.files import write_series
from ncvqvae.data.labels import is_missing, label_name
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


TEXTS = ("wide", "log", "long")
OTHERS = ("index", "lists", "array", "ts", "arff")
SEPARATORS = {",": ".", ";": ",", "\t": ".", "|": ","}


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


def written(values, labels, layout, separator, folder):
    """A random dataset in a file, or in memory, of one layout; rows that may stand in any order are shuffled."""
    random = np.random.default_rng(0)
    _, channels, length = values.shape
    if layout in TEXTS:
        table = laid_out(values, labels, layout)
        table = table[random.permutation(table.columns)]
        table = table if layout == "wide" else table.iloc[random.permutation(len(table))]
        table.to_csv(folder / "mine.csv", index=False, sep=separator, decimal=SEPARATORS[separator])
        return folder / "mine.csv"
    if layout == "index":
        return laid_out(values, labels, "log").set_index(["ID", "Time"]).sample(frac=1, random_state=0)
    if layout == "lists":
        columns = {f"ch{channel}": values[:, channel].tolist() for channel in reversed(range(channels))}
        Dataset.from_dict(columns | {"class": labels}).to_parquet(folder / "mine.parquet")
        return folder / "mine.parquet"
    if layout == "array":
        np.savez(folder / "mine.npz", values=values, labels=labels)
        return folder / "mine.npz"
    rows = [[",".join(map(str, channel)) for channel in one] for one in values.tolist()]
    names = ",".join(sorted(set(labels)))
    if layout == "ts":
        head = f"@problemName x\n@timestamps false\n@univariate {channels == 1}\n@classLabel true {names}\n@data\n"
        lines = [":".join([*row, label]) for row, label in zip(rows, labels, strict=True)]
    else:
        attributes = "".join(f"@attribute t{sample} numeric\n" for sample in range(length))
        head = f"@relation x\n@attribute r relational\n{attributes}@end r\n@attribute y {{{names}}}\n@data\n"
        lines = ["'" + "\\n".join(row) + "'," + label for row, label in zip(rows, labels, strict=True)]
    (folder / f"mine.{layout}").write_text(head + "\n".join(lines))
    return folder / f"mine.{layout}"


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    shape=st.tuples(st.integers(2, 6), st.integers(1, 3), st.integers(8, 12)),
    layout=st.sampled_from(TEXTS * len(SEPARATORS) + OTHERS),
    separator=st.sampled_from(list(SEPARATORS)),
    seed=st.integers(0, 999),
)
def test_a_dataset_comes_back_from_every_layout_and_separator_however_rows_and_columns_are_shuffled(
    shape, layout, separator, seed, tmp_path_factory
):
    values = np.random.default_rng(seed).normal(size=shape).round(3)
    labels = [f"Class{index % 2}" for index in range(shape[0])]
    found = load_series(written(values, labels, layout, separator, tmp_path_factory.mktemp("laid_out")))
    np.testing.assert_allclose(to_tensors(found)[0].numpy(), values, rtol=1e-6)
    assert names_of(found) == labels


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    names=st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1), min_size=1, max_size=5
    ),
    ending=st.sampled_from(["csv", "npz", "parquet"]),
)
@example(
    names=["=cmd", "null", "$5_$", "-1", "+x", "'=x", "#1", 'a "b"', "a,b", "a\r\nb", "None", "NA", "?"], ending="csv"
)
def test_classes_of_any_name_come_back_from_what_the_library_writes(names, ending, tmp_path_factory):
    names = [name for name in map(str.strip, names) if not is_missing(name) and label_name(name) == name] or ["a"]
    file = tmp_path_factory.mktemp("names") / f"out.{ending}"
    write_series(file, torch.from_numpy(RANDOM.normal(size=(len(names), 1, 9))), names)
    assert read_series(file)[1] == names


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


@pytest.mark.filterwarnings("ignore:the times")
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
    with pytest.raises(ValueError, match="the column 'activity' may hold the classes: name it with --label-column"):
        load_series(table.assign(activity=table["activity"].eq("run").astype(int)), window=10)


def test_value_columns_choose_the_channels_and_their_order(tmp_path):
    table = log()
    table.to_csv(tmp_path / "log.csv", index=False)
    for source in (table, tmp_path / "log.csv"):
        found = load_series(source, value_columns=["acc_z", "acc_x"])
        np.testing.assert_allclose(to_tensors(found)[0].numpy(), values_of_log(table)[:, [2, 0]], rtol=1e-6)
        assert "without acc_y: it was not asked for" in describe(found)


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


def test_names_that_a_spreadsheet_would_run_are_quoted(tmp_path):
    write_series(tmp_path / "out.csv", torch.zeros(2, 1, 9), ["=cmd", "-1"])
    first, second = (tmp_path / "out.csv").read_text().splitlines()[1:]
    assert first.startswith("'=cmd,") and second.startswith("-1,")


def test_info_shows_what_is_read_before_training(tmp_path, capsys):
    log().to_csv(tmp_path / "log.csv", index=False)
    picture = tmp_path / "log.png"
    assert (
        main(["info", "--data", str(tmp_path / "log.csv"), "--label-column", "activity", "--picture", str(picture)])
        == 0
    )
    assert "4 series of 20 samples, 3 channels, 2 classes (run: 2, walk: 2)" in capsys.readouterr().out
    assert picture.read_bytes().startswith(b"\x89PNG")
    for wrong in (tmp_path / "log.jpg", tmp_path / "nowhere" / "log.png"):
        assert main(["info", "--data", str(tmp_path / "log.csv"), "--picture", str(wrong)]) == 2
        assert "--picture takes the name of a .png in a folder that there is" in capsys.readouterr().err
    assert main(["info"]) == 2 and main(["info", "mine", "--window", "5"]) == 2
    assert "--window is for series of your own" in capsys.readouterr().err
