"""`generate(labels=...)` where integers are names of classes, and where a class is called "null"."""

import re

import numpy as np
import pandas as pd
import pytest
import torch

from helpers.tiny import TINY_PRIOR
from ncvqvae import MaskGITForTimeSeriesGeneration


def prior(pretraining_model, *names):
    fields = TINY_PRIOR | {"id2label": dict(enumerate(names)), "label_shares": [1 / len(names)] * len(names)}
    return MaskGITForTimeSeriesGeneration.from_tokenizer(pretraining_model.tokenizer, **fields).eval()


def classes(model, labels, num_samples=None):
    return model.generate(num_samples, labels, num_steps=1, return_labels=True).labels.tolist()


@pytest.fixture
def gun_point(pretraining_model):
    """A prior whose classes are called as in GunPoint."""
    return prior(pretraining_model, "1", "2")


@pytest.mark.parametrize(
    "labels", [1, np.int64(1), [1], [0, 1], (np.int32(1), 0), pd.Series([1, 0]), np.array([1, 0], object)]
)
def test_an_integer_that_is_the_index_of_one_class_and_the_name_of_another_is_refused(gun_point, labels):
    readings = "label 1 is the index of class '2' and the name of the class of index 0; give a name, "
    with pytest.raises(ValueError, match=re.escape(readings + 'labels="2" or labels="1", or indices as a tensor')):
        gun_point.generate(labels=labels)


@pytest.mark.parametrize("labels", [2, np.int64(2), [0, 2], pd.Series([2]), torch.tensor([2]), np.array([2])])
def test_an_integer_that_is_a_name_and_no_index_is_to_be_asked_for_by_name(gun_point, labels):
    message = "unknown label 2; the model's classes are 0 ('1'), 1 ('2'); a class is asked for by its name as text, "
    with pytest.raises(ValueError, match=re.escape(message + 'labels="2"')):
        gun_point.generate(labels=labels)


@pytest.mark.parametrize(
    "labels",
    [
        torch.tensor([1, 0]),
        torch.tensor([1, 0], dtype=torch.uint8),
        np.array([1, 0]),
        ["2", "1"],
        np.array(["2", "1"]),
        pd.Series(["2", "1"]),
        ["2", 0],
    ],
)
def test_integer_tensors_and_arrays_hold_indices_and_text_holds_names(gun_point, labels):
    assert classes(gun_point, labels) == [1, 0]


def test_an_array_of_no_axis_holds_an_index(gun_point):
    assert classes(gun_point, torch.tensor(1), 2) == classes(gun_point, np.array(1), 2) == [1, 1]


def test_what_the_model_returns_as_labels_asks_for_the_same_classes(gun_point):
    made = gun_point.generate(20, num_steps=1, return_labels=True)
    assert classes(gun_point, made.labels) == classes(gun_point, made.labels.numpy()) == made.labels.tolist()


def test_an_integer_is_an_index_where_its_name_agrees_or_no_class_is_called_so(pretraining_model):
    model = prior(pretraining_model, "-1", "1", "walk")
    assert classes(model, [0, 1, 2]) == classes(model, pd.Series([0, 1, 2])) == [0, 1, 2]
    with pytest.raises(ValueError, match=r'unknown label -1; .*labels="-1"'):
        model.generate(labels=-1)


def test_null_is_a_class_where_one_is_called_so_and_else_no_class(pretraining_model):
    named = prior(pretraining_model, "null", "walk")
    assert classes(named, "null", 3) == [0, 0, 0] and classes(named, ["walk", "null"]) == [1, 0]
    assert classes(prior(pretraining_model, "run", "walk"), "null", 2) == [-1, -1]


@pytest.mark.parametrize("labels", [torch.tensor([-1, 0]), np.array([-1, 0])])
def test_minus_one_in_a_tensor_or_an_array_asks_for_no_class_whatever_a_class_is_called(pretraining_model, labels):
    for names in (("run", "walk"), ("walk", "-1")):
        assert classes(prior(pretraining_model, *names), labels) == [-1, 0]


@pytest.mark.parametrize("number", [0, -1])
def test_no_fewer_than_one_series_can_be_asked_for(gun_point, number):
    with pytest.raises(ValueError, match=f"num_samples must be at least 1, found {number}"):
        gun_point.generate(number)
