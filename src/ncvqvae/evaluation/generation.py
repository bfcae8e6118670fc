"""Measures what a checkpoint generates, beside what real series and lightly warped ones score."""

from functools import partial
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm, trange

from ..inference import in_batches
from ..models.class_labels import NO_CLASS
from ..models.modeling_maskgit import MaskGITForTimeSeriesGeneration
from ..runtime import derived_seed
from .classification import Classified, synthetic_labels
from .comparison import Comparison
from .metrics import frechet_distance
from .result import Evaluation, Measures, measure, score
from .rivals import jittered, lightly_warped
from .usefulness import usefulness


LEAST_GENERATED = 256
GENERATED_AT_A_TIME = 256


def score_generation(
    result: Evaluation, model: MaskGITForTimeSeriesGeneration, comparison: Comparison, num_seeds: int
) -> None:
    """Measures generated series, one round for each seed. Intervals and pictures come from the first round."""
    num_samples, labelled = max(LEAST_GENERATED, len(result.test[0])), comparison.network is not None
    wanted = synthetic_labels(result.train[1], len(result.label_names)) if labelled else None
    conditional = labelled and bool(model.config.num_labels)
    result.sizes |= {"generated": num_samples} | ({"generated_by_class": len(wanted)} if conditional else {})
    rounds, intervals = [], {}
    for seed in trange(num_seeds, desc="seeds", leave=False, disable=None):
        values, codes, labels = generate(model, num_samples, None, seed, result.scaled)
        features = comparison.features(values)
        measures = _of_all(result, comparison, values, features, seed)
        if conditional:
            synthetic = generate(model, len(wanted), wanted, seed, result.scaled)[0], wanted
            measures |= _by_class(result, comparison, synthetic, (values, labels), seed)
            # The papers sample without a class.
            null = comparison.features(generate(model, num_samples, "null", seed, result.scaled)[0])
            measures["null_fid"] = partial(frechet_distance, comparison.test_features, null)
            measures["null_inception_score"] = partial(comparison.inception_score, null, seed)
        figures = measure(measures, result.not_measured)
        if seed == 0:
            result.generated, result.generated_codes = (values, labels), codes
            result.features |= {"generated": features} if labelled else {}
            bounds = comparison.intervals(values, features)
            bounds |= {"class_fid": partial(comparison.class_interval, synthetic)} if conditional else {}
            intervals = measure({name: bounds[name] for name in bounds if name in figures}, {})
        rounds.append(figures)
    kinds = {"real": _score_real(result, comparison), "interval": intervals}
    kinds["warped"] = _score_rival(result, comparison, num_samples, wanted)
    for name in rounds[0]:
        beside = {key: part[name] for key, part in kinds.items() if name in part}
        result.scores[name] = score([figures[name] for figures in rounds if name in figures], **beside)
    if not conditional:  # without classes both ways to sample are one
        known = (name for name in ("fid", "inception_score") if name in result.scores)
        result.scores |= {f"null_{name}": result.scores[name] for name in known}


def _of_all(
    result: Evaluation, comparison: Comparison, values: Tensor, features: Tensor | None, seed: int = 0
) -> Measures:
    """Distances of series as a whole, and whether they are copies."""
    measures = comparison.distances(values, features, seed)
    if not result.seen:
        measures["memorisation"] = partial(comparison.memorisation, values, result.reconstruction)
    return measures


def _by_class(
    result: Evaluation, comparison: Comparison, synthetic: Classified, generated: Classified, seed: int
) -> Measures:
    measures: Measures = {"class_fid": partial(comparison.class_distance, synthetic)}
    if not result.seen:
        values, labels = _warped_by_class(result, len(synthetic[0]), seed)
        warped = jittered(values, seed), labels
        measures["classifiers"] = partial(usefulness, comparison, synthetic, warped, generated, seed)
    return measures


def _warped_by_class(result: Evaluation, size: int, seed: int) -> Classified:
    """Lightly warped training series, of each class as many as `synthetic_labels` has of it: `size` in all.

    Both repeat the training split as a whole.
    """
    order = result.train[1].argsort(stable=True)
    return lightly_warped(result.train, order.repeat_interleave(size // len(order)), seed)


def _score_real(result: Evaluation, comparison: Comparison) -> dict[str, float]:
    """The figures of the training split in the place of generated series, by the names of the scores."""
    measures = comparison.distances(result.train[0], result.features.get("train"))
    if comparison.network is not None:
        measures["inception_score"] = partial(comparison.inception_score, result.features["test"])
        measures["class_fid"] = partial(comparison.class_distance, result.train)
    real = measure(measures, {})
    return real | {f"null_{name}": real[name] for name in ("fid", "inception_score") if name in real}


def _score_rival(
    result: Evaluation, comparison: Comparison, num_samples: int, wanted: Tensor | None
) -> dict[str, float]:
    """The figures of `lightly_warped` training series, as many as are generated, by the names of the scores."""
    drawn = torch.arange(num_samples) % len(result.train[0])
    values = lightly_warped(result.train, drawn, 0)[0]
    measures = _of_all(result, comparison, values, comparison.features(values))
    if wanted is not None:
        measures["class_fid"] = partial(comparison.class_distance, _warped_by_class(result, len(wanted), 0))
    return measure(measures, {})


def generate(
    model: MaskGITForTimeSeriesGeneration,
    num_samples: int,
    labels: Tensor | str | None,
    seed: int,
    scaled: bool = False,
) -> tuple[Tensor, Tensor, Any]:
    """Generates series with a progress bar; returns the series, their codes and their labels, on the CPU.

    Without `labels`, classes are drawn at the shares of the training split; `"null"` asks for no class, whatever the
    classes are called. Series are in the units of the data, or `scaled` by the checkpoint's scaler.

    Raises:
        ValueError: for series that are not finite.
    """
    kind = "given" if isinstance(labels, Tensor) else str(labels)
    generator = torch.Generator(model.device).manual_seed(derived_seed(seed, "evaluation", kind))
    if labels is None and model.config.num_labels:
        shares = torch.tensor(model.config.label_shares)
        labels = torch.multinomial(shares, num_samples, True, generator=torch.Generator().manual_seed(seed))
    if isinstance(labels, str):
        labels = torch.full((num_samples,), NO_CLASS)
    parts: list[Any] = []
    with tqdm(total=num_samples, desc=f"generating, seed {seed}", unit="series", leave=False, disable=None) as bar:
        for start in range(0, num_samples, GENERATED_AT_A_TIME):
            size = min(GENERATED_AT_A_TIME, num_samples - start)
            chunk = labels[start : start + size] if isinstance(labels, Tensor) else labels
            parts.append(model.generate(size, labels=chunk, generator=generator, return_codes=True))
            bar.update(size)
    values, codes = (torch.cat([part[key] for part in parts]).cpu() for key in ("values", "codes"))
    if bad := int((~values.isfinite()).flatten(1).any(1).sum()):
        raise ValueError(f"{bad} of {num_samples} generated series hold NaN or infinite values; train the model again")
    if scaled:
        values = in_batches(model.tokenizer.scale, values, model.device)
    return values, codes, labels
