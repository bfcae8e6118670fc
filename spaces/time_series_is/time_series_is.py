"""Inception score of time series for `evaluate`; the arithmetic is `ncvqvae.evaluation.metrics.inception_score`."""

import datasets
import evaluate
import torch

from ncvqvae.evaluation.fcn import FCN
from ncvqvae.evaluation.metrics import as_series, inception_score
from ncvqvae.inference import in_batches


DESCRIPTION = """
The inception score tells how sure an evaluation network is of the class of each generated time series, and how evenly
the classes occur: from 1 to the number of classes, higher is better. It does not look at real series.
"""

USAGE = """
Args of `compute`:
    predictions: generated series (series, channels, length), in the units of the data. May come from `add_batch`.
    network: the evaluation network, from `ncvqvae.evaluation.fcn.load_fcn` or `train_fcn`.
    num_splits: parts of the shuffled series that are scored apart.
    seed: seed of the shuffling.
Returns:
    inception_score, inception_score_std: mean and standard deviation over the parts.
"""

CITATION = """
@inproceedings{salimans2016improved,
  title={Improved Techniques for Training {GANs}},
  author={Salimans, Tim and Goodfellow, Ian and Zaremba, Wojciech and Cheung, Vicki and Radford, Alec and Chen, Xi},
  booktitle={Advances in Neural Information Processing Systems},
  year={2016}
}
"""


class TimeSeriesIS(evaluate.Metric):
    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation=CITATION,
            inputs_description=USAGE,
            features=datasets.Features(predictions=datasets.List(datasets.List(datasets.Value("float32")))),
            reference_urls=["https://arxiv.org/abs/1606.03498"],
            license="Apache-2.0",
        )

    def compute(
        self, *, predictions: object = None, network: FCN, num_splits: int = 10, seed: int = 0
    ) -> dict[str, float]:
        """Returns the score of all predictions so far."""  # evaluate appends to the docstring, and needs one
        if not isinstance(network, FCN):
            raise TypeError(f"network must be an FCN of ncvqvae.evaluation.fcn, found {type(network).__name__}")
        return super().compute(predictions=predictions, network=network, num_splits=num_splits, seed=seed)

    def add_batch(self, *, predictions: object) -> None:
        """Adds generated series."""
        super().add_batch(predictions=as_series(predictions, "predictions"))

    def _compute(self, predictions: list, network: FCN, num_splits: int, seed: int) -> dict[str, float]:
        values = as_series(predictions, "predictions").to(network.final.weight.device)
        probabilities = in_batches(network, values).softmax(1)
        mean, std = inception_score(probabilities, num_splits, torch.Generator().manual_seed(seed))
        return {"inception_score": mean, "inception_score_std": std}
