"""The second phase of pre-training: the decoder learns, against discriminators, the detail that errors average away.

A decoder that minimises squared errors answers codes with the mean of all series that have them, which is too smooth.
So encoder and codebook stay as they are, and the decoder, now with noise at its input, must also pass for real before
small discriminators: the losses of HiFi-GAN (Kong et al., arXiv 2010.05646) with the hinge of Lim and Ye (arXiv
1705.02894), on waveforms and on STFT magnitudes as in UnivNet (Jang et al., arXiv 2106.07889).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils.parametrizations import weight_norm
from transformers.utils import ModelOutput

from ..models.distributed import mean_over_batch
from ..models.modeling_ncvqvae import NCVQVAEModel
from ..models.modeling_ncvqvae_pretraining import magnitude_loss


MAGNITUDE_WEIGHT, ADVERSARIAL_WEIGHT, MATCHING_WEIGHT = 1.0, 0.02, 0.2


@dataclass
class AdversarialOutput(ModelOutput):
    """
    Args:
        loss (scalar): the sum of the losses of the decoder and of the discriminators.
        time_loss, spectrogram_loss, magnitude_loss (scalars): see `NCVQVAEForPreTrainingOutput`.
        adversarial_loss (scalar): minus the mean verdict on reconstructions.
        matching_loss (scalar): mean absolute difference of the discriminators' hidden states for the series and for
            its reconstruction, over the mean magnitude of the former.
        discriminator_loss (scalar): the hinge losses of the discriminators.
    """

    loss: Tensor | None = None
    time_loss: Tensor | None = None
    spectrogram_loss: Tensor | None = None
    magnitude_loss: Tensor | None = None
    adversarial_loss: Tensor | None = None
    matching_loss: Tensor | None = None
    discriminator_loss: Tensor | None = None


class Discriminators(nn.Module):
    """One small network on waveforms, and one on the log magnitudes of the STFT with each of `windows` (samples)."""

    def __init__(self, dim: int = 48, windows: Sequence[int] = (16, 32, 64)):
        super().__init__()
        self.windows = tuple(windows)
        inputs = [1] + [window // 2 + 1 for window in self.windows]
        self.layers = nn.ModuleList(
            nn.ModuleList(
                weight_norm(nn.Conv1d(size, dim, 5, stride, 2)) for size, stride in ((first, 1), (dim, 2), (dim, 1))
            )
            for first in inputs
        )
        self.heads = nn.ModuleList(nn.Conv1d(dim, 1, 3, padding=1) for _ in inputs)

    def forward(self, values: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Verdicts on series `(batch, length)`, high for real ones, and the hidden states that led to them."""
        views = [values[:, None]]
        for size in self.windows:
            window = torch.hann_window(size, device=values.device)
            magnitude = torch.stft(values, size, size // 4, window=window, return_complex=True).abs()
            views.append((magnitude + 1e-2).log())
        verdicts, states = [], []
        for hidden, layers, head in zip(views, self.layers, self.heads, strict=True):
            for layer in layers:  # type: ignore[attr-defined]
                hidden = F.leaky_relu(layer(hidden), 0.2)
                states.append(hidden)
            verdicts.append(head(hidden))
        return verdicts, states


class AdversarialDecoder(nn.Module):
    """A tokenizer whose decoder is trained together with its discriminators, by one optimiser.

    The loss of the decoder sees the discriminators' weights as constants, and that of the discriminators sees
    reconstructions as constants, so that the sum of both gives each side its own gradient.
    """

    def __init__(self, tokenizer: NCVQVAEModel):
        super().__init__()
        self.tokenizer, self.discriminators = tokenizer, Discriminators()
        tokenizer.requires_grad_(False)
        parts = [tokenizer.decoder, *(getattr(tokenizer, name, None) for name in ("from_code", "noise"))]
        for part in parts:
            if part is not None:
                part.requires_grad_(True)

    def forward(
        self, values: Tensor, noise: Tensor | None = None, generator: torch.Generator | None = None
    ) -> AdversarialOutput:
        """The losses of scaled series `(batch, 1, length)` at the samples at which they are tokenized."""
        tokenizer = self.tokenizer
        spectrogram = tokenizer.time_frequency(values)
        with torch.no_grad():
            quantized = tokenizer.quantizer(tokenizer.encode_spectrogram(spectrogram)).quantized
        reconstruction, decoded = tokenizer.decode_latents(quantized, values.shape[-1], noise)
        real, made = values.flatten(0, 1), reconstruction.flatten(0, 1)
        constants = {name: weight.detach() for name, weight in self.discriminators.named_parameters()}
        verdicts, states = functional_call(self.discriminators, constants, (made,))
        with torch.no_grad():
            wanted = self.discriminators(real)[1]
        judged = zip(self.discriminators(real)[0], self.discriminators(made.detach())[0], strict=True)
        losses = {
            "time_loss": F.mse_loss(reconstruction, values),
            "spectrogram_loss": F.mse_loss(decoded, spectrogram),
            "magnitude_loss": magnitude_loss(reconstruction, values),
            "adversarial_loss": -_average([verdict.mean() for verdict in verdicts]),
            "discriminator_loss": _average([F.relu(1 - yes).mean() + F.relu(1 + no).mean() for yes, no in judged]),
        }
        differences = [(one - other).abs().mean() for one, other in zip(states, wanted, strict=True)]
        sizes = [one.abs().mean() for one in wanted]
        means = mean_over_batch(*losses.values(), *differences, *sizes, count=len(values))
        scalars, matched = means[: len(losses)], torch.stack(means[len(losses) :]).view(2, -1)
        losses = dict(zip(losses, scalars, strict=True)) | {"matching_loss": (matched[0] / matched[1]).mean()}
        weights = {
            "magnitude_loss": MAGNITUDE_WEIGHT,
            "adversarial_loss": ADVERSARIAL_WEIGHT,
            "matching_loss": MATCHING_WEIGHT,
        }
        weighted = [weights.get(name, 1.0) * value for name, value in losses.items()]
        return AdversarialOutput(loss=torch.stack(weighted).sum(), **losses)


def _average(losses: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(losses)).mean()
