"""Encoder and decoder whose codes are a sequence in time: the frequencies of a frame are folded into its channels.

Convolutions run over time alone, with a fixed stride, so that one network serves series of every length. They keep the
four axes `(batch, channels, 1, time)`, for PyTorch computes two-dimensional convolutions in channels last faster than
one-dimensional ones. Where there are as many positions as frames, a frame is two new samples: half the channels serve
there, at a quarter of the cost.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from .distributed import BatchNorm2d


def _convolution(inputs: int, outputs: int, size: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, (1, size), padding=(0, size // 2))


class FoldedResidualBlock(nn.Module):
    """A pre-activation residual block over time."""

    def __init__(self, dim: int):
        super().__init__()
        self.norm1, self.conv1 = BatchNorm2d(dim), _convolution(dim, dim, 3)
        self.norm2, self.conv2 = BatchNorm2d(dim), nn.Conv2d(dim, dim, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden + self.conv2(F.gelu(self.norm2(self.conv1(F.gelu(self.norm1(hidden))))))


class FoldedEncoder(nn.Module):
    """A spectrogram `(batch, channels, frequencies, frames)` to latents `(batch, dim, 1, width)`.

    `width` is the number of frames over 2 to the `num_halvings`, rounded up: frames are repeated at the end.
    """

    def __init__(self, num_inputs: int, dim: int, num_halvings: int, num_residual_blocks: int):
        super().__init__()
        self.stride = 2**num_halvings
        width = -(-dim // 2)
        self.enter = _convolution(num_inputs, width, 5)
        down: list[nn.Module] = []
        for _ in range(num_halvings):
            down += [BatchNorm2d(width), nn.GELU(), nn.Conv2d(width, dim, (1, 4), (1, 2), (0, 1))]
            width = dim
        self.down = nn.Sequential(*down)
        self.blocks = nn.Sequential(*[FoldedResidualBlock(dim) for _ in range(num_residual_blocks)])
        self.norm = BatchNorm2d(dim)

    def forward(self, spectrogram: Tensor) -> Tensor:
        return self.norm(self.features(spectrogram)[-1])

    @property
    def norms(self) -> list[BatchNorm2d]:
        """Those that take each of `features` in."""
        # By name, since an adapter that stands in the place of a sequence has no indices.
        return [getattr(self.down, "0"), getattr(self.blocks, "0").norm1, self.norm]

    def features(self, spectrogram: Tensor) -> list[Tensor]:
        """Hidden states `(batch, channels, 1, time)` before the halvings, after them, and after the blocks."""
        folded = spectrogram.flatten(1, 2)[:, :, None]
        missing = -folded.shape[-1] % self.stride
        if missing:
            folded = F.pad(folded, (0, missing, 0, 0), mode="replicate")
        entered = self.enter(folded)
        lowered = self.down(entered)
        return [entered, lowered, self.blocks(lowered)]


class FoldedDecoder(nn.Module):
    """Latents `(batch, dim, 1, width)` to a spectrogram `(batch, channels, frequencies, num_frames)`."""

    def __init__(self, channels: int, frequencies: int, dim: int, num_halvings: int, num_residual_blocks: int):
        super().__init__()
        self.shape = channels, frequencies
        self.blocks = nn.Sequential(*[FoldedResidualBlock(dim) for _ in range(num_residual_blocks)])
        up: list[nn.Module] = []
        for left in reversed(range(num_halvings)):
            width = dim if left else -(-dim // 2)
            up += [nn.ConvTranspose2d(dim, width, (1, 4), (1, 2), (0, 1)), FoldedResidualBlock(width)]
        self.up = nn.Sequential(*up)
        self.norm, self.leave = BatchNorm2d(width), _convolution(width, channels * frequencies, 5)

    def forward(self, latents: Tensor, num_frames: int) -> Tensor:
        raised = self.leave(F.gelu(self.norm(self.up(self.blocks(latents)))))
        return raised[:, :, 0, :num_frames].unflatten(1, self.shape).float()
