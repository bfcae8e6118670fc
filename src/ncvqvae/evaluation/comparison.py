"""Compares a set of series with the real ones of a dataset: distances and copying."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..inference import in_batches
from .classification import Classified, minirocket_features
from .fcn import FCN
from .memorisation import Distance, duplicate_share, memorisation
from .metrics import (
    autocorrelation_difference,
    bootstrap_interval,
    class_frechet_distance,
    frechet_distance,
    inception_score,
    kernel_distance,
    kurtosis_difference,
    marginal_distribution_difference,
    precision_recall_density_coverage,
    skewness_difference,
)


MOST_DTW = 256  # series of each kind: warping is slow


@dataclass
class Comparison:
    """The real splits of a dataset, on the CPU, and the feature spaces that candidates are compared in.

    The test split is the reference of every distance; `train` stands for what a generator learned from. Series without
    classes have no evaluation network, and are compared without its features. `embed` gives the tokenizer's features
    `(series, features)` of series.
    """

    train: Classified
    test: Classified
    num_classes: int = 0
    network: FCN | None = None
    embed: Callable[[Tensor], Tensor] | None = None

    @cached_property
    def embedded(self) -> tuple[Tensor, Tensor]:
        """What `embed` gives of the training and of the test split."""
        return self.embed(self.train[0]), self.embed(self.test[0])

    @cached_property
    def minirocket(self) -> Callable[[Tensor], Tensor]:
        return minirocket_features(self.train[0])

    @cached_property
    def test_features(self) -> Tensor:
        return self.features(self.test[0])

    @cached_property
    def test_minirocket(self) -> Tensor:
        return self.minirocket(self.test[0])

    def features(self, values: Tensor) -> Tensor | None:
        """The evaluation network's features `(series, 128)` of `values`, on the CPU; `None` without a network."""
        if self.network is None:
            return None
        device = self.network.final.weight.device
        return in_batches(lambda batch: self.network.features(batch.to(device)), values).cpu()

    def inception_score(self, features: Tensor, seed: int = 0) -> float:
        """The inception score of at most as many series as the test split has. More would score higher."""
        weights = self.network.final
        with torch.no_grad():
            probabilities = weights(features[: len(self.test[0])].to(weights.weight.device)).softmax(1).cpu()
        return inception_score(probabilities, generator=torch.Generator().manual_seed(seed))[0]

    def distances(self, values: Tensor, features: Tensor | None, seed: int = 0) -> dict[str, Callable[[], object]]:
        """Functions, by name, that give the figures of series as a whole, not by class.

        `features` are the network's, if there is one. `seed` shuffles for the inception score.
        """
        real = self.test[0]
        of_network: dict[str, Callable[[], object]] = {
            "fid": lambda: frechet_distance(self.test_features, features),
            "inception_score": lambda: self.inception_score(features, seed),
            "precision to coverage": lambda: precision_recall_density_coverage(self.test_features, features),
        }
        return (of_network if features is not None else {}) | {
            "minirocket_fid": lambda: frechet_distance(self.test_minirocket, self.minirocket(values)),
            "minirocket_kernel_distance": lambda: kernel_distance(self.test_minirocket, self.minirocket(values)),
            "duplicates": lambda: duplicate_share(values),
            "marginal_distribution_difference": lambda: marginal_distribution_difference(real, values),
            "autocorrelation_difference": lambda: autocorrelation_difference(real, values),
            "skewness_difference": lambda: skewness_difference(real, values),
            "kurtosis_difference": lambda: kurtosis_difference(real, values),
        }

    def class_distance(self, candidate: Classified) -> float:
        """The class-conditional FID of a candidate."""
        values, labels = candidate
        return class_frechet_distance(self.test_features, self.test[1], self.features(values), labels)

    def intervals(self, values: Tensor, features: Tensor | None) -> dict[str, Callable[[], tuple[float, float]]]:
        """Functions, by name, that give 95 % intervals of the distances that few series make uncertain."""
        return {
            "fid": lambda: _interval(frechet_distance, [self.test_features], [features]),
            "minirocket_fid": lambda: _interval(frechet_distance, [self.test_minirocket], [self.minirocket(values)]),
            "inception_score": lambda: bootstrap_interval(self.inception_score, [features]),
        }

    def class_interval(self, candidate: Classified) -> tuple[float, float]:
        """95 % interval of the class-conditional FID; series are redrawn within their class."""
        samples = []
        for values, labels in (self.test, candidate):
            features = self.test_features if values is self.test[0] else self.features(values)
            samples += [[features[labels == label]] for label in self.test[1].unique()]

        def distance(*parts: Tensor) -> float:
            half = len(parts) // 2
            pairs = zip(parts[:half], parts[half:], strict=True)
            return sum(frechet_distance(real, generated) for real, generated in pairs) / half

        return _interval(distance, *samples)

    def memorisation(self, values: Tensor, reconstruction: Tensor) -> dict[str, float]:
        """Compares distances to the training split with those of the test split and with those of its reconstructions.

        A tokenizer smooths, and smooth series are nearer to everything. So the verdict on copying compares with
        reconstructed test series, which are as smooth and cannot be copies.
        """
        scores: dict[str, float] = {}
        kinds: list[tuple[str, Distance, int | None]] = [("", "euclidean", None), ("dtw_", "dtw", MOST_DTW)]
        for prefix, distance, most in kinds:
            generated, real, decoded = (
                part if most is None else evenly_spaced(part, most) for part in (values, self.test[0], reconstruction)
            )
            plain = memorisation(generated, self.train[0], real, distance)
            control = memorisation(generated, self.train[0], decoded, distance)
            for name in ("nearest_ratio", "near_copies"):
                scores |= {f"{prefix}{name}": plain[name], f"{prefix}decoded_{name}": control[name]}
            scores[f"{prefix}copies"] = float(control["copies"])
        return scores


def evenly_spaced(values: Tensor, most: int) -> Tensor:
    """At most `most` series, evenly spaced over all of them, because files of the archive are sorted by class."""
    return values[torch.linspace(0, len(values) - 1, min(most, len(values))).round().long()]


def _interval(distance: Callable[..., float], *samples: list[Tensor]) -> tuple[float, float]:
    low, high = bootstrap_interval(distance, *samples)
    return max(0.0, low), high
