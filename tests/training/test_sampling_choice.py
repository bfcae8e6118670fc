"""The choice of how a prior samples."""

import pytest
import torch

from helpers.tiny import SETTINGS, toy_dataset
from ncvqvae import MaskGITForTimeSeriesGeneration, load_recipe
from ncvqvae.training import sampling_choice
from ncvqvae.training.sampling_choice import choose_sampling
from ncvqvae.training.stages import train


def test_the_settings_that_generate_what_is_there_are_chosen(model, monkeypatch):
    # Real series are the model's own at a low temperature: lower ones than theirs, and higher ones, are farther.
    made = model.generate(
        400, temperature=0.5, order="random", return_labels=True, generator=torch.Generator().manual_seed(3)
    )
    monkeypatch.setattr(
        sampling_choice,
        "CHOICES",
        [[{"order": "random"}], [{"temperature": value} for value in (1.0, 0.5, 0.1)], [{}]],
    )
    chosen = choose_sampling(model, made.values, made.labels, seed=0)
    assert chosen["temperature"] == 0.5 and chosen == choose_sampling(model, made.values, made.labels, seed=0)


@pytest.mark.parametrize("labelled", [True, False])
def test_a_checkpoint_keeps_the_settings_that_were_chosen(labelled, tmp_path):
    recipe = load_recipe(None, [*SETTINGS, "choose_sampling=true"])
    model, _ = train(toy_dataset(labelled=labelled), recipe, tmp_path / "out", tmp_path / "work")
    loaded = MaskGITForTimeSeriesGeneration.from_pretrained(tmp_path / "out")
    kept = loaded.config.sampling()
    assert kept == model.config.sampling()
    known = [choice for choices in sampling_choice.CHOICES for choice in choices]
    assert any(choice.items() <= kept.items() for choice in known if "order" in choice)
    assert {"temperature": kept["temperature"]} in known
    assert labelled or kept["guidance_scale"] == 1
