"""Classification accuracy score of time series for `evaluate`, with the classifiers of ncvqvae."""

from typing import Literal

import datasets
import evaluate
import torch

from ncvqvae.evaluation.classification import fcn_accuracy, minirocket_accuracy


DESCRIPTION = """
CAS is the accuracy on real time series of a classifier that was trained on generated ones: from 0 to 1, higher is
better. Compare it with the accuracy of the same classifier after training on real series.
"""

USAGE = """
Args of `compute`:
    predictions: generated series (series, channels, length) to train on. May come from `add_batch`.
    prediction_labels: the classes that they were generated for, 0, 1, ...
    references: real series (series, channels, length) to test on, any number of them.
    reference_labels: their classes.
    classifier: "fcn", the evaluation network, or "minirocket", aeon's.
    seed: seed of the training.
Returns:
    cas: the accuracy.
"""

CITATION = """
@inproceedings{ravuri2019classification,
  title={Classification Accuracy Score for Conditional Generative Models},
  author={Ravuri, Suman and Vinyals, Oriol},
  booktitle={Advances in Neural Information Processing Systems},
  year={2019}
}
"""


# `evaluate` pairs each prediction with a reference. Training and test series are no pairs and differ in number, so
# only the predictions and their labels are columns of its table; `compute` hands over the references itself.
class TimeSeriesCAS(evaluate.Metric):
    def _info(self) -> evaluate.MetricInfo:
        series_feature = datasets.List(datasets.List(datasets.Value("float32")))
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation=CITATION,
            inputs_description=USAGE,
            features=datasets.Features(predictions=series_feature, prediction_labels=datasets.Value("int64")),
            reference_urls=["https://arxiv.org/abs/1905.10887"],
            license="Apache-2.0",
        )

    def compute(
        self,
        *,
        predictions: object = None,
        prediction_labels: object = None,
        references: object,
        reference_labels: object,
        classifier: Literal["fcn", "minirocket"] = "fcn",
        seed: int = 0,
    ) -> dict[str, float]:
        """Returns the CAS of all predictions so far."""  # evaluate appends to the docstring, and needs one
        test = classified(references, reference_labels, "reference")
        if classifier not in ("fcn", "minirocket"):
            raise ValueError(f"classifier must be 'fcn' or 'minirocket', found {classifier!r}")
        train = {"predictions": predictions, "prediction_labels": prediction_labels}
        return super().compute(**train, test=test, classifier=classifier, seed=seed)

    def add_batch(self, *, predictions: object, prediction_labels: object) -> None:
        """Adds generated series and their classes; `compute` takes the real ones."""
        values, labels = classified(predictions, prediction_labels, "prediction")
        super().add_batch(predictions=values, prediction_labels=labels)

    def _compute(
        self, predictions: list, prediction_labels: list, test: tuple, classifier: str, seed: int
    ) -> dict[str, float]:
        train = [part.to(test[0].device) for part in classified(predictions, prediction_labels, "prediction")]
        if classifier == "minirocket":
            return {"cas": minirocket_accuracy(train, [test], seed)[0]}
        num_classes = int(max(train[1].max(), test[1].max())) + 1
        return {"cas": fcn_accuracy(train, [test], num_classes, seed)[0]}


def classified(values: object, labels: object, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    try:
        values, labels = torch.as_tensor(values, dtype=torch.float32), torch.as_tensor(labels)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name}s and {name}_labels must be series and classes 0, 1, ...: {error}") from None
    if values.ndim != 3 or not values.isfinite().all():
        found = f"{tuple(values.shape)}" if values.ndim != 3 else "NaN or infinite values"
        raise ValueError(f"{name}s must be numbers of the shape (series, channels, length), found {found}")
    if labels.shape != values.shape[:1] or labels.is_floating_point() or (labels < 0).any():
        raise ValueError(f"{name}_labels must be {len(values)} classes 0, 1, ..., one for each series")
    return values, labels.to(values.device)
