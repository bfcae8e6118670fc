"""What is checked before a checkpoint goes to strangers: that it is what was measured, and holds nothing private."""

import getpass
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import yaml
from transformers.dynamic_module_utils import get_relative_imports

from ..evaluation.provenance import file_digests
from ..evaluation.zero_shot import SEEN
from ..inference import check_finite, load_checkpoint
from ..models.integrity import read_text, sha256
from ..models.modeling_maskgit import MaskGITForTimeSeriesGeneration
from ..models.modeling_ncvqvae import NCVQVAEModel
from ..models.pipeline import CUSTOM_PIPELINES
from ..runtime import digest, load_yaml, one_line
from .base_card import is_base
from .card import read_metrics
from .origin import again
from .upload import CARD, Files


PACKAGE_FOLDER = Path(__file__).parents[1]
TEXTS = (".json", ".yaml", ".md", ".txt")
DATA = (".json", ".yaml")
READ = ("metrics.json", SEEN, "recipe.yaml", "notes.md", CARD)  # what a card is made from
MOST_HEAD = 2**20  # bytes at the beginning of weights or a picture that are looked at
# A folder of a person, anywhere in a text; and a value that is a path from the root of a machine.
HOMES = re.compile(r"(?<![\w.])(?:/home/|/Users/|/root/|[A-Za-z]:[\\/]+Users[\\/]+)[^\s\"'`,;)]*")
ABSOLUTE = re.compile(r"(?<![^\s='\"])(?:(?:file:/)?(?:/[\w.~-]+){2,}|~[\w.-]*/|[A-Za-z]:[\\/]|\\\\)[^\s'\"]*")


def check_checkpoint(folder: Path) -> MaskGITForTimeSeriesGeneration | NCVQVAEModel:
    """Loads the checkpoint and generates, and reconstructs with one for all series.

    Raises:
        ValueError: unless it is whole, with this package's code, and makes finite values.
    """
    model = load_checkpoint(folder)  # compares the weights with their SHA-256
    if isinstance(model, NCVQVAEModel) and model.config.length is not None:
        raise ValueError(f"{folder} is a tokenizer without a prior; train the prior: ncvqvae finetune --stage prior")
    for name in ("model.safetensors", "model.sha256"):
        if not (folder / name).is_file():
            remedy = "save it again, in one file" if name.endswith("tensors") else "copy the folder again, or train it"
            raise ValueError(f"{folder} lacks {name}, and nobody could check its weights; {remedy}")
    for path in sorted(folder.iterdir()):  # a pipe would never be read to its end, nor a device
        if path.name in READ or path.suffix == ".py":
            read_text(path)
    _check_code(folder, getattr(model.config, "auto_map", None) or {})
    generator = torch.Generator(model.device).manual_seed(0)
    made = []
    if is_base(model.config):
        made.append(model.reconstruct(torch.randn(4, 1, 100, generator=generator, device=model.device)))
    if isinstance(model, MaskGITForTimeSeriesGeneration):
        labels = model.config.id2label[0] if model.config.sets else None
        made.append(model.generate(4, labels, generator=generator))
    for values in made:
        check_finite(values, str(folder))
    return model


def check_measured(folder: Path, model: MaskGITForTimeSeriesGeneration | NCVQVAEModel) -> None:
    """Raises `ValueError` unless weights, configuration and recipe are those that `metrics.json` is of."""
    metrics, base = read_metrics(folder, model.config), is_base(model.config)
    if base:  # the figures are those of its tokenizer
        now = {"tokenizer_sha256": digest(getattr(model, "tokenizer", model).state_dict().values())}
    else:
        now = {"weights_sha256": sha256(folder / "model.safetensors")}
    for name, found in (now | file_digests(folder, base)).items():
        if metrics[name] != found:
            what = {"config_sha256": "another config.json", "recipe_sha256": "another recipe.yaml"}
            reason = f"{folder}/metrics.json was measured with {what.get(name, 'other weights')}"
            raise ValueError(f"{reason}; {again(folder, model.config)}")


def _check_code(folder: Path, auto_map: Any) -> None:
    """Raises `ValueError` unless the folder holds this package's code, whole and unchanged: strangers run it."""
    remedy = f"write the code of this version there with python -m ncvqvae.hub.refresh {folder}"
    for file in sorted(folder.glob("*.py")):
        ours = PACKAGE_FOLDER / "models" / file.name
        if not ours.is_file():
            raise ValueError(f"{file} is not part of ncvqvae: remove it")
        if file.read_bytes() != ours.read_bytes():
            raise ValueError(f"{file} differs from the installed ncvqvae; {remedy}")
    named = isinstance(auto_map, dict) and all(isinstance(target, str) for target in auto_map.values())
    if not named or not {"AutoConfig", "AutoModel"} <= auto_map.keys():
        raise ValueError(f"{folder}/config.json has no auto_map that says which code loads it; {remedy}")
    pipelines = json.loads((folder / "config.json").read_text()).get("custom_pipelines", {})
    if pipelines not in ({}, CUSTOM_PIPELINES):  # it may name code of another repository
        raise ValueError(f"{folder}/config.json declares pipelines that are not ncvqvae's; {remedy}")
    waiting, known = {target.split(".")[0] for target in auto_map.values()}, set()
    while waiting:
        name = waiting.pop()
        known.add(name)
        if not (folder / f"{name}.py").is_file():
            raise ValueError(f"{folder} lacks {name}.py, without which nobody can load it; {remedy}")
        waiting |= set(get_relative_imports(folder / f"{name}.py")) - known


def check_public(files: Files) -> None:
    """Raises `ValueError` for a file that says where something lies on this machine, or whose it is."""
    for name, content in files.items():
        if name.startswith(("ncvqvae/", "vendor/")):  # the package and the runtime of a page, which are public
            continue
        try:
            said = list(_private(*_text(name, content)))
        except (ValueError, RecursionError, yaml.YAMLError) as error:
            raise ValueError(f"{name} cannot be read ({one_line(error)[:200]}); write it again") from None
        if said:
            remedy = "write there the name alone, or what others find it by"
            raise ValueError(f"{name} says {said[0]!r}, a place on this machine, and would go up; {remedy}")


def _text(name: str, content: Path | bytes) -> tuple[str, str]:
    """The text in a file, with the ending of its name. Of weights and pictures it is what their heads may say."""
    suffix = Path(name).suffix
    if isinstance(content, bytes):
        return content.decode(), suffix
    if suffix in TEXTS:
        return content.read_text(encoding="utf-8"), suffix
    with open(content, "rb") as file:
        head = file.read(MOST_HEAD)
    if suffix == ".png" and not head.startswith(b"\x89PNG"):
        raise ValueError("it is no picture")
    return head.decode("latin-1"), suffix


def _private(text: str, suffix: str) -> Iterator[str]:
    """What a text says of this machine's folders, and of its user."""
    home, user = str(Path.home()), _user()
    yield from HOMES.findall(text)
    if len(home) > 1 and home in text:
        yield home
    if suffix not in DATA:
        return
    for value in _strings(json.loads(text) if suffix == ".json" else load_yaml(text)):
        yield from ABSOLUTE.findall(value)
        yield from [word for word in value.split() if user and user in re.split(r"[/\\]", word)[:-1]]


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container may have none
        return ""


def _strings(value: Any) -> Iterator[str]:
    """Every text in nested lists and tables, the keys too."""
    if isinstance(value, str):
        yield value
    parts = value if isinstance(value, list) else ()
    for part in (*value.keys(), *value.values()) if isinstance(value, dict) else parts:
        yield from _strings(part)
