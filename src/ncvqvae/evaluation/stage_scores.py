"""Encode series and score a stage: reconstruction error, code usage, accuracy on masked codes."""

import contextlib
import math
from pathlib import Path

import torch
from torch import Tensor

from ..data.streaming import StreamedValues, Values
from ..inference import BATCH_SIZE, in_batches
from ..models.modeling_maskgit import MaskGITForTimeSeriesGeneration
from ..models.modeling_ncvqvae import NCVQVAEModel
from .metrics import codebook_usage


@torch.no_grad()
def encode_all(tokenizer: NCVQVAEModel, values: Values, kind: str, file: Path | None = None) -> Tensor:
    """Encodes all series to `codes`, `latents` or `quantized`, in memory or, with a `file`, mapped from that file.

    Latents have the shape `(series, parts, dim, frequencies, width)`: a part for each channel where channels are
    encoded one by one, else one part.
    Streamed series are many, so their codes are kept on the CPU, in 16 bits if these suffice.
    """
    smallest = torch.int16 if tokenizer.config.codebook_size <= 2**15 else torch.int32

    def encode(batch: Tensor) -> Tensor:
        encoded = tokenizer.encode(batch)[kind]
        encoded = encoded if kind == "codes" else encoded.unflatten(0, (len(batch), -1))
        return encoded.to("cpu", smallest) if kind == "codes" and isinstance(values, StreamedValues) else encoded

    if file is None:
        return in_batches(encode, values)
    try:
        with file.open("wb") as stream:
            for batch in values.split(BATCH_SIZE):
                encoded = encode(batch)
                stream.write(encoded.cpu().numpy().tobytes())
        shape = (len(values), *encoded.shape[1:])
        return torch.from_file(str(file), shared=True, size=math.prod(shape), dtype=encoded.dtype).view(shape)
    finally:
        # The mapping stays valid without the file's name, until the process ends. (Windows keeps the file.)
        with contextlib.suppress(OSError):
            file.unlink()


@torch.no_grad()
def score_tokenizer(tokenizer: NCVQVAEModel, values: Values) -> dict[str, float]:
    """Mean squared errors of reconstructed series and spectrograms, and perplexity and usage of the codes.

    Errors are those of scaled series. All scores are taken over the whole of `values`.
    """
    codes, squares = [], torch.zeros(2, device=values.device)
    for batch in values.split(BATCH_SIZE):
        encoded = tokenizer.encode(batch)
        working = tokenizer.to_working(tokenizer.scale(batch, encoded.moments))
        reconstruction, decoded = tokenizer.decode_latents(encoded.quantized, working.shape[-1])
        pairs = (reconstruction - working, decoded - tokenizer.time_frequency(working))
        squares += torch.stack([difference.square().mean() for difference in pairs]) * len(batch)
        codes.append(encoded.codes)
    time_error, spectrogram_error = (squares / len(values)).tolist()
    errors = {"reconstruction_error": time_error, "spectrogram_error": spectrogram_error}
    return errors | codebook_usage(torch.cat(codes), tokenizer.config.codebook_size)


@torch.no_grad()
def score_prior(
    model: MaskGITForTimeSeriesGeneration, codes: Tensor, labels: Tensor | None, num_masks: int = 4
) -> dict[str, float]:
    """Cross-entropy and accuracy of masked codes. The masks are the same at every call."""
    device = model.device
    generator = torch.Generator(device).manual_seed(0)
    total = torch.zeros(3, device=device)
    for batch in torch.arange(len(codes)).repeat(num_masks).split(BATCH_SIZE):
        batch_labels = None if labels is None else labels[batch.to(labels.device)]
        batch_codes = codes[batch.to(codes.device)].to(device, torch.long)
        output = model(codes=batch_codes, labels=batch_labels, generator=generator)
        num_masked = output.mask.sum()
        total += torch.stack((output.loss * num_masked, output.accuracy * num_masked, num_masked))
    loss, accuracy = (total[:2] / total[2]).tolist()
    return {"loss": loss, "accuracy": accuracy}
