"""The short-time Fourier transform, a wavelet transform, and their inverses, as fixed linear maps of real tensors.

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
        batch, channels, _ = values.shape
        padded = _reflected(values.to(self.analysis.dtype), self.n_fft // 2)
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


class Wavelets(Constants):
    """An undecimated wavelet transform by cubic B-splines, and its inverse, in the place of `TimeFrequency`.

    Each level smooths what the one before left, with gaps twice as wide, and what it takes away is a band. So the
    bands add up to the series, at any length (the starlet transform, Starck, Fadili and Murtagh, IEEE Trans. Image
    Process. 16(2), 2007). Two samples are a frame, as with a window of 8; the first and the second of them take the
    places of the STFT's real and imaginary parts. Borders are reflected.

    Args:
        length (`int`, *optional*): samples of a series, at least 2; `None` takes series of any length.
        n_fft (`int`): there are `n_fft // 2 + 1` bands, as frequencies of an STFT. It must be 8.
    """

    hop = 2

    def __init__(self, length: int | None, n_fft: int = 8):
        super().__init__()
        self.length, self.num_frequencies = length, n_fft // 2 + 1
        self.kernel = nn.Buffer(torch.empty(1, 1, 5, dtype=torch.float32), persistent=False)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        if not self.kernel.is_meta:
            self.kernel.copy_(torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16)

    def forward(self, values: Tensor) -> Tensor:
        """`values` `(batch, channels, length)` to bands `(batch, 2 * channels, bands, frames)`, the smoothest first.

        Channel `2 * c` holds the even samples of channel `c`, `2 * c + 1` the odd ones.
        """
        batch, channels, length = values.shape
        smooth, bands = values.to(self.kernel.dtype).reshape(batch * channels, 1, length), []
        with torch.autocast(values.device.type, enabled=False):
            for level in range(self.num_frequencies - 1):
                smoother = F.conv1d(_reflected(smooth, 2 << level), self.kernel, dilation=1 << level)
                bands.append(smooth - smoother)
                smooth = smoother
        stacked = torch.cat([smooth, *bands[::-1]], 1)
        filled = F.pad(stacked, (0, 2 - length % 2), mode="replicate")  # as many frames as an STFT has
        return filled.view(batch, channels, self.num_frequencies, -1, 2).movedim(-1, 2).flatten(1, 2)

    def inverse(self, spectrogram: Tensor, length: int | None = None) -> Tensor:
        """Bands `(batch, 2 * channels, bands, frames)` to `values` `(batch, channels, length)`.

        `length` defaults to that of the constructor.
        """
        samples = spectrogram.unflatten(1, (-1, 2)).to(self.kernel.dtype).sum(3)
        return samples.movedim(2, -1).flatten(2)[..., : length or self.length]


TRANSFORMS: dict[str, type[TimeFrequency] | type[Wavelets]] = {"stft": TimeFrequency, "wavelets": Wavelets}


def low_band(transform: TimeFrequency | Wavelets, values: Tensor) -> Tensor:
    """What the lowest frequency alone holds of `values` `(batch, channels, length)`; the rest is the high band."""
    lowest = transform(values)[:, :, :1]
    return transform.inverse(F.pad(lowest, (0, 0, 0, transform.num_frequencies - 1)), values.shape[-1])


def _reflected(values: Tensor, margin: int) -> Tensor:
    """`values` `(..., length)` with `margin` more samples at each end, which bounce between the two ends."""
    length = values.shape[-1]
    period = 2 * (length - 1)
    position = torch.arange(-margin, length + margin, device=values.device) % period
    return values[..., torch.minimum(position, period - position)]
