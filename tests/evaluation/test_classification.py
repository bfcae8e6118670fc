import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC, LinearSVC

from helpers.tiny import sines_in_noise
from ncvqvae.evaluation.classification import (
    fcn_accuracy,
    join_evenly,
    minirocket_accuracy,
    nearest_neighbour_accuracy,
    strong_probe,
    synthetic_labels,
    thesis_probe,
)


def two_classes(series, shift, dim=6, seed=0):
    """Gaussian classes `shift` deviations apart in the first feature, which is much the smallest."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(series) % 2
    values = torch.randn(series, dim, generator=generator, dtype=torch.float64)
    values[:, 0] = 0.01 * (values[:, 0] + shift * labels) + 3
    return values, labels


def test_the_thesis_probe_is_a_linear_svm_and_five_neighbours_on_features_scaled_to_plus_minus_one():
    (train, labels), (test, test_labels) = two_classes(40, 1.5), two_classes(301, 1.5, seed=1)
    low, high = train.amin(0), train.amax(0)
    scaled, test_scaled = (2 * (part - low) / (high - low) - 1 for part in (train, test))

    def accuracy(predicted):
        return np.mean(np.asarray(predicted) == test_labels.numpy())

    def neighbours(train, test):
        nearest = torch.cdist(test, train).argsort(1)[:, :5]
        return labels[nearest].double().mean(1) > 0.5

    scores = thesis_probe(train, labels, test, test_labels)
    svm = SVC(kernel="linear", C=1.0).fit(scaled, labels)
    assert scores == pytest.approx(
        {"svm": accuracy(svm.predict(test_scaled)), "knn": accuracy(neighbours(scaled, test_scaled))}, abs=1e-9
    )
    assert scores["knn"] != accuracy(neighbours(train, test))  # without the scaling
    assert 0.5 < scores["knn"] < 0.95 and 0.5 < scores["svm"] < 0.95


def test_the_thesis_probe_takes_fewer_series_than_neighbours():
    features, labels = torch.tensor([[0.0], [0.1], [1.0]]), torch.tensor([0, 0, 1])
    scores = thesis_probe(features, labels, features, labels)
    assert scores == pytest.approx({"svm": 1, "knn": 2 / 3})  # all three vote


def test_the_strong_probe_separates_what_one_tiny_feature_separates():
    scores = strong_probe(*two_classes(200, 12), *two_classes(200, 12, seed=1))
    assert scores == {"logistic_regression": 1, "linear_svm": 1}


def test_the_strong_probe_is_at_chance_on_noise():
    scores = strong_probe(*two_classes(80, 0), *two_classes(600, 0, seed=1))
    assert len(scores) == 2 and all(abs(score - 0.5) < 0.08 for score in scores.values())  # 4 deviations


def test_the_strong_probe_chooses_a_penalty_that_fits_features_of_mostly_noise():
    # A little of the signal is in each of 300 features; a weak penalty fits the noise of 200 series.
    def draw(series, seed):
        labels = torch.arange(series) % 2
        noise = torch.randn(series, 300, generator=torch.Generator().manual_seed(seed))
        return noise + 0.12 * labels[:, None], labels

    (train, labels), (test, test_labels) = draw(200, 1), draw(1000, 2)
    scores = strong_probe(train, labels, test, test_labels)
    scaled, test_scaled = ((part - train.mean(0)) / train.std(0, correction=0) for part in (train, test))
    logistic_regression, svm = LogisticRegression(C=100, max_iter=5000), LinearSVC(C=100, max_iter=20_000)
    for name, weak in (("logistic_regression", logistic_regression), ("linear_svm", svm)):
        assert scores[name] > weak.fit(scaled, labels).score(test_scaled, test_labels) + 0.03


def test_the_strong_probe_is_the_same_for_the_same_seed_and_leaves_its_inputs_as_they_were():
    train, test = two_classes(30, 1), two_classes(200, 1, seed=1)
    before = train[0].clone()
    assert strong_probe(*train, *test, seed=3) == strong_probe(*train, *test, seed=3)
    assert torch.equal(train[0], before)


def test_a_class_of_two_series_is_enough_and_of_one_refused():
    (features, labels), test = two_classes(20, 12, 1), two_classes(50, 12, 1, seed=1)
    few = torch.cat((torch.arange(0, 20, 2), torch.tensor([1, 3])))
    assert min(strong_probe(features[few], labels[few], *test).values()) > 0.9
    with pytest.raises(ValueError, match="2 training series or more of each class, found 1"):
        strong_probe(features[few[:-1]], labels[few[:-1]], *test)


@pytest.mark.parametrize("probe", [thesis_probe, strong_probe])
def test_features_with_nan_are_refused(probe):
    (features, labels), test = two_classes(20, 3), two_classes(20, 3, seed=1)
    broken = features.index_fill(0, torch.tensor(4), math.nan)
    for sets in ((broken, labels, *test), (features, labels, broken, labels)):
        with pytest.raises(ValueError, match="NaN"):
            probe(*sets)


@pytest.mark.parametrize(("counts", "times"), [((30, 20), 20), ((1, 998), 2), ((0, 1000), 1), ((7, 0, 4), 91)])
def test_synthetic_labels_are_those_of_the_split_as_a_whole_as_often_as_makes_a_thousand(counts, times):
    labels = torch.cat([torch.full((count,), label) for label, count in enumerate(counts)])
    labels = labels[torch.randperm(len(labels))]
    drawn = synthetic_labels(labels, len(counts))
    assert torch.bincount(drawn, minlength=len(counts)).tolist() == [count * times for count in counts]


@pytest.mark.parametrize(
    ("sizes", "times"), [((10, 40), (4, 1)), ((33, 10), (1, 3)), ((12, 12), (1, 1)), ((9, 10), (1, 1))]
)
def test_the_smaller_set_is_repeated_in_whole_until_both_weigh_the_same(sizes, times):
    real, generated = [(torch.randn(size, 1, 4), torch.randint(3, (size,))) for size in sizes]
    values, labels = join_evenly(real, generated)
    assert len(values) == len(labels) == sizes[0] * times[0] + sizes[1] * times[1]
    for part, repeats in ((real, times[0]), (generated, times[1])):
        for series, label in zip(*part, strict=True):
            rows = (values == series).all((1, 2))
            assert rows.sum() == repeats and (labels[rows] == label).all()


def test_classifiers_trained_on_a_separable_toy_score_high_on_it_and_low_on_its_opposite():
    for accuracy, length, more in ((fcn_accuracy, 8, [2]), (minirocket_accuracy, 32, [])):
        train, test = sines_in_noise(60, length), sines_in_noise(100, length, seed=1)
        high, low = accuracy(train, [test, (test[0], 1 - test[1])], *more)
        assert high > 0.95 and low == pytest.approx(1 - high)


def test_nearest_neighbours_are_found_among_series_of_another_precision():
    values, labels = torch.randn(6, 1, 20), torch.arange(6) % 2
    assert nearest_neighbour_accuracy(values, labels, values.double(), labels) == 1
    assert nearest_neighbour_accuracy(values.double(), labels, values, labels) == 1
