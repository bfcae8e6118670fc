"""The short-time Fourier transform and its inverse as fixed linear maps of real tensors.

No complex numbers, so that the model exports and compiles; exact length, odd ones included, so that a reconstruction
is as long as the series (the thesis' code loses the last sample of an odd length: it calls the inverse without one).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .precision import Constants


class TimeFrequency(Constants):
    """STFT with a periodic Hann window, hop `n_fft // 4`, centred with reflected borders, and its inverse.

    Equal to `torch.stft` and `torch.istft(..., length=length)`. Where the reflection needs more samples than the
    series has, which `torch.stft` refuses, it goes on bouncing between the two ends, as `numpy.pad(mode="reflect")`
    does.

    Args:
        length (`int`, *optional*): samples of a series, at least 2; `None` takes series of any length.
        n_fft (`int`): samples of a window, a multiple of 4.
    """

    def __init__(self, length: int | None, n_fft: int = 8):
        super().__init__()
        self.length, self.n_fft, self.hop = length, n_fft, n_fft // 4
        self.num_frequencies = n_fft // 2 + 1
        # Not saved: they follow from n_fft and length. `reset_parameters` must fill them, since transformers builds
        # models on the meta device, where what a constructor computes is lost.
        size = 2 * self.num_frequencies, 1, n_fft
        self.analysis = nn.Buffer(torch.empty(size, dtype=torch.float32), persistent=False)
        self.synthesis = nn.Buffer(torch.empty(size, dtype=torch.float32), persistent=False)
        self.gain = nn.Buffer(torch.empty(length or 0, dtype=torch.float32), persistent=False)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        if self.analysis.is_meta:
            return
        n = torch.arange(self.n_fft, dtype=torch.float64)
        frequency = torch.arange(self.num_frequencies, dtype=torch.float64)
        window = torch.hann_window(self.n_fft, dtype=torch.float64)
        angle = 2 * math.pi / self.n_fft * frequency[:, None] * n
        basis = torch.cat((angle.cos(), -angle.sin())) * window  # (2 * frequencies, n_fft)
        # Each inner frequency stands for its conjugate too.
        weight = torch.full_like(frequency, 2.0)
        weight[0] = weight[-1] = 1.0
        self.analysis.copy_(basis[:, None])
        self.synthesis.copy_((basis * weight.repeat(2)[:, None] / self.n_fft)[:, None])
        if self.length is not None:
            self.gain.copy_(self._gain(self.length, "cpu"))

    def _gain(self, length: int, device: torch.device | str) -> Tensor:
        """One over the sum of the squared windows at each of `length` samples, float64."""
        window = torch.hann_window(self.n_fft, dtype=torch.float64, device=device)
        frames = window.new_ones(1, 1, length // self.hop + 1)
        envelope = F.conv_transpose1d(frames, window.square()[None, None], None, self.hop)
        return 1 / envelope[0, 0, self.n_fft // 2 :][:length]

    def forward(self, values: Tensor) -> Tensor:
        """`values` `(batch, channels, length)` to a spectrogram `(batch, 2 * channels, frequencies, frames)`.

        Channel `2 * c` holds the real parts of channel `c`, `2 * c + 1` the imaginary ones.
        """
        batch, channels, length = values.shape
        values = values.to(self.analysis.dtype)
        period = 2 * (length - 1)
        position = torch.arange(-(self.n_fft // 2), length + self.n_fft // 2, device=values.device) % period
        padded = values[..., torch.minimum(position, period - position)]
        with torch.autocast(values.device.type, enabled=False):  # bfloat16 would cost 1% of the amplitude
            spectrum = F.conv1d(padded.flatten(0, 1)[:, None], self.analysis, stride=self.hop)
        return spectrum.view(batch, 2 * channels, self.num_frequencies, -1)

    def inverse(self, spectrogram: Tensor, length: int | None = None) -> Tensor:
        """A spectrogram `(batch, 2 * channels, frequencies, frames)` to `values` `(batch, channels, length)`.

        `length` defaults to that of the constructor.
        """
        length = length or self.length
        gain = self.gain if length == self.length else self._gain(length, self.gain.device).to(self.gain.dtype)
        batch, double_channels, frequencies, frames = spectrogram.shape
        spectrum = spectrogram.reshape(batch * double_channels // 2, 2 * frequencies, frames)
        with torch.autocast(spectrogram.device.type, enabled=False):
            overlapped = F.conv_transpose1d(spectrum.to(self.synthesis.dtype), self.synthesis, stride=self.hop)
        values = overlapped[:, 0, self.n_fft // 2 :][:, :length] * gain
        return values.view(batch, double_channels // 2, length)
