"""Files that are no text tables: the archives' own, and arrays of NumPy."""

import numpy as np
import pandas as pd
import pytest

from ncvqvae import describe, load_series
from ncvqvae.data.series import to_tensors


HEAD = "@problemName x\n@timestamps false\n@missing false\n@univariate true\n"


ATTRIBUTES = "@relation x\n" + "".join(f"@attribute t{index} numeric\n" for index in range(3))


def names_of(found):
    return [found.features["label"].names[label] for label in found["label"]]


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


def test_classes_of_a_ts_file_are_called_as_they_are_written(tmp_path):
    (tmp_path / "mine.ts").write_text(f"{HEAD}@classLabel true Walk Banana\n@data\n1,2,3:Walk\n4,5,6:Banana\n")
    assert names_of(load_series(tmp_path / "mine.ts")) == ["Walk", "Banana"]


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_classes_of_an_arff_file_may_have_any_letters(encoding, tmp_path):
    head = f"{ATTRIBUTES}@attribute art {{Gehör,unten}}\n"
    (tmp_path / "mine.arff").write_bytes(f"{head}@data\n1,2,3,Gehör\n4,5,6,unten\n".encode(encoding))
    assert names_of(load_series(tmp_path / "mine.arff")) == ["Gehör", "unten"]


def test_targets_of_a_ts_file_are_no_classes(tmp_path):
    (tmp_path / "mine.ts").write_text(f"{HEAD}@targetLabel true\n@data\n1,2,3:0.5\n4,5,6:0.7\n")
    said = describe(load_series(tmp_path / "mine.ts"))
    assert "no classes" in said and "without the targets: they are numbers to predict, no classes" in said


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("mine.ts", f"{HEAD}@classLabel true a b\n@data\n1,2,3:a\n4,5,6:?\n", "a series has no label: series 1"),
        ("mine.ts", "@timestamps true\n@data\n(0,1),(1,2):a\n", "it has a time beside each value"),
        ("mine.ts", HEAD, "no line of series below @data"),
        ("mine.arff", ATTRIBUTES, "it has no line @data"),
        ("mine.arff", f"{ATTRIBUTES}@attribute c {{a,b}}\n@data\n1,2,3,?\n4,5,6,a\n", "a series has no label"),
        ("mine.arff", f"{ATTRIBUTES}@attribute c string\n@data\n1,2,3,a\n", "String attributes"),
    ],
)
def test_what_cannot_be_read_gets_one_line(name, text, message, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        load_series(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_an_npz_may_call_its_classes_label_and_other_arrays_are_told(tmp_path):
    values = np.arange(60.0).reshape(3, 20)
    np.savez(tmp_path / "mine.npz", values=values, Label=[b"walk", b"run", b"run"], rate=50)
    found = load_series(tmp_path / "mine.npz")
    assert names_of(found) == ["walk", "run", "run"] and to_tensors(found)[0][:, 0].tolist() == values.tolist()
    assert "without rate: the series are in values" in describe(found)
    np.savez(tmp_path / "two.npz", values=values, label=[1, 2, 3], labels=[1, 2, 3])
    with pytest.raises(ValueError, match="it holds values, label, labels: call the series values and classes labels"):
        load_series(tmp_path / "two.npz")


def test_a_parquet_file_leaves_no_copy_in_the_cache_of_datasets(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    pd.DataFrame(np.random.default_rng(0).normal(size=(4, 20))).add_prefix("t").to_parquet(tmp_path / "mine.parquet")
    assert len(load_series(tmp_path / "mine.parquet")) == 4
    assert not list((tmp_path / "cache").rglob("*.arrow"))
