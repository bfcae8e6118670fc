"""The words that a training ends with."""

import pytest
import torch

from ncvqvae.training.checkpoints import History
from ncvqvae.training.recipes import TrainingSettings
from ncvqvae.training.verdict import judge_copying, judge_length


SETTINGS = TrainingSettings(scaled_steps=100)


def history(*held_out, training=4.0):
    rows = [{"step": 100 * (index + 1), "loss": loss} for index, loss in enumerate(held_out)]
    return History([{"step": step, "loss": training} for step in range(10, 1001, 10)], rows)


@pytest.mark.parametrize(
    ("held_out", "series", "said"),
    [
        ((6.0, 5.0, 5.5), 30, "Trained too long: the loss of the held-out series rose from 5.00 at step 200 to 5.50"),
        ((6.0, 5.0, 3.9), 30, "Not trained to the end: the loss of held-out series is 3.90"),
        ((6.0, 5.0, 4.5), 30, "Trained enough: the loss of held-out series is 4.50"),
        ((6.0, 5.0, 5.5), 3, "Trained enough? Nobody can say, 3 held-out series are too few."),
        ((), 0, "Trained enough? Nobody can say, there are no held-out series."),
    ],
)
def test_the_held_out_loss_says_whether_the_training_was_long_enough(held_out, series, said):
    assert judge_length(history(*held_out), SETTINGS, 1000, series).startswith(said)


def test_what_to_set_is_the_setting_that_decided():
    assert "prior_training.scaled_steps=50" in judge_length(history(6, 5, 5.5), SETTINGS, 1000, 30)
    few = TrainingSettings(scaled_steps=100, num_epochs=50)
    assert "prior_training.num_epochs=25" in judge_length(history(6, 5, 5.5), few, 100, 30)
    assert "prior_training.max_steps=1400" in judge_length(history(6, 3), TrainingSettings(max_steps=700), 9, 30)


def test_copies_are_called_copies():
    train, new, made = torch.randn(3, 40, 1, 30, generator=torch.Generator().manual_seed(0))
    assert judge_copying(train + 0.01 * made, train, new, new).startswith("It copies: 100% of its series")
    assert judge_copying(made, train, new, new).startswith("It does not copy: ")
    assert "needs 20 series or more" in judge_copying(made[:5], train, new, new)
