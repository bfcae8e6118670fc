"""Noise that the decoder may turn into the fine detail that codes leave out."""

import torch
from torch import Tensor, nn


class NoiseInput(nn.Module):
    """Adds noise to hidden states `(batch, dim, frequencies, width)`, to each channel as much as training finds.

    As in StyleGAN (Karras et al., arXiv 1812.04948, section 3.2). Without noise the states pass unchanged.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.scale = nn.Parameter(torch.empty(dim, 1, 1))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.constant_(self.scale, 0.05)

    def forward(self, hidden: Tensor, noise: Tensor | None) -> Tensor:
        return hidden if noise is None else hidden + self.scale * noise
