"""FID of time series for `evaluate`; the arithmetic is `ncvqvae.evaluation.metrics.frechet_distance`."""

import datasets
import evaluate
from torch import Tensor

from ncvqvae.evaluation.fcn import FCN
from ncvqvae.evaluation.metrics import as_series, frechet_distance
from ncvqvae.inference import in_batches


DESCRIPTION = """
FID is the Fréchet distance between generated and real time series, taken as Gaussians in the features of an
evaluation network: 0 is the least, lower is nearer. It does not tell a good generator from one that copies its
training series.
"""

USAGE = """
Args of `compute`:
    predictions: generated series (series, channels, length), in the units of the data. May come from `add_batch`.
    references: real series (series, channels, length), any number of them.
    network: the evaluation network, from `ncvqvae.evaluation.fcn.load_fcn` or `train_fcn`.
Returns:
    fid: the distance.
"""

CITATION = """
@inproceedings{heusel2017gans,
  title={{GANs} Trained by a Two Time-Scale Update Rule Converge to a Local {Nash} Equilibrium},
  author={Heusel, Martin and Ramsauer, Hubert and Unterthiner, Thomas and Nessler, Bernhard and Hochreiter, Sepp},
  booktitle={Advances in Neural Information Processing Systems},
  year={2017}
}
"""


# `evaluate` pairs each prediction with a reference. Two samples of a law are no pairs and differ in size, so only the
# predictions are a column of its table; `compute` hands over the references itself.
class TimeSeriesFID(evaluate.Metric):
    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation=CITATION,
            inputs_description=USAGE,
            features=datasets.Features(predictions=datasets.List(datasets.List(datasets.Value("float32")))),
            reference_urls=["https://arxiv.org/abs/1706.08500"],
            license="Apache-2.0",
        )

    def compute(self, *, predictions: object = None, references: object, network: FCN) -> dict[str, float]:
        """Returns the FID of all predictions so far."""  # evaluate appends to the docstring, and needs one
        if not isinstance(network, FCN):
            raise TypeError(f"network must be an FCN of ncvqvae.evaluation.fcn, found {type(network).__name__}")
        return super().compute(predictions=predictions, real=as_series(references, "references"), network=network)

    def add_batch(self, *, predictions: object) -> None:
        """Adds generated series; `compute` takes the real ones."""
        super().add_batch(predictions=as_series(predictions, "predictions"))

    def _compute(self, predictions: list, real: Tensor, network: FCN) -> dict[str, float]:
        sets = [part.to(network.final.weight.device) for part in (real, as_series(predictions, "predictions"))]
        return {"fid": frechet_distance(*(in_batches(network.features, part) for part in sets))}
