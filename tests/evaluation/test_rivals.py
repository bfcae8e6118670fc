"""The rival that every table has: training series, lightly changed."""

import torch

from ncvqvae.evaluation.rivals import jittered, lightly_warped


def test_warped_series_are_near_the_series_they_come_from_but_not_the_same():
    time = torch.linspace(0, 12, 200)
    values, labels = torch.sin(time + torch.arange(9.0)[:, None, None]) + 5, torch.arange(9) % 3
    rows = torch.arange(90) % 9
    warped, classes = lightly_warped((values, labels), rows, seed=0)
    assert torch.equal(classes, labels[rows]) and warped.shape == (90, 1, 200)
    distance = (warped - values[rows]).square().mean((1, 2)).sqrt()
    assert distance.min() > 0.01 and distance.max() < 0.7 and warped[:9].unique(dim=0).shape[0] == 9
    assert torch.equal(warped, lightly_warped((values, labels), rows, seed=0)[0])
    assert not torch.equal(warped, lightly_warped((values, labels), rows, seed=1)[0])


def test_jitter_is_three_percent_of_a_channels_deviation_and_follows_its_seed():
    values = torch.randn(50, 2, 400, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 20.0])[:, None]
    noise = jittered(values, seed=0) - values
    assert torch.allclose(noise.std((0, 2)), torch.tensor([0.03, 0.6]), rtol=0.05)
    assert torch.equal(jittered(values, 0), jittered(values, 0)) and not torch.equal(
        jittered(values, 0), jittered(values, 1)
    )
