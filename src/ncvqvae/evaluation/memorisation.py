"""Tests whether a generator copies: whether its series are nearer to training series than held-out real series are."""

from typing import Literal

import torch
from scipy.stats import fisher_exact
from torch import Tensor


Distance = Literal["euclidean", "dtw"]

DTW_WINDOW = 0.1  # share of the length, on either side of the diagonal
DTW_CANDIDATES = 10
NEAR_SHARE = 0.05  # share of held-out series that are near-copies, which defines the threshold
SIGNIFICANCE = 1e-3


def nearest_distances(queries: Tensor, references: Tensor, distance: Distance = "euclidean") -> Tensor:
    """Distance of each query to the nearest reference; series are `(series, channels, length)`, on the CPU.

    Dynamic time warping is aeon's, with a window of a tenth of the length. It tries only the ten references that are
    nearest in Euclidean distance: the result is an upper bound, and the work does not grow with the references.
    """
    plain = torch.cdist(queries.flatten(1).double(), references.flatten(1).double())
    if distance == "euclidean":
        return plain.amin(1)
    from aeon.distances import dtw_distance

    candidates = plain.topk(min(DTW_CANDIDATES, len(references)), 1, largest=False).indices.tolist()
    first, second = queries.double().numpy(), references.double().numpy()
    squared = [
        min(dtw_distance(query, second[index], window=DTW_WINDOW) for index in nearest)
        for query, nearest in zip(first, candidates, strict=True)
    ]
    return torch.tensor(squared).sqrt()  # aeon sums squares


def memorisation(generated: Tensor, train: Tensor, held_out: Tensor, distance: Distance = "euclidean") -> dict:
    """Compares the distances of generated series to the training split with those of held-out real series.

    A near-copy is a generated series nearer to the training split than 95 in 100 held-out series are. A generator that
    draws from the law of the data has about 5 in 100 of them; many more, by Fisher's exact test at 0.001, are copies.

    Returns:
        `nearest_ratio`: median distance of generated series divided by that of held-out ones; below 1 means nearer
        than new real series. `near_copies`: their share. `p_value`: that of the test. `copies`: its verdict.

    Raises:
        ValueError: for fewer than 20 generated or held-out series, too few for a share of 5 in 100, or for series that
            are not finite.
    """
    if min(len(generated), len(held_out)) < 20:
        found = f"{len(generated)} generated and {len(held_out)} held-out"
        raise ValueError(f"the memorisation report needs 20 series or more of each kind, found {found}")
    for name, part in (("generated", generated), ("training", train), ("held-out", held_out)):
        if not part.isfinite().all():
            raise ValueError(f"{name} series hold NaN or infinite values")
    new, known = nearest_distances(generated, train, distance), nearest_distances(held_out, train, distance)
    threshold = known.quantile(NEAR_SHARE)
    counts = [int((part <= threshold).sum()) for part in (new, known)]
    table = [[count, len(part) - count] for count, part in zip(counts, (new, known), strict=True)]
    p_value = fisher_exact(table, alternative="greater").pvalue
    return {
        "nearest_ratio": (new.median() / known.median().clamp_min(1e-12)).item(),
        "near_copies": counts[0] / len(new),
        "p_value": float(p_value),
        "copies": bool(p_value < SIGNIFICANCE),
    }


def duplicate_share(values: Tensor, tolerance: float = 1e-6) -> float:
    """Share of series `(series, channels, length)` that have a duplicate in the set.

    Two series are duplicates if they differ by at most `tolerance` standard deviations at every sample.
    """
    flat = values.flatten(1).double()
    between = torch.cdist(flat, flat, p=torch.inf)
    between.fill_diagonal_(torch.inf)
    return (between.amin(1) <= tolerance * flat.std()).double().mean().item()
