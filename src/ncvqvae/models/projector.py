"""The projector before the self-supervised objective, and iterative normalisation. Only training uses them."""

from functools import partial

import torch
from torch import Tensor, nn

from .distributed import BatchNorm1d, mean_over_batch
from .plain import is_plain
from .precision import InFloat32


class IterativeNorm(InFloat32):
    """Whitens features in groups by Newton's iteration (Huang et al., IterNorm, CVPR 2019; VIbCReg, arXiv 2109.00783).

    Takes and returns `(batch, num_features)`, the latter in float32. Evaluation uses running statistics.
    """

    def __init__(
        self,
        num_features: int,
        group_size: int = 64,
        num_iterations: int = 5,
        momentum: float = 0.1,
        epsilon: float = 1e-5,
    ):
        super().__init__()
        self.group_size = min(group_size, num_features)
        self.num_groups = num_features // self.group_size
        self.num_iterations, self.momentum, self.epsilon = num_iterations, momentum, epsilon
        empty = partial(torch.empty, dtype=torch.float32)
        self.weight, self.bias = nn.Parameter(empty(num_features)), nn.Parameter(empty(num_features))
        self.running_mean = nn.Buffer(empty(self.num_groups, 1, self.group_size))
        # The groups' matrices are stacked, in a shape for which PyTorch can write identities.
        self.running_whitening = nn.Buffer(empty(num_features, self.group_size, 1))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)
        nn.init.zeros_(self.running_mean)
        nn.init.dirac_(self.running_whitening, self.num_groups)

    def forward(self, features: Tensor) -> Tensor:
        with torch.autocast(features.device.type, enabled=False):
            groups = features.float().view(features.shape[0], self.num_groups, self.group_size).transpose(0, 1)
            if self.training:
                mean, whitening = self._statistics(groups)
            else:
                mean, whitening = self.running_mean, self.running_whitening.view(-1, *[self.group_size] * 2)
            whitened = (groups - mean) @ whitening  # (groups, batch, group_size); the whitening matrix is symmetric
            return whitened.transpose(0, 1).flatten(1) * self.weight + self.bias

    def _statistics(self, groups: Tensor) -> tuple[Tensor, Tensor]:
        batch = groups.shape[1]
        (mean,) = mean_over_batch(groups.mean(1, keepdim=True), count=batch)
        centred = groups - mean
        identity = torch.eye(self.group_size, dtype=groups.dtype, device=groups.device)
        (covariance,) = mean_over_batch(centred.mT @ centred / batch, count=batch)
        covariance = covariance + self.epsilon * identity
        trace = covariance.diagonal(dim1=1, dim2=2).sum(1)[:, None, None]
        normalised = covariance / trace
        root = 1.5 * identity - 0.5 * normalised  # the first iteration, from the identity
        for _ in range(self.num_iterations - 1):
            root = torch.baddbmm(root, root @ root, root @ normalised, beta=1.5, alpha=-0.5)  # all matrices commute
        whitening = root / trace.sqrt()
        self.running_mean.copy_(torch.lerp(self.running_mean, mean.detach(), self.momentum))
        stacked = whitening.detach().reshape(self.running_whitening.shape)
        self.running_whitening.copy_(torch.lerp(self.running_whitening, stacked, self.momentum))
        return mean, whitening


class Projector(nn.Module):
    """Projects views, each latents `(batch, dim, frequencies, width)`, to `(batch, projector_dim)`.

    A three-layer perceptron takes the average and the maximum over all positions, concatenated in this order. For
    VIbCReg it ends with iterative normalisation (NC-VQVAE, arXiv 2408.16613).
    """

    def __init__(self, dim: int, projector_dim: int, iterative_norm: bool):
        super().__init__()
        layers: list[nn.Module] = []
        for inputs in (2 * dim, projector_dim):
            layers += [nn.Linear(inputs, projector_dim), BatchNorm1d(projector_dim), nn.ReLU()]
        layers.append(nn.Linear(projector_dim, projector_dim))
        if iterative_norm:
            layers.append(IterativeNorm(projector_dim))
        self.layers = nn.Sequential(*layers)

    def forward(self, *views: Tensor, dtype: torch.dtype = torch.float32) -> tuple[Tensor, ...]:
        """A projection for each view; `dtype` is that of the weights.

        The norms see one view at a time; the matrix products see all, so that the weights, which are larger than the
        batch, are read once and their gradients are written once.
        """
        features = [torch.cat((latents.mean((2, 3)), latents.amax((2, 3))), 1).to(dtype) for latents in views]
        if not is_plain(self.layers, nn.Sequential):
            return tuple(self.layers(view) for view in features)
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                features = layer(torch.cat(features)).split([view.shape[0] for view in views])
            else:
                features = [layer(view) for view in features]
        return tuple(features)
