"""The convolutional encoder and decoder over (frequency, frames).

They are the networks of the NC-VQVAE thesis (arXiv 2408.16613), which are those of TimeVQVAE (arXiv 2303.04743)
without its band split. Only the time axis is down-sampled, and the network is as wide as a code throughout.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from .cpu_kernels import replicate_pad, transposed_convolution
from .distributed import BatchNorm2d


class Halvings(nn.Sequential):
    """Convolutions that halve the frames, with replicated borders; a batch norm and a leaky ReLU after each.

    Borders are replicated here, so that whatever stands in the place of a convolution, such as an adapter and what it
    wraps, sees the same.
    """

    def __init__(self, in_channels: int, dim: int, num_downsampling: int):
        layers: list[nn.Module] = []
        for _ in range(num_downsampling):
            layers += [nn.Conv2d(in_channels, dim, (3, 4), (1, 2)), BatchNorm2d(dim), nn.LeakyReLU(inplace=True)]
            in_channels = dim
        super().__init__(*layers)

    def forward(self, hidden: Tensor) -> Tensor:
        for index, layer in enumerate(self):
            hidden = layer(hidden if index % 3 else replicate_pad(hidden))
        return hidden


class UpConvolution(nn.ConvTranspose2d):
    """A transposed convolution that doubles the frames."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(in_channels, out_channels, (3, 4), (1, 2), (1, 1))

    def forward(self, hidden: Tensor) -> Tensor:
        return transposed_convolution(self, hidden)


class ResidualBlock(nn.Module):
    """A pre-activation residual block and the batch norm after it. Only the encoder's blocks have the inner norm."""

    def __init__(self, dim: int, inner_norm: bool):
        super().__init__()
        self.conv1 = nn.Conv2d(dim, dim, 3, padding=1)
        self.inner_norm = BatchNorm2d(dim) if inner_norm else nn.Identity()
        self.conv2 = nn.Conv2d(dim, dim, 1)
        self.norm = BatchNorm2d(dim)

    def forward(self, hidden: Tensor) -> Tensor:
        inner = self.inner_norm(self.conv1(F.leaky_relu(hidden)))
        return self.norm(hidden + self.conv2(F.leaky_relu(inner, inplace=True)))


class Encoder(nn.Module):
    """Maps spectrograms `(batch, in_channels, frequencies, frames)` to latents `(batch, dim, frequencies, width)`."""

    def __init__(self, in_channels: int, dim: int, num_downsampling: int, num_residual_blocks: int):
        super().__init__()
        self.down = Halvings(in_channels, dim, num_downsampling)
        self.blocks = nn.Sequential(*[ResidualBlock(dim, inner_norm=True) for _ in range(num_residual_blocks)])

    def forward(self, spectrogram: Tensor) -> Tensor:
        return self.blocks(self.down(spectrogram))


class Decoder(nn.Module):
    """Maps latents `(batch, dim, frequencies, width)` to float32 spectrograms.

    Spectrograms are `(batch, out_channels, frequencies, num_frames)`. The decoder up-samples once more than the
    encoder halves, to about twice the frames, and then interpolates to `num_frames`.
    """

    def __init__(self, out_channels: int, dim: int, num_downsampling: int, num_residual_blocks: int):
        super().__init__()
        self.blocks = nn.Sequential(*[ResidualBlock(dim, inner_norm=False) for _ in range(num_residual_blocks)])
        up = []
        for _ in range(num_downsampling - 1):
            up += [UpConvolution(dim, dim), BatchNorm2d(dim), nn.LeakyReLU(inplace=True)]
        up += [UpConvolution(dim, out_channels), UpConvolution(out_channels, out_channels)]
        self.up = nn.Sequential(*up)

    def forward(self, latents: Tensor, num_frames: int) -> Tensor:
        raw = self.up(self.blocks(latents))
        # Only time is interpolated, linearly: that is faster than bilinear interpolation in channels last.
        lines = raw.flatten(1, 2).float()
        return F.interpolate(lines, num_frames, mode="linear", align_corners=True).unflatten(1, raw.shape[1:3])
