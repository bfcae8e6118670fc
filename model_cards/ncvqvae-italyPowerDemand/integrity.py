"""Checks that the files of a checkpoint are what was saved, and nothing else: kind, digest, header, values."""

import hashlib
import json
import re
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import PreTrainedModel


CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
MOST_BYTES = 2**22  # of a text, in a file of its own or before the weights
SHARD = re.compile(r"shard-\d{5}-model-\d{5}-of-\d{5}\.safetensors")  # of transformers' distributed checkpoints
REAL, WHOLE = {"F64", "F32", "F16", "BF16"}, {"I64", "I32", "I16", "I8", "U8", "BOOL"}  # types in a header
AGAIN = "copy or save it again"


def write_digests(folder: Path) -> None:
    """Writes the SHA-256 of each file of weights in `folder` into a file next to it."""
    for path in folder.glob("*.safetensors"):
        path.with_suffix(".sha256").write_text(sha256(path) + "\n")


def sha256(path: Path) -> str:
    """The SHA-256 of a file, which is not read into memory."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_file(path: Path) -> None:
    """Raises `ValueError` unless `path` is a regular file: what it names is read, and a FIFO never ends.

    A link may only lead where the Hub's client keeps its downloads: from a snapshot to a blob of its own repository.
    """
    try:
        kind = path.lstat().st_mode
        target = path.resolve(strict=True)
        kind = target.stat().st_mode if stat.S_ISLNK(kind) and _in_cache(path, target) else kind
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from None
    if not stat.S_ISREG(kind):
        found = "a link" if stat.S_ISLNK(kind) else "a folder" if stat.S_ISDIR(kind) else "a device or a pipe"
        raise ValueError(f"{path} is {found}, not a file; copy there what it should be")


def _in_cache(link: Path, target: Path) -> bool:
    folder = link.parent.resolve()
    snapshots = [parent for parent in (folder, *folder.parents) if parent.name == "snapshots"]
    return any(target.is_relative_to(one.parent / "blobs") for one in snapshots)


def read_text(path: Path) -> str:
    """The text in a file. Raises `ValueError` for a file that is none, or is none of a checkpoint's size."""
    check_file(path)
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"{path} has {path.stat().st_size} bytes, more than any of ours; {AGAIN}")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text ({error}); {AGAIN}") from None


def read_json(path: Path) -> dict:
    """The object in a JSON file. Raises `ValueError` for a file that is none, or is none of a checkpoint's size."""
    text = read_text(path)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f"line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else error
        raise ValueError(f"{path} is not JSON ({where}); {AGAIN}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds a {type(found).__name__} where an object belongs; {AGAIN}")
    return found


def check_config(folder: Path, model_types: Sequence[str], name: str) -> None:
    """Raises `ValueError` unless `folder` holds a model of one of `model_types`, which the class `name` loads."""
    path = folder / CONFIG
    if not path.is_symlink() and not path.exists():
        raise ValueError(f"{folder} lacks {CONFIG}: it is not a whole checkpoint")
    found = read_json(path).get("model_type")
    if found not in model_types:
        raise ValueError(f"{folder} holds a model of type {found!r}; {name} loads {' or '.join(model_types)}")


def check_weights(folder: Path) -> None:
    """Checks the files that hold the weights of a local folder, before any library reads them.

    Raises:
        ValueError: for a file that is none or is truncated, and for an index that names files of other folders.
    """
    if any(SHARD.fullmatch(path.name) for path in folder.iterdir()):
        raise ValueError(f"{folder} holds weights that several processes saved; save the whole model again")
    for path in _files_of_weights(folder):
        read_header(path)


def read_header(path: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Types and shapes in a file of weights, by their names. Raises `ValueError` for a file that is none."""
    if path.suffix != ".safetensors":
        raise ValueError(f"{path} is no safetensors file; weights are taken from these alone")
    check_file(path)
    with open(path, "rb") as start:
        size = int.from_bytes(start.read(8), "little")
    if MOST_BYTES < size <= path.stat().st_size:  # of hundreds of thousands of weights, which take minutes to look at
        raise ValueError(f"{path} has a header of {size} bytes, more than any of ours; {AGAIN}")
    try:
        with safe_open(path, "pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118, it is no mapping
            return {name: (one.get_dtype(), tuple(one.get_shape())) for name, one in slices.items()}
    except SafetensorError as error:
        raise ValueError(f"{path} is truncated or not a safetensors file ({error}); {AGAIN}") from None


def check_digests(paths: Iterable[Path]) -> None:
    """Raises `ValueError` for a file of weights that is not the one whose digest lies beside it, if one does."""
    for path in paths:
        digest = path.with_suffix(".sha256")
        if not digest.is_symlink() and not digest.exists():
            continue
        check_file(digest)
        with open(digest, "rb") as file:
            if file.read(100).strip() == sha256(path).encode():
                continue
        reason = f"{path} was changed after it was saved: its SHA-256 is not the one in {digest.name}"
        raise ValueError(f"{reason}; copy both again, or delete {digest.name} if you changed it yourself")


def _files_of_weights(folder: Path) -> list[Path]:
    """What transformers would read of a folder; nothing where it has no weights of ours."""
    whole, index = folder / WEIGHTS, folder / INDEX
    if whole.is_symlink() or whole.exists():
        return [whole]
    if not index.is_symlink() and not index.exists():
        return []
    names = read_json(index).get("weight_map")
    if not isinstance(names, dict) or not names or not all(isinstance(name, str) for name in names.values()):
        raise ValueError(f"{index} has no weight_map that says which file holds which weight; {AGAIN}")
    for name in names.values():
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise ValueError(f"{index} names {name!r}: weights are files *.safetensors of the same folder")
    return [folder / name for name in sorted(set(names.values()))]


def check_header(model: PreTrainedModel, paths: Sequence[Path], resized: bool) -> None:
    """Compares what the header of files says with a model that has no memory yet.

    Args:
        model: on the meta device; `_keys_to_ignore_on_load_missing` and `_unexpected` of its class are patterns of
            names that only it or only the files have.
        paths: the files of weights.
        resized: whether weights of other shapes are to be drawn anew.

    Raises:
        ValueError: for a weight that the files lack, have beyond those of the model, or hold as another kind of
            number.
        RuntimeError: for one of another shape, unless `resized`.
    """
    prefix = f"{model.base_model_prefix}."  # of the names of stage 1, which either of model and files may lack
    stored: dict[str, tuple] = {}
    wanted = {name.removeprefix(prefix): tensor for name, tensor in model.state_dict().items()}
    for path in paths:
        stored |= {name.removeprefix(prefix): (path, *found) for name, found in read_header(path).items()}
    _check_names(model, paths[0].parent, wanted.keys() - stored.keys(), stored.keys() - wanted.keys())
    for name in wanted.keys() & stored.keys():
        tensor, (path, kind, shape) = wanted[name], stored[name]
        if kind not in (REAL if tensor.is_floating_point() else WHOLE):
            raise ValueError(f"{path} holds {name} as {kind}, where {tensor.dtype} belongs; {AGAIN}")
        own = tuple(getattr(tensor, "ds_shape", tensor.shape))  # DeepSpeed hides the shape
        if shape != own and not resized:
            reason = f"{path} holds {name} of the shape {shape}, and its configuration asks for {own}"
            raise RuntimeError(f"{reason}; ignore_mismatched_sizes=True draws such weights anew")


def _check_names(model: PreTrainedModel, folder: Path, missing: Iterable[str], left_over: Iterable[str]) -> None:
    kinds = {
        "lacks weights": (missing, type(model)._keys_to_ignore_on_load_missing),
        "holds weights that its configuration leaves out": (left_over, type(model)._keys_to_ignore_on_load_unexpected),
    }
    for said, (names, patterns) in kinds.items():
        found = [name for name in names if not any(re.search(pattern, name) for pattern in patterns or ())]
        if found:
            raise ValueError(f"{folder} {said}, for example {min(found)}; train it again or copy it again")


@torch.no_grad()
def check_values(model: nn.Module, name: str) -> None:
    """Raises `ValueError` for weights of `name` that are NaN or infinite, or counts of codes below zero."""
    for key, tensor in model.state_dict().items():
        if tensor.is_meta or not tensor.is_floating_point():
            continue
        if not tensor.isfinite().all():
            raise ValueError(
                f"{name} holds weights that are NaN or infinite, for example {key}; train or copy it again"
            )
        if key.endswith("cluster_size") and (tensor < 0).any():
            raise ValueError(f"{name} counts codes below zero, in {key}; train it again or copy it again")
