"""Chooses the precision in which products are computed."""

import torch


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """A context in which products have a precision.

    Args:
        precision: `"no"` is float32. `"bf16"` is bfloat16 for products and convolutions; code that must not lose
            digits opts out. `"auto"` is bfloat16 where the hardware has it.

    Raises:
        ValueError: for another precision.
    """
    if precision not in ("auto", "no", "bf16"):
        raise ValueError(f'precision must be "auto", "no" or "bf16", found {precision!r}')
    bfloat16 = precision == "bf16" or (precision == "auto" and fast_bfloat16(device))
    return torch.autocast(device.type, torch.bfloat16, enabled=bfloat16)


def fast_bfloat16(device: torch.device) -> bool:
    """Whether the hardware multiplies bfloat16 itself; `False` on a CPU if PyTorch is too old to tell."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    found: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return device.type == "cpu" and (found.get("avx512_bf16", False) or found.get("amx_bf16", False))
