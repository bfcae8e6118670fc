"""Checks that the files of a checkpoint are the ones that were saved: digests of weights, the type of the model."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open


def write_digests(folder: Path) -> None:
    """Writes the SHA-256 of each file of weights in `folder` into a file next to it."""
    for path in folder.glob("*.safetensors"):
        path.with_suffix(".sha256").write_text(hashlib.sha256(path.read_bytes()).hexdigest() + "\n")


def check_weights(folder: Path) -> None:
    """Raises `ValueError` for a file of weights in `folder` that is truncated, or not the one that was saved."""
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, "pt"):
                pass
        except SafetensorError as error:
            reason = f"{path} is truncated or not a safetensors file ({error})"
            raise ValueError(f"{reason}; copy or save it again") from None
        digest = path.with_suffix(".sha256")
        if digest.exists() and digest.read_text().strip() != hashlib.sha256(path.read_bytes()).hexdigest():
            raise ValueError(f"{path} was changed after it was saved: its SHA-256 is not the one in {digest.name}")


def check_config(folder: Path, model_types: Sequence[str], name: str) -> None:
    """Raises `ValueError` unless `folder` holds a model of one of `model_types`, which the class `name` loads."""
    path = folder / "config.json"
    if not path.is_file():
        raise ValueError(f"{folder} lacks config.json: it is not a whole checkpoint")
    try:
        found = json.loads(path.read_text()).get("model_type")
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON ({error}); copy or save the checkpoint again") from None
    if found not in model_types:
        raise ValueError(f"{folder} holds a model of type {found!r}; {name} loads {' or '.join(model_types)}")
