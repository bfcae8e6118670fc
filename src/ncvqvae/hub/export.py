"""A checkpoint as ONNX files, for runtimes without PyTorch: onnxruntime, a browser, a phone.

| file | inputs | output |
|---|---|---|
| `encode.onnx` | `values` float32 `(batch, channels, length)`, in the units of the data, without NaN | `codes` int64 `(batch, num_codes)` |
| `decode.onnx` | `codes` int64 `(batch, num_codes)`, 0 to `codebook_size - 1` | `values` `(batch, channels, length)` |
| `prior.onnx` | `visible` int64 `(batch, num_codes)`: codes, and `codebook_size` where they are masked; `labels` int64 `(batch,)`: class indices, and the number of classes for none | `logits` float32 `(batch, num_codes, codebook_size)` |

The batch has any size from 1 on. `decode.onnx` gives float64 for a checkpoint whose mean is beyond 10,000 standard
deviations, else float32. `export.json` holds what a sampling loop needs: `length`, `num_channels`, `grid` (rows, columns of
the codes), `num_codes`, `codebook_size`, `classes` in the order of their indices, `label_shares`, and `sampling`, the
checkpoint's settings of `generate`. A checkpoint of stage 1 has no prior, and no classes.
"""

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..models.modeling_maskgit import MaskGITForTimeSeriesGeneration
from ..models.modeling_ncvqvae import NCVQVAEModel
from ..runtime import whole_file


BATCHES = 1, 4, 7  # sizes at which files and model are compared
MOST_DIFFERENCE = 1e-3  # of series in standard deviations, of logits
Model = MaskGITForTimeSeriesGeneration | NCVQVAEModel


class Encode(nn.Module):
    def __init__(self, model: Model):
        super().__init__()
        self.model = model

    def forward(self, values: Tensor) -> Tensor:
        return self.model.encode(values).codes


class Decode(nn.Module):
    def __init__(self, model: Model):
        super().__init__()
        self.model = model

    def forward(self, codes: Tensor) -> Tensor:
        return self.model.decode(codes)


class Prior(nn.Module):
    def __init__(self, model: MaskGITForTimeSeriesGeneration):
        super().__init__()
        self.model = model

    def forward(self, visible: Tensor, labels: Tensor) -> Tensor:
        logits = self.model(visible=visible, labels=labels, return_dict=True).logits
        return logits.view(visible.shape[0], visible.shape[1], -1).float()


def export(model: Model, folder: str | Path, seed: int = 0) -> dict[str, float]:
    """Writes the files above into `folder`, which is made, and compares each with the model in onnxruntime.

    Args:
        seed: of the series, codes and classes that they are compared on.

    Returns:
        The largest difference by the name of the file: of codes the share that differs, of series in standard
        deviations, of logits as they are.

    Raises:
        ValueError: for a model for series of every length or one that scales each series by itself, or where a file
            computes something else than the model.
    """
    config: Any = getattr(model.config, "tokenizer_config", model.config)
    if config.length is None or config.scale_each:
        raise ValueError("only a checkpoint for series of one length can be exported; train one from this, then export")
    if model.dtype != torch.float32:
        raise ValueError(f"only weights in float32 can be exported, found {model.dtype}")
    model, folder = model.cpu().eval(), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(seed)
    parts: dict[str, tuple[nn.Module, str]] = {"encode": (Encode(model), "codes"), "decode": (Decode(model), "values")}
    if isinstance(model, MaskGITForTimeSeriesGeneration):
        parts["prior"] = (Prior(model), "logits")
    differences = {}
    for name, (part, output) in parts.items():
        _write(part, name, _inputs(name, model, 3, generator), output, folder)
        found = [_difference(part, name, model, folder, size, generator) for size in BATCHES]
        differences[f"{name}.onnx"] = max(found)
        if not max(found) <= MOST_DIFFERENCE:
            raise ValueError(f"{folder / name}.onnx differs from the model by {max(found):.2g}; report it with versions")
    with whole_file(folder / "export.json") as file:
        file.write_text(json.dumps(_about(model), indent=2) + "\n")
    return differences


def _about(model: Model) -> dict[str, Any]:
    config: Any = getattr(model.config, "tokenizer_config", model.config)
    rows, columns = config.grid(config.length)
    rows *= config.num_channels if config.channelwise else 1
    about = {
        "length": config.length,
        "num_channels": config.num_channels,
        "grid": [rows, columns],
        "num_codes": rows * columns,
        "codebook_size": config.codebook_size,
    }
    if not isinstance(model, MaskGITForTimeSeriesGeneration):
        return about
    names = model.config.id2label
    classes = {"classes": [names[index] for index in range(len(names))], "label_shares": model.config.label_shares}
    return about | classes | {"sampling": model.config.sampling()}


def _inputs(name: str, model: Model, size: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Random inputs of a file. Series are steps and noise in the units of the data."""
    about, config = _about(model), getattr(model.config, "tokenizer_config", model.config)
    shape = size, about["num_codes"]
    if name == "encode":
        noise = torch.randn(size, about["num_channels"], about["length"], generator=generator)
        mean, std = (torch.tensor(moments)[:, None] for moments in (config.mean, config.std))
        return {"values": (0.3 * noise + noise.cumsum(-1) / about["length"] ** 0.5) * std + mean}
    if name == "decode":
        return {"codes": torch.randint(about["codebook_size"], shape, generator=generator)}
    visible = torch.randint(about["codebook_size"], shape, generator=generator)
    hidden = torch.rand(shape, generator=generator) < 0.5
    labels = torch.randint(len(about["classes"]) + 1, (size,), generator=generator)
    return {"visible": visible.masked_fill(hidden, about["codebook_size"]), "labels": labels}


def _write(part: nn.Module, name: str, inputs: dict[str, Tensor], output: str, folder: Path) -> None:
    batch = torch.export.Dim("batch", min=1)
    with _quiet():
        program = torch.onnx.export(
            part,
            tuple(inputs.values()),
            dynamo=True,
            dynamic_shapes=tuple({0: batch} for _ in inputs),
            input_names=list(inputs),
            output_names=[output],
            verbose=False,
        )
        with whole_file(folder / f"{name}.onnx") as file:
            program.save(str(file))


@torch.no_grad()
def _difference(
    part: nn.Module, name: str, model: Model, folder: Path, size: int, generator: torch.Generator
) -> float:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(folder / f"{name}.onnx"), providers=["CPUExecutionProvider"])
    inputs = _inputs(name, model, size, generator)
    expected = part(*inputs.values())
    (found,) = session.run(None, {key: value.numpy() for key, value in inputs.items()})
    found = torch.from_numpy(found)
    if found.shape != expected.shape:
        return torch.inf
    if name == "encode":  # the nearest of two codes that are equally near may be another one
        wrong = (found != expected).double().mean().item()
        return 0.0 if wrong < 0.01 else wrong
    scale = torch.tensor(getattr(model.config, "tokenizer_config", model.config).std)[:, None] if name == "decode" else 1
    return ((found - expected).abs() / scale).max().item()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps to itself what PyTorch's exporter says about operators of other packages."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        logger = logging.getLogger("torch.onnx")
        level = logger.level
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)
