"""Checkpoints in scikit-learn's habits: features for a pipeline, and training sets that grow by generated series."""

import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, check_consistent_length, check_is_fitted, column_or_1d, validate_data

from ..data.labels import label_name
from ..data.series import fill_series, series_dataset
from ..inference import BASE, in_batches, load_checkpoint, load_model
from ..models.modeling_maskgit import MaskGITForTimeSeriesGeneration
from .recipes import load_recipe
from .stages import train


LEAST = 8  # samples that a tokenizer needs
NUMBERS: dict[str, Any] = {"allow_nd": True, "dtype": [np.float64, np.float32]}


@lru_cache(maxsize=2)
def _loaded(checkpoint: str) -> Any:
    return load_checkpoint(checkpoint)


class TimeSeriesFeatures(TransformerMixin, BaseEstimator):
    """Features of series by `embed` of a checkpoint, as a transformer. `fit` learns units: what scales each channel.

    Series are `(series, length)` or `(series, channels, length)`, without NaN: fill gaps by `impute`. A checkpoint for
    all series sees them scaled by the mean and the deviation of each channel over all series of `fit`, so that level
    and amplitude of a series count. Fewer than 8 samples are stretched to 8 by straight lines. Scale each feature
    before a classifier: `make_pipeline(TimeSeriesFeatures(), StandardScaler(), RidgeClassifierCV())`.

    Args:
        checkpoint (defaults to `"ncvqvae-base"`): a folder or an id on the Hub. It is loaded when it is needed, and
            not part of a pickle.
    """

    def __init__(self, checkpoint: str | Path = BASE):
        self.checkpoint = checkpoint

    def fit(self, X: Any, y: Any = None) -> "TimeSeriesFeatures":
        """Checks the series, and notes their shape and the mean and deviation of each channel."""
        X = validate_data(self, X, **NUMBERS)
        self.series_shape_ = X.shape[1:]
        channels = X.reshape(len(X), -1, X.shape[-1]).astype(np.float64)
        self.mean_, deviation = channels.mean((0, 2)), channels.std((0, 2))
        self.deviation_ = np.where(deviation == 0, 1.0, deviation)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Features `(series, features)`, float32.

        Raises:
            ValueError: for series of another shape than those of `fit`, or that the checkpoint does not take.
        """
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, **NUMBERS)
        if X.shape[1:] != self.series_shape_:
            raise ValueError(f"series must have the shape {self.series_shape_} as in fit, found {X.shape[1:]}")
        model, values = _loaded(str(self.checkpoint)), torch.from_numpy(np.array(X.reshape(len(X), -1, X.shape[-1])))
        if values.shape[-1] < LEAST:
            values = torch.from_numpy(np.stack([fill_series(one, None, LEAST) for one in values.numpy()]))
        moments: tuple[torch.Tensor, ...] = ()
        if getattr(model, "tokenizer", model).config.scale_each:
            moments = tuple(torch.from_numpy(moment).to(model.device) for moment in (self.mean_, self.deviation_))
        features = in_batches(lambda batch: model.embed(batch, *moments), values, model.device)
        return features.numpy().astype(np.float32)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


class _Generating(BaseEstimator):
    """What balances or augments: a checkpoint of the classes at hand, or one that is trained on them."""

    def __init__(
        self,
        checkpoint: str | Path | None = None,
        recipe: str | Path = "from_base",
        overrides: tuple[str, ...] = (),
        random_state: int | np.random.RandomState | None = None,
    ):
        self.checkpoint = checkpoint
        self.recipe = recipe
        self.overrides = overrides
        self.random_state = random_state

    def fit_resample(self, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
        """The series and classes, then generated series and their classes.

        Args:
            X: series `(series, length)` or `(series, channels, length)`, without NaN.
            y: their classes, names or numbers.

        Raises:
            ValueError: for a class that the checkpoint does not know, series of another shape than it generates, or
                what `train` refuses.
        """
        X, y = check_array(X, **NUMBERS), column_or_1d(y)
        check_consistent_length(X, y)
        check_classification_targets(y)
        labels = self._labels_to_add(y, check_random_state(self.random_state))
        self.model_ = self._model(X, y)
        if not len(labels):
            return X, y
        names = [label_name(label) for label in labels]
        if unknown := sorted(set(names) - set(self.model_.config.label2id)):
            known = ", ".join(self.model_.config.label2id) or "none"
            raise ValueError(f"the checkpoint does not know the class {unknown[0]!r}; its classes are {known}")
        config = self.model_.config.tokenizer_config
        if (shape := (config.num_channels, config.length)) != (X[0].size // X.shape[-1], X.shape[-1]):
            raise ValueError(f"the checkpoint generates series (channels, length) {shape}, found {X.shape[1:]}")
        seed = int(check_random_state(self.random_state).randint(2**31))
        made = self.model_.generate(labels=names, generator=torch.Generator(self.model_.device).manual_seed(seed))
        made = made.cpu().numpy().astype(X.dtype).reshape(-1, *X.shape[1:])
        return np.concatenate((X, made)), np.concatenate((y, labels))

    def _labels_to_add(self, y: np.ndarray, random: np.random.RandomState) -> np.ndarray:
        raise NotImplementedError

    def _model(self, X: np.ndarray, y: np.ndarray) -> Any:
        """The checkpoint, or a model that is trained by the recipe on these series."""
        if self.checkpoint is not None:
            return load_model(MaskGITForTimeSeriesGeneration, self.checkpoint)
        with tempfile.TemporaryDirectory() as folder:
            recipe = load_recipe(self.recipe, ["report_to=null", *self.overrides])
            return train(series_dataset(X, y), recipe, Path(folder, "model"), Path(folder, "run"))[0]


class ClassBalancer(_Generating):
    """Makes all classes as large as the largest one, by generated series (imbalanced-learn's convention).

    Args:
        checkpoint (*optional*): one that was trained on series of these classes and this shape. Without it a model is
            trained on the series at hand, in minutes, and kept as `model_`.
        recipe (defaults to `"from_base"`), overrides: of that training; a name or a file, and `"KEY=VALUE"`.
        random_state (*optional*): an integer gives the same series each time.
    """

    def _labels_to_add(self, y: np.ndarray, random: np.random.RandomState) -> np.ndarray:
        classes, counts = np.unique(y, return_counts=True)
        return np.repeat(classes, counts.max() - counts)


class Augmenter(_Generating):
    """Adds generated series of every class, at the shares of the classes (imbalanced-learn's convention).

    Args:
        ratio (defaults to 1): generated series for each real one.
        checkpoint, recipe, overrides, random_state: as of `ClassBalancer`.
    """

    def __init__(
        self,
        checkpoint: str | Path | None = None,
        ratio: float = 1.0,
        recipe: str | Path = "from_base",
        overrides: tuple[str, ...] = (),
        random_state: int | np.random.RandomState | None = None,
    ):
        super().__init__(checkpoint, recipe, overrides, random_state)
        self.ratio = ratio

    def _labels_to_add(self, y: np.ndarray, random: np.random.RandomState) -> np.ndarray:
        if not 0 <= self.ratio < np.inf:
            raise ValueError(f"ratio must be 0 or more, found {self.ratio}")
        whole, rest = divmod(round(self.ratio * len(y)), len(y))
        return np.concatenate([np.tile(y, whole), random.permutation(y)[:rest]])
