"""A checkpoint as ONNX files, for programs without Python: a page in a browser, a phone, a service."""

import contextlib
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from ..models.class_labels import NO_CLASS
from ..models.modeling_maskgit import MaskGITForTimeSeriesGeneration
from ..models.modeling_ncvqvae import NCVQVAEModel
from ..runtime import whole_file


BATCHES = (1, 4, 7)  # at which the files are compared with the model
# Above these a file is refused: shares of the codes, standard deviations of the series, logits. Rounding is far below.
MOST = {"encode": 0.01, "decode": 1e-3, "prior_step": 1e-2}


class Encode(nn.Module):
    """`values` `(batch, channels, length)` in the units of the data to `codes` `(batch, num_codes)`.

    Of a model that scales each series by itself also the `moments` that `Decode` takes. Nothing is checked: values
    must be finite, and such series not constant.
    """

    def __init__(self, tokenizer: NCVQVAEModel):
        super().__init__()
        self.tokenizer = tokenizer

    def forward(self, values: Tensor) -> tuple[Tensor, ...]:
        encoded = self.tokenizer.encode(values)
        return (encoded.codes, encoded.moments) if self.tokenizer.config.scale_each else (encoded.codes,)


class Decode(nn.Module):
    """`codes` `(batch, num_codes)`, and of a model that scales each series by itself its `moments`, to `values`."""

    def __init__(self, tokenizer: NCVQVAEModel):
        super().__init__()
        self.tokenizer = tokenizer

    def forward(self, codes: Tensor, moments: Tensor | None = None) -> Tensor:
        return self.tokenizer.decode(codes, moments=moments)


class PriorStep(nn.Module):
    """`codes` `(batch, num_codes)` and `labels` `(batch,)` to `logits` `(batch, num_codes, codebook_size)`.

    `codebook_size` stands in the place of a masked code, and -1 in that of no class. All draws are the caller's, who
    gets the series of `generate` for its uniform numbers so (`models/masking.py` in full):

    1. All codes are masked. With n codes and S steps, codes known after step s are `n - floor(n cos(pi s / 2 S))`.
    2. In each step `logits` come from this file. With guidance it is called twice, and they are
       `without + scale * (with - without)`, where `without` are those of the labels -1.
    3. A code is drawn from a place's logits with a uniform number u: it is the first whose cumulative probability, of
       `softmax(logits / temperature)`, is above u times the last.
    4. In the orders `"random"` and `"low_discrepancy"`, the codes drawn are at the next places of an order that is
       drawn at the beginning, as many as become known. In the order `"confidence"` every masked code is drawn; then
       those are masked again whose log(probability + 1e-5) - c log(-log(u)) is least, with
       `c = choice_temperature (1 - s / S)` and other uniform numbers u.
    5. `Decode` turns the codes into series.
    """

    def __init__(self, model: MaskGITForTimeSeriesGeneration):
        super().__init__()
        self.model = model

    def forward(self, codes: Tensor, labels: Tensor) -> Tensor:
        labels = torch.where(labels == NO_CLASS, self.model.config.num_labels, labels)
        return self.model(visible=codes, labels=labels, return_dict=True).logits.view(*codes.shape, -1)


class Part(NamedTuple):
    """What becomes one file: a module, and what goes in and out."""

    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]
    difference: Callable[[Tensor, Tensor], Tensor]  # of what the file and the model give for the first output


def export(model: PreTrainedModel, folder: str | Path) -> dict[str, float]:
    """Writes `encode.onnx`, `decode.onnx`, of a prior `prior_step.onnx`, and `export.json` into `folder`.

    Each takes batches of every size; see `Encode`, `Decode` and `PriorStep`. `export.json` says what a caller needs
    besides: sizes, the grid of the codes, classes and their shares, the settings of `generate`.

    Returns:
        For each file the largest difference to the model, over batches of 1, 4 and 7: the share of codes that differ;
        standard deviations of the series; logits.

    Raises:
        ImportError: without the packages of the extra `export`.
        ValueError: for a model of series of every length, or a file that would not do what the model does.
    """
    import onnxruntime
    import onnxscript  # noqa: F401, which the exporter of PyTorch needs

    tokenizer = getattr(model, "tokenizer", model)
    if tokenizer.config.length is None:
        wanted = "export one that was trained from it on series of one length: ncvqvae train --data mine.csv"
        raise ValueError(f"the model takes series of every length, and a file holds one; {wanted}")
    Path(folder).mkdir(parents=True, exist_ok=True)
    model = model.eval().cpu()
    found = {}
    for name, part in _parts(model).items():
        with whole_file(Path(folder, f"{name}.onnx")) as path:
            _write(part, path)
            session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
            found[name] = _difference(part, session)
            if not found[name] <= MOST[name]:
                raise ValueError(f"{name}.onnx differs from the model by {found[name]:.2g}; report this as a fault")
    with whole_file(Path(folder, "export.json")) as path:
        path.write_text(json.dumps(_description(model), indent=2) + "\n", encoding="utf-8")
    return found


@torch.no_grad()
def _parts(model: PreTrainedModel) -> dict[str, Part]:
    tokenizer: NCVQVAEModel = getattr(model, "tokenizer", model)
    config, generator = tokenizer.config, torch.Generator().manual_seed(0)
    scaled = torch.randn(max(BATCHES), config.num_channels, config.length, generator=generator).cumsum(-1) / 4
    values = tokenizer.scale.inverse(scaled)
    codes, *moments = Encode(tokenizer)(values)
    scale = torch.tensor(config.std, dtype=torch.float64)[:, None]
    names = ("codes", "moments") if moments else ("codes",)
    parts = {
        "encode": Part(Encode(tokenizer), {"values": values}, names, lambda a, b: (a != b).double().mean()),
        "decode": Part(
            Decode(tokenizer),
            dict(zip(names, (codes, *moments), strict=True)),
            ("values",),
            lambda a, b: ((a - b).double() / scale).abs().max(),
        ),
    }
    if isinstance(model, MaskGITForTimeSeriesGeneration):
        masked = torch.rand(codes.shape, generator=generator) < 0.5
        labels = torch.arange(len(codes)) % (model.config.num_labels + 1) - 1
        inputs = {"codes": codes.masked_fill(masked, model.codebook_size), "labels": labels}
        parts["prior_step"] = Part(PriorStep(model), inputs, ("logits",), lambda a, b: (a - b).abs().max())
    return parts


def _batch_axis(name: str) -> int:
    return 1 if name == "moments" else 0


def _of_size(part: Part, size: int) -> dict[str, Tensor]:
    return {name: one.narrow(_batch_axis(name), 0, size) for name, one in part.inputs.items()}


def _write(part: Part, path: Path) -> None:
    batch = torch.export.Dim("batch", min=1)
    some = _of_size(part, 4)
    with _silent_exporter(), torch.no_grad():
        program: Any = torch.onnx.export(
            part.module,
            tuple(some.values()),
            input_names=list(some),
            output_names=list(part.outputs),
            dynamic_shapes=tuple({_batch_axis(name): batch} for name in some),
            dynamo=True,
            verbose=False,
        )
        program.save(str(path), external_data=False)


@torch.no_grad()
def _difference(part: Part, session: Any) -> float:
    """The largest between a file and what it was made of, of the first output and over all `BATCHES`."""
    found = []
    for size in BATCHES:
        given = _of_size(part, size)
        expected = part.module(*given.values())
        expected = expected if isinstance(expected, Tensor) else expected[0]
        actual = torch.from_numpy(session.run(None, {name: one.numpy() for name, one in given.items()})[0])
        if actual.shape != expected.shape:
            raise ValueError(f"the file gives {tuple(actual.shape)} in the place of {tuple(expected.shape)}")
        found.append(float(part.difference(actual, expected)))
    return max(found)


def _description(model: PreTrainedModel) -> dict[str, Any]:
    tokenizer = getattr(model, "tokenizer", model).config
    described: dict[str, Any] = {
        "num_channels": tokenizer.num_channels,
        "length": tokenizer.length,
        "codebook_size": tokenizer.codebook_size,
        "num_codes": tokenizer.num_codes,
    }
    if isinstance(model, MaskGITForTimeSeriesGeneration):
        classes = [model.config.id2label[index] for index in range(model.config.num_labels)]
        described["grid"] = model.grid(tokenizer.length)  # rows and columns, of the order "low_discrepancy"
        described |= {"classes": classes, "label_shares": model.config.label_shares, **model.config.sampling()}
    return described


@contextlib.contextmanager
def _silent_exporter() -> Iterator[None]:
    """The exporter tells of operators of other packages, and of its own deprecations."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)
