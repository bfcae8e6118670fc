import math

import pytest
import torch

from ncvqvae.evaluation.memorisation import duplicate_share, memorisation, nearest_distances


DISTANCES = pytest.mark.parametrize("distance", ["euclidean", "dtw"])


def law(series, seed=0, channels=1):
    """Sines of any phase and frequency, with noise."""
    generator = torch.Generator().manual_seed(seed)
    phase, frequency = torch.rand(2, series, channels, 1, generator=generator)
    noise = 0.3 * torch.randn(series, channels, 20, generator=generator)
    return torch.sin(6.3 * phase + (0.2 + frequency) * torch.arange(20)) + noise


def direct_dtw(first, second, radius):
    """Root of the least sum of squared distances along a path that leaves the diagonal by `radius` at most."""
    length = first.shape[1]
    cost = {(-1, -1): 0.0}
    for i in range(length):
        for j in range(max(0, i - radius), min(length, i + radius + 1)):
            before = min(cost.get(cell, math.inf) for cell in ((i - 1, j), (i, j - 1), (i - 1, j - 1)))
            cost[i, j] = before + (first[:, i] - second[:, j]).square().sum().item()
    return math.sqrt(cost[length - 1, length - 1])


@pytest.mark.parametrize("channels", [1, 2])
def test_the_nearest_distance_equals_brute_force_over_a_small_set(channels):
    queries, references = law(7, 1, channels).double(), law(10, 2, channels).double()
    for distance, radius in (("euclidean", 0), ("dtw", 2)):  # a tenth of the length
        expected = [min(direct_dtw(query, reference, radius) for reference in references) for query in queries]
        assert nearest_distances(queries, references, distance).tolist() == pytest.approx(expected, rel=1e-6)


def test_warped_distances_to_many_references_are_over_the_ten_nearest_and_so_between_the_least_and_euclidean():
    queries, references = law(6, 1).double(), law(60, 2).double()
    warped, plain = (nearest_distances(queries, references, distance) for distance in ("dtw", "euclidean"))
    for query, found in zip(queries, warped.tolist(), strict=True):
        nearest = sorted(references, key=lambda reference: (reference - query).norm().item())[:10]
        assert found == pytest.approx(min(direct_dtw(query, reference, 2) for reference in nearest), rel=1e-6)
    assert (warped <= plain + 1e-9).all() and (warped < 0.99 * plain).any()


@DISTANCES
@pytest.mark.parametrize("noise", [0, 0.01])
def test_a_generator_that_copies_the_training_split_is_flagged(distance, noise):
    for seed in range(3):
        train, held_out = law(60, 3 * seed), law(40, 3 * seed + 1)
        drawn = torch.randint(60, (50,), generator=torch.Generator().manual_seed(seed))
        report = memorisation(train[drawn] + noise * torch.randn(50, 1, 20), train, held_out, distance)
        assert report["copies"] is True and report["p_value"] < 1e-6
        assert report["near_copies"] == 1 and report["nearest_ratio"] < 0.1


@DISTANCES
def test_a_generator_of_the_same_law_is_not_flagged_and_has_the_share_of_near_copies_of_new_series(distance):
    draws = [[law(size, 100 + 3 * seed + i) for i, size in enumerate((100, 50, 100))] for seed in range(10)]
    reports = [memorisation(*sets, distance) for sets in draws]
    assert not any(report["copies"] for report in reports)
    assert sum(report["near_copies"] for report in reports) / 10 == pytest.approx(0.05, abs=0.025)
    assert sum(report["nearest_ratio"] for report in reports) / 10 == pytest.approx(1, abs=0.07)


def test_a_generator_that_copies_one_series_in_four_is_flagged_and_one_far_from_the_data_is_not():
    train, held_out, fresh = law(80, 1), law(100, 2), law(75, 3)
    some = memorisation(torch.cat((fresh, train[:25])), train, held_out)
    assert some["copies"] is True and 0.25 <= some["near_copies"] < 0.4 and some["nearest_ratio"] > 0.5
    far = memorisation(fresh + 5, train, held_out)
    assert far["copies"] is False and far["near_copies"] == 0 and far["p_value"] > 0.9 and far["nearest_ratio"] > 2


def test_the_p_value_is_the_tail_of_the_hypergeometric_law():
    # On a line with the training series at 0: 1 of 20 held-out series and 3 of 30 generated are within the threshold.
    held_out, generated = 1 + torch.arange(20.0), torch.cat((torch.tensor([0.1, 0.2, 0.3]), 5 + torch.rand(27)))
    report = memorisation(*(part.view(-1, 1, 1) for part in (generated, torch.zeros(4), held_out)))
    ways = [math.comb(4, k) * math.comb(46, 30 - k) for k in range(5)]
    assert report["near_copies"] == pytest.approx(0.1)
    assert report["p_value"] == pytest.approx(sum(ways[3:]) / sum(ways), rel=1e-9)
    assert report["nearest_ratio"] == pytest.approx(generated.sort().values[14].item() / 10, rel=1e-6)


def test_fewer_than_twenty_series_are_refused_and_counted():
    with pytest.raises(ValueError, match="20 series or more of each kind, found 19 generated and 20 held-out"):
        memorisation(law(19), law(30), law(20))
    with pytest.raises(ValueError, match="found 20 generated and 5 held-out"):
        memorisation(law(20), law(30), law(5))


@DISTANCES
@pytest.mark.parametrize("broken", [0, 1, 2])
def test_series_with_nan_are_refused_rather_than_called_no_copies(distance, broken):
    sets = [law(30, seed) for seed in range(3)]
    sets[0] = sets[1].clone()  # copies, all of them
    sets[broken][:, 0, 3] = math.nan
    with pytest.raises(ValueError, match=r"(?i)nan|finite"):
        memorisation(*sets, distance)


def test_the_share_of_duplicates_counts_each_series_that_another_equals():
    values = law(40)
    assert duplicate_share(values) == 0
    assert duplicate_share(torch.cat((values, values[:10]))) == pytest.approx(20 / 50)
    assert duplicate_share(values[:1].expand(5, -1, -1).clone()) == 1


def test_duplicates_are_equal_at_every_sample_to_a_tolerance_in_standard_deviations():
    values = 100 * law(40).double()
    near = values[:10] + 1e-3 * values.std()
    for tolerance, expected in ((0.9e-3, 0), (1.1e-3, 20 / 50)):
        assert duplicate_share(torch.cat((values, near)), tolerance) == pytest.approx(expected)
    assert duplicate_share(torch.cat((values, near))) == 0
