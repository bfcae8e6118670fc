"""The score of a series is the likelihood of its codes, over orders, and of what they leave out."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
import torch
from torch.distributions import Normal

from helpers.tiny import ANY_LENGTH
from ncvqvae import MaskGITForTimeSeriesGeneration, NCVQVAEConfig, NCVQVAEForPreTraining
from ncvqvae.cli.__main__ import main


@pytest.fixture
def prior():
    """A tiny prior over series of three codes a channel, whose predictions are far from uniform."""
    stage1 = NCVQVAEForPreTraining(NCVQVAEConfig(**ANY_LENGTH | {"working_length": 16})).train()
    for _ in range(30):  # until the codes differ
        stage1(torch.randn(8, 1, 16), torch.randn(8, 1, 16))
    sizes = dict(
        hidden_size=16,
        num_hidden_layers=1,
        head_dim=8,
        intermediate_size=16,
        position_encoding="rotary",
        sampling_precision="no",
    )
    model = MaskGITForTimeSeriesGeneration.from_tokenizer(
        stage1.tokenizer,
        sets=[{"name": "A", "length": 16, "mean": 0.0, "std": 1.0}],
        id2label={0: "A/x", 1: "A/y"},
        code_embedding="geometry",
        **sizes,
    ).eval()
    torch.nn.init.normal_(model.logit_bias, std=0.7)
    torch.nn.init.constant_(model.log_sharpness, 0.5)
    torch.nn.init.normal_(model.code_embedding.weight, std=0.3)
    return model


def by_every_order(model, codes, label):
    """The log-likelihood of the codes of one series, averaged over all orders of decoding them one by one."""
    total = []
    for order in permutations(range(len(codes))):
        known = torch.zeros(1, len(codes), dtype=torch.bool)
        for position in order:
            logits = model.predict(codes[None], known, torch.tensor([label]))
            total.append(logits.log_softmax(-1)[0, position, codes[position]])
            known[0, position] = True
    return sum(total) / len(list(permutations(range(len(codes)))))


@pytest.mark.parametrize("label", [0, 1])
def test_the_score_of_codes_is_the_average_over_all_orders(prior, label):
    values = torch.randn(3, 1, 16).cumsum(-1)
    codes = prior.encode(values).codes
    assert codes.shape == (3, 3)
    with torch.no_grad():
        expected = torch.stack([by_every_order(prior, row, label) for row in codes])
    found = prior.score(values, torch.full((3,), label), num_orders=20_000, batch_size=20_000).codes
    assert expected.std() > 0.1  # they do differ
    torch.testing.assert_close(found, expected, rtol=0, atol=0.04)


def test_the_score_of_the_residual_is_a_gaussians_of_its_own_scale_or_of_the_given_one(model):
    values = 3 + 2 * torch.randn(5, 1, 40)
    model.tokenizer.scale.moments = [[3.0], [2.0]]
    model.tokenizer.scale.reset_parameters()
    error = (values - model.reconstruct(values)) / 2
    for given in (None, 0.3):
        found = model.score(values, "up", residual_std=given)
        scale = given or float(error.square().mean().sqrt())
        assert float(found.residual_std) == pytest.approx(scale, rel=1e-5)
        expected = Normal(0.0, scale).log_prob(error).sum((1, 2))
        torch.testing.assert_close(found.residual, expected, rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(found.scores, found.codes + found.residual)


def test_equal_calls_give_equal_scores_and_a_generator_gives_others(model):
    values = torch.randn(5, 1, 40)
    first = model.score(values)
    assert torch.equal(first.codes, model.score(values.numpy(), "null").codes)
    other = model.score(values, generator=torch.Generator().manual_seed(1), num_orders=2)
    assert not torch.equal(first.codes, other.codes)
    assert torch.equal(model.score(values, ["up"] * 5).codes, model.score(values, "up").codes)
    assert model.score(values.double()).scores.isfinite().all()


def test_channels_count_together_in_the_units_that_scale_each_series(prior):
    values = torch.randn(4, 2, 16)
    found = prior.score(values, "A", 4, 0.5)
    again = prior.score(1e3 + 5 * values, "A", 4, 0.5)
    torch.testing.assert_close(found.residual, again.residual, rtol=1e-3, atol=0.05)
    torch.testing.assert_close(found.codes, again.codes)
    few = prior.score(values, "A", 4, 0.5, batch_size=3)
    torch.testing.assert_close(few.residual, found.residual)


def test_series_like_those_of_training_are_likelier_than_noise_after_a_training(model):
    optimizer = torch.optim.Adam([one for one in model.parameters() if one.requires_grad], 1e-2)
    values = torch.linspace(-1, 1, 40).expand(16, 1, 40) + 0.1 * torch.randn(16, 1, 40)
    model.train()
    for _ in range(40):
        optimizer.zero_grad()
        model(values, torch.ones(16, dtype=torch.long)).loss.backward()
        optimizer.step()
    model.eval()
    scale = model.score(values, "up").residual_std
    new = torch.linspace(-1, 1, 40).expand(8, 1, 40) + 0.1 * torch.randn(8, 1, 40)
    likely = model.score(new, "up", residual_std=float(scale))
    odd = model.score(torch.randn(8, 1, 40), "up", residual_std=float(scale))
    assert likely.codes.min() > odd.codes.max()


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"num_orders": 0}, "num_orders"),
        ({"residual_std": 0.0}, "residual_std must be positive, found 0.0"),
        ({"residual_std": float("nan")}, "residual_std must be positive"),
        ({"labels": "no"}, "unknown label"),
        ({"values": torch.full((2, 1, 40), torch.nan)}, "NaN"),
    ],
)
def test_what_has_no_score_is_said_in_one_line(model, wrong, match):
    with pytest.raises(ValueError, match=match):
        model.score(**{"values": torch.randn(2, 1, 40)} | wrong)


def test_score_writes_a_row_for_each_series_of_a_file(checkpoint, model, tmp_path, capsys):
    values = torch.randn(3, 1, 40)
    np.savez(tmp_path / "in.npz", values=values, labels=["up", "down", "up"])
    files = [checkpoint, str(tmp_path / "in.npz"), str(tmp_path / "out.csv")]
    assert main(["score", *files, "--num-orders", "4"]) == 0
    table, found = pd.read_csv(tmp_path / "out.csv"), model.score(values, ["up", "down", "up"], 4)
    assert list(table) == ["label", "log_likelihood", "of_codes", "of_residual"]
    np.testing.assert_allclose(table["log_likelihood"], found.scores, rtol=1e-4)
    said = capsys.readouterr().out
    assert f"residual_std {float(found.residual_std):.6g}" in said
    assert main(["score", *files, "--residual-std", "-1"]) == 2
    assert "residual_std must be positive, found -1.0" in capsys.readouterr().err
