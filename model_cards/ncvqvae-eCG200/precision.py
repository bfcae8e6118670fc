"""In which precision products are computed, and what stays in float32 whatever a model is cast to."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


class InFloat32(nn.Module):
    """A module in float32 that casts leave alone: `.half()`, `.double()` and their kin only move it."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "InFloat32":
        def moved(tensor: Tensor) -> Tensor:
            result = fn(tensor)
            return result if result.dtype == tensor.dtype else tensor.to(result.device)

        return super()._apply(moved, recurse)


class Constants(InFloat32):
    """A module of buffers that no checkpoint holds: `reset_parameters` computes them, wherever the module has gone.

    So they are right after `to_empty` too, which leaves whatever was in memory.
    """

    def reset_parameters(self) -> None:
        """Fills the buffers, unless they are on the meta device."""
        raise NotImplementedError

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Constants":
        before = list(self.buffers(recurse=False))
        super()._apply(fn, recurse)
        if any(new is not old for new, old in zip(self.buffers(recurse=False), before, strict=True)):
            self.reset_parameters()
        return self


def at_least_float32(tensor: Tensor) -> Tensor:
    """`tensor` in float32, unless its type has as many digits or more."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def autocast(device: torch.device, precision: str, model: nn.Module | None = None) -> torch.autocast:
    """A context in which products have a precision.

    Args:
        precision: `"no"` is float32. `"bf16"` is bfloat16 for products and convolutions; code that must not lose
            digits opts out. `"auto"` is bfloat16 where the hardware has it.
        model (*optional*): one that was cast to another dtype than float32, or whose layers were quantized, computes
            as it is, whatever the precision.

    Raises:
        ValueError: for another precision.
    """
    if precision not in ("auto", "no", "bf16"):
        raise ValueError(f'precision must be "auto", "no" or "bf16", found {precision!r}')
    bfloat16 = precision == "bf16" or (precision == "auto" and fast_bfloat16(device))
    as_it_is = model is not None and (model.dtype != torch.float32 or _is_quantized(model))
    return torch.autocast(device.type, torch.bfloat16, enabled=bfloat16 and not as_it_is)


def _is_quantized(model: nn.Module) -> bool:
    return any(type(module).__module__.startswith("torch.ao.") for module in model.modules())


def fast_bfloat16(device: torch.device) -> bool:
    """Whether the hardware multiplies bfloat16 itself; `False` on a CPU if PyTorch is too old to tell."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    found: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return device.type == "cpu" and (found.get("avx512_bf16", False) or found.get("amx_bf16", False))
