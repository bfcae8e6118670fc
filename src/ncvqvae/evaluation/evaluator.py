"""Measures a checkpoint on one dataset.

The model is in evaluation mode throughout, and the test split is used for nothing else.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import DatasetDict
from torch import Tensor
from tqdm.auto import tqdm, trange

from ..data.series import to_tensors
from ..inference import in_batches
from ..models.modeling_maskgit import MaskGITForTimeSeriesGeneration
from ..models.modeling_ncvqvae import NCVQVAEModel
from ..runtime import derived_seed, one_line
from .classification import Classified, accuracy, strong_probe, synthetic_labels, thesis_probe
from .comparison import Comparison
from .fcn import evaluation_network
from .metrics import frechet_distance
from .rivals import lightly_warped
from .stage_scores import encode_all, score_tokenizer


LEAST_GENERATED = 256
GENERATED_AT_A_TIME = 256

Model = MaskGITForTimeSeriesGeneration | NCVQVAEModel
Score = dict[str, Any]


@dataclass
class Evaluation:
    """The figures, and the series that the pictures show. Series and labels are on the CPU.

    Args:
        train, test, label_names: the data.
        network: a description of the evaluation network.
        scores: the figures by name. Each has `values` (one for each seed, or a single one), their `mean` and `std`,
            and, where it makes sense, `interval` (95 %, bootstrap, first seed), `real` (the same figure with the
            training split in the place of generated series) and `warped` (the same with `lightly_warped` ones).
        not_measured: the figures that could not be measured, with the reason.
        sizes: how many series there are in each set.
        reconstruction, test_codes: the test split's reconstructed series and codes.
        features: the evaluation network's features of `train`, `test` and `generated`.
        generated, generated_codes: the series and codes of the first seed; `None` without a prior.
    """

    train: Classified
    test: Classified
    label_names: list[str]
    network: dict[str, object]
    reconstruction: Tensor
    test_codes: Tensor
    scores: dict[str, Score] = field(default_factory=dict)
    not_measured: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    features: dict[str, Tensor] = field(default_factory=dict)
    generated: Classified | None = None
    generated_codes: Tensor | None = None


def score(values: float | Sequence[float], **beside: object) -> Score:
    array = np.atleast_1d(np.asarray(values, dtype=np.float64))
    std = array.std(ddof=1) if len(array) > 1 else 0.0
    return {"mean": float(array.mean()), "std": float(std), "values": array.tolist(), **beside}


def evaluate(
    model: Model, dataset: DatasetDict, fcn_folder: str | Path | None = None, num_seeds: int = 3
) -> Evaluation:
    """Measures a checkpoint on the `train` and `test` splits of a labelled dataset.

    Args:
        model: a whole checkpoint, or a tokenizer alone, for which the figures of generation are left out.
        fcn_folder (*optional*): holds the evaluation network `<dataset>.safetensors`. Without a folder a network is
            trained and cached.
        num_seeds: how often every random draw is repeated, with the seeds 0, 1, ...

    Raises:
        ValueError: for a dataset of another shape or other classes than the model's, or without classes.
    """
    train, test = (to_tensors(dataset[split]) for split in ("train", "test"))
    label_names = dataset["train"].features["label"].names if train[1] is not None else []
    check_dataset(model, train[0], label_names)
    if num_seeds < 1:
        raise ValueError(f"evaluation needs 1 seed or more, found {num_seeds}")
    tokenizer = model.eval() if isinstance(model, NCVQVAEModel) else model.eval().tokenizer
    on_device = [split[0].to(tokenizer.device) for split in (train, test)]
    name = dataset["train"].info.config_name
    network, description = evaluation_network(name, (on_device[0], train[1]), len(label_names), fcn_folder)
    description["test_accuracy"] = accuracy(in_batches(network, on_device[1]).argmax(1).cpu(), test[1])
    result = Evaluation(
        train=train,
        test=test,
        label_names=label_names,
        network=description,
        reconstruction=in_batches(tokenizer.reconstruct, on_device[1]).cpu(),
        test_codes=encode_all(tokenizer, on_device[1], "codes").cpu(),
        sizes={"train": len(train[0]), "test": len(test[0])},
    )
    comparison = Comparison(train, test, len(label_names), network)
    result.features = {"train": comparison.features(train[0]), "test": comparison.test_features}
    _score_tokenizer(result, tokenizer, comparison)
    if isinstance(model, NCVQVAEModel):
        result.not_measured["generation"] = "this is of stage 1 alone, the tokenizer"
    else:
        _score_generation(result, model, comparison, num_seeds)
    return result


def check_dataset(model: Model, values: Tensor, label_names: list[str]) -> None:
    """Raises `ValueError` for data of another shape or other classes than the model's, or without classes."""
    if not label_names:
        raise ValueError("evaluation needs a column 'label': the features that it compares come from a classifier")
    config = model.config if isinstance(model, NCVQVAEModel) else model.config.tokenizer_config
    wanted, found = (config.num_channels, config.length), tuple(values.shape[1:])
    if wanted != found:
        takes = f"the checkpoint takes series of {wanted[0]} channels x {wanted[1]} samples"
        raise ValueError(f"{takes}, the dataset has {found[0]} x {found[1]}")
    known = [] if isinstance(model, NCVQVAEModel) else list(model.config.id2label.values())
    if known and known != label_names:
        raise ValueError(f"the checkpoint's classes are {', '.join(known)}; the dataset's {', '.join(label_names)}")


def _score_tokenizer(result: Evaluation, tokenizer: NCVQVAEModel, comparison: Comparison) -> None:
    reconstructed = comparison.features(result.reconstruction)
    result.scores["reconstruction_fid"] = score(frechet_distance(result.features["test"], reconstructed))
    splits = [values.to(tokenizer.device) for values in (result.train[0], result.test[0])]
    for split, values in zip(("train", "test"), splits, strict=True):
        for name, value in score_tokenizer(tokenizer, values).items():
            result.scores[f"{split}_{name}"] = score(value)
    labels = result.train[1], result.test[1]
    quantized = [encode_all(tokenizer, values, "quantized").mean((2, 3)).cpu() for values in splits]
    probed = thesis_probe(quantized[0], labels[0], quantized[1], labels[1])
    embedded = [in_batches(tokenizer.embed, values).cpu() for values in splits]
    try:
        probed |= strong_probe(embedded[0], labels[0], embedded[1], labels[1])
    except ValueError as error:
        result.not_measured["strong probes"] = str(error)
    result.scores |= {name: score(value) for name, value in probed.items()}


def _score_generation(
    result: Evaluation, model: MaskGITForTimeSeriesGeneration, comparison: Comparison, num_seeds: int
) -> None:
    """Measures generated series, one round for each seed. Intervals and pictures come from the first round."""
    num_samples, conditional = max(LEAST_GENERATED, len(result.test[0])), bool(model.config.num_labels)
    wanted = synthetic_labels(result.train[1], len(result.label_names))
    result.sizes |= {"generated": num_samples} | ({"generated_by_class": len(wanted)} if conditional else {})
    rounds, intervals = [], {}
    for seed in trange(num_seeds, desc="seeds", leave=False, disable=None):
        values, codes, labels = generate(model, num_samples, None, seed)
        features = comparison.features(values)
        measures = comparison.distances(values, features, seed)
        measures["memorisation"] = partial(comparison.memorisation, values, result.reconstruction)
        if conditional:
            synthetic = generate(model, len(wanted), wanted, seed)[0], wanted
            measures["class_fid"] = partial(comparison.class_distance, synthetic)
            measures["classifiers"] = partial(comparison.classification, synthetic, (values, labels), seed)
            # The papers sample without a class.
            null = comparison.features(generate(model, num_samples, "null", seed)[0])
            measures["null_fid"] = partial(frechet_distance, comparison.test_features, null)
            measures["null_inception_score"] = partial(comparison.inception_score, null, seed)
        figures = _measure(measures, result.not_measured)
        if seed == 0:
            result.generated, result.generated_codes, result.features["generated"] = (values, labels), codes, features
            bounds = comparison.intervals(values, features)
            bounds |= {"class_fid": partial(comparison.class_interval, synthetic)} if conditional else {}
            intervals = _measure({name: bounds[name] for name in bounds if name in figures}, {})
        rounds.append(figures)
    floors = comparison.distances(result.train[0], result.features["train"])
    floors["inception_score"] = partial(comparison.inception_score, result.features["test"])
    floors["class_fid"] = partial(comparison.class_distance, result.train)
    real = _measure(floors, {})
    real |= {f"null_{name}": real[name] for name in ("fid", "inception_score") if name in real}
    kinds = {"real": real, "interval": intervals, "warped": _score_rival(result, comparison, num_samples, wanted)}
    for name in rounds[0]:
        beside = {key: part[name] for key, part in kinds.items() if name in part}
        result.scores[name] = score([figures[name] for figures in rounds if name in figures], **beside)
    if not conditional:
        for name in ("fid", "inception_score"):  # without classes both ways to sample are one
            if name in result.scores:
                result.scores[f"null_{name}"] = result.scores[name]
        result.not_measured["class-conditional FID and classification accuracy"] = "the checkpoint knows no classes"


def _score_rival(result: Evaluation, comparison: Comparison, num_samples: int, wanted: Tensor) -> dict[str, float]:
    """The figures of `lightly_warped` training series, as many as are generated, by the names of the scores."""
    drawn = torch.arange(num_samples) % len(result.train[0])
    values = lightly_warped(result.train, drawn, 0)[0]
    # Of each class as many as `wanted` has of it; both repeat the training split as a whole.
    order = result.train[1].argsort(stable=True)
    by_class = lightly_warped(result.train, order.repeat_interleave(len(wanted) // len(order)), 0)
    measures = comparison.distances(values, comparison.features(values))
    measures["class_fid"] = partial(comparison.class_distance, by_class)
    measures["memorisation"] = partial(comparison.memorisation, values, result.reconstruction)
    measures["usefulness"] = partial(comparison.usefulness, by_class)
    return _measure(measures, {})


def _measure(measures: dict[str, Callable[[], Any]], not_measured: dict[str, str]) -> dict[str, Any]:
    """Calls the measures and returns figures by name. Notes in `not_measured` which one had too few series."""
    figures: dict[str, Any] = {}
    for name, measure in measures.items():
        try:
            value = measure()
        except ValueError as error:
            not_measured[name.replace("_", " ")] = one_line(error)
            continue
        figures |= value if isinstance(value, dict) else {name: value}
    return figures


def generate(
    model: MaskGITForTimeSeriesGeneration, num_samples: int, labels: Tensor | str | None, seed: int
) -> tuple[Tensor, Tensor, Any]:
    """Generates series with a progress bar; returns the series, their codes and their labels, on the CPU.

    Without `labels`, classes are drawn at the shares of the training split; `"null"` asks for no class.

    Raises:
        ValueError: for series that are not finite.
    """
    kind = "given" if isinstance(labels, Tensor) else str(labels)
    generator = torch.Generator(model.device).manual_seed(derived_seed(seed, "evaluation", kind))
    if labels is None and model.config.num_labels:
        shares = torch.tensor(model.config.label_shares)
        labels = torch.multinomial(shares, num_samples, True, generator=torch.Generator().manual_seed(seed))
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
    return values, codes, labels
