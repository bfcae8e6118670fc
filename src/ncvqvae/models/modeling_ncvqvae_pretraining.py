"""How stage 1 is trained: two branches, reconstruction and a non-contrastive objective."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.utils import ModelOutput, can_return_tuple

from .configuration_ncvqvae import NCVQVAEConfig
from .distributed import BatchNorm2d, gather_batch, mean_over_batch
from .modeling_ncvqvae import NCVQVAEModel, NCVQVAEPreTrainedModel
from .projector import Projector
from .scaler import moments_of
from .series_input import check_shape
from .ssl_objectives import OBJECTIVES


@dataclass
class NCVQVAEForPreTrainingOutput(ModelOutput):
    """
    Args:
        loss (scalar): the weighted sum of the losses below, with the weights in the configuration.
        time_loss, spectrogram_loss (scalars): mean squared errors of the reconstruction of the scaled series.
        magnitude_loss (scalar, *optional*): distance of STFT magnitudes at several resolutions, see `magnitude_loss`.
        commitment_loss (scalar): mean squared distance of latents to their codes.
        augmented_time_loss, augmented_spectrogram_loss (scalars, *optional*): of the augmented branch.
        ssl_loss (scalar, *optional*): the objective.
        perplexity, usage (scalars): of the codes in the batch.
        reconstruction (`torch.FloatTensor` of shape `(batch, channels, length)`): in the units of the data.
        codes (`torch.LongTensor` of shape `(batch, num_codes)`).
    """

    loss: Tensor | None = None
    time_loss: Tensor | None = None
    spectrogram_loss: Tensor | None = None
    magnitude_loss: Tensor | None = None
    commitment_loss: Tensor | None = None
    augmented_time_loss: Tensor | None = None
    augmented_spectrogram_loss: Tensor | None = None
    ssl_loss: Tensor | None = None
    perplexity: Tensor | None = None
    usage: Tensor | None = None
    reconstruction: Tensor | None = None
    codes: Tensor | None = None


class Branch(GradientCheckpointingLayer):
    """Runs a part of a model, of which nothing is kept for the backward pass under activation checkpointing.

    It stands beside the networks and not around them, since names of parameters do not change.
    """

    def forward(self, part: Callable, *inputs: Tensor | int) -> Any:
        return part(*inputs)


class NCVQVAEForPreTraining(NCVQVAEPreTrainedModel):
    """The tokenizer, the projector and the losses of NC-VQVAE (Mathisen et al., arXiv 2408.16613, section 3).

    The original view is quantized. The augmented view passes the same encoder and decoder without quantization; its
    reconstruction is a regulariser. The objective compares the projections of the quantized original and of the
    continuous augmented view; its gradient reaches the encoder through both.
    """

    _auto_class = "AutoModelForPreTraining"  # so that a save carries the code
    _keys_to_ignore_on_load_missing = [r"^projector\."]  # which never travels
    _keys_to_ignore_on_load_unexpected = NCVQVAEModel._keys_to_ignore_on_load_unexpected
    supports_gradient_checkpointing = True

    def __init__(self, config: NCVQVAEConfig):
        super().__init__(config)
        self.tokenizer = NCVQVAEModel(config)
        if config.decoder_noise:  # for `AdversarialDecoder`
            self.tokenizer.noise.requires_grad_(False)
        if config.ssl_objective is not None:
            whitened = OBJECTIVES[config.ssl_objective].whitened
            self.projector = Projector(config.code_size, config.projector_dim, iterative_norm=whitened)
        self.branch = Branch()
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        values: Tensor,
        augmented_values: Tensor | None = None,
        generator: torch.Generator | None = None,
        return_loss: bool = True,
        **kwargs: object,
    ) -> NCVQVAEForPreTrainingOutput:
        """The losses of a batch; both views are `(batch, channels, length)` in the units of the data.

        `generator` draws what the codebook needs (start and revival). Without `augmented_values` there is one branch.
        With `return_loss=False` the output has the losses and not their sum; with `return_dict=False` it is a tuple.
        Other arguments, such as labels and further columns of a batch, are ignored.

        Raises:
            ValueError: for series of another shape than the model's, or a training step without the second view where
                the configuration names an objective. That values are finite is not checked at every step.
        """
        config, tokenizer = self.config, self.tokenizer
        if self.training and augmented_values is None and config.ssl_objective is not None:
            raise ValueError(f"{config.ssl_objective} needs augmented_values; set ssl_objective to None to do without")

        for view in (values, augmented_values):
            if view is not None:
                check_shape(view, config)
        moments = moments_of(values, None, None, config.scale_each)
        working = tokenizer.to_working(tokenizer.scale(values, moments))
        spectrogram = tokenizer.time_frequency(working)
        quantization = tokenizer.quantizer(self._pass(tokenizer.encode_spectrogram, spectrogram), generator)
        reconstruction, decoded = self._pass(tokenizer.decode_latents, quantization.quantized, working.shape[-1])
        losses = {
            "time_loss": F.mse_loss(reconstruction, working),
            "spectrogram_loss": F.mse_loss(decoded, spectrogram),
            "commitment_loss": quantization.commitment_loss,
        }
        if config.magnitude_weight > 0:
            losses["magnitude_loss"] = magnitude_loss(reconstruction, working)
        if augmented_values is not None:
            losses |= self._augmented_losses(augmented_values, moments, quantization.quantized)
        if self.training:  # the objective is of the whole batch already
            names = [name for name in losses if name != "ssl_loss"]
            means = mean_over_batch(*[losses[name] for name in names], count=values.shape[0])
            losses |= dict(zip(names, means, strict=True))
        return NCVQVAEForPreTrainingOutput(
            loss=sum(self._weights[name] * value for name, value in losses.items()) if return_loss else None,
            **losses,
            perplexity=quantization.perplexity,
            usage=quantization.usage,
            reconstruction=tokenizer.scale.inverse(tokenizer.from_working(reconstruction, *values.shape[1:]), moments),
            codes=quantization.codes.view(values.shape[0], -1),
        )

    def _augmented_losses(
        self, augmented_values: Tensor, moments: Tensor | None, quantized: Tensor
    ) -> dict[str, Tensor]:
        tokenizer = self.tokenizer
        working = tokenizer.to_working(tokenizer.scale(augmented_values, moments))
        spectrogram = tokenizer.time_frequency(working)
        with frozen_running_statistics(tokenizer):
            latents = self._pass(tokenizer.encode_spectrogram, spectrogram)
            reconstruction, decoded = self._pass(tokenizer.decode_latents, latents, working.shape[-1])
        losses = {
            "augmented_time_loss": F.mse_loss(reconstruction, working),
            "augmented_spectrogram_loss": F.mse_loss(decoded, spectrogram),
        }
        if self.config.ssl_objective is not None:
            projections = self.projector(quantized, latents, dtype=self.dtype)
            if self.training:
                projections = [gather_batch(view) for view in projections]
            losses["ssl_loss"] = OBJECTIVES[self.config.ssl_objective].loss(*projections)
        return losses

    def _pass(self, part: Callable, hidden: Tensor, *sizes: int) -> Any:
        """`part(hidden, *sizes)`, a pass through one of the networks; see `Branch`."""
        # A compiled graph decides itself what it computes again.
        if not self.branch.gradient_checkpointing or torch.compiler.is_compiling():
            return part(hidden, *sizes)
        # PyTorch's reentrant checkpoints give no gradient to weights unless an input has one.
        hidden = hidden if hidden.requires_grad else hidden.detach().requires_grad_()
        return self.branch(computed_again(part, self.tokenizer), hidden, *sizes)

    @property
    def _weights(self) -> dict[str, float]:
        config = self.config
        return {
            "time_loss": config.time_weight,
            "spectrogram_loss": config.spectrogram_weight,
            "magnitude_loss": config.magnitude_weight,
            "commitment_loss": config.commitment_weight,
            "augmented_time_loss": config.augmented_weight * config.time_weight,
            "augmented_spectrogram_loss": config.augmented_weight * config.spectrogram_weight,
            "ssl_loss": config.ssl_weight,
        }


def magnitude_loss(reconstruction: Tensor, series: Tensor, windows: Sequence[int] = (16, 32, 64)) -> Tensor:
    """Distance of the STFT magnitudes of two batches `(batch, channels, length)`, averaged over `windows` (samples).

    Mean absolute differences of the magnitudes, over the root of the window, and .3 times those of their logarithms: a
    multi-resolution loss as of Yamamoto et al. (arXiv 1910.11480), with windows for short series. Windows that are
    longer than the series are left out.
    """
    total, fitting = reconstruction.new_zeros(()), [size for size in windows if size <= series.shape[-1]]
    for size in fitting:
        window = torch.hann_window(size, dtype=series.dtype, device=series.device)
        found, wanted = (
            torch.stft(part.flatten(0, 1), size, size // 4, window=window, return_complex=True).abs()
            for part in (reconstruction, series)
        )
        logarithms = (found + 1e-2).log() - (wanted + 1e-2).log()
        total = total + (found - wanted).abs().mean() / size**0.5 + 0.3 * logarithms.abs().mean()
    return total / max(len(fitting), 1)


@contextmanager
def frozen_running_statistics(module: nn.Module) -> Iterator[None]:
    """Batch norm uses the batch's statistics, and its running ones stay as they are.

    Evaluation sees original series and quantized latents only, so the statistics of the augmented branch (other
    series, continuous latents) have no place in the running ones. In the reference they mix.
    """
    norms = _norms(module)
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


@contextmanager
def restored_running_statistics(module: nn.Module) -> Iterator[None]:
    """Batch norm does all that it does in training; then its running statistics are what they were before."""
    before = [(buffer, buffer.clone()) for norm in _norms(module) for buffer in norm.buffers()]
    try:
        yield
    finally:  # a computation for the backward pass ends with an exception, once it has all that is missing
        for buffer, value in before:
            buffer.data.copy_(value)  # unseen by autograd, as batch norm's own updates are


def computed_again(part: Callable, module: nn.Module) -> Callable:
    """`part`, which the backward pass computes again, and which updates running statistics of `module` but once."""
    tracked = all(norm.track_running_stats for norm in _norms(module))
    passes = 0

    def run(*inputs: Any) -> Any:
        nonlocal passes
        passes += 1
        if passes == 1:
            return part(*inputs)
        with (restored_running_statistics if tracked else frozen_running_statistics)(module):
            return part(*inputs)

    return run


def _norms(module: nn.Module) -> list[BatchNorm2d]:
    return [part for part in module.modules() if isinstance(part, BatchNorm2d)]
