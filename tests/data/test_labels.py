"""Names of classes: what files and programs call them, and their order."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from ncvqvae import load_series
from ncvqvae.data.labels import label_name, sort_labels


@pytest.mark.parametrize(
    ("label", "name"),
    [
        (torch.tensor(10), "10"),
        (torch.tensor(2.0), "2"),
        (np.float64(-1.0), "-1"),
        (np.array(3), "3"),
        (b"walk", "walk"),
        (np.str_("run"), "run"),
        (True, "True"),
        (pd.Timestamp("2020-01-02"), "2020-01-02 00:00:00"),
        (1.5, "1.5"),
        (-0.0, "0"),
    ],
)
def test_a_class_is_called_what_a_person_would_call_it(label, name):
    assert label_name(label) == name


@pytest.mark.parametrize(
    "label",
    [
        None,
        float("nan"),
        np.float32("nan"),
        pd.NA,
        pd.NaT,
        "",
        " ",
        "nan",
        "NaT",
        "<NA>",
        b"",
        np.ma.masked,
        torch.tensor(np.nan),
    ],
)
def test_every_kind_of_missing_label_is_missing(label):
    with pytest.raises(ValueError, match="a series has no label"):
        label_name(label)


@pytest.mark.parametrize(
    "labels", [torch.eye(4), np.arange(4)[:, None], [[0, 1]] * 4, list(np.eye(4)), np.zeros(4, [("y", "i4")])]
)
def test_one_hot_labels_and_columns_of_labels_are_refused(labels):
    with pytest.raises(ValueError, match="a label must be one name or number, found"):
        load_series(np.random.default_rng(0).normal(size=(4, 20)), labels)


@pytest.mark.parametrize("labels", ["abab", {0: "a"}, {"a", "b"}, pd.DataFrame({"y": list("abab")}), 3])
def test_labels_are_a_list_an_array_or_a_column(labels):
    with pytest.raises(
        ValueError, match="each series needs a label, in a list, an array or one column of a table; found"
    ):
        load_series(np.random.default_rng(0).normal(size=(4, 20)), labels)


def test_categories_without_series_are_no_classes():
    labels = pd.Categorical(list("abab"), categories=list("abc"))
    assert load_series(np.random.default_rng(0).normal(size=(4, 20)), labels).features["label"].names == ["a", "b"]


def test_labels_of_a_tensor_are_sorted_as_numbers():
    labels = torch.arange(12).repeat(2)
    data = load_series(np.random.default_rng(0).normal(size=(24, 20)), labels)
    assert (
        data.features["label"].names == [str(number) for number in range(12)] and data["label"][:] == labels.tolist()
    )


def test_the_order_of_classes_is_a_function_of_their_names_alone():
    assert sort_labels(["10", "9", "-1"]) == ["-1", "9", "10"] and sort_labels(["b", "10", "9"]) == ["10", "9", "b"]
    code = "from ncvqvae.data.labels import sort_labels as s; print(s(['7', '07', '007']), s(['2', 'NAN', '1']))"
    orders = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert orders == {"['007', '07', '7'] ['1', '2', 'NAN']\n"}
