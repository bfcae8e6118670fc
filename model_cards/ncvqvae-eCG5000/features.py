"""Features of series for classifiers: hidden states of the encoder, pooled over time."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .folded_encoder_decoder import FoldedEncoder
from .precision import at_least_float32
from .time_frequency import TimeFrequency, Wavelets


SCALES = (1, 3, 8)  # samples that are averaged into one, so that the encoder sees patterns of every duration
THRESHOLDS = (-1.0, -0.5, 0.5, 1.0)  # in standard deviations of a channel, from its mean
SHORTEST = 8  # samples


def pooled(hidden: Tensor, num_intervals: int) -> Tensor:
    """Average, maximum and standard deviation of `hidden` `(batch, dim, frequencies, time)` over all positions, and
    the averages of `num_intervals` parts of the time.
    """
    whole = [hidden.mean((2, 3)), hidden.amax((2, 3)), hidden.std((2, 3), correction=0)]
    return torch.cat([*whole, F.adaptive_avg_pool2d(hidden, (1, num_intervals)).flatten(1)], 1)


def multiscale_features(
    working: Tensor, time_frequency: TimeFrequency | Wavelets, encoder: FoldedEncoder, dtype: torch.dtype
) -> Tensor:
    """Features `(batch, features)` of scaled series `(batch, channels, length)`; the encoder computes in `dtype`.

    What `pooled` gives of eighths, and the shares of time that a channel spends above each of five values, at three
    depths of the encoder, of the series and of its differences, at three scales. Shares above several values and many
    scales are what makes random kernels strong features (MiniROCKET, Dempster et al., arXiv 2012.08791).
    """
    features = []
    for scale in SCALES:
        coarse = F.avg_pool1d(working, min(scale, max(working.shape[-1] // SHORTEST, 1)))
        differences = F.pad(coarse.diff(dim=-1), (0, 1))
        deviation = differences.std((1, 2), correction=0, keepdim=True).clamp_min(1e-6)
        for view in (coarse, differences / deviation):
            hiddens = encoder.features(time_frequency(view).to(dtype))
            for hidden, norm in zip(map(at_least_float32, hiddens), encoder.norms, strict=True):
                mean, spread = norm.running_mean, norm.running_var.sqrt()
                above = [(hidden > 0), *(hidden > (mean + t * spread)[:, None, None] for t in THRESHOLDS)]
                shares = [one.to(hidden.dtype).mean((2, 3)) for one in above]
                features.append(torch.cat([pooled(hidden, 8), *shares], 1))
    return torch.cat(features, 1)
