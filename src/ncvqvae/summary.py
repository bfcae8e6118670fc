"""What a training run says of itself at its end."""

import time

import torch
from datasets import Dataset, DatasetDict
from torch import Tensor

from .modeling_maskgit import MaskGITForTimeSeriesGeneration
from .recipes import Recipe
from .scores import encode_all, score_prior, score_tokenizer
from .series import spread, to_tensors
from .training_data import split_series


@torch.no_grad()
def training_summary(
    model: MaskGITForTimeSeriesGeneration,
    train: Dataset,
    test: Dataset,
    num_samples: int = 512,
    seed: int = 0,
    kind: str = "test",
) -> tuple[list[tuple[str, str]], Tensor, Tensor | None]:
    """Rows of a table about a trained model, and the samples that it drew for them with their classes.

    The test split is looked at here, once, after training. `kind` says what `test` is, see `unseen_series`; of very
    large splits every k-th series counts, see `spread`.
    """
    (values, labels), (test_values, test_labels) = to_tensors(spread(train)), to_tensors(spread(test))
    (values, test_values) = (part.to(model.device) for part in (values, test_values))
    generator = torch.Generator(model.device).manual_seed(seed)
    start = time.perf_counter()
    sampled = model.generate(num_samples, generator=generator, return_labels=True)
    seconds = time.perf_counter() - start

    config = model.config
    seen, unseen = (score_tokenizer(model.tokenizer, part) for part in (values, test_values))
    prior = score_prior(model, encode_all(model.tokenizer, test_values, "codes"), _on(test_labels, model.device))
    rows = [
        (f"series to train on / {'to test on' if kind == 'test' else kind}", f"{len(train)} / {len(test)}"),
        ("channels x length", f"{values.shape[1]} x {values.shape[2]}"),
        ("codes a series", f"{model.num_codes}, each one of {model.codebook_size}"),
        ("parameters", f"{sum(parameter.numel() for parameter in model.parameters()) / 1e6:.2f} M"),
        (f"reconstruction error, train / {kind}", f"{_error(seen)} / {_error(unseen)}"),
        (f"perplexity of the codes, {kind}", f"{unseen['perplexity']:.1f}"),
        (f"masked codes guessed right, {kind}", f"{prior['accuracy']:.1%}"),
        ("series generated a second", f"{num_samples / seconds:.0f}"),
    ]
    if kind == "training":
        rows[0] = ("series to train on", f"{len(train)}; none is held out and there is no test split")
    if labels is None:
        return rows, sampled.values, None
    accuracy = nearest_neighbour_accuracy(values, labels, test_values, test_labels)
    synthetic = nearest_neighbour_accuracy(sampled.values, sampled.labels.cpu(), test_values, test_labels)
    names = ", ".join(config.id2label.values())
    rows.insert(2, ("classes", names if len(names) < 40 else str(config.num_labels)))
    if kind == "training":  # each of them is nearest to itself
        rows.append(("training accuracy of 1-NN on generated series", f"{synthetic:.1%}"))
    else:
        rows.append((f"{kind} accuracy of 1-NN on real / on generated series", f"{accuracy:.1%} / {synthetic:.1%}"))
    return rows, sampled.values, sampled.labels


def unseen_series(data: DatasetDict, recipe: Recipe) -> tuple[Dataset, Dataset, str]:
    """What was trained on, what to judge the model on, and what that is.

    It is the `"test"` split where there is one, else the `"held-out"` part of the training split, else the
    `"training"` series themselves.
    """
    if "test" in data:
        return data["train"], data["test"], "test"
    train, held_out = split_series(data["train"], recipe)
    if not len(held_out):
        return data["train"], data["train"], "training"
    return data["train"].select(train.tolist()), data["train"].select(held_out.tolist()), "held-out"


def nearest_neighbour_accuracy(values: Tensor, labels: Tensor, test_values: Tensor, test_labels: Tensor) -> float:
    """Share of the test series whose nearest of `values` `(series, channels, length)` has their class."""
    nearest = torch.cdist(test_values.flatten(1), values.flatten(1)).argmin(1).cpu()
    return (labels[nearest] == test_labels).float().mean().item()


def _error(scores: dict[str, float]) -> str:
    return f"{scores['reconstruction_error']:.4f}"


def _on(labels: Tensor | None, device: torch.device) -> Tensor | None:
    return None if labels is None else labels.to(device)
