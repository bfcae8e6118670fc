"""The table and the picture that a training ends with."""

import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from torch import Tensor

from ..data.series import to_tensors
from ..data.training_split import subsample
from ..evaluation.classification import nearest_neighbour_accuracy
from ..evaluation.plots import MADE, REAL, new_figure, save_figure
from ..evaluation.stage_scores import encode_all, score_prior, score_tokenizer
from ..models.modeling_maskgit import MaskGITForTimeSeriesGeneration
from .checkpoints import History


@torch.no_grad()
def training_summary(
    model: MaskGITForTimeSeriesGeneration,
    train: Dataset,
    test: Dataset,
    num_samples: int = 256,
    seed: int = 0,
    kind: str = "test",
) -> tuple[list[tuple[str, str]], Tensor, Tensor | None]:
    """Rows of a table about a trained model, the series that it generated for the table, and their classes.

    The test split is used only here, once, after training. `kind` says what `test` is; see `evaluation_split`. Very
    large splits are subsampled.
    """
    (values, labels), (test_values, test_labels) = to_tensors(subsample(train)), to_tensors(subsample(test))
    (values, test_values) = (part.to(model.device) for part in (values, test_values))
    generator = torch.Generator(model.device).manual_seed(seed)
    start = time.perf_counter()
    sampled: Any = model.generate(num_samples, generator=generator, return_labels=True)
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
    if kind == "training":  # every training series is nearest to itself
        rows.append(("training accuracy of 1-NN on generated series", f"{synthetic:.1%}"))
    else:
        rows.append((f"{kind} accuracy of 1-NN on real / on generated series", f"{accuracy:.1%} / {synthetic:.1%}"))
    return rows, sampled.values, sampled.labels


def _error(scores: dict[str, float]) -> str:
    return f"{scores['reconstruction_error']:.4f}"


def _on(labels: Tensor | None, device: torch.device) -> Tensor | None:
    return None if labels is None else labels.to(device)


def plot_training(histories: dict[str, History], title: str, path: str | Path) -> None:
    """Draws the losses of each stage against the step, and the scores of held-out series."""
    figure = new_figure(9, 4.6)
    for axis, (stage, history) in zip(
        figure.subplots(1, len(histories), squeeze=False)[0], histories.items(), strict=True
    ):
        steps = [row["step"] for row in history.training]
        names = [name for name in history.training[0] if name == "loss" or name.endswith("_loss")]
        for name in names:
            width, colour = (1.6, REAL) if name == "loss" else (0.9, None)
            label = "total loss" if name == "loss" else name.replace("_", " ")
            axis.plot(steps, [row[name] for row in history.training], linewidth=width, color=colour, label=label)
        score = "reconstruction_error" if stage == "tokenizer" else "loss"
        if history.validation:
            held_out = [row["step"] for row in history.validation], [row[score] for row in history.validation]
            label = f"held out: {score.replace('_', ' ')}"
            axis.plot(*held_out, "o--", color=MADE, markersize=3, linewidth=1.0, label=label)
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.yaxis.set_minor_formatter(NullFormatter())
        axis.set_xlabel("optimiser step")
        axis.set_ylabel("loss")
        axis.set_title(f"stage {1 if stage == 'tokenizer' else 2}: {stage}", fontsize=10)
        axis.legend(fontsize=7, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
    save_figure(figure, title, path)
