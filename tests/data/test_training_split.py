import numpy as np
import pytest
import torch
from datasets import DatasetDict

from helpers.tiny import split, toy_dataset
from ncvqvae.data.own_series import load_series
from ncvqvae.data.series import series_dataset
from ncvqvae.data.training_split import (
    TrainingData,
    evaluation_split,
    fit_scaler,
    hold_out,
    split_series,
    subsample,
)


def test_the_scaler_has_the_moments_of_each_channel():
    values = torch.randn(50, 2, 30) * torch.tensor([[2.0], [5.0]]) + torch.tensor([[1.0], [-3.0]])
    mean, std = fit_scaler(values)
    scaled = (values - torch.tensor(mean)[:, None]) / torch.tensor(std)[:, None]
    torch.testing.assert_close(scaled.mean((0, 2)), torch.zeros(2), atol=1e-6, rtol=0)
    torch.testing.assert_close(scaled.std((0, 2), correction=0), torch.ones(2))


def test_a_constant_channel_is_refused():
    with pytest.raises(ValueError, match="channel 1 is constant"):
        fit_scaler(torch.stack([torch.randn(3, 9), torch.ones(3, 9)], 1))


def test_the_held_out_series_are_a_share_of_each_class_and_never_a_whole_class():
    labels = torch.tensor([0] * 50 + [1] * 20 + [2] * 2)
    train, held_out = hold_out(labels, 72, 0.1, seed=0)
    assert torch.bincount(labels[held_out], minlength=3).tolist() == [5, 2, 0]
    assert torch.cat((train, held_out)).sort().values.tolist() == list(range(72))
    assert hold_out(labels, 72, 0.1, seed=0)[1].tolist() == held_out.tolist()
    assert hold_out(labels, 72, 0.1, seed=1)[1].tolist() != held_out.tolist()
    assert len(hold_out(labels, 72, 0.99, seed=0)[0]) == 3


def test_the_scaler_of_many_chunks_has_the_moments_of_all(monkeypatch):
    values = torch.randn(50, 2, 30) * 3 + torch.tensor([[100.0], [-3.0]])
    monkeypatch.setattr("ncvqvae.data.streaming.CHUNK_VALUES", 7 * 60)
    mean, std = fit_scaler(values)
    assert mean == pytest.approx(values.double().mean((0, 2)).tolist(), rel=1e-12)
    assert std == pytest.approx(values.double().std((0, 2), correction=0).tolist(), rel=1e-12)
    with pytest.raises(ValueError, match="channel 1 is constant"):
        fit_scaler(torch.stack([torch.randn(40, 30), torch.full((40, 30), 0.1)], 1))


@pytest.mark.parametrize("labels", [None, list("ab") * 10])
def test_windows_of_one_series_are_never_on_both_sides_of_the_split(labels, tmp_path):
    found = load_series(np.random.default_rng(0).normal(size=(20, 40)), labels, window=8)
    found.save_to_disk(tmp_path / "windows")
    found = load_series(tmp_path / "windows")  # the series are still known
    data = TrainingData.from_dataset(found, seed=0, validation_fraction=0.2)
    sources = torch.tensor(found["series"][:])
    held_out = set(sources[data.held_out].tolist())
    assert len(held_out) == 4 and len(data.held_out) == 4 * 5
    assert held_out.isdisjoint(sources[data.train].tolist())
    assert len(data.train) + len(data.held_out) == 100
    if labels:
        assert torch.bincount(data.labels[data.held_out]).tolist() == [10, 10]


def test_the_split_is_drawn_by_its_seed_and_that_of_a_training_is_the_same_one():
    dataset = split(40, 0)
    train, held_out = split_series(dataset, seed=3, validation_fraction=0.2)
    data = TrainingData.from_dataset(dataset, seed=3, validation_fraction=0.2)
    assert torch.equal(train, data.train) and torch.equal(held_out, data.held_out) and len(held_out) == 8
    assert not torch.equal(held_out, split_series(dataset, seed=4, validation_fraction=0.2)[1])
    assert data.label_names == ["down", "up"] and data.label_shares == [0.5, 0.5]
    assert torch.equal(data.part(held_out), data.values[held_out])


def test_a_model_is_judged_by_the_test_split_or_what_was_held_out_or_else_by_the_training_series():
    train, test = toy_dataset(), split(6, 1)
    both = DatasetDict(train=train, test=test)
    assert evaluation_split(both, seed=0, validation_fraction=0.25) == (train, test, "test")
    alone = DatasetDict(train=train)
    seen, unseen, kind = evaluation_split(alone, seed=0, validation_fraction=0.25)
    assert kind == "held-out" and (len(seen), len(unseen)) == (8, 4)
    _, held_out = split_series(train, seed=0, validation_fraction=0.25)
    assert unseen["values"][:] == train.select(held_out.tolist())["values"][:]
    assert evaluation_split(alone, seed=0, validation_fraction=0) == (train, train, "training")


@pytest.mark.parametrize(("limits", "step"), [({}, 1), ({"most_series": 4}, 3), ({"most_values": 5 * 24}, 3)])
def test_a_sample_is_every_kth_series_and_keeps_to_both_limits(limits, step):
    values = np.arange(12)[:, None] + np.zeros(24)
    found = subsample(series_dataset(values), **limits)["values"][:]
    assert [series[0][0] for series in found] == list(range(0, 12, step))
