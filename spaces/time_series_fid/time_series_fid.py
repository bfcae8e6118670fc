"""FID of time series for `evaluate`; the arithmetic is `ncvqvae.evaluation.metrics.frechet_distance`."""

import datasets
import evaluate
import torch

from ncvqvae.evaluation.fcn import FCN
from ncvqvae.evaluation.metrics import frechet_distance
from ncvqvae.inference import in_batches


DESCRIPTION = """
Fréchet distance of generated and real time series, as Gaussians in the features of an evaluation network: 0 is the
least, lower is nearer. It does not tell a good generator from one that copies its training series.
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
# predictions are a column of its table, and the references go past it.
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
        """FID of all predictions so far."""  # evaluate appends to the docstring, and needs one
        if not isinstance(network, FCN):
            raise TypeError(
                f"network must be an FCN, of ncvqvae.evaluation.fcn.load_fcn or train_fcn, found {type(network).__name__}"
            )
        return super().compute(predictions=predictions, real=series(references, "references"), network=network)

    def add_batch(self, *, predictions: object) -> None:
        """More generated series; real ones are for `compute`."""
        super().add_batch(predictions=series(predictions, "predictions"))

    def _compute(self, predictions: list, real: torch.Tensor, network: FCN) -> dict[str, float]:
        sets = [part.to(network.final.weight.device) for part in (real, series(predictions, "predictions"))]
        return {"fid": frechet_distance(*(in_batches(network.features, part) for part in sets))}


def series(values: object, name: str) -> torch.Tensor:
    wanted = f"{name} must be numbers of the shape (series, channels, length)"
    try:
        values = torch.as_tensor(values, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{wanted}: {error}") from None
    if values.ndim != 3:
        raise ValueError(f"{wanted}, found {tuple(values.shape)}")
    return values
