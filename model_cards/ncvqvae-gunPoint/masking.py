"""Masking of codes, for training and for sampling: one schedule for both (MaskGIT, Chang et al., arXiv 2202.04200)."""

import math
from collections.abc import Callable

import torch
from torch import Tensor


def mask_ratio(progress: Tensor | float) -> Tensor | float:
    """Share of masked codes after `progress` (0 to 1) of the decoding: the cosine schedule, from all to none."""
    if isinstance(progress, Tensor):
        return torch.cos(progress * (math.pi / 2))
    return math.cos(progress * math.pi / 2)


def uniform(*size: int, generator: torch.Generator | None = None, device: torch.device | str = "cpu") -> Tensor:
    """The numbers of `torch.rand`, in a form that compiled graphs take for batches of any size."""
    return torch.empty(size, dtype=torch.float32, device=device).uniform_(generator=generator)


def training_mask(
    batch: int,
    num_codes: int,
    generator: torch.Generator | None = None,
    device: torch.device | str = "cpu",
    part: slice = slice(None),
    valid: Tensor | None = None,
) -> Tensor:
    """Draws which codes to mask, `(batch, num_codes)`: at least one in each sample, at uniform positions.

    The ratio is drawn for each sample at a uniformly random progress, so it averages 2 / pi. (The thesis' baseline
    masks the complement, and draws one ratio for a batch.)

    Args:
        part: the samples to return; numbers are drawn for all.
        valid (*optional*): which codes of these samples there are, `(samples, num_codes)`; others pad shorter ones.
    """
    progress = uniform(batch, generator=generator, device=device)[part]
    order = uniform(batch, num_codes, generator=generator, device=device)[part]
    sizes: Tensor | int = num_codes
    if valid is not None:
        order, sizes = order.masked_fill(~valid, 2.0), valid.sum(1)
    num_masked = (sizes * mask_ratio(progress)).long().clamp_min(1)
    return order.argsort(1).argsort(1) < num_masked[:, None]


def draw(logits: Tensor, temperature: float, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """Draws a code at each position from logits `(..., codebook_size)`; returns codes and their probabilities `(...)`.

    It inverts the cumulative distribution, which needs one random number for each position, not one for each code.
    """
    probabilities = (logits.float() / temperature).softmax(-1)
    cumulative = probabilities.cumsum(-1)
    level = uniform(*logits.shape[:-1], generator=generator, device=logits.device)[..., None]
    # The first code whose cumulative probability is beyond the number: never one of probability zero.
    codes = torch.searchsorted(cumulative, level * cumulative[..., -1:], right=True)
    codes = codes.clamp_max(logits.shape[-1] - 1)  # the product may round up to the last sum
    return codes[..., 0], probabilities.gather(-1, codes)[..., 0]


def confidence(probabilities: Tensor, noise_scale: float, generator: torch.Generator | None = None) -> Tensor:
    """Of codes drawn with `probabilities` `(...)`: their logarithm plus Gumbel noise times `noise_scale`."""
    drawn = uniform(*probabilities.shape, generator=generator, device=probabilities.device)
    gumbel = -(-(drawn.clamp_min(1e-20)).log()).clamp_min(1e-20).log()
    return (probabilities + 1e-5).log() + noise_scale * gumbel


def least_confident(
    probabilities: Tensor, count: int, noise_scale: float, generator: torch.Generator | None = None
) -> Tensor:
    """Indices `(batch, count)` of the codes to mask again, among codes drawn with `probabilities` `(batch, drawn)`."""
    return confidence(probabilities, noise_scale, generator).topk(count, dim=1, largest=False).indices


def radical_inverse(count: int, base: int, device: torch.device | str = "cpu") -> Tensor:
    """Van der Corput's sequence `(count,)` in [0, 1): the digits of 0, 1, ... in `base`, mirrored at the point."""
    rest, digit = torch.arange(count, device=device), 1.0 / base
    inverse = torch.zeros(count, dtype=torch.float64, device=device)
    while digit > 1 / (base * count):
        inverse += (rest % base).float() * digit
        rest, digit = rest // base, digit / base
    return inverse


def low_discrepancy_order(
    batch: int, grid: tuple[int, int], generator: torch.Generator | None = None, device: torch.device | str = "cpu"
) -> Tensor:
    """Positions `(batch, rows * columns)` in an order in which those that follow each other lie far apart in the grid.

    Positions are visited by Halton's sequence, in base 3 over the rows and in base 2 over the columns, shifted at
    random for each sample (Halton scheduler, Besnier et al., ICLR 2025, arXiv 2503.17076).
    """
    rows, columns = grid
    # That many points visit every position: they hit all pairs of equally wide strips of rows and columns.
    count = 2 ** math.ceil(math.log2(columns)) * 3 ** math.ceil(math.log(rows, 3))
    shift = torch.rand(2, batch, 1, generator=generator, device=device, dtype=torch.float64)
    row, column = (
        ((radical_inverse(count, base, device) + part) % 1 * size).long()
        for base, part, size in zip((3, 2), shift, grid, strict=True)
    )
    visit = torch.arange(count, device=device).expand(batch, -1)
    first = torch.full((batch, rows * columns), count, device=device)
    return first.scatter_reduce(1, row * columns + column, visit, "amin").argsort(1)


def decoding_order(
    name: str,
    batch: int,
    grid: tuple[int, int],
    generator: torch.Generator | None = None,
    device: torch.device | str = "cpu",
) -> Tensor | None:
    """Positions `(batch, rows * columns)` in the order in which their codes are decided.

    `None` where confidence decides.
    """
    if name == "confidence":
        return None
    if name == "random":
        return uniform(batch, grid[0] * grid[1], generator=generator, device=device).argsort(1)
    return low_discrepancy_order(batch, grid, generator, device)


def guidance_at(progress: float, scale: float, schedule: str) -> float:
    """The scale of the guidance after a share `progress` of the steps; 1 is none."""
    if schedule == "ramped":
        return 1 + (scale - 1) * progress
    return scale if schedule == "constant" or 0.25 <= progress <= 0.75 else 1.0


Predict = Callable[[Tensor, Tensor, Tensor, float], Tensor]


def decode_by_confidence(
    predict: Predict,
    logits: Tensor,
    num_steps: int,
    temperature: float = 1.0,
    choice_temperature: float = 0.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draws codes `(batch, num_codes)` in `num_steps` parallel steps (MaskGIT).

    Each step draws all codes that are still masked, and keeps the most confident ones.

    Args:
        predict: takes `codes` `(batch, num_codes)`, the positions `(batch, masked)` that are still masked, where
            the codes mean nothing, the positions `(batch, wanted)` of the codes to predict, and the share of the
            steps that are done; returns logits `(batch, wanted, codebook_size)`.
        logits: the prediction for a sample with all codes masked, `(batch, num_codes, codebook_size)`. It is the same
            for all samples of a class, so the caller computes it once.
        temperature: divides the logits of each draw.
        choice_temperature: scale of the noise on the confidence, annealed to 0 as the decoding proceeds.
    """
    batch, num_codes, _ = logits.shape
    masked = torch.arange(num_codes, device=logits.device).repeat(batch, 1)
    codes = torch.zeros_like(masked)
    for step in range(1, num_steps + 1):
        drawn, probabilities = draw(logits, temperature, generator)
        codes.scatter_(1, masked, drawn)
        left = int(num_codes * mask_ratio(step / num_steps))
        if left == 0:
            break
        noise_scale = choice_temperature * (1 - step / num_steps)
        masked = masked.gather(1, least_confident(probabilities, left, noise_scale, generator))
        logits = predict(codes, masked, masked, step / num_steps)
    return codes


def decode_in_order(
    predict: Predict,
    logits: Tensor,
    order: Tensor,
    num_steps: int,
    temperature: float = 1.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draws codes in `num_steps` parallel steps, each at the next positions of its `order` `(batch, num_codes)`.

    So a step predicts only what it draws. Other arguments as in `decode_by_confidence`.
    """
    num_codes = order.shape[1]
    codes, known = torch.zeros_like(order), 0
    for step in range(1, num_steps + 1):
        masked = order[:, known:]
        known = num_codes - int(num_codes * mask_ratio(step / num_steps))
        wanted = masked[:, : known - num_codes or None]
        if wanted.shape[1] == 0:
            continue
        if masked.shape[1] == num_codes:
            chosen = logits.gather(1, wanted[..., None].expand(-1, -1, logits.shape[2]))
        else:
            chosen = predict(codes, masked, wanted, (step - 1) / num_steps)
        codes.scatter_(1, wanted, draw(chosen, temperature, generator)[0])
    return codes
