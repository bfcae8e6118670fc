"""Which modules may be read instead of called.

Reading weights saves time, and passes by whatever else a call of the module would do: adapters (PEFT), quantization,
pruning, offloading, hooks, a `forward` of its own. So weights are read where there is nothing else, and nowhere else.
"""

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    _global_backward_hooks,
    _global_backward_pre_hooks,
    _global_forward_hooks,
    _global_forward_pre_hooks,
)


OF_EVERY_MODULE = _global_forward_pre_hooks, _global_forward_hooks, _global_backward_pre_hooks, _global_backward_hooks


def is_plain(module: nn.Module, kind: type[nn.Module] | None = None) -> bool:
    """Whether a call of `module` does what its class does with plain weights, and no more.

    With `kind`, its class must be that; adapters, quantization and parametrizations put another in its place.
    """
    if kind is not None and type(module) is not kind:
        return False
    hooks = module._forward_pre_hooks, module._forward_hooks, module._backward_pre_hooks, module._backward_hooks
    if any(hooks) or any(OF_EVERY_MODULE) or "forward" in vars(module) or module._compiled_call_impl is not None:
        return False
    # Tensors of another class have products of their own: quantized ones, those that are spread over processes.
    return type(getattr(module, "weight", None)) in (nn.Parameter, Tensor, type(None))


def all_plain(module: nn.Module) -> bool:
    """Whether every module inside `module` is plain, and of a class of PyTorch's or of this package."""
    homes = "torch.nn.modules.", __name__.rpartition(".")[0]
    return all(type(part).__module__.startswith(homes) and is_plain(part) for part in module.modules())


def vectors(embedding: nn.Embedding, device: torch.device) -> Tensor:
    """All vectors `(entries, dim)` of an embedding: its weight, or where it is not plain the answer to a call."""
    if is_plain(embedding, nn.Embedding):
        return embedding.weight
    return embedding(torch.arange(len(embedding.weight), device=device))
