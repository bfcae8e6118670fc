"""Fills the gaps of series: the prior draws the codes that hang on what is missing, given all others."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.utils import ModelOutput

from .class_labels import Labels, label_ids
from .interpolation import interpolate, likely_error
from .masking import confidence, decoding_order, draw, guidance_at, mask_ratio
from .precision import autocast
from .scaler import Moment, float_type, moments_of
from .series_input import Series, as_series


@dataclass
class MaskGITImputeOutput(ModelOutput):
    """
    Args:
        values (`torch.Tensor` of shape `(batch, channels, length)`): series without gaps, the average of the draws;
            what was known is as it was.
        spread (`torch.Tensor` of shape `(batch, channels, length)`): standard deviation of the draws; 0 for what was
            known, and everywhere for a single draw.
        draws (`torch.Tensor` of shape `(num_draws, batch, channels, length)`): the series of each draw.
        drawn (`torch.BoolTensor` of shape `(batch, num_codes)`): which codes were drawn; the others are those of the
            known samples.
    """

    values: Tensor | None = None
    spread: Tensor | None = None
    draws: Tensor | None = None
    drawn: Tensor | None = None


Predict = Callable[[Tensor, Tensor, Tensor, float], Tensor]


def complete_codes(
    predict: Predict,
    codes: Tensor,
    masked: Tensor,
    order: Tensor | None,
    num_steps: int,
    temperature: float = 1.0,
    choice_temperature: float = 0.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draws the codes that are `masked` `(batch, num_codes)` in parallel steps, given the others of `codes`.

    As `masking.decode_in_order` and `masking.decode_by_confidence` do where all codes are masked; here each sample may
    have another number of them.

    Args:
        predict: takes codes, which of them are masked and which are wanted, `(batch, num_codes)` each, and the share
            of the steps that are done; returns logits `(wanted, codebook_size)`.
        order (*optional*): positions `(batch, num_codes)` in the order in which they are decided; without it the most
            confident ones are kept.
    """
    sizes = masked.sum(1, keepdim=True)
    rank = None
    if order is not None:  # among those that are masked
        turn = order.argsort(1).masked_fill(~masked, codes.shape[1])
        rank = turn.argsort(1).argsort(1)
    for step in range(1, num_steps + 1):
        left = (sizes * mask_ratio(step / num_steps)).long()
        wanted = masked if rank is None else masked & (rank < sizes - left)
        if not wanted.any():
            continue
        drawn, probabilities = draw(predict(codes, masked, wanted, (step - 1) / num_steps), temperature, generator)
        codes = codes.masked_scatter(wanted, drawn)
        if rank is not None:
            masked = masked & ~wanted
            continue
        sure = torch.full(codes.shape, torch.inf, dtype=torch.float32, device=codes.device)
        noise_scale = choice_temperature * (1 - step / num_steps)
        sure = sure.masked_scatter(wanted, confidence(probabilities, noise_scale, generator))
        masked = masked & (sure.argsort(1).argsort(1) < left)
    return codes


def _check_gaps(values: Tensor, known: Tensor) -> None:
    """Raises `ValueError` for series without a gap, for one with nothing else, and for infinite values."""
    if values.isinf().any():
        raise ValueError("series hold infinite values; give NaN for what is missing")
    if known.all():
        raise ValueError("there is nothing to fill: no value is NaN")
    if not known.any(-1).all():
        row, channel = (~known.any(-1)).nonzero()[0].tolist()
        raise ValueError(f"channel {channel} of series {row} holds nothing but NaN; leave such series out")


class Imputation:
    """What `MaskGITForTimeSeriesGeneration` does with series of which a part is known."""

    @torch.no_grad()
    def impute(
        self: Any,
        values: Series,
        labels: Labels = None,
        num_draws: int = 10,
        mean: Moment = None,
        std: Moment = None,
        generator: torch.Generator | None = None,
        batch_size: int = 256,
        **sampling: Any,
    ) -> MaskGITImputeOutput:
        """Fills the gaps of series.

        Gaps are first filled with straight lines. Codes that change when the lines move by their likely error, up or
        down, hang on what is missing: the prior draws them, in the order that the checkpoint says, given all others.
        What is decoded is moved by its error at the known samples, with straight lines between them, so that nothing
        jumps at the edges of a gap.

        Args:
            values: series `(batch, channels, length)` as `encode` takes them; NaN is a gap.
            labels (*optional*): a class, or one for each series, as `generate` takes them; without it the null class.
                Of a prior over many sets, the name of a set or of a class of it.
            num_draws (`int`, defaults to 10): series drawn for each one with a gap.
            mean, std (*optional*): as in `encode`; where each series is scaled by itself, the default is what straight
                lines in the gaps give.
            generator (`torch.Generator`, *optional*): on the model's device; the same state gives the same draws.
            batch_size (`int`, defaults to 256): draws at a time.
            sampling: `num_steps`, `order`, `temperature`, `choice_temperature`, `guidance_scale`, `guidance_schedule`
                of `generate`; the configuration decides those that are not given.

        Raises:
            ValueError: where nothing is missing, for a channel without a known sample, for infinite values, and for
                what `encode` and `generate` refuse.
        """
        if num_draws < 1 or batch_size < 1:
            raise ValueError(f"num_draws and batch_size must be at least 1, found {num_draws} and {batch_size}")
        values = as_series(values, self.config.tokenizer_config, self.device).to(self.device)
        values = values.to(float_type(values))
        known = ~values.isnan()
        _check_gaps(values, known)
        ids = self._known_classes(labels, len(values), generator)
        moments = moments_of(values.nan_to_num(), mean, std, False)
        settings = self.config.sampling(**sampling)
        draws, masks = [], []
        for rows in torch.arange(len(values), device=self.device).split(max(1, batch_size // num_draws)):
            filled = interpolate(values[rows].nan_to_num(), known[rows])
            encoded, masked = self._touched(filled, known[rows], None if moments is None else moments[:, rows, :, 0])
            repeated = [one.repeat(num_draws, *[1] * (one.ndim - 1)) for one in (encoded.codes, masked, ids[rows])]
            codes = self._complete(*repeated, values.shape[-1], settings, generator)
            own = None if encoded.moments is None else encoded.moments.repeat(1, num_draws, 1, 1)
            decoded = self.decode(codes, values.shape[-1], own).to(values.dtype).unflatten(0, (num_draws, -1))
            moved = decoded + interpolate(filled - decoded, known[rows].expand_as(decoded))
            draws.append(torch.where(known[rows], values[rows], moved))
            masks.append(masked)
        drawn = torch.cat(draws, 1)
        average = torch.where(known, values, drawn.mean(0))
        return MaskGITImputeOutput(average, drawn.std(0, correction=0), drawn, torch.cat(masks))

    @torch.no_grad()
    def edit(
        self: Any,
        values: Series,
        keep: slice | Tensor,
        labels: Labels = None,
        num_draws: int = 1,
        **settings: Any,
    ) -> MaskGITImputeOutput:
        """Keeps a part of series `(batch, channels, length)`, and draws the rest anew, perhaps as another class.

        Args:
            keep: the samples to keep, as a slice of the time axis or as booleans `(length,)` or of the series' shape.
            labels, num_draws, settings: as in `impute`.

        Raises:
            ValueError: where nothing or everything is kept, for `keep` of another shape, and see `impute`.
        """
        values = as_series(values, self.config.tokenizer_config, self.device)
        values = values.to(float_type(values))
        known = torch.zeros(values.shape, dtype=torch.bool, device=values.device)
        if isinstance(keep, slice):
            known[..., keep] = True
        else:
            mask = torch.as_tensor(keep, dtype=torch.bool, device=values.device)
            if mask.shape not in (values.shape, values.shape[-1:]):
                raise ValueError(f"keep must be a slice, or of shape {tuple(values.shape)}, found {tuple(mask.shape)}")
            known |= mask
        if known.all() or not known.any(-1).all():
            raise ValueError(f"keep must leave a sample of each series and let another go; found {keep}")
        return self.impute(values.masked_fill(~known, torch.nan), labels, num_draws, **settings)

    def _known_classes(self: Any, labels: Labels, count: int, generator: torch.Generator | None) -> Tensor:
        """Class indices `(count,)`; no class is the null class, and a set without a class the set's."""
        sets = [one["name"] for one in self.config.sets or []]
        if labels is None and not sets:
            labels = "null"
        if isinstance(labels, str) and labels in sets and labels not in self.config.label2id:
            return torch.full((count,), self.config.num_labels + sets.index(labels), device=self.device)
        if labels is None:
            raise ValueError(f"say of which set the series are, labels={sets[0]!r}; the sets are {', '.join(sets)}")
        single = isinstance(labels, int | str)
        ids = label_ids(labels, count if single else None, self.config, self.device, generator)
        if len(ids) != count:
            raise ValueError(f"give one label, or one for each of {count} series; found {len(ids)}")
        return ids

    def _touched(self: Any, filled: Tensor, known: Tensor, moments: Tensor | None) -> tuple[Any, Tensor]:
        """What `encode` gives of series whose gaps are `filled`, and which codes hang on the filling.

        `moments` `(2, batch, channels)` are a mean and a standard deviation to scale by.
        """
        encoded = self.encode(filled, *(() if moments is None else moments))
        if encoded.moments is not None:  # the filling is to move, not what it is scaled by
            moments = encoded.moments[..., 0]
        error = likely_error(filled, known)
        both = [self.encode(filled + side * error, *(() if moments is None else moments)) for side in (1, -1)]
        return encoded, torch.stack([moved.codes != encoded.codes for moved in both]).any(0)

    def _complete(
        self: Any,
        codes: Tensor,
        masked: Tensor,
        labels: Tensor,
        length: int,
        settings: dict[str, Any],
        generator: torch.Generator | None,
    ) -> Tensor:
        guidance = [settings[f"guidance_{name}"] for name in ("scale", "schedule")]
        most = int(masked.sum(1).max())
        columns = self.grid(length)[1]
        grid = codes.shape[1] // columns, columns  # channels may be any number
        order = decoding_order(settings["order"], len(codes), grid, generator, self.device)
        steps = min(settings["num_steps"], most)
        chosen = settings["temperature"], settings["choice_temperature"], generator

        def predict(codes: Tensor, masked: Tensor, wanted: Tensor, progress: float) -> Tensor:
            visible = codes.masked_fill(masked, self.codebook_size)
            return self._logits_of(visible, labels, wanted, guidance_at(progress, *guidance))

        with autocast(self.device, self.config.sampling_precision, self):
            return complete_codes(predict, codes, masked, order, steps, *chosen)

    def _logits_of(self: Any, visible: Tensor, labels: Tensor, wanted: Tensor, scale: float = 1.0) -> Tensor:
        """Logits `(wanted, codebook_size)` of the codes `wanted` `(batch, num_codes)`, with guidance of this scale."""
        places = wanted.flatten().nonzero()[:, 0]
        if scale == 1:
            return self(visible=visible, labels=labels, wanted=places, return_dict=True).logits
        both = torch.cat((places, places + visible.numel()))
        twice = visible.repeat(2, 1), torch.cat((labels, self._null(labels)))
        conditional, null = self(visible=twice[0], labels=twice[1], wanted=both, return_dict=True).logits.chunk(2)
        return null + scale * (conditional - null)
