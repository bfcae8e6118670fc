import itertools
import math

import pytest
import scipy.stats
import torch

from ncvqvae.masking import decode_iteratively, mask_ratio, remask, training_mask


NUM_CODES = 40


def none_known(batch, num_codes=NUM_CODES):
    return torch.zeros(batch, num_codes, dtype=torch.bool)


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


@pytest.mark.parametrize("num_steps", [1, 3, 10, 25])
def test_a_decoding_hides_as_many_as_the_schedule_says_and_never_what_was_known(num_steps, generator):
    known = none_known(6)
    for step in range(1, num_steps + 1):
        hidden = remask(torch.rand(6, NUM_CODES), known, step / num_steps, 4.0, generator)
        assert not (hidden & known).any()
        count = math.floor(NUM_CODES * math.cos(math.pi / 2 * step / num_steps))
        assert (hidden.sum(1) == count).all()
        known = ~hidden
    assert known.all()


@pytest.mark.parametrize("num_codes", [1, 3])
def test_a_decoding_may_have_more_steps_than_codes(num_codes, generator):
    known = none_known(4, num_codes)
    for step in range(1, 51):
        hidden = remask(torch.rand(4, num_codes), known, step / 50, 4.0, generator)
        assert not (hidden & known).any()
        assert (hidden.sum(1) == math.floor(num_codes * math.cos(math.pi / 2 * step / 50))).all()
        known = ~hidden
    assert known.all()


def test_more_known_codes_than_the_schedule_expects_stay_known():
    known = none_known(2)
    known[:, :35] = True
    known[1, 35:37] = True
    hidden = remask(torch.rand(2, NUM_CODES), known, 0.1, 4.0)
    assert not (hidden & known).any() and hidden.any(1).all()


def test_without_noise_exactly_the_least_confident_are_hidden():
    known = none_known(6)
    known[:, ::4] = True
    probabilities = torch.rand(6, NUM_CODES)
    hidden = remask(probabilities, known, 0.7, 0.0)
    count = math.floor(NUM_CODES * math.cos(math.pi / 2 * 0.7))
    for row in range(6):
        unknown = [i for i in range(NUM_CODES) if not known[row, i]]
        least = sorted(unknown, key=lambda i: probabilities[row, i].item())[:count]
        assert hidden[row].nonzero().flatten().tolist() == sorted(least)


def test_the_one_code_kept_is_drawn_at_probabilities_to_the_power_of_one_over_the_noise_scale(generator):
    # The largest of log p + s * Gumbel is index i with probability p_i ** (1 / s) / sum.
    probabilities, progress, choice_temperature, draws = torch.tensor([0.1, 0.2, 0.3, 0.4]), 0.4, 2.0, 20_000
    known, rows = none_known(draws, 4), probabilities.expand(draws, 4)
    hidden = remask(rows, known, progress, choice_temperature, generator)
    assert (hidden.sum(1) == 3).all()
    expected = probabilities.double() ** (1 / (choice_temperature * (1 - progress)))
    counts = (~hidden).sum(0)
    assert scipy.stats.chisquare(counts.numpy(), (expected / expected.sum() * draws).numpy()).pvalue > 1e-3


def test_the_same_seed_hides_the_same_codes():
    probabilities, known = torch.rand(4, NUM_CODES), none_known(4)
    first, second = (remask(probabilities, known, 0.5, 4.0, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)


def test_decoding_shows_the_prediction_ever_more_codes_and_never_takes_one_back():
    seen = []

    def predict(codes, known):
        seen.append((codes.clone(), known.clone()))
        return torch.zeros(*codes.shape, 5)

    final = decode_iteratively(predict, torch.zeros(6, 20, dtype=torch.long), 8, choice_temperature=4.0)
    counts = [20 - int(20 * math.cos(step / 8 * math.pi / 2)) for step in range(8)]
    assert [int(known.sum(1).unique()) for _, known in seen] == counts
    for (codes, known), (later_codes, later_known) in itertools.pairwise(seen):
        assert later_known[known].all()
        assert torch.equal(codes[known], later_codes[known])
    codes, known = seen[-1]
    assert torch.equal(codes[known], final[known])


def test_decoding_in_one_step_draws_from_the_prediction_and_temperature_sharpens_it(generator):
    logits = torch.tensor([0.1, 0.6, 0.3]).log()

    def shares(temperature):
        start = torch.zeros(4000, 10, dtype=torch.long)
        drawn = decode_iteratively(
            lambda codes, _: logits.expand(*codes.shape, 3), start, 1, temperature, 0, generator
        )
        return torch.bincount(drawn.flatten()) / drawn.numel()

    torch.testing.assert_close(shares(1.0), torch.tensor([0.1, 0.6, 0.3]), atol=0.01, rtol=0)
    torch.testing.assert_close(shares(0.5), (2 * logits).softmax(0), atol=0.01, rtol=0)


def test_decoding_follows_a_prediction_that_is_certain_in_any_number_of_steps():
    wanted = torch.randint(7, (5, 12))
    for num_steps in (1, 3, 12, 30):
        logits = 100 * torch.nn.functional.one_hot(wanted, 7).float()
        decoded = decode_iteratively(lambda *_, logits=logits: logits, torch.zeros_like(wanted), num_steps, 1.0, 4.0)
        assert torch.equal(decoded, wanted)
