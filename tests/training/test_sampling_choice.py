"""The choice of how a prior samples."""

import pytest
import torch

from helpers.tiny import SETTINGS, toy_dataset
from ncvqvae import MaskGITForTimeSeriesGeneration, load_recipe
from ncvqvae.training import sampling_choice, stages
from ncvqvae.training.sampling_choice import choose_sampling
from ncvqvae.training.stages import train


def test_the_settings_that_generate_what_is_there_are_chosen(model, monkeypatch):
    # Real series are the model's own at a low temperature: lower ones than theirs, and higher ones, are farther.
    made = model.generate(
        400, temperature=0.5, order="random", return_labels=True, generator=torch.Generator().manual_seed(3)
    )
    monkeypatch.setattr(sampling_choice, "START", {"order": "random", "temperature": 1.0})
    monkeypatch.setattr(sampling_choice, "CHANGES", [[{"temperature": value} for value in (0.5, 0.1)]])
    chosen = choose_sampling(model, made.values, made.labels, seed=0)
    assert chosen["temperature"] == 0.5 and chosen == choose_sampling(model, made.values, made.labels, seed=0)


@pytest.mark.parametrize("labelled", [True, False])
def test_a_checkpoint_keeps_the_settings_that_were_chosen(labelled, tmp_path, monkeypatch):
    monkeypatch.setattr(stages, "LEAST_TO_CHOOSE_BY", 12)
    recipe = load_recipe(None, [*SETTINGS, "choose_sampling=true"])
    model, _ = train(toy_dataset(labelled=labelled), recipe, tmp_path / "out", tmp_path / "work")
    loaded = MaskGITForTimeSeriesGeneration.from_pretrained(tmp_path / "out")
    kept = loaded.config.sampling()
    assert kept == model.config.sampling()
    known = [sampling_choice.START, *(change for changes in sampling_choice.CHANGES for change in changes)]
    for name in sampling_choice.START:
        assert kept[name] in [change[name] for change in known if name in change]
    assert labelled or kept["guidance_scale"] == 1


def test_fewer_series_than_say_anything_choose_nothing(tmp_path):
    model, _ = train(
        toy_dataset(), load_recipe(None, [*SETTINGS, "choose_sampling=true"]), tmp_path / "out", tmp_path / "work"
    )
    kept = model.config.sampling()
    assert {name: kept[name] for name in sampling_choice.START} == sampling_choice.START


def test_series_of_the_same_law_are_nearer_than_wider_and_narrower_ones():
    generator = torch.Generator().manual_seed(0)
    real, same, again = torch.randn(3, 400, 6, generator=generator)
    near, far, narrow = (float(sampling_choice.energy_distance(real, made)) for made in (same, 2 * same, again / 2))
    assert near < far and near < narrow
    distances = torch.cdist(real, same).mean() * 2 - torch.cdist(same, same).sum() / (400 * 399)
    assert near == pytest.approx(distances.item(), rel=1e-5)
