"""Measures how far two sets of series are apart: pure functions of the series or of their features.

Features are `(series, features)`, series `(series, channels, length)`. Everything is computed in float64.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from tqdm.auto import trange


LEAST_VARIANCE = 1e-12  # the least that moments are divided by: those of a constant set are zero
LEAST_RANGE = 1e-5  # the range at a sample where all real series agree, as in TSGBench


def frechet_distance(real: Tensor, generated: Tensor) -> float:
    """Fréchet distance of two sets of features, each taken as a Gaussian.

    On features of an evaluation network it is the FID (Heusel et al., arXiv 1706.08500).

    |mean difference|^2 + tr(S) + tr(T) - 2 tr((S T)^1/2), with unbiased covariances. The last trace is the sum of the
    singular values of A B^T, where A and B are the centred sets scaled such that S = A^T A and T = B^T B. So no
    complex root is taken, and the cost depends on the smaller of the numbers of features and series.

    Raises:
        ValueError: for fewer than two series in a set, sets of different features, or values that are not finite.
    """
    real, generated = _features(real, "real"), _features(generated, "generated")
    if real.shape[1] != generated.shape[1]:
        raise ValueError(f"real series have {real.shape[1]} features and generated ones {generated.shape[1]}")
    for name, part in (("real", real), ("generated", generated)):
        if len(part) < 2:
            raise ValueError(f"a covariance needs 2 series or more, found {len(part)} {name}")
    means = real.mean(0), generated.mean(0)
    roots = [(part - mean) / (len(part) - 1) ** 0.5 for part, mean in zip((real, generated), means, strict=True)]
    trace = sum(root.square().sum() for root in roots)
    # Triangular factors have the same Gram matrix with no more rows than features.
    small = [torch.linalg.qr(root, mode="r").R if len(root) > root.shape[1] else root for root in roots]
    overlap = torch.linalg.svdvals(small[0] @ small[1].T).sum()
    return max(0.0, ((means[0] - means[1]).square().sum() + trace - 2 * overlap).item())


def kernel_distance(real: Tensor, generated: Tensor) -> float:
    """The squared maximum mean discrepancy of two sets of features, with the kernel `(x . y / dim + 1) ** 3`.

    The unbiased estimate (KID; Binkowski et al., arXiv 1801.01401), which may be negative and serves small samples.

    Args:
        real, generated: features `(samples, dim)`.

    Raises:
        ValueError: for fewer than two samples in a set.
    """
    if min(len(real), len(generated)) < 2:
        raise ValueError(f"a kernel distance needs 2 series or more, found {len(real)} and {len(generated)}")
    sums = []
    for first, second in ((real, real), (generated, generated), (real, generated)):
        kernel = (first.double() @ second.double().T / first.shape[1] + 1) ** 3
        same = first is second
        count = len(first) * (len(second) - same)
        sums.append((kernel.sum() - (kernel.diagonal().sum() if same else 0)) / count)
    return float(sums[0] + sums[1] - 2 * sums[2])


def class_frechet_distance(real: Tensor, real_labels: Tensor, generated: Tensor, generated_labels: Tensor) -> float:
    """The mean over classes of `frechet_distance` within the class; every class of the real set counts the same.

    Raises:
        ValueError: for a class with fewer than two series in either set.
    """
    distances = []
    for label in real_labels.unique().tolist():
        parts = real[real_labels == label], generated[generated_labels == label]
        if min(map(len, parts)) < 2:
            found = f"{len(parts[0])} real and {len(parts[1])} generated"
            raise ValueError(f"a covariance needs 2 series or more of each class, class {label} has {found}")
        distances.append(frechet_distance(*parts))
    return sum(distances) / len(distances)


def inception_score(
    probabilities: Tensor, num_splits: int = 10, generator: torch.Generator | None = None
) -> tuple[float, float]:
    """exp of the mean divergence of each series' class probabilities from their average (Salimans et al., arXiv
    1606.03498).

    Args:
        probabilities: `(series, classes)`, rows that sum to one.
        num_splits: parts of the shuffled series that are scored apart. Few series in a part lower the score.

    Returns:
        Mean and standard deviation over the parts. Each has `series // num_splits` series; the rest is left out.

    Raises:
        ValueError: for fewer series than parts, or rows that are no probabilities.
    """
    probabilities = _features(probabilities, "generated")
    if len(probabilities) < num_splits:
        raise ValueError(
            f"the inception score in {num_splits} parts needs {num_splits} series or more, found {len(probabilities)}"
        )
    if (probabilities < 0).any() or ((probabilities.sum(1) - 1).abs() > 1e-3).any():
        raise ValueError("the inception score takes probabilities: rows of non-negative numbers that sum to 1")
    order = torch.randperm(len(probabilities), generator=generator)
    size = len(probabilities) // num_splits
    parts = probabilities[order[: size * num_splits].to(probabilities.device)].view(num_splits, size, -1)
    divergence = torch.special.entr(parts.mean(1)).sum(1) - torch.special.entr(parts).sum(2).mean(1)
    scores = divergence.exp()
    return scores.mean().item(), scores.std(correction=0).item()


def bootstrap_interval(
    statistic: Callable[..., float],
    *samples: Sequence[Tensor],
    seed: int = 0,
    num_replicates: int = 200,
    level: float = 0.95,
) -> tuple[float, float]:
    """A bootstrap interval for a statistic of several independent samples, each of whose series are redrawn.

    A redrawn set repeats series, and that alone raises a Fréchet distance. So the quantiles of the replicates are
    shifted by the difference of the statistic and the replicates' mean: their width then lies around the statistic.

    Args:
        statistic: takes the tensors of all samples, in order.
        samples: each a list of tensors whose rows belong together, `[features, labels]`.
    """
    generator = torch.Generator().manual_seed(seed)
    replicates = []
    for _ in trange(num_replicates, desc="bootstrap", leave=False, disable=None):
        drawn = []
        for sample in samples:
            rows = torch.randint(len(sample[0]), (len(sample[0]),), generator=generator).to(sample[0].device)
            drawn += [tensor[rows] for tensor in sample]
        replicates.append(statistic(*drawn))
    estimates = torch.tensor(replicates, dtype=torch.float64)
    centre = statistic(*[tensor for sample in samples for tensor in sample])
    tails = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)
    low, high = (estimates.quantile(tails) - estimates.mean() + centre).tolist()
    return low, high


def precision_recall_density_coverage(real: Tensor, generated: Tensor, num_neighbours: int = 5) -> dict[str, float]:
    """Fidelity and diversity, from a ball around each series that reaches its `num_neighbours`-th neighbour.

    - precision: share of generated series within some real ball; recall: the reverse (Kynkäänniemi et al., arXiv
      1904.06991);
    - density: the mean number of real balls that hold a generated series, divided by `num_neighbours`; coverage: the
      share of real balls that hold a generated series (Naeem et al., arXiv 2002.09797).

    Raises:
        ValueError: where a set has no more than `num_neighbours` series.
    """
    real, generated = _features(real, "real"), _features(generated, "generated")
    if min(len(real), len(generated)) <= num_neighbours:
        found = f"{len(real)} real and {len(generated)} generated"
        raise ValueError(f"balls to neighbour {num_neighbours} need more than {num_neighbours} series, found {found}")
    # The first neighbour of a series in its own set is itself.
    real_radius = torch.cdist(real, real).kthvalue(num_neighbours + 1, 1).values
    generated_radius = torch.cdist(generated, generated).kthvalue(num_neighbours + 1, 1).values
    between = torch.cdist(real, generated)
    in_real = between < real_radius[:, None]
    in_generated = between < generated_radius
    return {
        "precision": in_real.any(0).double().mean().item(),
        "recall": in_generated.any(1).double().mean().item(),
        "density": (in_real.sum(0).double().mean() / num_neighbours).item(),
        "coverage": in_real.any(1).double().mean().item(),
    }


def marginal_distribution_difference(real: Tensor, generated: Tensor, num_bins: int = 50) -> float:
    """MDD as TSGBench defines it (Ang et al., arXiv 2309.03755): compares histograms at each sample and channel.

    The bins of a sample divide the range of its real values. The absolute difference of the densities is averaged
    over bins, samples and channels. Generated values outside that range are in no bin, and lower the densities.
    """
    real, generated = _series(real, generated)
    low, high = real.amin(0), real.amax(0)
    high = torch.where(high > low, high, low + LEAST_RANGE)
    width = (high - low) / num_bins

    def density(values: Tensor) -> Tensor:
        bins = ((values - low) / width).floor().long()
        bins = torch.where((values == high) & (bins == num_bins), num_bins - 1, bins)
        outside = (bins < 0) | (bins >= num_bins)
        counts = torch.zeros(num_bins + 1, *low.shape, dtype=torch.float64, device=values.device)
        counts.scatter_add_(0, torch.where(outside, num_bins, bins), torch.ones_like(values))
        return counts[:-1] / len(values) / width

    return (density(real) - density(generated)).abs().mean().item()


def autocorrelation_difference(real: Tensor, generated: Tensor) -> float:
    """ACD (TSGBench, arXiv 2309.03755): root of the summed squared differences of the mean autocorrelations.

    Each channel's mean over the set is subtracted first. The autocorrelation of a set at a lag is the mean product of
    values that far apart, over series and time, divided by the same mean at lag zero. All lags count (TSGBench stops
    at 64). The roots are averaged over channels.
    """

    def autocorrelation(values: Tensor) -> Tensor:
        centred = values - values.mean((0, 2), keepdim=True)
        length = centred.shape[2]
        power = torch.fft.rfft(centred, 2 * length).abs().square()
        products = torch.fft.irfft(power, 2 * length)[..., :length].mean(0) / torch.arange(length, 0, -1)
        return products / products[:, :1].clamp_min(LEAST_VARIANCE)

    real, generated = _series(real, generated)
    return (autocorrelation(real) - autocorrelation(generated)).square().sum(1).sqrt().mean().item()


def skewness_difference(real: Tensor, generated: Tensor) -> float:
    """SD (TSGBench): absolute difference of the third standardised moment, averaged over channels."""
    return _moment_difference(real, generated, 3)


def kurtosis_difference(real: Tensor, generated: Tensor) -> float:
    """KD (TSGBench): absolute difference of the fourth standardised moment, averaged over channels."""
    return _moment_difference(real, generated, 4)


def _moment_difference(real: Tensor, generated: Tensor, order: int) -> float:
    def moment(values: Tensor) -> Tensor:
        centred = values - values.mean((0, 2), keepdim=True)
        variance = centred.square().mean((0, 2)).clamp_min(LEAST_VARIANCE)
        return centred.pow(order).mean((0, 2)) / variance.pow(order / 2)

    real, generated = _series(real, generated)
    return (moment(real) - moment(generated)).abs().mean().item()


def codebook_usage(codes: Tensor, codebook_size: int) -> dict[str, float]:
    """The perplexity of the shares of all `codes` of a split, and the share of the codebook that occurs."""
    share = torch.bincount(codes.flatten(), minlength=codebook_size) / codes.numel()
    return {
        "perplexity": torch.special.entr(share).sum().exp().item(),
        "usage": (share > 0).float().mean().item(),
    }


def as_series(values: object, name: str) -> Tensor:
    """Turns numbers of the shape `(series, channels, length)` into a float32 tensor. An error calls them `name`.

    Raises:
        ValueError: for values that are no numbers, or have another shape.
    """
    wanted = f"{name} must be numbers of the shape (series, channels, length)"
    try:
        series = torch.as_tensor(values, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{wanted}: {error}") from None
    if series.ndim != 3:
        raise ValueError(f"{wanted}, found {tuple(series.shape)}")
    return series


def _features(features: Tensor, name: str) -> Tensor:
    if not features.isfinite().all():
        raise ValueError(f"{name} series or their features hold NaN or infinite values")
    return features.double()


def _series(real: Tensor, generated: Tensor) -> tuple[Tensor, Tensor]:
    if real.ndim != 3 or real.shape[1:] != generated.shape[1:]:
        found = f"{tuple(real.shape)} and {tuple(generated.shape)}"
        raise ValueError(f"two sets of series must have the shape (series, channels, length), found {found}")
    return _features(real.cpu(), "real"), _features(generated.cpu(), "generated")
