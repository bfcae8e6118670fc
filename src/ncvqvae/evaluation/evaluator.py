"""Measures a checkpoint on one dataset.

The model is in evaluation mode throughout, and the test split is used for nothing else.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from datasets import Dataset, DatasetDict
from torch import Tensor

from ..data.series import to_tensors
from ..data.streaming import StreamedValues, Values
from ..data.training_split import fit_scaler
from ..inference import in_batches
from ..models.modeling_maskgit import MaskGITForTimeSeriesGeneration
from ..models.modeling_ncvqvae import NCVQVAEModel
from .classification import Classified, accuracy, strong_probe, thesis_probe
from .comparison import Comparison
from .fcn import evaluation_network
from .generation import score_generation
from .metrics import frechet_distance
from .result import Evaluation, Measures, Model, measure, score
from .stage_scores import encode_all, score_prior, score_tokenizer


SAME_SCALE = 1e-3  # standard deviations by which the scaler of a training split may differ from the checkpoint's
NO_CLASSES = "this takes series with classes, and these have none"
NOTHING_NEW = "this takes series that the model did not learn from, and the test series are the training series"


def evaluate(
    model: Model,
    dataset: DatasetDict,
    fcn_folder: str | Path | None = None,
    num_seeds: int = 3,
    scaled: bool = False,
) -> Evaluation:
    """Measures a checkpoint on the `train` and `test` splits of a dataset.

    What needs classes is measured where the dataset has them; copying and accuracies only where test series are not
    the training series.

    Args:
        model: a whole checkpoint, or a tokenizer alone, for which the figures of generation are left out.
        fcn_folder (*optional*): holds the evaluation network `<dataset>.safetensors`. Without a folder a network is
            trained and cached.
        num_seeds: how often every random draw is repeated, with the seeds 0, 1, ...
        scaled: compare series as the checkpoint's scaler scales them. Otherwise they are in the units of the data,
            which the networks of a folder expect.

    Raises:
        ValueError: for a dataset of another shape or other classes than the model's.
    """
    given = [to_tensors(dataset[split]) for split in ("train", "test")]
    names = class_names(dataset["train"])
    check_dataset(model, given[0][0], names)
    if num_seeds < 1:
        raise ValueError(f"evaluation needs 1 seed or more, found {num_seeds}")
    tokenizer = model.eval() if isinstance(model, NCVQVAEModel) else model.eval().tokenizer
    on_device = [values.to(tokenizer.device) for values, _ in given]
    sets = [*on_device, in_batches(tokenizer.reconstruct, on_device[1])]
    train, test, reconstruction = ((in_batches(tokenizer.scale, one) if scaled else one).cpu() for one in sets)
    splits = (train, given[0][1]), (test, given[1][1])
    name = dataset["train"].info.config_name
    comparison, network = _comparison(*splits, len(names), name, fcn_folder, tokenizer.device)
    comparison.embed = _embedder(tokenizer, scaled)
    result = Evaluation(
        *splits,
        label_names=names,
        network=network,
        reconstruction=reconstruction,
        test_codes=encode_all(tokenizer, on_device[1], "codes").cpu(),
        scaled=scaled,
        sizes={"train": len(train), "test": len(test)},
    )
    result.not_measured = _left_out(result, model)
    _score_tokenizer(result, tokenizer, comparison, on_device)
    if not isinstance(model, NCVQVAEModel):
        _score_prior(result, model, on_device)
        score_generation(result, model, comparison, num_seeds)
    return result


def class_names(dataset: Dataset) -> list[str]:
    """The classes of a dataset of series, in the order of their indices."""
    return dataset.features["label"].names if "label" in dataset.column_names else []


def check_dataset(model: Model, values: Values, label_names: list[str]) -> None:
    """Raises `ValueError` for data of another shape than the model's, or with other classes."""
    config = model.config if isinstance(model, NCVQVAEModel) else model.config.tokenizer_config
    wanted, found = (config.num_channels, config.length), tuple(values.shape[1:])
    if wanted != found:
        takes = f"the checkpoint takes series of {wanted[0]} channels x {wanted[1]} samples"
        raise ValueError(f"{takes}, the dataset has {found[0]} x {found[1]}")
    known = [] if isinstance(model, NCVQVAEModel) else list(model.config.id2label.values())
    if known and label_names and known != label_names:
        raise ValueError(f"the checkpoint's classes are {', '.join(known)}; the dataset's {', '.join(label_names)}")


def check_training_split(model: Model, dataset: Dataset) -> None:
    """Raises `ValueError` for a training split that cannot be the one that the model was trained on.

    Its series then have another shape, other classes, or another mean or variance than those of the model's scaler.
    """
    values, names = StreamedValues(dataset), class_names(dataset)
    check_dataset(model, values, names)
    if not names and not isinstance(model, NCVQVAEModel) and model.config.num_labels:
        known = ", ".join(model.config.id2label.values())
        raise ValueError(f"the checkpoint's classes are {known}; the series have none: name the column of theirs")
    config = getattr(model.config, "tokenizer_config", model.config)
    for mean, std, known_mean, known_std in zip(*fit_scaler(values), config.mean, config.std, strict=True):
        shift, stretch = (mean - known_mean) / known_std, std / known_std
        if max(abs(shift), abs(stretch - 1)) > SAME_SCALE:
            found = f"these have a mean {shift:+.3g} standard deviations off and {stretch:.3g} times the deviation"
            raise ValueError(f"the checkpoint was trained on other series: {found}; name those, and new ones as test")


def _comparison(
    train: Classified,
    test: Classified,
    num_classes: int,
    name: str | None,
    folder: str | Path | None,
    device: torch.device,
) -> tuple[Comparison, dict[str, object]]:
    """The comparison with the splits, and a description of its evaluation network, which only classes allow."""
    if not num_classes:
        return Comparison(train, test), {}
    network, found = evaluation_network(name, (train[0].to(device), train[1]), num_classes, folder)
    predicted = in_batches(network, test[0].to(device)).argmax(1).cpu()
    return Comparison(train, test, num_classes, network), found | {"test_accuracy": accuracy(predicted, test[1])}


def _embedder(tokenizer: NCVQVAEModel, scaled: bool) -> Callable[[Tensor], Tensor]:
    """A function from series, perhaps scaled by the checkpoint's scaler, to what `embed` gives, on the CPU."""

    def embed(batch: Tensor) -> Tensor:
        return tokenizer.embed(tokenizer.scale.inverse(batch) if scaled else batch)

    return lambda values: in_batches(embed, values, tokenizer.device)


def _left_out(result: Evaluation, model: Model) -> dict[str, str]:
    """What the data and the model do not allow to measure, with the reason."""
    found = {}
    if not result.label_names:
        found["FID, inception score, precision to coverage, classification accuracy and probes"] = NO_CLASSES
    elif result.seen:
        found["classification accuracy and probes"] = NOTHING_NEW
    if isinstance(model, NCVQVAEModel):
        return found | {"generation": "this is of stage 1 alone, the tokenizer"}
    if result.seen:
        found["copying"] = NOTHING_NEW
    if result.label_names and not model.config.num_labels:
        found["class-conditional FID and classification accuracy"] = "the checkpoint knows no classes"
    return found


def _score_tokenizer(
    result: Evaluation, tokenizer: NCVQVAEModel, comparison: Comparison, on_device: list[Tensor]
) -> None:
    again = result.reconstruction
    measures: Measures = {
        "reconstruction_minirocket_fid": lambda: frechet_distance(
            comparison.test_minirocket, comparison.minirocket(again)
        )
    }
    if comparison.network is not None:
        result.features = {"train": comparison.features(result.train[0]), "test": comparison.test_features}
        measures["reconstruction_fid"] = partial(
            frechet_distance, comparison.test_features, comparison.features(again)
        )
    found = measure(measures, result.not_measured)
    for split, values in zip(("train", "test"), on_device, strict=True):
        found |= {f"{split}_{name}": value for name, value in score_tokenizer(tokenizer, values).items()}
    if comparison.network is not None and not result.seen:
        found |= _probe(result, tokenizer, on_device, comparison.embedded)
    result.scores |= {name: score(value) for name, value in found.items()}


def _probe(
    result: Evaluation, tokenizer: NCVQVAEModel, on_device: list[Tensor], embedded: tuple[Tensor, Tensor]
) -> dict[str, float]:
    """Accuracies of classifiers on frozen features: quantized latents, and what `embed` gives of both splits."""
    labels = result.train[1], result.test[1]
    quantized = [encode_all(tokenizer, values, "quantized").mean((1, 3, 4)).cpu() for values in on_device]
    probed = thesis_probe(quantized[0], labels[0], quantized[1], labels[1])
    try:
        return probed | strong_probe(embedded[0], labels[0], embedded[1], labels[1])
    except ValueError as error:
        result.not_measured["strong probes"] = str(error)
        return probed


def _score_prior(result: Evaluation, model: MaskGITForTimeSeriesGeneration, on_device: list[Tensor]) -> None:
    for split, values, labels in zip(("train", "test"), on_device, (result.train[1], result.test[1]), strict=True):
        known = labels.to(model.device) if labels is not None and model.config.num_labels else None
        for name, value in score_prior(model, encode_all(model.tokenizer, values, "codes"), known).items():
            result.scores[f"{split}_masked_{name}"] = score(value)
