import itertools
import math

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
import torch

from ncvqvae.evaluation import metrics
from ncvqvae.evaluation.metrics import (
    bootstrap_interval,
    class_frechet_distance,
    frechet_distance,
    inception_score,
    kernel_distance,
)


def features(series, dim):
    return 2 * torch.randn(series, dim) @ torch.randn(dim, dim) / dim**0.5 + torch.randn(dim)


def direct_frechet(real, generated):
    first, second = (np.cov(part.double().numpy(), rowvar=False) for part in (real, generated))
    shift = real.double().mean(0) - generated.double().mean(0)
    return shift.square().sum().item() + np.trace(first + second - 2 * scipy.linalg.sqrtm(first @ second)).real


def exact_gaussian(series, mean, variances, rotation):
    """A sample whose mean is `mean` and whose unbiased covariance has these variances along `rotation`, exactly."""
    q, _ = torch.linalg.qr(torch.cat((torch.ones(series, 1), torch.randn(series, len(mean))), 1).double())
    return mean + q[:, 1:] * ((series - 1) * variances).sqrt() @ rotation.T


# More series than features, fewer, and one of each.
@pytest.mark.parametrize(("sizes", "dim"), [((60, 50), 12), ((9, 11), 30), ((9, 80), 30), ((80, 9), 30)])
def test_the_frechet_distance_is_that_of_the_root_of_the_product_of_covariances_and_zero_to_itself(sizes, dim):
    real, generated = (features(size, dim) for size in sizes)
    assert frechet_distance(real, generated) == pytest.approx(direct_frechet(real, generated), rel=1e-5)
    assert frechet_distance(real, real) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(real, real.flip(0)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("series", [6, 200])
def test_the_frechet_distance_of_gaussians_with_common_axes_is_the_closed_form(series):
    first, second = torch.tensor([1, 4, 9, 0.25]).double(), torch.tensor([4, 4, 1, 1]).double()
    shift, rotation = torch.tensor([1, -2, 0, 0.5]).double(), torch.linalg.qr(torch.randn(4, 4).double()).Q
    real = exact_gaussian(series, torch.zeros(4).double(), first, rotation)
    generated = exact_gaussian(series + 3, shift, second, rotation)
    expected = 5.25 + 1 + 0 + 4 + 0.25  # |shift|^2 and the squared differences of the deviations
    assert frechet_distance(real, generated) == pytest.approx(expected, rel=1e-9)


def test_the_class_conditional_distance_weighs_every_class_the_same_whatever_its_size():
    real, real_labels = features(100, 6), torch.tensor([0] * 70 + [2] * 20 + [5] * 10)
    generated, generated_labels = features(90, 6), torch.tensor([2, 5, 0] * 30)
    parts = [(real[real_labels == label], generated[generated_labels == label]) for label in (0, 2, 5)]
    actual = class_frechet_distance(real, real_labels, generated, generated_labels)
    assert actual == pytest.approx(np.mean([direct_frechet(*part) for part in parts]), rel=1e-5)
    assert class_frechet_distance(real, real_labels, real, real_labels) == pytest.approx(0, abs=1e-6)


def test_a_covariance_of_one_series_and_sets_of_different_features_are_refused():
    several, one = features(5, 3), features(1, 3)
    with pytest.raises(ValueError, match="found 1 real"):
        frechet_distance(one, several)
    with pytest.raises(ValueError, match="found 1 generated"):
        frechet_distance(several, one)
    with pytest.raises(ValueError, match="class 1 has 2 real and 1 generated"):
        class_frechet_distance(several, torch.tensor([0, 0, 0, 1, 1]), several, torch.tensor([0, 0, 0, 0, 1]))
    with pytest.raises(ValueError, match="3 features and generated ones 4"):
        frechet_distance(features(9, 3), features(9, 4))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_features_that_are_not_finite_are_refused(bad):
    good, broken = features(9, 3), features(9, 3).index_fill(1, torch.tensor(1), bad)
    for metric in (frechet_distance, metrics.precision_recall_density_coverage):
        for sets in ((broken, good), (good, broken)):
            with pytest.raises(ValueError, match="NaN or infinite"):
                metric(*sets)
    with pytest.raises(ValueError, match="NaN or infinite"):
        inception_score(broken, 1)


def direct_inception_score(parts):
    """Mean and deviation over parts, each a list of rows of probabilities."""
    scores = []
    for part in parts:
        average = [sum(column) / len(part) for column in zip(*part, strict=True)]
        terms = [p * math.log(p / q) for row in part for p, q in zip(row, average, strict=True) if p > 0]
        scores.append(math.exp(sum(terms) / len(part)))
    return np.mean(scores), np.std(scores)


def test_the_inception_score_equals_a_direct_loop_over_random_equal_parts_and_leaves_out_the_rest():
    probabilities = torch.randn(5, 3).double().softmax(1)
    probabilities[0] = torch.tensor([0, 0.2, 0.8])
    orders = itertools.permutations(probabilities.tolist())
    possible = {tuple(np.round(direct_inception_score([rows[:2], rows[2:4]]), 6)) for rows in orders}
    found = {tuple(np.round(inception_score(probabilities, 2), 6)) for _ in range(40)}
    assert len(possible) == 15 and found <= possible and len(found) > 7


def test_the_inception_score_is_one_of_uniform_and_the_number_of_classes_of_confident_balanced_predictions():
    assert inception_score(torch.full((50, 4), 0.25)) == pytest.approx((1, 0), abs=1e-9)
    confident = torch.eye(4).repeat_interleave(5000, 0)  # in order of class: the parts are balanced if shuffled
    assert inception_score(confident, 1)[0] == pytest.approx(4, abs=1e-9)
    same = [inception_score(confident, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert same[0] == same[1] != same[2]
    mean, deviation = same[0]
    assert 3.99 < mean < 4 and 0 < deviation < 0.01


def test_rows_that_are_no_probabilities_and_fewer_series_than_parts_are_refused():
    for rows in ([[0.5, 0.4]] * 10, [[1.5, -0.5]] * 10, [[0.5, 0.5]] * 9 + [[2.0, 1.0]]):
        with pytest.raises(ValueError, match="probabilities"):
            inception_score(torch.tensor(rows))
    with pytest.raises(ValueError, match="10 series or more, found 9"):
        inception_score(torch.full((9, 2), 0.5))


def mean(values):
    return values.mean().item()


def test_the_interval_of_a_mean_is_as_wide_as_theory_says_and_the_same_for_the_same_seed_only():
    for size in (40, 1000):
        sample = 10 + 3 * torch.randn(size)
        half, kwargs = 1.96 * sample.std().item() / size**0.5, dict(num_replicates=600)
        low, high = bootstrap_interval(mean, [sample], **kwargs)
        assert (low, high) == pytest.approx((mean(sample) - half, mean(sample) + half), abs=0.2 * half)
        assert bootstrap_interval(mean, [sample], seed=0, **kwargs) == (low, high)
        assert bootstrap_interval(mean, [sample], seed=1, **kwargs) != (low, high)
        low, high = bootstrap_interval(mean, [sample], level=0.5, **kwargs)
        assert high - low == pytest.approx(2 * half * 0.6745 / 1.96, rel=0.2)


def test_the_interval_brackets_a_distance_that_redrawing_raises_and_a_statistic_below_zero():
    real, generated = torch.randn(40, 20), torch.randn(60, 20) + 0.1
    for statistic, *sets in ((frechet_distance, real, generated), (mean, real - 10)):
        low, high = bootstrap_interval(statistic, *[[part] for part in sets])
        assert low < statistic(*sets) < high


def test_rows_of_a_sample_are_redrawn_together_and_samples_apart():
    for drawn, is_apart in (([[torch.arange(30.0)] * 2], False), ([[torch.arange(30.0)]] * 2, True)):
        assert is_apart == (bootstrap_interval(lambda *pair: (pair[0] - pair[1]).abs().max().item(), *drawn)[1] > 0)


def direct_precision_recall_density_coverage(real, generated, neighbours):
    def balls(centres, points):
        """For each centre, which of the points are within its ball."""
        radii = [sorted(math.dist(a, b) for b in centres if b is not a)[neighbours - 1] for a in centres]
        return [[math.dist(a, p) < radius for p in points] for a, radius in zip(centres, radii, strict=True)]

    in_real, in_generated = balls(real, generated), balls(generated, real)
    return {
        "precision": np.mean([any(ball[i] for ball in in_real) for i in range(len(generated))]),
        "recall": np.mean([any(ball[i] for ball in in_generated) for i in range(len(real))]),
        "density": sum(map(sum, in_real)) / neighbours / len(generated),
        "coverage": np.mean([any(ball) for ball in in_real]),
    }


@pytest.mark.parametrize(("sizes", "kwargs"), [((40, 55), {}), ((30, 45), dict(num_neighbours=2))])
def test_precision_recall_density_and_coverage_equal_direct_loops(sizes, kwargs):
    real, generated = torch.randn(sizes[0], 3), 1.2 * torch.randn(sizes[1], 3) + 0.8
    actual = metrics.precision_recall_density_coverage(real, generated, **kwargs)
    sets, neighbours = (real.tolist(), generated.tolist()), kwargs.get("num_neighbours", 5)
    assert actual == pytest.approx(direct_precision_recall_density_coverage(*sets, neighbours), rel=1e-9)
    assert min(actual.values()) > 0


def test_the_same_law_scores_about_one_and_a_generator_of_one_mode_has_precision_without_recall():
    modes = 20 * torch.arange(4).repeat_interleave(250)[:, None]
    real, same, one = torch.randn(1000, 2) + modes, torch.randn(1000, 2) + modes, torch.randn(1000, 2)
    for figure in metrics.precision_recall_density_coverage(real, same).values():
        assert figure == pytest.approx(1, abs=0.08)
    collapsed = metrics.precision_recall_density_coverage(real, one)
    assert collapsed["precision"] > 0.9 and collapsed["recall"] < 0.26 and collapsed["coverage"] < 0.26
    with pytest.raises(ValueError, match="more than 5 series, found 9 real and 5 generated"):
        metrics.precision_recall_density_coverage(real[:9], one[:5])


def series(number, scale=1.0, channels=2):
    """Skewed and autocorrelated series of a different law in each channel."""
    values = scale * torch.randn(number, channels, 20).cumsum(2) + 3
    return (values + 0.2 * torch.arange(1, channels + 1)[:, None] * values**2).double()


def direct_histogram_difference(real, generated, bins):
    differences = []
    for column, other in zip(real.reshape(len(real), -1).T, generated.reshape(len(generated), -1).T, strict=True):
        edges = np.linspace(column.min(), column.max(), bins + 1)
        shares = [np.histogram(part, edges)[0] / len(part) for part in (column, other)]
        differences.append(np.abs(shares[0] - shares[1]).mean() / (edges[1] - edges[0]))
    return np.mean(differences)


def direct_autocorrelation_difference(real, generated):
    def correlation(values, lag):
        centred = values - values.mean()
        return np.mean([x * y for row in centred for x, y in zip(row[lag:], row)]) / values.var()  # noqa: B905

    return np.linalg.norm([correlation(real, lag) - correlation(generated, lag) for lag in range(real.shape[1])])


def test_the_marginal_difference_equals_histograms_over_the_real_range():
    real, generated = series(70), series(60, 1.3)
    for kwargs in ({}, dict(num_bins=7)):
        expected = direct_histogram_difference(real.numpy(), generated.numpy(), kwargs.get("num_bins", 50))
        assert metrics.marginal_distribution_difference(real, generated, **kwargs) == pytest.approx(expected, rel=1e-9)
    outside = torch.linspace(0, 4, 101).view(-1, 1, 1), torch.linspace(9, 10, 30).view(-1, 1, 1)
    assert metrics.marginal_distribution_difference(*outside) == pytest.approx(1 / 4, rel=1e-6)  # it is in no bin


def test_the_autocorrelation_difference_equals_a_direct_loop_averaged_over_channels():
    real, generated = series(9), series(7, 0.5)
    each = [direct_autocorrelation_difference(real[:, i].numpy(), generated[:, i].numpy()) for i in range(2)]
    assert metrics.autocorrelation_difference(real[:, :1], generated[:, :1]) == pytest.approx(each[0], rel=1e-6)
    assert metrics.autocorrelation_difference(real, generated) == pytest.approx(np.mean(each), rel=1e-6)


@pytest.mark.parametrize(("name", "direct"), [("skewness", scipy.stats.skew), ("kurtosis", scipy.stats.kurtosis)])
def test_skewness_and_kurtosis_differences_equal_those_of_scipy_averaged_over_channels(name, direct):
    real, generated = series(30), -series(20, 0.5)
    moments = [direct(part.transpose(0, 1).flatten(1), axis=1) for part in (real, generated)]
    actual = getattr(metrics, f"{name}_difference")(real, generated)
    assert actual == pytest.approx(np.abs(moments[0] - moments[1]).mean(), rel=1e-9)


@pytest.mark.parametrize("name", ["marginal_distribution", "autocorrelation", "skewness", "kurtosis"])
def test_a_set_differs_from_itself_by_nothing_and_series_that_are_none_are_refused(name):
    difference, real, broken = getattr(metrics, f"{name}_difference"), series(30), series(30)
    real[:, 0, 3], broken[4, 1, 5] = 1.0, math.nan  # a sample without variance is allowed
    assert difference(real, real.flip(0)) == pytest.approx(0, abs=1e-9) != difference(real, series(30, 0.5))
    for sets in ((real, broken), (broken, real)):
        with pytest.raises(ValueError, match="NaN or infinite"):
            difference(*sets)
    with pytest.raises(ValueError, match="shape"):
        difference(real[:, 0], real[:, 0])


@pytest.mark.parametrize("name", ["marginal_distribution", "autocorrelation", "skewness", "kurtosis"])
def test_sets_of_different_channels_are_refused(name):
    for channels in ((1, 2), (2, 1)):
        with pytest.raises((ValueError, RuntimeError)):
            getattr(metrics, f"{name}_difference")(*[series(9, channels=number) for number in channels])


def test_perplexity_and_usage_of_codes_are_the_closed_forms():
    for codes, perplexity, usage in (([0, 0, 1, 4], 2**1.5, 3 / 8), ([*range(8)], 8, 1), ([7, 7], 1, 1 / 8)):
        actual = metrics.codebook_usage(torch.tensor(codes).view(-1, 2), 8)
        assert actual == pytest.approx({"perplexity": perplexity, "usage": usage}, rel=1e-6)


def test_the_kernel_distance_is_its_definition_and_has_no_bias(generator):
    def written_out(real, generated):
        def kernel(x, y):
            return float((x @ y / len(x) + 1) ** 3)

        def average(first, second, skip):
            pairs = [(i, j) for i in range(len(first)) for j in range(len(second)) if not (skip and i == j)]
            return sum(kernel(first[i], second[j]) for i, j in pairs) / len(pairs)

        return average(real, real, True) + average(generated, generated, True) - 2 * average(real, generated, False)

    real, generated = (torch.randn(size, 5, generator=generator, dtype=torch.float64) for size in (6, 9))
    assert kernel_distance(real, generated + 1) == pytest.approx(written_out(real, generated + 1), rel=1e-9)
    with pytest.raises(ValueError, match="needs 2 series or more, found 1 and"):
        kernel_distance(real[:1], generated)
    draws = [kernel_distance(*torch.randn(2, 8, 5, generator=generator)) for _ in range(2000)]
    spread = torch.tensor(draws).std() / 2000**0.5
    assert abs(sum(draws) / 2000) < 4 * spread
