"""The non-contrastive objectives: pure functions of two batches of projections `(batch, dim)`, in float32.

Sums over all pairs of dimensions take the smaller of two equal forms: `dim x dim` correlations, or `batch x batch`
Gram matrices (`cpu_kernels.gram_product`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .cpu_kernels import gram_product


def barlow_twins_loss(projections: Tensor, augmented: Tensor, off_diagonal_weight: float = 0.005) -> Tensor:
    """Barlow Twins (Zbontar et al., arXiv 2103.03230, equation 1), divided by the number of dimensions.

    The division and the weight of 0.005 are NC-VQVAE's; so is the standard deviation with `batch - 1` in the
    standardised projections, while the correlation divides by `batch`.

    Raises:
        ValueError: for a batch of one, which has no correlation.
    """
    batch, dim = _check_batch(projections, augmented)
    with torch.autocast(projections.device.type, enabled=False):
        first, second = (_standardise(p.float()) for p in (projections, augmented))
        diagonal = (first * second).sum(0) / batch
        off_diagonal = _sum_of_squares(first, second) / batch**2 - diagonal.square().sum()
    return ((1 - diagonal).square().sum() + off_diagonal_weight * off_diagonal) / dim


def vibcreg_loss(
    projections: Tensor,
    augmented: Tensor,
    invariance_weight: float = 25.0,
    variance_weight: float = 25.0,
    covariance_weight: float = 100.0,
) -> Tensor:
    """VIbCReg (Lee and Aune, arXiv 2109.00783): VICReg with normalised covariances.

    Raises:
        ValueError: for a batch of one, which has no variance.
    """
    _check_batch(projections, augmented)
    with torch.autocast(projections.device.type, enabled=False):
        first, second = projections.float(), augmented.float()
        invariance = F.mse_loss(first, second)
        variance = covariance = first.new_zeros(())
        for centred, squares in (_centre(first), _centre(second)):
            variance = variance + F.relu(1 - (squares / (centred.shape[0] - 1) + 1e-4).sqrt()).mean()
            # The least square, here and below, gives a dimension without variance a gradient of zero.
            covariance = covariance + _normalised_covariance(centred / squares.clamp_min(1e-24).sqrt())
    return invariance_weight * invariance + variance_weight * variance + covariance_weight * covariance


@dataclass(frozen=True)
class Objective:
    """A non-contrastive objective, with all that the rest of the package needs to know about it.

    Args:
        loss: a function of two batches of projections `(batch, dim)`.
        weight: default of `NCVQVAEConfig.ssl_weight`.
        whitened: whether the projector ends with iterative normalisation.
    """

    loss: Callable[[Tensor, Tensor], Tensor]
    weight: float
    whitened: bool = False


# The objectives by their names in `NCVQVAEConfig.ssl_objective`. The weights are the thesis'.
OBJECTIVES = {
    "barlow_twins": Objective(barlow_twins_loss, weight=1.0),
    "vibcreg": Objective(vibcreg_loss, weight=0.01, whitened=True),
}


def _centre(projections: Tensor) -> tuple[Tensor, Tensor]:
    """Projections minus the mean of each dimension, and their sums of squares (`std` and `var` are slow on a CPU)."""
    centred = projections - projections.mean(0)
    return centred, centred.square().sum(0)


def _standardise(projections: Tensor) -> Tensor:
    centred, squares = _centre(projections)
    return centred / ((squares / (centred.shape[0] - 1)).clamp_min(1e-30).sqrt() + 1e-8)


def _normalised_covariance(normalised: Tensor) -> Tensor:
    """Mean square of the off-diagonal correlations, over all `dim * dim` entries."""
    diagonal = normalised.square().sum(0)
    return (_sum_of_squares(normalised, normalised) - diagonal.square().sum()) / normalised.shape[1] ** 2


def _sum_of_squares(first: Tensor, second: Tensor) -> Tensor:
    """The sum of squares of `first.T @ second`."""
    batch, dim = first.shape
    return gram_product(first, second) if batch < dim else (first.T @ second).square().sum()


def _check_batch(projections: Tensor, augmented: Tensor) -> torch.Size:
    if projections.shape != augmented.shape or projections.shape[0] < 2:
        found = f"{tuple(projections.shape)} and {tuple(augmented.shape)}"
        raise ValueError(f"the objective needs two equal batches of at least two projections, found {found}")
    return projections.shape
