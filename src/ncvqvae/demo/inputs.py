"""The app's inputs: checkpoints, the real series of their datasets, and the visitor's own series."""

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..data.meanings import explained
from ..data.own_series import read_series
from ..data.sources import arguments, spelled
from ..inference import load_model
from ..models.configuration_maskgit import MaskGITConfig
from ..models.modeling_maskgit import MaskGITForTimeSeriesGeneration
from ..runtime import first_line
from .uploads import check_upload


FEWEST, MOST_SAMPLES = 8, 10_000  # samples of a series that is stretched


@lru_cache(maxsize=16)
def load(checkpoint: str) -> MaskGITForTimeSeriesGeneration:
    """Loads the model as `load_model` does; raises `ValueError` for a name without a checkpoint."""
    if not isinstance(checkpoint, str) or not checkpoint.strip():
        raise ValueError("name a checkpoint: a folder, or an id on the Hub")
    return load_model(MaskGITForTimeSeriesGeneration, checkpoint.strip())


@lru_cache(maxsize=16)
def real_series(dataset: str | None) -> tuple[tuple[Tensor, Tensor | None] | None, str]:
    """The training split of a dataset, or `None`, and a sentence that says which."""
    if dataset is None:
        return None, "The checkpoint does not name the dataset it was trained on, so that no real series are shown."
    try:
        from ..data.series import to_tensors
        from ..data.ucr import load_ucr

        real = to_tensors(load_ucr(dataset)["train"])
    except (ImportError, ValueError, OSError) as error:
        return None, f"Real series are not shown: {first_line(error)}."
    return real, f"Real series are those of the training split of {dataset}."


def read_given(
    file: str | None, text: str | None, options: Mapping[str, Any], channels: int, length: int
) -> tuple[Tensor, list[str] | None, str]:
    """Series `(series, channels, samples)` of a file or a text, with their labels, and what was read of the file.

    The samples need not be the `length` of the checkpoint; see `stretched`.

    Args:
        options: what a visitor filled in of the `OPTIONS` of reading.

    Raises:
        ValueError: for neither or both of them, for an input without series, or series that are too short or long or
            of another number of channels.
    """
    how, read, text = arguments(options), "", text or ""
    if file and text.strip():
        raise ValueError("give a file or numbers, not both")
    if how and not file:
        raise ValueError(f"{spelled(next(iter(how)))} is for a file: upload one")
    if file:
        check_upload(file)
        try:
            values, labels, read = read_series(file, **how)
        except ValueError as error:
            raise ValueError(str(error).replace(str(file), Path(file).name)) from None
    else:
        values, labels = _parse(text)[None, None], None
        if values.shape[2] % (channels * length) == 0:
            values = values.view(-1, channels, length)
        elif values.shape[2] % channels == 0:
            values = values.view(1, channels, -1)
    if values.shape[1] != channels or not FEWEST <= values.shape[2] <= MOST_SAMPLES:
        found = f"{values.shape[2]} samples" + (f" and {values.shape[1]} channels" if values.shape[1] > 1 else "")
        wanted = f"{length} samples" + (f" and {channels} channels" if channels > 1 else "")
        raise ValueError(
            f"the checkpoint takes series of {wanted}, found {found}; from {FEWEST} to {MOST_SAMPLES:,} samples are "
            "stretched"
        )
    return values, labels, read


def stretched(values: Tensor, length: int) -> Tensor:
    """Series `(..., samples)` at another length, `(..., length)`, with straight lines between the samples."""
    if values.shape[-1] == length:
        return values
    return torch.nn.functional.interpolate(values, length, mode="linear", align_corners=True)


def _parse(text: str) -> Tensor:
    words = [word for word in re.split(r"[\s,;\[\]]+", text) if word]
    if not words:
        raise ValueError("upload a file or paste the numbers of a series first")
    if unclear := [part for part in re.split(r"[\s;\[\]]+", text) if re.fullmatch(r"[-+]?\d*,\d+", part)]:
        raise ValueError(f"{unclear[0]!r} may be one number or two: write decimal points, and a space after a comma")
    numbers = []
    for word in words:
        try:
            numbers.append(float(word))
        except ValueError:
            raise ValueError(f"{word[:30]!r} is not a number") from None
    return torch.tensor(numbers, dtype=torch.float64)


def as_it_is(text: str) -> str:
    """A text with names of users' own, for Markdown to show as it is."""
    return re.sub(r"([\\`*_<\[$~])", r"\\\1", text)


def describe(checkpoint: str, config: MaskGITConfig) -> str:
    """A sentence or two on the series that a checkpoint generates."""
    tokenizer, names = config.tokenizer_config, list(config.id2label.values())
    origin = f", trained on {tokenizer.dataset_name}" if tokenizer.dataset_name else ""
    channels = f" and {tokenizer.num_channels} channels" * (tokenizer.num_channels > 1)
    shown = [explained(tokenizer.dataset_name, name) for name in names]
    shares = [f"{as_it_is(name)}: {share:.0%}" for name, share in zip(shown, config.label_shares or [], strict=True)]
    classes = ", ".join(shares[:10]) + f" and {len(names) - 10} more" * (len(names) > 10)
    return (
        f"**{Path(checkpoint).name}**{origin}: series of {tokenizer.length} samples{channels}. "
        f"Classes, with their shares of the training split: {classes or 'none'}. A series is {tokenizer.num_codes} "
        f"codes, each one of a codebook of {tokenizer.codebook_size}."
    )
