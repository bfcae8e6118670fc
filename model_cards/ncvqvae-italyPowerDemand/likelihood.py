"""How likely series are: the prior's likelihood of their codes, and a Gaussian's of what the codes leave out."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.utils import ModelOutput

from .class_labels import Labels
from .precision import autocast
from .scaler import Moment, moments_of
from .series_input import Series, as_series


@dataclass
class MaskGITScoreOutput(ModelOutput):
    """
    Args:
        scores (`torch.FloatTensor` of shape `(batch,)`): log-likelihood of each series, in nats: the next two's sum.
        codes (`torch.FloatTensor` of shape `(batch,)`): of its codes.
        residual (`torch.FloatTensor` of shape `(batch,)`): of the scaled series given its codes, a density.
        residual_std (scalar): the standard deviation of the residual that was taken, in units of the scaled series.
    """

    scores: Tensor | None = None
    codes: Tensor | None = None
    residual: Tensor | None = None
    residual_std: Tensor | None = None


class Likelihood:
    """What `MaskGITForTimeSeriesGeneration` says about series that are given."""

    @torch.no_grad()
    def score(
        self: Any,
        values: Series,
        labels: Labels = None,
        num_orders: int = 16,
        residual_std: float | None = None,
        mean: Moment = None,
        std: Moment = None,
        generator: torch.Generator | None = None,
        batch_size: int = 64,
    ) -> MaskGITScoreOutput:
        """Log-likelihood of series `(batch, channels, length)`: of their codes, and of the residual.

        **Codes.** A masked prior is an order-agnostic autoregressive model (Hoogeboom et al., ICLR 2022, arXiv
        2110.02037). The average over random orders of the log-likelihood of decoding in that order bounds the
        log-likelihood of the D codes from below. It equals the average, over the number n = 1 ... D of masked codes
        and over which these are, of D / n times the sum of their log-probabilities given all others. `num_orders`
        random orders are cut once each, at values of n that are spread evenly, so the estimate has no bias.

        **Residual.** What the reconstruction leaves of the scaled series is taken for independent Gaussian numbers of
        mean 0 and one standard deviation, `residual_std`. Checkpoints do not hold that of training: the default is the
        root mean square of the residuals of the series given here. So that scores of two calls compare, pass what
        `score(training_series).residual_std` gave.

        Args:
            values, mean, std: as `encode` takes them.
            labels (*optional*): a class, or one for each series, as `generate` takes them; without it the null class.
                Of a prior over many sets, the name of a set or of a class of it.
            num_orders (`int`, defaults to 16): random orders for each series; more are steadier.
            generator (`torch.Generator`, *optional*): on the model's device; draws the orders. The default is seeded
                with 0: equal calls give equal scores, and those of several classes are of the same orders.
            batch_size (`int`, defaults to 64): series and orders at a time.

        Raises:
            ValueError: for what `encode` and `generate` refuse, or a number that is not positive.
        """
        if num_orders < 1 or batch_size < 1:
            raise ValueError(f"num_orders and batch_size must be at least 1, found {num_orders} and {batch_size}")
        if residual_std is not None and not 0 < residual_std < math.inf:
            raise ValueError(f"residual_std must be positive, found {residual_std}")
        values = as_series(values, self.config.tokenizer_config, self.device).to(self.device)
        ids = self._known_classes(labels, len(values), None)
        moments = moments_of(values, mean, std, self.config.tokenizer_config.scale_each)
        found, errors = [], []
        for rows in torch.arange(len(values), device=self.device).split(batch_size):
            encoded = self.encode(values[rows], *(() if moments is None else moments[:, rows, :, 0]))
            decoded = self.decode(encoded.codes, values.shape[-1], encoded.moments)
            of_rows = encoded.moments
            found.append(encoded.codes)
            errors.append(self.tokenizer.scale(values[rows], of_rows) - self.tokenizer.scale(decoded, of_rows))
        codes, error = torch.cat(found), torch.cat(errors).float()
        of_codes = self._log_likelihood(codes, ids, num_orders, generator, batch_size)
        deviation = error.square().mean().sqrt() if residual_std is None else error.new_tensor(residual_std)
        deviation = deviation.clamp_min(torch.finfo(torch.float32).eps)
        constant = deviation.log() + 0.5 * math.log(2 * math.pi)
        of_residual = -((error / deviation).square() / 2 + constant).sum((1, 2))
        return MaskGITScoreOutput(of_codes + of_residual, of_codes, of_residual, deviation)

    def _log_likelihood(
        self: Any, codes: Tensor, labels: Tensor, num_orders: int, generator: torch.Generator | None, batch_size: int
    ) -> Tensor:
        """Of each series' `codes` `(batch, num_codes)`, `(batch,)`, averaged over random orders; see `score`."""
        generator = torch.Generator(self.device).manual_seed(0) if generator is None else generator
        batch, num_codes = codes.shape
        numbers = {"dtype": torch.float32, "device": self.device}
        spread = {"generator": generator, **numbers}
        # The i-th cut of each series leaves a share of i to i + 1 of num_orders masked.
        share = (torch.arange(num_orders, device=self.device) + torch.rand(batch, num_orders, **spread)) / num_orders
        sizes = (share * num_codes).long().clamp_max(num_codes - 1) + 1
        total = torch.zeros(batch, num_orders, **numbers)
        for rows in torch.arange(batch * num_orders, device=self.device).split(batch_size):
            series, cut = rows // num_orders, rows % num_orders
            rank = torch.rand(len(rows), num_codes, **spread).argsort(1).argsort(1)
            count = sizes[series, cut]
            masked, own = rank < count[:, None], codes[series]
            with autocast(self.device, self.config.sampling_precision, self):
                logits = self._logits_of(own.masked_fill(masked, self.codebook_size), labels[series], masked)
            each = logits.float().log_softmax(-1).gather(1, own[masked][:, None])[:, 0]
            summed = torch.zeros(masked.shape, **numbers).masked_scatter(masked, each).sum(1)
            total[series, cut] = summed * num_codes / count
        return total.mean(1)
