"""Augmented views of series, for whole batches on their device.

Each view takes `values` `(batch, channels, length)`, scaled to unit variance, and a generator, and returns the same
shape. Every series draws its own parameters. A view that moves samples in time or scales them treats all
channels of a series alike. Definitions and defaults are those of the NC-VQVAE code (arXiv 2408.16613), which does not
have `time_warp` and `offset`. That code then passes its views through an STFT, which zeroes the last samples; this one
does not.
"""

import difflib
import inspect
import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def amplitude_resize(values: Tensor, generator: torch.Generator | None, rate: float = 0.2) -> Tensor:
    """Multiplies each series by `1 + e`, `e` normal with standard deviation `rate`."""
    return values * (1 + rate * _normal(values, (len(values), 1, 1), generator))


def gaussian_noise(values: Tensor, generator: torch.Generator | None, std: float = 0.05) -> Tensor:
    """Adds white noise to every sample of every channel."""
    return values + std * _normal(values, values.shape, generator)


def window_warp(
    values: Tensor,
    generator: torch.Generator | None,
    window_ratio: float = 0.4,
    min_scale: float = 0.9,
    max_scale: float = 2.0,
) -> Tensor:
    """Stretches a random window of `window_ratio` of the series in time, then resamples the whole to its length.

    The window is resampled linearly to `int(scale * window)` samples, `scale` uniform in `min_scale` to `max_scale`.
    """
    batch, _, length = values.shape
    window = max(round(window_ratio * length), 1)
    start = (_uniform(values, (batch, 1), generator) * max(length - window, 1)).floor()
    scale = min_scale + (max_scale - min_scale) * _uniform(values, (batch, 1), generator)
    warped = (window * scale).floor().clamp_min(1)

    # Positions in the stretched series. It is never built: an output sample needs at most two of its samples.
    total = length - window + warped
    position = torch.arange(length, device=values.device) * ((total - 1) / (length - 1))
    lower = position.floor()
    fraction = (position - lower)[:, None]

    def stretched(index: Tensor) -> Tensor:
        step = (window - 1) / (warped - 1).clamp_min(1)
        inside = start + (index - start) * step
        source = torch.where(
            index < start, index, torch.where(index < start + warped, inside, index - warped + window)
        )
        return _interpolate(values, source)

    upper = torch.minimum(lower + 1, total - 1)
    return (1 - fraction) * stretched(lower) + fraction * stretched(upper)


def time_warp(values: Tensor, generator: torch.Generator | None, std: float = 0.012, num_knots: int = 6) -> Tensor:
    """Shifts each series in time, and more at some places than at others.

    The shift is the sum of one for the whole series and of one that goes linearly from each of `num_knots` evenly
    spaced knots to the next, all normal with a standard deviation of `std` lengths. The ends are repeated.
    """
    batch, _, length = values.shape
    knots = _normal(values, (batch, 1, num_knots), generator)
    bend = F.interpolate(knots, length, mode="linear", align_corners=True)[:, 0]
    shift = length * std * (bend + _normal(values, (batch, 1), generator))[:, None]
    return _interpolate(values, (torch.arange(length, device=values.device) + shift[:, 0]).clamp(0, length - 1))


def offset(values: Tensor, generator: torch.Generator | None, std: float = 0.02) -> Tensor:
    """Adds one normal number to all samples of each channel of each series."""
    return values + std * _normal(values, (*values.shape[:2], 1), generator)


def slice_and_shuffle(values: Tensor, generator: torch.Generator | None, num_segments: int = 4) -> Tensor:
    """Cuts each series at `num_segments - 1` random points and shuffles the pieces, some of which may be empty."""
    batch, channels, length = values.shape
    cuts = torch.randint(length, (batch, num_segments - 1), generator=generator, device=values.device).sort(1).values
    bounds = torch.cat((cuts.new_zeros(batch, 1), cuts, cuts.new_full((batch, 1), length)), 1)
    order = _uniform(values, (batch, num_segments), generator).argsort(1)
    starts, lengths = bounds[:, :-1].gather(1, order), bounds.diff(dim=1).gather(1, order)
    ends = lengths.cumsum(1)  # where the pieces end in their new places
    place = torch.arange(length, device=values.device).expand(batch, length).contiguous()
    piece = torch.searchsorted(ends, place, right=True)
    source = place - (ends - lengths).gather(1, piece) + starts.gather(1, piece)
    return values.gather(2, source[:, None].expand(-1, channels, -1))


def magnitude_warp(
    values: Tensor,
    generator: torch.Generator | None,
    std: float = 0.2,
    num_knots: int = 4,
) -> Tensor:
    """Multiplies each series by a smooth curve: the cubic spline through `num_knots + 2` normal values around 1."""
    knots = 1 + std * _normal(values, (len(values), 1, num_knots + 2), generator)
    return values * (knots @ spline_basis(num_knots + 2, values.shape[-1]).to(knots))


def slope(values: Tensor, generator: torch.Generator | None, rate: float = 0.005) -> Tensor:
    """Adds a straight line that starts at 0. Its slope per sample is uniform in `-rate` to `rate`."""
    gradient = rate * (2 * _uniform(values, (len(values), 1, 1), generator) - 1)
    return values + gradient * torch.arange(values.shape[-1], device=values.device)


def flip(values: Tensor, generator: torch.Generator | None) -> Tensor:
    """Reverses time, always."""
    return values.flip(-1)


VIEWS: dict[str, Callable[..., Tensor]] = {
    view.__name__: view
    for view in (
        *(amplitude_resize, window_warp, time_warp, offset, slice_and_shuffle),
        *(gaussian_noise, magnitude_warp, slope, flip),
    )
}

View = str | dict[str, dict[str, float] | None]


def check_views(views: Sequence[View]) -> list[tuple[Callable[..., Tensor], dict[str, float]]]:
    """The functions and parameters that an ordered list of views names.

    A view is its name, `"flip"`, or its name and parameters, `{"gaussian_noise": {"std": 0.1}}`.

    Raises:
        ValueError: for an unknown view or parameter.
    """
    checked = []
    for view in views:
        named = isinstance(view, dict) and len(view) == 1
        name, parameters = next(iter(view.items())) if named else (view, {})
        if not isinstance(name, str) or name not in VIEWS or not isinstance(parameters, dict | None):
            hint = difflib.get_close_matches(str(name), VIEWS, 1) or list(VIEWS)
            raise ValueError(f"unknown view {view!r}; did you mean {', '.join(hint)}?")
        defaults = {key: one.default for key, one in list(inspect.signature(VIEWS[name]).parameters.items())[2:]}
        for key, value in (parameters or {}).items():
            if key not in defaults:
                raise ValueError(f"view {name} has no parameter {key!r}; it has {', '.join(defaults) or 'none'}")
            _check_parameter(f"{key} of view {name}", value, whole=isinstance(defaults[key], int))
        checked.append((VIEWS[name], parameters or {}))
    return checked


def _check_parameter(name: str, value: object, whole: bool) -> None:
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        raise ValueError(f"{name} must be a {'whole number' if whole else 'number'}, found {value!r}")
    if not (2 if whole else 0) <= value < math.inf:
        raise ValueError(f"{name} must be at least {2 if whole else 0}, found {value}")
    if name.startswith("window_ratio") and not 0 < value <= 1:
        raise ValueError(f"{name} must be above 0 and at most 1, found {value}")


def augment(
    values: Tensor, views: Sequence[View], generator: torch.Generator | None = None, strength: Tensor | None = None
) -> Tensor:
    """Applies an ordered list of views, each with probability 1, to scaled `values` `(batch, channels, length)`.

    `strength` `(batch,)` multiplies the spread of each view, its `std` or `rate`; all views must have one.
    """
    for view, parameters in check_views(views):
        if strength is not None:
            name = spread_of(view)
            spread = parameters.get(name, inspect.signature(view).parameters[name].default)
            parameters = parameters | {name: spread * strength.view(-1, 1, 1)}
        values = view(values, generator, **parameters)
    return values


def spread_of(view: Callable[..., Tensor]) -> str:
    """The parameter that says how much a view changes series.

    Raises:
        ValueError: for a view that has none, and changes all series alike.
    """
    for name in ("std", "rate"):
        if name in inspect.signature(view).parameters:
            return name
    raise ValueError(f"view {view.__name__} has no std or rate: it cannot be weaker for some series")


def draw_strength(size: int, generator: torch.Generator | None, device: torch.device) -> Tensor:
    """How strongly to augment each of `size` series: one in four not at all, the others uniformly in 0 to 1."""
    strength = torch.rand(size, generator=generator, device=device) * 4 / 3 - 1 / 3
    return strength.clamp_min(0)


def spline_basis(num_knots: int, length: int) -> Tensor:
    """The matrix `(num_knots, length)` that takes values at evenly spaced knots to their cubic spline at every sample.

    The ends are not-a-knot, which is scipy's default. The spline needs four knots or more.
    """
    # Second derivatives m solve A m = B y, with unit spacing of the knots.
    identity = torch.eye(num_knots, dtype=torch.float64)
    a, b = torch.zeros_like(identity), torch.zeros_like(identity)
    for i in range(1, num_knots - 1):
        a[i, i - 1 : i + 2] = torch.tensor([1.0, 4.0, 1.0])
        b[i, i - 1 : i + 2] = torch.tensor([6.0, -12.0, 6.0])
    # The third derivative does not jump at the first and the last inner knot.
    a[0, :3] = a[-1, -3:] = torch.tensor([1.0, -2.0, 1.0])
    curvature = torch.linalg.solve(a, b)  # (knots, knots): second derivatives of each unit vector's spline
    position = torch.linspace(0, num_knots - 1, length, dtype=torch.float64)
    left = position.floor().clamp(0, num_knots - 2).long()
    t = (position - left)[:, None]
    straight = (1 - t) * identity[left] + t * identity[left + 1]
    bend = ((1 - t) ** 3 - (1 - t)) * curvature[left] + (t**3 - t) * curvature[left + 1]
    return (straight + bend / 6).T


def _interpolate(values: Tensor, position: Tensor) -> Tensor:
    """Interpolates `values` `(batch, channels, length)` linearly at real positions `(batch, points)`."""
    lower = position.floor().clamp(0, values.shape[-1] - 1)
    fraction = (position - lower)[:, None]
    lower = lower.long()[:, None].expand(-1, values.shape[1], -1)
    upper = (lower + 1).clamp_max(values.shape[-1] - 1)
    return (1 - fraction) * values.gather(2, lower) + fraction * values.gather(2, upper)


def _normal(like: Tensor, shape: Sequence[int], generator: torch.Generator | None) -> Tensor:
    return torch.randn(shape, generator=generator, device=like.device, dtype=like.dtype)


def _uniform(like: Tensor, shape: Sequence[int], generator: torch.Generator | None) -> Tensor:
    return torch.rand(shape, generator=generator, device=like.device, dtype=like.dtype)
