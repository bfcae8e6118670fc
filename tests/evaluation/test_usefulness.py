"""Whether generated series help a classifier: figures of three classifiers, and what they advise."""

import pytest
import torch

from ncvqvae.evaluation.classification import linear_accuracy, ridge_penalty
from ncvqvae.evaluation.comparison import Comparison
from ncvqvae.evaluation.fcn import FCN
from ncvqvae.evaluation.usefulness import advice, usefulness


def series(size, seed):
    """Two classes, whose means differ by one deviation of the noise at each of 40 samples."""
    labels = torch.arange(size) % 2
    noise = torch.randn(size, 1, 40, generator=torch.Generator().manual_seed(seed))
    return noise + labels[:, None, None], labels


def test_a_gain_is_over_real_series_and_a_margin_over_the_rival_for_each_of_three_classifiers(monkeypatch):
    monkeypatch.setattr("ncvqvae.evaluation.classification.LEAST_STEPS", 4)
    monkeypatch.setattr("ncvqvae.evaluation.classification.EPOCHS", 0)
    embedded = []

    def embed(values):
        embedded.append(len(values))
        return values.flatten(1)

    comparison = Comparison(series(8, 0), series(30, 1), 2, FCN(1, 2, 0.0, 1.0).eval(), embed)
    good, wrong = series(60, 2), (series(60, 3)[0], 1 - series(60, 3)[1])
    scores = usefulness(comparison, good, wrong, series(20, 4), seed=0)
    assert len(scores) == 3 * 8
    for name in ("fcn", "minirocket", "embed"):
        assert scores[f"gain_{name}"] == scores[f"both_{name}"] - scores[f"real_{name}"]
        assert scores[f"rival_{name}"] == scores[f"warped_{name}"] - scores[f"real_{name}"]
        assert scores[f"margin_{name}"] == scores[f"both_{name}"] - scores[f"warped_{name}"]
    assert scores["cas_embed"] > 0.9 and scores["margin_embed"] > 0.2 and scores["mirror_embed"] > 0.6
    assert sorted(embedded) == [8, 20, 30, 60, 60]
    assert comparison.embedded[0].shape == (8, 40) and len(embedded) == 5  # real series once for all seeds


def test_the_linear_model_weighs_its_penalty_by_the_number_of_series():
    (train, labels), test = series(30, 0), series(200, 1)
    train, tests = train.flatten(1), [(test[0].flatten(1), test[1])]
    penalty = ridge_penalty(train, labels)
    assert 1 <= penalty * len(train) <= 1e5
    repeated = train.repeat(7, 1), labels.repeat(7)
    assert linear_accuracy((train, labels), tests, penalty) == linear_accuracy(repeated, tests, penalty) > [0.9]


def figures(**gains):
    """Scores with a gain and a rival's gain for each classifier, by its name."""
    scores = {}
    for name, (gain, rival) in gains.items():
        scores |= {f"gain_{name}": {"mean": gain}, f"rival_{name}": {"mean": rival}}
    return scores


@pytest.mark.parametrize(
    ("gains", "said", "unsaid"),
    [
        (
            {"fcn": (0.01, 0.02), "minirocket": (-0.01, -0.02), "embed": (0.03, 0.02)},
            "Do not use it for this with the FCN and MiniROCKET: the real series alone or real series that are "
            "lightly changed serve better. Its series serve a linear model on `embed` best.",
            "for this:",
        ),
        (
            {"fcn": (-0.01, 0.02), "minirocket": (-0.01, 0.02), "embed": (0.0, 0.02)},
            "Do not use it for this: real series that are lightly changed serve better.",
            "best",
        ),
        (
            {"fcn": (0.01, 0.0), "minirocket": (0.0, 0.0), "embed": (0.02, -0.01)},
            "Its series serve the FCN and a linear model on `embed` best.",
            "Do not",
        ),
    ],
)
def test_where_a_rival_wins_the_advice_is_not_to_use_it(gains, said, unsaid):
    found = " ".join(advice(figures(**gains)))
    fcn = f"{gains['fcn'][0]:+.1%} for the FCN, {gains['minirocket'][0]:+.1%} for MiniROCKET and"
    assert f"to the real ones changes test accuracy by {fcn}" in found
    assert f"warped and jittered instead changes it by {gains['fcn'][1]:+.1%} for the FCN" in found
    assert said in found and unsaid not in found


def test_figures_of_an_earlier_version_are_taken_as_far_as_they_go():
    old = {"gain_fcn": {"mean": 0.0}, "gain_minirocket": {"mean": -0.007, "warped": 0.004}}
    found = " ".join(advice(old))
    assert "by +0.0% for the FCN and -0.7% for MiniROCKET." in found and "jittered" not in found
    assert "Do not use it for this with MiniROCKET: real series that are lightly changed serve better." in found
    assert "best" not in found and advice({}) == []
