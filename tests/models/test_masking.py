import itertools
import math

import pytest
import scipy.stats
import torch

from ncvqvae.models.masking import (
    decode_by_confidence,
    decode_in_order,
    decoding_order,
    draw,
    guidance_at,
    least_confident,
    mask_ratio,
    radical_inverse,
    training_mask,
)


NUM_CODES = 40


def test_mask_ratio_is_the_cosine_schedule_for_numbers_and_tensors():
    for progress in (0, 0.1, 1 / 3, 0.5, 0.9, 1):
        expected = math.cos(math.pi * progress / 2)
        assert mask_ratio(progress) == pytest.approx(expected, abs=1e-12)
        assert mask_ratio(torch.tensor(progress)).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("num_codes", [1, 2, 5, NUM_CODES])
def test_training_masks_hide_at_least_one_code_of_every_sample(num_codes):
    mask = training_mask(5000, num_codes)
    assert mask.shape == (5000, num_codes) and mask.dtype == torch.bool
    assert mask.any(1).all()
    assert num_codes == 1 or not mask.all()


def test_training_masks_hide_two_in_pi_on_average():
    assert training_mask(20_000, 200).float().mean().item() == pytest.approx(2 / math.pi, abs=0.01)


def test_each_sample_draws_its_own_number_of_hidden_codes_from_the_schedule():
    counts = torch.bincount(training_mask(20_000, 10).sum(1), minlength=11)
    # k of n are hidden where k / n <= cos(pi / 2 * progress) < (k + 1) / n, at a uniform progress; none becomes one.
    at_least = [2 / math.pi * math.acos(k / 10) for k in range(11)]
    expected = [20_000 * (at_least[k] - at_least[k + 1]) for k in range(10)]
    expected[1] += expected[0]
    assert counts[0] == 0 and counts[10] < 20
    counts[9] += counts[10]  # where float32 rounds the cosine to one
    assert scipy.stats.chisquare(counts[1:10].numpy(), expected[1:]).pvalue > 1e-3


def test_training_masks_hide_every_position_equally_often_whatever_the_ratio():
    mask = training_mask(20_000, NUM_CODES)
    share = mask.float().mean(1, keepdim=True)
    for chosen in (mask, mask[share[:, 0] < 0.3], mask[share[:, 0] > 0.7]):
        counts = chosen.sum(0).double()
        expected, each = counts.mean(), chosen.float().mean(1)
        deviation = (each * (1 - each)).sum().sqrt()  # of the count of one position
        assert ((counts - expected).abs() < 4.5 * deviation).all()


def test_the_same_seed_gives_the_same_mask_and_another_a_different_one():
    first, second, third = (training_mask(8, NUM_CODES, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, second) and not torch.equal(first, third)


def test_what_pads_a_shorter_sample_is_never_masked_and_its_codes_are_masked_at_the_ratio_of_its_own_number():
    valid = torch.arange(NUM_CODES).expand(20_000, -1) < 5
    mask = training_mask(20_000, NUM_CODES, valid=valid)
    assert not mask[~valid].any() and mask.any(1).all()
    expected = training_mask(20_000, 5).float().mean()
    assert mask[valid].float().mean().item() == pytest.approx(expected.item(), abs=0.01)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_a_code_is_drawn_at_its_probability_and_one_of_probability_zero_never(temperature, generator):
    probabilities = torch.tensor([0.0, 0.1, 0.0, 0.6, 0.3, 0.0])
    codes, chosen = draw(probabilities.log().expand(5, 8000, 6), temperature, generator)
    expected = probabilities ** (1 / temperature)
    expected = expected / expected.sum()
    torch.testing.assert_close(chosen, expected[codes])
    counts, drawable = torch.bincount(codes.flatten(), minlength=6), expected > 0
    assert not counts[~drawable].any()
    assert scipy.stats.chisquare(counts[drawable].numpy(), (40_000 * expected[drawable]).numpy()).pvalue > 1e-3


def test_without_noise_exactly_the_least_confident_are_hidden_again():
    probabilities = torch.rand(6, NUM_CODES)
    hidden = least_confident(probabilities, 13, noise_scale=0.0)
    for row in range(6):
        least = sorted(range(NUM_CODES), key=lambda i: probabilities[row, i].item())[:13]
        assert sorted(hidden[row].tolist()) == sorted(least)


def test_the_one_code_kept_is_drawn_at_probabilities_to_the_power_of_one_over_the_noise_scale(generator):
    # The largest of log p + s * Gumbel is index i with probability p_i ** (1 / s) / sum.
    probabilities, noise_scale, draws = torch.tensor([0.1, 0.2, 0.3, 0.4]), 1.2, 20_000
    hidden = least_confident(probabilities.expand(draws, 4), 3, noise_scale, generator)
    kept = 6 - hidden.sum(1)
    expected = probabilities.double() ** (1 / noise_scale)
    counts = torch.bincount(kept, minlength=4)
    assert scipy.stats.chisquare(counts.numpy(), (expected / expected.sum() * draws).numpy()).pvalue > 1e-3


def test_the_same_seed_hides_the_same_codes():
    probabilities = torch.rand(4, NUM_CODES)
    first, second = (least_confident(probabilities, 9, 4.0, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize(("num_codes", "num_steps"), [(20, 1), (20, 3), (20, 8), (20, 25), (1, 50), (3, 50)])
def test_decoding_hides_as_many_as_the_schedule_says_and_never_takes_a_code_back(num_codes, num_steps):
    seen = []

    def predict(codes, hidden, wanted, _):
        known = torch.ones_like(codes, dtype=torch.bool).scatter(1, hidden, False)
        assert (known.sum(1) == num_codes - hidden.shape[1]).all()
        seen.append((codes.clone(), known))
        return torch.zeros(*hidden.shape, 5)

    final = decode_by_confidence(predict, torch.zeros(6, num_codes, 5), num_steps, choice_temperature=4.0)
    counts = [int(num_codes * math.cos(step / num_steps * math.pi / 2)) for step in range(1, num_steps)]
    assert [num_codes - int(known.sum(1)[0]) for _, known in seen] == [count for count in counts if count]
    for (codes, known), (later_codes, later_known) in itertools.pairwise([*seen, (final, torch.ones_like(final) > 0)]):
        assert later_known[known].all()
        assert torch.equal(codes[known], later_codes[known])
    assert final.shape == (6, num_codes)


def test_once_all_codes_are_decided_nothing_is_drawn_any_more(monkeypatch):
    drawn, predicted = [], []
    monkeypatch.setattr("ncvqvae.models.masking.draw", lambda *given: drawn.append(given) or draw(*given))

    def predict(codes, masked, *_):
        predicted.append(masked)
        return torch.zeros(*masked.shape, 5)

    decode_by_confidence(predict, torch.zeros(6, 3, 5), 50)
    assert len(drawn) == len(predicted) + 1 < 50


def test_decoding_in_one_step_draws_from_what_nothing_known_predicts(generator):
    logits = torch.tensor([0.1, 0.6, 0.3]).log().expand(4000, 10, 3)
    drawn = decode_by_confidence(None, logits, 1, generator=generator)
    shares = torch.bincount(drawn.flatten()) / drawn.numel()
    torch.testing.assert_close(shares, torch.tensor([0.1, 0.6, 0.3]), atol=0.01, rtol=0)


def test_decoding_follows_a_prediction_that_is_certain_in_any_number_of_steps():
    wanted = torch.randint(7, (5, 12))
    logits = 100 * torch.nn.functional.one_hot(wanted, 7).float()

    def predict(codes, hidden, wanted, _):
        return logits.gather(1, hidden[..., None].expand(-1, -1, 7))

    for num_steps in (1, 3, 12, 30):
        assert torch.equal(decode_by_confidence(predict, logits, num_steps, 1.0, 4.0), wanted)


def test_the_radical_inverse_mirrors_digits():
    assert radical_inverse(8, 2).tolist() == [0, 0.5, 0.25, 0.75, 0.125, 0.625, 0.375, 0.875]
    expected = torch.tensor([0, 1 / 3, 2 / 3, 1 / 9, 4 / 9, 7 / 9, 2 / 9, 5 / 9, 8 / 9, 1 / 27], dtype=torch.float64)
    torch.testing.assert_close(radical_inverse(10, 3), expected)


@pytest.mark.parametrize("name", ["random", "low_discrepancy"])
@pytest.mark.parametrize("grid", [(1, 1), (1, 16), (1, 65), (3, 20), (7, 13), (10, 1)])
def test_an_order_visits_all_positions_and_is_its_own_for_each_sample(name, grid, generator):
    order = decoding_order(name, 9, grid, generator)
    assert torch.equal(order.sort(1).values, torch.arange(grid[0] * grid[1]).expand(9, -1))
    assert grid == (1, 1) or len(order.unique(dim=0)) > 1


def test_codes_that_are_decided_together_lie_far_apart(generator):
    order = decoding_order("low_discrepancy", 100, (1, 64), generator)
    for count in (2, 4, 8, 16, 32):
        places = order[:, :count].sort(1).values
        gaps = torch.cat((places, places[:, :1] + 64), 1).diff(dim=1)
        assert gaps.min() >= 64 // count - 1 and gaps.max() <= 64 // count + 1


@pytest.mark.parametrize("num_steps", [1, 3, 8, 20, 40])
def test_decoding_in_order_predicts_what_it_draws_and_as_much_as_the_schedule_says(num_steps, generator):
    order, seen = decoding_order("low_discrepancy", 6, (2, 10), generator), []
    target = torch.randint(5, (6, 20))

    def predict(codes, masked, wanted, progress):
        start = 20 - masked.shape[1]
        assert torch.equal(masked, order[:, start:]) and torch.equal(wanted, masked[:, : wanted.shape[1]])
        known = order[:, :start]
        assert torch.equal(codes.gather(1, known), target.gather(1, known))
        seen.append((start, wanted.shape[1], progress))
        return 100 * torch.nn.functional.one_hot(target.gather(1, wanted), 5).float()

    first = 100 * torch.nn.functional.one_hot(target, 5).float()
    assert torch.equal(decode_in_order(predict, first, order, num_steps, generator=generator), target)
    known = [20 - int(20 * math.cos(step / num_steps * math.pi / 2)) for step in range(num_steps + 1)]
    steps = [(a, b - a, n / num_steps) for n, (a, b) in enumerate(itertools.pairwise(known)) if a and b > a]
    assert seen == steps


def test_guidance_is_constant_ramps_up_or_keeps_to_the_middle():
    progress = [0, 0.25, 0.5, 0.75, 0.9]
    assert [guidance_at(part, 3.0, "constant") for part in progress] == [3] * 5
    assert [guidance_at(part, 3.0, "ramped") for part in progress] == [1, 1.5, 2, 2.5, 2.8]
    assert [guidance_at(part, 3.0, "interval") for part in progress] == [1, 3, 3, 3, 1]
