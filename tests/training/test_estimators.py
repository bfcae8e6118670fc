"""A checkpoint as scikit-learn and imbalanced-learn would have it."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from helpers.tiny import ANY_LENGTH, SETTINGS, split
from ncvqvae import Augmenter, ClassBalancer, NCVQVAEConfig, NCVQVAEModel, TimeSeriesFeatures, load_checkpoint
from ncvqvae.cli.__main__ import main
from ncvqvae.data.own_series import read_series
from ncvqvae.data.series import to_tensors
from ncvqvae.training import estimators
from ncvqvae.training.run_folder import save


@pytest.fixture
def base(base_tokenizer, tmp_path):
    save(base_tokenizer, tmp_path / "base")
    return str(tmp_path / "base")


@pytest.fixture
def imbalanced():
    values, labels = to_tensors(split(12, 0))
    kept = np.r_[np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)[:2]]
    return values[kept, 0].numpy(), np.array(["down", "up"])[labels[kept]]


@parametrize_with_checks([TimeSeriesFeatures()])
def test_features_keep_scikit_learns_contract(estimator, check, monkeypatch):
    torch.manual_seed(0)
    tiny = NCVQVAEModel(NCVQVAEConfig(**ANY_LENGTH)).eval()
    monkeypatch.setattr(estimators, "_loaded", lambda checkpoint: tiny)
    check(estimator)


def test_features_are_those_of_embed_in_pipelines_pickles_and_clones(base):
    values = torch.randn(6, 2, 40) * torch.tensor([1.0, 8.0])[:, None] + torch.arange(6.0)[:, None, None]
    features = TimeSeriesFeatures(base).fit(values.numpy())
    mean, deviation = values.mean((0, 2)), values.std((0, 2), correction=0)
    expected = load_checkpoint(base).embed(values, mean, deviation).detach()
    np.testing.assert_allclose(features.transform(values.numpy()), expected, rtol=1e-3, atol=1e-3)
    assert len(pickle.dumps(features)) < 2000
    again = pickle.loads(pickle.dumps(features)).transform(values.numpy())
    np.testing.assert_array_equal(again, features.transform(values.numpy()))
    assert clone(features).get_params() == {"checkpoint": base} and not hasattr(clone(features), "series_shape_")
    with pytest.raises(ValueError, match=r"the shape \(2, 40\) as in fit"):
        features.transform(values[..., :30].numpy())
    with pytest.raises(ValueError, match="NaN"):
        features.transform(np.full((1, 2, 40), np.nan))


def test_level_and_amplitude_of_a_series_count(base):
    series = np.sin(np.arange(40) / 3)
    same = np.stack([series, 5 * series, series + 5])
    features = TimeSeriesFeatures(base).fit(same).transform(same)
    assert min(np.abs(features[0] - other).mean() for other in features[1:]) > 1e-2


def test_a_pipeline_learns_classes_from_the_features(base):
    (values, labels), (test, truth) = to_tensors(split(40, 0)), to_tensors(split(40, 1))
    pipeline = make_pipeline(TimeSeriesFeatures(base), StandardScaler(), RidgeClassifierCV())
    assert pipeline.fit(values[:, 0].numpy(), labels).score(test[:, 0].numpy(), truth) > 0.9


def test_balancing_adds_series_of_the_rare_class_after_the_real_ones(checkpoint, model, imbalanced):
    X, y = imbalanced
    more, classes = ClassBalancer(checkpoint, random_state=3).fit_resample(X, y)
    assert np.array_equal(more[:8], X) and np.array_equal(classes[:8], y)
    assert more.dtype == X.dtype and more.shape == (12, 40) and classes[8:].tolist() == ["down"] * 4
    again, _ = ClassBalancer(checkpoint, random_state=3).fit_resample(X[:, None], y)
    assert np.array_equal(again[:, 0], more)
    other, _ = ClassBalancer(checkpoint, random_state=4).fit_resample(X, y)
    assert not np.array_equal(other[8:], more[8:])
    balanced, _ = ClassBalancer(checkpoint).fit_resample(X[4:], y[4:])
    assert clone(ClassBalancer(checkpoint, random_state=3)).random_state == 3 and len(balanced) == 4


def test_augmenting_adds_series_at_the_shares_of_the_classes(checkpoint, imbalanced):
    X, y = imbalanced
    more, classes = Augmenter(checkpoint, ratio=1.5, random_state=0).fit_resample(X, y)
    assert len(more) == len(classes) == 8 + 12 and sorted(classes[8:16]) == sorted(y)
    assert len(Augmenter(checkpoint, ratio=0).fit_resample(X, y)[0]) == 8
    assert set(Augmenter().get_params()) == {"checkpoint", "ratio", "recipe", "overrides", "random_state"}


def test_without_a_checkpoint_a_model_is_trained_on_the_series_at_hand(imbalanced):
    X, y = imbalanced
    balancer = ClassBalancer(recipe="thesis/none", overrides=tuple(SETTINGS), random_state=0)
    more, classes = balancer.fit_resample(X, y == "up")
    assert more.shape == (12, 40) and (classes[8:] == False).all() and np.isfinite(more).all()  # noqa: E712
    assert set(balancer.model_.config.label2id) == {"False", "True"}


def test_what_cannot_grow_is_said_in_one_line(checkpoint, imbalanced):
    X, y = imbalanced
    for wrong, match in (
        ((X, np.where(y == "up", "up", "sideways")), "does not know the class 'sideways'; its classes are down, up"),
        ((X[:, :30], y), r"generates series \(channels, length\) \(1, 40\), found \(30,\)"),
        ((X, y[:5]), "inconsistent numbers of samples"),
        ((np.full_like(X, np.nan), y), "NaN"),
        ((X, np.linspace(0, 1, 8)), "continuous"),
    ):
        with pytest.raises(ValueError, match=match):
            ClassBalancer(checkpoint).fit_resample(*wrong)
    with pytest.raises(ValueError, match="ratio must be 0 or more, found -1"):
        Augmenter(checkpoint, ratio=-1).fit_resample(X, y)


def test_augment_writes_real_and_generated_series(checkpoint, imbalanced, tmp_path, capsys):
    X, y = imbalanced
    np.savez(tmp_path / "in.npz", values=X, labels=y)
    files = [checkpoint, str(tmp_path / "in.npz"), str(tmp_path / "out.csv")]
    assert main(["augment", *files, "--balance"]) == 0
    values, labels, _ = read_series(tmp_path / "out.csv")
    assert torch.equal(values[:8, 0], torch.from_numpy(X)) and labels == [*y, *["down"] * 4]
    assert "12 series" in (said := capsys.readouterr().out) and "4 are generated" in said
    assert main(["augment", *files, "--ratio", "0.5"]) == 0 and len(read_series(tmp_path / "out.csv")[0]) == 12
    np.savez(tmp_path / "in.npz", values=X)
    assert main(["augment", *files]) == 2
    assert "has no classes; name their column" in capsys.readouterr().err
