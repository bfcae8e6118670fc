"""The vector quantizer: nearest code, straight-through gradient, a codebook kept by exponential moving averages.

The codebook is never trained by gradient. What is stored are its sufficient statistics, how often each code was
used and the sum of the latents it stood for (van den Oord et al., arXiv 1711.00937, appendix A.1); the codes are
their ratio, so the two cannot disagree. Dead codes are revived as in Zeghidour et al. (arXiv 2107.03312, section
III-C).
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .cpu_kernels import sums_by_code
from .distributed import broadcast_from_first, gather_batch, place_in_batch, sum_over_processes
from .precision import InFloat32


class Quantization(NamedTuple):
    quantized: Tensor  # (batch, dim, frequencies, width), with the straight-through gradient
    codes: Tensor  # (batch, frequencies * width), row-major: all positions in time of the lowest frequency first
    commitment_loss: Tensor  # mean squared distance of latents to their codes, gradient to the latents only
    perplexity: Tensor  # exponential of the entropy of code use in the batch, 1 to codebook_size
    usage: Tensor  # share of the codebook that the batch uses, 0 to 1


def nearness(points: Tensor, codebook: Tensor) -> Tensor:
    """Negative squared distances `(points, codes)`, less the points' own norms, on which no choice of a code
    depends.
    """
    return 2 * points @ codebook.T - codebook.square().sum(1)


class VectorQuantizer(InFloat32):
    """Maps each latent vector to the nearest of `codebook_size` codes, in float32 whatever autocast or cast.

    In training mode every batch moves the codebook; in evaluation mode nothing changes.

    Args:
        codebook_size (`int`): number of codes.
        dim (`int`): size of a code.
        decay (`float`): of the moving averages, per training batch.
        kmeans_init (`bool`): start from k-means on the first training batch instead of standard normal codes.
        revival_threshold (`float`): a code used less often than this per batch (moving average) is replaced by a
            random latent of the batch; 0 never revives.
        normalised (`bool`): keep codes on the unit sphere, for latents that are.
        epsilon (`float`): Laplace smoothing of the counts.
    """

    def __init__(
        self,
        codebook_size: int,
        dim: int,
        decay: float = 0.9,
        kmeans_init: bool = True,
        revival_threshold: float = 0.5,
        normalised: bool = False,
        epsilon: float = 1e-5,
    ):
        super().__init__()
        self.normalised = normalised
        self.decay, self.kmeans_init = decay, kmeans_init
        self.revival_threshold, self.epsilon = revival_threshold, epsilon
        self.cluster_size = nn.Buffer(torch.empty(codebook_size, dtype=torch.float32))
        self.embedding_sum = nn.Buffer(torch.empty(codebook_size, dim, dtype=torch.float32))
        self.started = nn.Buffer(torch.empty((), dtype=torch.float32))  # 1 from the first training batch on
        self._started = False  # spares reading `started` back from the device at every step
        self.reset_parameters()

    def reset_parameters(self) -> None:
        # Counts start at one. At zero, as in the reference, an unused code is a division by epsilon: its norm jumps to
        # 1e5 and then sinks to exactly zero.
        nn.init.ones_(self.cluster_size)
        nn.init.normal_(self.embedding_sum)
        nn.init.zeros_(self.started)
        self._started = False

    @property
    def codebook(self) -> Tensor:
        """The codes, `(codebook_size, dim)`."""
        total = self.cluster_size.sum()
        smoothed = (self.cluster_size + self.epsilon) / (total + len(self.cluster_size) * self.epsilon) * total
        codes = self.embedding_sum / smoothed[:, None]
        return F.normalize(codes, dim=1) if self.normalised else codes

    def forward(self, latents: Tensor, generator: torch.Generator | None = None) -> Quantization:
        """Quantizes latents `(batch, dim, frequencies, width)`; `generator` draws the k-means start and revived
        codes.
        """
        with torch.autocast(latents.device.type, enabled=False):
            points = self._points(latents)
            if self.training and not self._started:
                self._started = True
                buffers = self.started, self.cluster_size, self.embedding_sum
                if torch.compiler.is_compiling():
                    start_in_graph(points.detach(), *buffers, self.kmeans_init)
                else:
                    start(points.detach(), *buffers, self.kmeans_init, generator)
            codebook = self.codebook
            codes = nearness(points.detach(), codebook).argmax(1)
            hard = F.embedding(codes, codebook)
            commitment_loss = F.mse_loss(points, hard)
            # Exactly `hard` in the forward pass, the identity in the backward pass.
            quantized = hard + (points - points.detach())

            counts = points.new_zeros(len(codebook)).index_add_(0, codes, points.new_ones(codes.shape[0]))
            if self.training:
                sums = sums_by_code(points.detach(), codes, len(codebook))
                packed = sum_over_processes(torch.cat((counts[:, None], sums), 1))
                counts, sums = packed[:, 0], packed[:, 1:]
                self._update(counts, sums)
                if self.revival_threshold > 0:
                    self._revive(points.detach(), generator)
            share = counts / counts.sum()
            perplexity = torch.special.entr(share).sum().exp()
            usage = (counts > 0).float().mean()
        batch, dim, frequencies, width = latents.shape
        quantized = quantized.view(batch, frequencies, width, dim).movedim(-1, 1)
        return Quantization(quantized, codes.view(batch, frequencies * width), commitment_loss, perplexity, usage)

    def sample(self, latents: Tensor, temperature: float, generator: torch.Generator | None = None) -> Tensor:
        """Codes `(batch, frequencies * width)` drawn with probability proportional to exp(-distance^2 /
        temperature).
        """
        with torch.autocast(latents.device.type, enabled=False):
            scores = nearness(self._points(latents), self.codebook)
        drawn = torch.multinomial((scores / temperature).softmax(1), 1, generator=generator)
        return drawn.view(latents.shape[0], -1)

    def _points(self, latents: Tensor) -> Tensor:
        return latents.movedim(1, -1).reshape(-1, latents.shape[1]).to(self.embedding_sum.dtype)

    def _update(self, counts: Tensor, sums: Tensor) -> None:
        # Computed first and copied last: torch 2.13 miscompiles the in-place form on the CPU.
        cluster_size = torch.lerp(self.cluster_size, counts, 1 - self.decay)
        embedding_sum = torch.lerp(self.embedding_sum, sums, 1 - self.decay)
        self.cluster_size.copy_(cluster_size)
        self.embedding_sum.copy_(embedding_sum)

    @torch.no_grad()
    def _revive(self, points: Tensor, generator: torch.Generator | None) -> None:
        dead = self.cluster_size < self.revival_threshold
        start, total = place_in_batch(points.shape[0], points.device)
        chosen = broadcast_from_first(torch.randint(total, (len(dead),), generator=generator, device=points.device))
        # Of the points that are here; the others' are with other processes.
        here = (chosen >= start) & (chosen < start + points.shape[0])
        candidates = sum_over_processes(torch.where(here[:, None], points[(chosen - start) * here], 0.0))
        # Both statistics are replaced: the code alone would be overwritten by the next update.
        self.embedding_sum.copy_(torch.where(dead[:, None], candidates, self.embedding_sum))
        self.cluster_size.copy_(torch.where(dead, 1.0, self.cluster_size))


@torch.no_grad()
def start(
    points: Tensor,
    started: Tensor,
    cluster_size: Tensor,
    embedding_sum: Tensor,
    kmeans_init: bool,
    generator: torch.Generator | None = None,
) -> None:
    """Starts the statistics of a codebook from k-means on `points` `(points, dim)`, unless they have `started`."""
    if started > 0:
        return
    started.fill_(1)
    if not kmeans_init:
        return
    found = kmeans(gather_batch(points), len(cluster_size), generator)
    centroids, counts = map(broadcast_from_first, found)
    cluster_size.copy_(counts)
    embedding_sum.copy_(centroids * counts[:, None])


@torch.library.custom_op("ncvqvae::start_codebook", mutates_args=("started", "cluster_size", "embedding_sum"))
def start_in_graph(
    points: Tensor, started: Tensor, cluster_size: Tensor, embedding_sum: Tensor, kmeans_init: bool
) -> None:
    """`start` as one operation of a compiled graph, which could not hold its loops and its decision."""
    start(points, started, cluster_size, embedding_sum, kmeans_init)


def kmeans(
    points: Tensor, num_clusters: int, generator: torch.Generator | None = None, num_iterations: int = 10
) -> tuple[Tensor, Tensor]:
    """Lloyd's algorithm from k-means++ seeds (Arthur and Vassilvitskii, SODA 2007) for points `(points, dim)`.

    Returns centroids `(num_clusters, dim)` and counts `(num_clusters,)` of at least 1.
    """
    centroids = points[torch.randint(points.shape[0], (1,), generator=generator, device=points.device)]
    distance = torch.full((points.shape[0],), torch.inf, dtype=points.dtype, device=points.device)
    for _ in range(num_clusters - 1):
        distance = torch.minimum(distance, (points - centroids[-1]).square().sum(1))
        weight = distance + torch.finfo(points.dtype).tiny  # where fewer points differ than there are clusters
        seed = torch.multinomial(weight, 1, generator=generator)
        centroids = torch.cat((centroids, points[seed]))
    for _ in range(num_iterations):
        one_hot = F.one_hot(nearness(points, centroids).argmax(1), num_clusters).to(points.dtype)
        counts = one_hot.sum(0)
        centroids = torch.where(counts[:, None] > 0, one_hot.T @ points / counts.clamp_min(1)[:, None], centroids)
    return centroids, counts.clamp_min(1)
