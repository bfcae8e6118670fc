"""Loads whole checkpoints, and applies a model to many series."""

import contextlib
from collections.abc import Callable, Iterable
from json import JSONDecodeError
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from huggingface_hub import get_token
from huggingface_hub.errors import FileMetadataError
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.utils import logging

from .models.integrity import CONFIG, read_json
from .models.modeling_maskgit import MaskGITForTimeSeriesGeneration
from .models.modeling_ncvqvae import NCVQVAEModel
from .runtime import check_token, first_line, keep_freed_memory


BATCH_SIZE = 256
BASE = "ncvqvae-base"  # the checkpoint that comes with the package

Model = TypeVar("Model", bound=PreTrainedModel)


class Batches(Protocol):
    """Series that come in batches: a tensor, or series that are streamed from disk."""

    def split(self, size: int) -> Iterable[Tensor]: ...


def load_checkpoint(checkpoint: str | Path) -> MaskGITForTimeSeriesGeneration | NCVQVAEModel:
    """Loads the composite model, or stage 1 if a checkpoint holds no more, from a folder or a repository of the Hub.

    `ncvqvae-base` comes with the package, and loads without the Hub. The model is in evaluation mode, and on a GPU if
    the machine has one.

    Raises:
        ValueError: for a name without a checkpoint, or a checkpoint that is not whole; the message is one line.
    """
    return load_model(NCVQVAEModel if is_tokenizer(checkpoint) else MaskGITForTimeSeriesGeneration, checkpoint)


def find_checkpoint(checkpoint: str | Path) -> str:
    """The name of a checkpoint for `from_pretrained`: `ncvqvae-base` is the one that comes with the package, wherever
    the working directory has no folder of that name; every other name stays as it is.

    Raises:
        ValueError: for `ncvqvae-base` in an installation that lacks it, before the Hub is asked for it.
    """
    if str(checkpoint) != BASE or Path(BASE).is_dir():
        return str(checkpoint)
    # In a wheel it lies in the package; a checkout has it in model_cards/.
    places = [Path(__file__).parent / BASE, Path(__file__).parents[2] / "model_cards" / BASE]
    for place in places:
        if place.is_dir():
            return str(place)
    remedy = "install ncvqvae again, or copy it into this folder from model_cards/ of the source"
    raise ValueError(f"{BASE} should lie in this installation of ncvqvae, and does not: {remedy}")


def is_tokenizer(checkpoint: str | Path) -> bool:
    """Whether a checkpoint holds stage 1 alone; `False` where that cannot be told."""
    with contextlib.suppress(Exception):  # `load_model` explains what is wrong
        return _config(find_checkpoint(checkpoint)).get("model_type") == NCVQVAEModel.config_class.model_type
    return False


def load_model(kind: type[Model], checkpoint: str | Path) -> Model:
    """Loads a model of the class `kind` from a checkpoint; see `load_checkpoint`."""
    name = find_checkpoint(checkpoint)
    if not Path(name).is_dir() and (name.count("/") > 1 or name.startswith((".", "/"))):
        raise ValueError(f"there is no folder {name}")
    silence_transformers()
    if not torch.cuda.is_available():
        keep_freed_memory()
    try:
        if not Path(name).is_dir():
            check_token()
        if "quantization_config" in _config(name):
            raise ValueError("its weights are quantized; load it with transformers' AutoModel")
        model = kind.from_pretrained(name, use_safetensors=True)
    except Exception as error:  # a stranger's file may raise whatever Python knows
        reason = _reason(error)
        named = reason.startswith((f"{name} ", f"{name}/")) or repr(name) in reason
        raise ValueError(reason if named else f"{name} cannot be loaded: {reason}") from None
    return model.to("cuda" if torch.cuda.is_available() else "cpu")


def _config(name: str) -> dict[str, Any]:
    """What `config.json` of a checkpoint says, in a folder or on the Hub."""
    if Path(name).is_dir():
        return read_json(Path(name, CONFIG)) if Path(name, CONFIG).exists() else {}
    return PreTrainedConfig.get_config_dict(name)[0]


def _reason(error: BaseException) -> str:
    """Why a checkpoint cannot be loaded, in one line. The Hub's own answer may stand behind transformers' error."""
    behind: BaseException | None = error
    while behind is not None:
        response = getattr(behind, "response", None)
        if getattr(response, "status_code", None) == 401 and get_token() is not None:
            return "the Hub refuses the token: it is wrong or has expired; run hf auth login, or hf auth logout"
        if isinstance(behind, JSONDecodeError | FileMetadataError):
            return "what answers in the Hub's place is none: perhaps a login page of this network"
        behind = behind.__cause__ or (None if behind.__suppress_context__ else behind.__context__)
    return first_line(error)


def check_finite(values: Tensor, source: str) -> Tensor:
    """`values`, for what is to be written or shown. Raises `ValueError` if `source` has made some NaN or infinite."""
    if not values.isfinite().all():
        raise ValueError(f"{source} makes values that are NaN or infinite; train it again")
    return values


def silence_transformers() -> None:
    """Keeps transformers' own reports and progress bars out of what a command prints."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()


@torch.no_grad()
def in_batches(
    function: Callable[[Tensor], Tensor], values: Batches, device: torch.device | str | None = None
) -> Tensor:
    """Applies `function` to `values`, `BATCH_SIZE` rows at a time and without gradients.

    Args:
        function: takes and returns a tensor of the same number of rows.
        values: a tensor or `StreamedValues`.
        device (*optional*): computes each batch there; the result is then on the CPU. Without it no tensor is moved.
    """
    if device is None:
        return torch.cat([function(batch) for batch in values.split(BATCH_SIZE)])
    return torch.cat([function(batch.to(device)).cpu() for batch in values.split(BATCH_SIZE)])
