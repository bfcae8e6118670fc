"""Measures what classifiers learn from generated series, and from frozen features.

Classifiers trained on generated series give the classification accuracy score (Ravuri and Vinyals, arXiv 1905.10887).
Probes tell how well frozen features separate the classes. Series are `(series, channels, length)`, features
`(series, features)`, labels `(series,)`; accuracies are on the test split.
"""

import warnings
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from ..inference import in_batches
from .fcn import train_fcn


LEAST_SYNTHETIC = 1000
# The thesis trains its classifier for 1000 epochs; `training/LOG.md` compares these steps with that.
LEAST_STEPS, EPOCHS, BATCH_SIZE = 300, 5, 32
PENALTIES = [1.0, 0.1, 10.0, 0.01, 100.0, 0.001]  # of several that are equally good, the first is taken
RIDGE_PENALTIES = np.logspace(0, 5, 6)
MOST_FOLDS = 5
MOST_TO_SELECT_ON = 2000  # series that choose the penalty; the probe itself is fitted on all

Classified = tuple[Tensor, Tensor]  # series and labels


def synthetic_labels(labels: Tensor, num_classes: int) -> Tensor:
    """The classes of the series to generate for the score, `(series,)`.

    By the thesis' rule, the labels of the training split are repeated in whole until there are 1000 or more.
    """
    counts = torch.bincount(labels.cpu(), minlength=num_classes)
    return torch.arange(num_classes).repeat_interleave(counts * -(-LEAST_SYNTHETIC // len(labels)))


def join_evenly(real: Classified, generated: Classified) -> Classified:
    """Joins real and generated series. The smaller set is repeated in whole, so that both weigh about the same."""
    size = max(len(real[0]), len(generated[0]))
    parts = [
        [tensor.repeat(max(1, round(size / len(part[0]))), *[1] * (tensor.ndim - 1)) for tensor in part]
        for part in (real, generated)
    ]
    return torch.cat((parts[0][0], parts[1][0])), torch.cat((parts[0][1], parts[1][1]))


def fcn_steps(num_series: int) -> int:
    """Optimiser steps for `num_series` series. Classifiers that are compared get the same number."""
    return max(LEAST_STEPS, EPOCHS * num_series // BATCH_SIZE)


def fcn_accuracy(
    train: Classified, tests: Sequence[Classified], num_classes: int, seed: int = 0, num_steps: int | None = None
) -> list[float]:
    """Trains an evaluation network on `train`, by default for `fcn_steps`; returns its accuracy on each of `tests`."""
    network = train_fcn(*train, num_classes, num_steps or fcn_steps(len(train[0])), BATCH_SIZE, seed)
    return [accuracy(in_batches(network, values).argmax(1), labels) for values, labels in tests]


def minirocket_accuracy(train: Classified, tests: Sequence[Classified], seed: int = 0) -> list[float]:
    """Trains aeon's MiniROCKET (Dempster et al., arXiv 2012.08791); returns its accuracy on each of `tests`."""
    from aeon.classification.convolution_based import MiniRocketClassifier

    classifier = MiniRocketClassifier(random_state=seed)
    _keep_torch_fast()
    classifier.fit(*[tensor.cpu().numpy() for tensor in train])
    predicted = [torch.from_numpy(classifier.predict(values.cpu().numpy())) for values, _ in tests]
    return [accuracy(classes, labels.cpu()) for classes, (_, labels) in zip(predicted, tests, strict=True)]


def ridge_penalty(features: Tensor, labels: Tensor) -> float:
    """The penalty for each series of a ridge classifier, by leaving out one at a time."""
    from sklearn.linear_model import RidgeClassifierCV
    from sklearn.preprocessing import StandardScaler

    scaled = StandardScaler().fit_transform(features.numpy())
    return float(RidgeClassifierCV(RIDGE_PENALTIES).fit(scaled, labels.numpy()).alpha_) / len(features)


def linear_accuracy(train: Classified, tests: Sequence[Classified], penalty: float) -> list[float]:
    """Trains a ridge classifier on standardised features; returns its accuracy on each of `tests`.

    `penalty` is for each series, so that sets of different sizes are treated alike. A penalty that was chosen on real
    series serves all that are compared: repeated and changed ones would choose one too weak.
    """
    from sklearn.linear_model import RidgeClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), RidgeClassifier(penalty * len(train[0])))
    probe.fit(train[0].numpy(), train[1].numpy())
    return [float(probe.score(features.numpy(), labels.numpy())) for features, labels in tests]


def nearest_neighbour_accuracy(values: Tensor, labels: Tensor, test_values: Tensor, test_labels: Tensor) -> float:
    """Share of the test series whose nearest of `values` `(series, channels, length)` has their class."""
    kind = torch.promote_types(values.dtype, test_values.dtype)  # data and generated series may differ in it
    nearest = torch.cdist(test_values.flatten(1).to(kind), values.flatten(1).to(kind)).argmin(1).cpu()
    return (labels[nearest] == test_labels).float().mean().item()


def accuracy(predicted: Tensor, labels: Tensor) -> float:
    return (predicted == labels).double().mean().item()


def minirocket_features(train: Tensor, num_features: int = 504, seed: int = 0) -> Callable[[Tensor], Tensor]:
    """A function from series to MiniROCKET features `(series, num_features)`; its biases come from `train`.

    A feature is the share of a convolution's outputs that are positive.
    """
    from aeon.transformations.collection.convolution_based import MiniRocket

    _keep_torch_fast()
    transform = MiniRocket(n_kernels=num_features, random_state=seed).fit(train.cpu().numpy())
    return lambda values: torch.from_numpy(transform.transform(values.cpu().numpy()))


def _keep_torch_fast() -> None:
    """Makes numba use its own threads, which leave torch alone.

    numba's OpenMP resets the number of torch's threads, and sampling is then up to 30 times slower.
    """
    import numba

    numba.config.THREADING_LAYER = "workqueue"


def thesis_probe(features: Tensor, labels: Tensor, test_features: Tensor, test_labels: Tensor) -> dict[str, float]:
    """Accuracy of a linear SVM and of 5 nearest neighbours (NC-VQVAE, arXiv 2408.16613, section 4).

    Features are scaled to [-1, 1]. The thesis takes quantized latents averaged over all positions.
    """
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler
    from sklearn.svm import SVC

    scores = {}
    for name, classifier in (("svm", SVC(kernel="linear")), ("knn", KNeighborsClassifier(min(5, len(features))))):
        probe = make_pipeline(MinMaxScaler((-1, 1)), classifier).fit(features.numpy(), labels.numpy())
        scores[name] = float(probe.score(test_features.numpy(), test_labels.numpy()))
    return scores


def strong_probe(
    features: Tensor, labels: Tensor, test_features: Tensor, test_labels: Tensor, seed: int = 0
) -> dict[str, float]:
    """Accuracy of logistic regression and of a linear SVM on standardised features.

    Cross-validation on the training split chooses the penalty, with five folds, or fewer if a class has fewer series.

    Raises:
        ValueError: for a class with a single training series.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    least = min(Counter(labels.tolist()).values())
    if least < 2:
        raise ValueError("cross-validation needs 2 training series or more of each class, found 1")
    train, classes = features.numpy(), labels.numpy()
    some = np.random.default_rng(seed).permutation(len(classes))[:MOST_TO_SELECT_ON]
    folds = StratifiedKFold(min(MOST_FOLDS, least), shuffle=True, random_state=seed)
    scores = {}
    classifiers = {
        "logistic_regression": (LogisticRegression(max_iter=500), "logisticregression__C"),
        "linear_svm": (LinearSVC(dual="auto", random_state=seed, max_iter=2000), "linearsvc__C"),
    }
    with warnings.catch_warnings():
        # The weakest penalties may not converge within the limit; they are then not chosen.
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", UserWarning)  # a class may have fewer of the series than there are folds
        for name, (classifier, penalty) in classifiers.items():
            probe = make_pipeline(StandardScaler(), classifier)
            search = GridSearchCV(probe, {penalty: PENALTIES}, cv=folds).fit(train[some], classes[some])
            probe.set_params(**search.best_params_).fit(train, classes)
            scores[name] = float(probe.score(test_features.numpy(), test_labels.numpy()))
    return scores
