"""A user's own series: each source gives the same dataset, windows lose nothing, streaming changes no number."""

import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value

from helpers.processes import in_a_fresh_process
from helpers.tiny import SETTINGS, as_options, toy_dataset
from ncvqvae.cli.__main__ import main
from ncvqvae.data.own_series import describe, load_series
from ncvqvae.data.series import series_dataset, to_tensors
from ncvqvae.data.training_split import split_series


NAN = np.nan
VALUES = np.random.default_rng(0).normal(size=(6, 2, 9))
VALUES[1, 0, 4] = VALUES[3, 1, 0] = NAN
LABELS = ["walk", "run", "walk", "null", "run", "walk"]


def wide(values=VALUES, labels=LABELS):
    columns = [f"c{channel}_{sample}" for channel in range(values.shape[1]) for sample in range(values.shape[2])]
    table = pd.DataFrame(values.reshape(len(values), -1), columns=columns)
    return table if labels is None else table.assign(label=labels)


def long(values=VALUES, labels=LABELS):
    rows = [
        {"id": f"s{one}", "time": time, "channel": f"ch{channel}", "value": values[one, channel, time]}
        | ({} if labels is None else {"label": labels[one]})
        for one, channel, time in np.ndindex(values.shape)
    ]
    table = pd.DataFrame(rows)
    shuffled = table.sample(frac=1, random_state=0)
    first = table[~table["id"].duplicated()]  # the series keep their order
    return pd.concat([first, shuffled.drop(first.index)])


def nested(values=VALUES, labels=LABELS):
    rows = {"values": [one.tolist() for one in values]}
    return Dataset.from_dict(rows if labels is None else rows | {"label": labels})


def write(kind, folder, labels):
    """The series as one kind of source, and what is passed to `load_series`."""
    file = folder / f"mine{kind if kind.startswith('.') else ''}"
    match kind:
        case "tensor":
            return torch.from_numpy(VALUES)
        case "list":
            return list(VALUES)
        case "wide frame":
            return wide(labels=labels)
        case "long frame":
            return long(labels=labels)
        case "dataset":
            return nested(labels=labels)
        case "wide dataset":
            return Dataset.from_pandas(wide(labels=labels))
        case "folder":
            nested(labels=labels).save_to_disk(folder / "saved")
            return folder / "saved"
        case ".csv":
            wide(labels=labels).to_csv(file, index=False)
        case ".long.csv":
            long(labels=labels).to_csv(file, index=False)
        case ".parquet":
            wide(labels=labels).to_parquet(file, index=False)
        case ".long.parquet":
            long(labels=labels).to_parquet(file, index=False)
        case ".nested.parquet":
            nested(labels=labels).to_parquet(file)
        case ".npy":
            np.save(file, VALUES)
        case ".npz":
            np.savez(file, values=VALUES, **({} if labels is None else {"labels": np.array(labels)}))
    return str(file)


TABLES = ["wide frame", "long frame", "dataset", "wide dataset", "folder", ".npz"]
WIDE = [".csv", ".parquet"]
TABLES += [".csv", ".long.csv", ".parquet", ".long.parquet", ".nested.parquet"]


@pytest.mark.parametrize("labels", [LABELS, None], ids=["labelled", "unlabelled"])
@pytest.mark.parametrize("kind", [*TABLES, "tensor", "list", ".npy"])
def test_each_source_gives_the_dataset_that_the_array_gives(kind, labels, tmp_path):
    expected_labels = None if kind == ".npy" else labels
    found = load_series(write(kind, tmp_path, labels), labels=labels if kind in ("tensor", "list") else None)
    expected = series_dataset(VALUES, expected_labels)
    assert found.features == expected.features
    for one, other in zip(to_tensors(found), to_tensors(expected), strict=True):
        assert (one is None and other is None) or torch.equal(one, other)
    missing = "2 missing values interpolated"
    classes = "no classes" if expected_labels is None else "3 classes (null: 1, run: 2, walk: 3)"
    said = describe(found)
    assert said.startswith(f"6 series of 9 samples, 2 channels, {classes}, {missing}")
    rows = {"wide": "a series in each row (c0_0 ... c1_8)", "long": "a value in each row"}
    for layout, row in rows.items():
        assert (f"read from a table with {row}" in said) == (layout in kind or (layout == "wide" and kind in WIDE))


def test_one_channel_needs_no_names_and_whole_float32_series_are_not_copied():
    values = VALUES[:, 1:].astype(np.float32)
    values[3, 0, 0] = 0
    frame = load_series(pd.DataFrame(values[:, 0]))
    flat = load_series(
        Dataset.from_dict({"values": values[:, 0].tolist(), "kind": list("ababab")}), label_column="kind"
    )
    assert to_tensors(frame)[0].tolist() == to_tensors(flat)[0].tolist() == values.tolist()
    assert to_tensors(flat)[1].tolist() == [0, 1] * 3
    assert describe(frame).startswith("6 series of 9 samples, 1 channel, no classes, no missing values, read from")
    made = load_series(frame)
    address = [part.data.column("values").chunk(0).flatten().flatten().buffers()[1].address for part in (made, frame)]
    assert address[0] == address[1]


def test_series_of_unequal_length_are_stretched_as_everywhere():
    arrays = [np.array([[0.0, 2.0, 4.0]]), np.arange(5.0)[None]]
    rows = [{"series": one, "time": time, "value": v} for one, a in enumerate(arrays) for time, v in enumerate(a[0])]
    for source in (arrays, pd.DataFrame(rows), Dataset.from_dict({"values": [one[0].tolist() for one in arrays]})):
        found = load_series(source)
        assert to_tensors(found)[0][:, 0].tolist() == [[0, 1, 2, 3, 4]] * 2
        assert "no missing values, 1 series stretched to the longest" in describe(found)


def test_times_of_a_long_table_are_sorted_as_numbers_or_dates():
    rows = {"series": [7, 7, 7], "value": [3.0, 1.0, 2.0]}
    for time in ([10, 2, 9], ["2024-03-01", "2023-12-31", "2024-01-05"]):
        assert to_tensors(load_series(pd.DataFrame(rows | {"time": time})))[0].tolist() == [[[1, 2, 3]]]


@pytest.mark.parametrize(("window", "stride"), [(4, None), (4, 4), (4, 3), (10, None), (3, 1)])
def test_windows_start_at_multiples_of_the_stride_and_the_last_ends_with_the_series(window, stride):
    series = [np.arange(10.0), np.arange(100.0, 113.0)]
    found = load_series(series, labels=["a", "b"], window=window, stride=stride)
    expected, sources = [], []
    for number, one in enumerate(series):
        start = 0
        while start + window < len(one):
            expected.append(one[start : start + window].tolist())
            start += stride or window
        expected.append(one[-window:].tolist())
        sources += [number] * (len(expected) - len(sources))
    values, labels = to_tensors(found)
    assert values[:, 0].tolist() == expected
    assert labels.tolist() == found["series"][:] == sources
    assert describe(found).startswith(f"{len(expected)} windows, cut from 2 series, of {window} samples, 1 channel")


def test_gaps_are_filled_before_windows_are_cut():
    series = np.array([[0.0, 1.0, NAN, NAN, 4.0, 5.0]])
    assert to_tensors(load_series(series, window=2))[0][:, 0].tolist() == [[0, 1], [2, 3], [4, 5]]
    padded = np.array([[0.0, 1.0, 2.0, 3.0, NAN, NAN], [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]])
    assert load_series(padded, window=2)["series"][:] == [0, 0, 1, 1, 1]


def test_splits_share_classes_lengths_and_gaps(tmp_path):
    both = load_series(np.arange(20.0).reshape(4, 5), None, test=np.arange(6.0).reshape(2, 3))
    assert both["train"].features == both["test"].features
    assert to_tensors(both["test"])[0][0, 0].tolist() == [0, 0.5, 1, 1.5, 2]
    wide(labels=LABELS).to_csv(tmp_path / "train.csv", index=False)
    wide(labels=["walk", *LABELS[1:]]).iloc[:3].to_csv(tmp_path / "test.csv", index=False)
    both = load_series(tmp_path / "train.csv", test=tmp_path / "test.csv")
    assert both["test"].features["label"].names == ["null", "run", "walk"]
    assert both["test"]["label"][:] == [2, 1, 2]
    again = load_series(both)
    assert isinstance(again, DatasetDict) and again["test"]["label"][:] == [2, 1, 2]


def test_class_labels_keep_their_order_and_numbers_are_sorted_as_numbers():
    features = Features(values=List(Value("float32")), label=ClassLabel(names=["z", "a"]))
    dataset = Dataset.from_dict({"values": VALUES[:4, 0, 5:].tolist(), "label": [0, 1, 1, 0]}, features=features)
    assert load_series(dataset).features["label"].names == ["z", "a"]
    assert load_series(dataset)["label"][:] == [0, 1, 1, 0]
    table = pd.DataFrame(VALUES[:3, 1, 1:]).assign(label=[10, 2, 2])
    assert load_series(table).features["label"].names == ["2", "10"]


def test_a_file_that_changed_is_read_anew(tmp_path):
    for scale in (1, 2):
        (wide(labels=None) * scale).to_parquet(tmp_path / "mine.parquet")
        assert load_series(tmp_path / "mine.parquet")[0]["values"][0][0] == np.float32(VALUES[0, 0, 0] * scale)


def test_a_dataset_of_the_hub_is_named_by_its_id(hub, tmp_path):
    script = """
        import numpy as np
        from ncvqvae.data.own_series import load_series
        from ncvqvae.data.series import series_dataset
        ours = series_dataset(np.arange(24.0).reshape(3, 8), ["a", "b", "a"])
        ours.push_to_hub("org/mine", "small")
        found = load_series("org/mine:small")["train"]
        assert found.features == ours.features and found[:] == ours[:]
        try:
            load_series("org/other")
        except ValueError as error:
            assert "org/other is neither a file here nor a dataset on the Hub" in str(error)
    """
    done = in_a_fresh_process(script, environment=hub.environment(tmp_path / "home"))
    assert done.returncode == 0, done.stderr


CASES = [
    (lambda: "nowhere.csv", {}, "there is no file nowhere.csv"),
    (lambda: "mine.xlsx", {}, "mine.xlsx is not a file that ends in .csv, .tsv, "),
    (lambda: wide(), {"label_column": "kind"}, "there is no label column 'kind'; the columns are c0_0, c0_1"),
    (lambda: wide().assign(c0_0="x"), {}, "the column 'c0_0' does not hold numbers: name the classes"),
    (lambda: wide().drop(columns="c1_3"), {}, "do not give each channel the same samples"),
    (lambda: wide().assign(id=[1, 1, 1, 2, 2, 2]), {}, "rows share values of 'id', .* add --id-column id"),
    (lambda: wide().iloc[:0], {}, "the table is empty"),
    (lambda: VALUES[:0], {}, "the array is empty"),
    (lambda: VALUES[0, 0], {}, r"values must be \(series, length\)"),
    (lambda: np.array([["a"]]), {}, "series must be real numbers"),
    (lambda: np.full((2, 5), NAN), {}, "series 0 holds nothing but NaN"),
    (lambda: np.array([[0.0, 1], [0, np.inf]]), {}, "series 1 holds infinite values"),
    (lambda: VALUES, {"window": 10}, "the window of 10 samples is longer than series 0, of 9"),
    (lambda: VALUES, {"window": 0}, "window and stride are 1 sample or more"),
    (lambda: VALUES, {"stride": 2}, "stride needs window"),
    (lambda: VALUES, {"labels": ["a"]}, "found 1 labels for 6 series"),
    (lambda: VALUES, {"label_column": "label"}, "arrays have no columns"),
    (lambda: wide(), {"labels": LABELS}, "labels belong to an array"),
    (lambda: wide(labels=["", *LABELS[1:]]), {}, "a series has no label"),
    (lambda: pd.concat([long(), long()[:1]]), {}, "two rows for id s0, time 0, channel ch0"),
    (lambda: long().assign(extra=1.0), {}, "has one of values: found value, extra; name it"),
    (lambda: long().assign(value="x"), {}, "the column 'value' does not hold numbers"),
    (lambda: long().assign(label=np.arange(108) % 2), {}, "has several labels"),
    (lambda: long().assign(time="soon"), {}, "row 1 of the column 'time' holds 'soon'; expected a number or a date"),
    (lambda: Dataset.from_dict({"values": [["a"]]}), {}, "the column 'values' does not hold numbers"),
    (lambda: Dataset.from_dict({"values": [[[1.0, 2.0], [1.0]]]}), {}, "channels of unequal lengths"),
    (lambda: 5, {}, "cannot read series from a int"),
]


@pytest.mark.parametrize(("source", "arguments", "message"), CASES, ids=[message for *_, message in CASES])
def test_bad_input_gets_one_line(source, arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        load_series(source(), **arguments)
    assert "\n" not in str(caught.value)


def test_damaged_files_get_one_line(tmp_path):
    for name in ("a.npy", "a.npz", "a.parquet", "a.csv"):
        (tmp_path / name).write_bytes(b"\x00\x01nothing\xff")
        with pytest.raises(ValueError, match=re.escape(name)) as caught:
            load_series(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="is not a folder that save_to_disk"):
        load_series(tmp_path)


def run(*arguments):
    return main(["train", "--from-scratch", *map(str, arguments), *as_options()])


def test_a_csv_without_labels_trains_from_the_command_line_with_its_pictures(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    values, _ = to_tensors(toy_dataset())
    pd.DataFrame(np.concatenate([values[:, 0], values[:, 0]], 1)).to_csv("mine.csv", index=False)
    pd.read_csv("mine.csv").add_prefix("t").to_csv("mine.csv", index=False)
    assert run("--data", "mine.csv", "--window", 24) == 0
    shown = capsys.readouterr().out
    assert "train: 24 windows, cut from 12 series, of 24 samples, 1 channel, no classes, no missing values" in shown
    assert re.search(r"series to train on / held-out +18 / 6", shown)
    assert "1-NN" not in shown
    for name in ("samples", "reconstructions", "training"):
        assert (tmp_path / "ncvqvae-mine" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert main(["sample", "ncvqvae-mine", "out.csv", "-n", "3"]) == 0
    assert pd.read_csv("out.csv").shape == (3, 24)


def test_own_series_with_classes_and_a_test_split_get_the_table_of_the_archive(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    values, labels = to_tensors(toy_dataset())
    table = wide(values.numpy(), None).assign(kind=["slow" if label else "fast" for label in labels])
    table.to_parquet("mine.parquet")
    table[:5].to_csv("test.csv", index=False)
    arguments = ("--data", "mine.parquet", "--label-column", "kind", "--set", "validation_fraction=0")
    assert run(*arguments, "--test", "test.csv", "--output-dir", "out") == 0
    shown = capsys.readouterr().out
    assert "train: 12 series of 24 samples, 1 channel, 2 classes (fast: 6, slow: 6), no missing values" in shown
    assert "test: 5 series of 24 samples, 1 channel, 2 classes (fast: 3, slow: 2)" in shown
    assert re.search(r"series to train on / to test on +12 / 5", shown) and "test accuracy of 1-NN on real" in shown


def test_mistakes_on_the_command_line_get_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for arguments, message in (
        ((), "name either a dataset of the archive or, with --data, series of your own"),
        (("GunPoint", "--data", "mine.csv"), "name either"),
        (("GunPoint", "--window", 5), "--window is for series of your own"),
        (("--data", "mine.csv"), "there is no file mine.csv"),
    ):
        assert run(*arguments) == 2
        error = capsys.readouterr().err.strip().splitlines()
        assert len(error) == 1 and message in error[0]
    assert not list(tmp_path.iterdir())


def test_without_a_held_out_series_the_table_says_that_it_is_of_training_series(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    toy_dataset().save_to_disk("mine")
    assert main(["train", "--data", "mine", "--from-scratch", *as_options(), "--set", "validation_fraction=0"]) == 0
    shown = capsys.readouterr().out
    assert (
        "12; none is held out and there is no test split" in shown and "masked codes guessed right, training" in shown
    )
    assert split_series(toy_dataset(), seed=0, validation_fraction=0)[1].numel() == 0


@pytest.mark.slow
def test_into_a_pipe_no_progress_bar_is_drawn(tmp_path):
    program = """
import sys
import numpy as np
from ncvqvae.data.own_series import load_series
from ncvqvae.training.recipes import load_recipe
from ncvqvae.training.stages import train
from datasets import are_progress_bars_disabled
values = np.random.default_rng(0).normal(size=(12, 24))
values[2, 3] = np.nan
assert not are_progress_bars_disabled()
dataset = load_series(values)
assert not are_progress_bars_disabled()  # as it was found
train(dataset, load_recipe(None, sys.argv[2:]), f"{sys.argv[1]}/out", f"{sys.argv[1]}/work")
"""
    command = [sys.executable, "-c", program, str(tmp_path), *SETTINGS]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
