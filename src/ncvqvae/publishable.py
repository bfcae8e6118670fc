"""Whether a checkpoint's folder can be published: whole, unchanged, and loadable by a stranger."""

import hashlib
from pathlib import Path

import torch
from transformers.dynamic_module_utils import get_relative_imports

from .card import read_metrics
from .modeling_maskgit import MaskGITForTimeSeriesGeneration


def check_checkpoint(folder: Path) -> MaskGITForTimeSeriesGeneration:
    """Loads the checkpoint and generates; raises `ValueError` where it is not what was trained and measured."""
    # Compares the weights with their SHA-256.
    model, report = MaskGITForTimeSeriesGeneration.from_pretrained(folder, output_loading_info=True)
    if missing := report["missing_keys"]:
        raise ValueError(f"{folder} lacks weights, {min(missing)} for one; train or copy it again")
    _check_code(folder, getattr(model.config, "auto_map", None) or {})
    if (folder / "metrics.json").is_file():
        digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
        if read_metrics(folder)["weights_sha256"] != digest:
            raise ValueError(
                f"{folder}/metrics.json is of other weights; run ncvqvae evaluate {folder} --out {folder}"
            )
    if not model.generate(4, generator=torch.Generator().manual_seed(0)).isfinite().all():
        raise ValueError(f"{folder} generates values that are NaN or infinite; train it again")
    return model


def _check_code(folder: Path, auto_map: dict[str, str]) -> None:
    """The code beside the weights must be this package's, and all of it: whoever has no package runs it."""
    write = (
        "from ncvqvae import MaskGITForTimeSeriesGeneration; from ncvqvae.runs import save; "
        f"save(MaskGITForTimeSeriesGeneration.from_pretrained({str(folder)!r}), {str(folder)!r})"
    )
    remedy = f'write the code of this version there with python -c "{write}"'
    for file in sorted(folder.glob("*.py")):
        ours = Path(__file__).with_name(file.name)
        if not ours.is_file():
            raise ValueError(f"{file} is no code of this package; remove it")
        if file.read_bytes() != ours.read_bytes():
            raise ValueError(f"{file} is not this package's; {remedy}")
    if not {"AutoConfig", "AutoModel"} <= auto_map.keys():
        raise ValueError(f"{folder}/config.json has no auto_map that says which code loads it; {remedy}")
    waiting, known = {target.split(".")[0] for target in auto_map.values()}, set()
    while waiting:
        name = waiting.pop()
        known.add(name)
        if not (folder / f"{name}.py").is_file():
            raise ValueError(f"{folder} lacks {name}.py, without which nobody can load it; {remedy}")
        waiting |= set(get_relative_imports(folder / f"{name}.py")) - known
