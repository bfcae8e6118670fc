"""The non-contrastive objectives: pure functions of two batches of projections `(batch, dim)`, in float32.

Sums over all pairs of dimensions are taken in whichever of two equal forms is smaller: over the `dim x dim`
correlations, or over the `batch x batch` Gram matrices, since the sum of squares of A'B equals the inner product of
AA' and BB'.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


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
        variance = sum(F.relu(1 - (z.var(0) + 1e-4).sqrt()).mean() for z in (first, second))
        covariance = sum(_normalised_covariance(z) for z in (first, second))
    return invariance_weight * invariance + variance_weight * variance + covariance_weight * covariance


def _standardise(projections: Tensor) -> Tensor:
    return (projections - projections.mean(0)) / (projections.std(0) + 1e-8)


def _normalised_covariance(projections: Tensor) -> Tensor:
    """Mean square of the off-diagonal correlations, over all `dim * dim` entries."""
    normalised = F.normalize(projections - projections.mean(0), dim=0)
    diagonal = normalised.square().sum(0)
    return (_sum_of_squares(normalised, normalised) - diagonal.square().sum()) / projections.shape[1] ** 2


def _sum_of_squares(first: Tensor, second: Tensor) -> Tensor:
    """The sum of squares of `first.T @ second`."""
    batch, dim = first.shape
    if batch < dim:
        return (first @ first.T * (second @ second.T)).sum()
    return (first.T @ second).square().sum()


def _check_batch(projections: Tensor, augmented: Tensor) -> torch.Size:
    if projections.shape != augmented.shape or len(projections) < 2:
        found = f"{tuple(projections.shape)} and {tuple(augmented.shape)}"
        raise ValueError(f"the objective needs two equal batches of at least two projections, found {found}")
    return projections.shape
