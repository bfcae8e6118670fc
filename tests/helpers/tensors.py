"""What a module holds, and whether two hold the same bits."""

import torch
from torch import Tensor, nn


def states(module: nn.Module) -> dict[str, Tensor]:
    """A copy of what a checkpoint holds."""
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def tensors(module: nn.Module) -> dict[str, Tensor]:
    """A copy of every parameter and buffer, those included that no checkpoint holds."""
    both = [*module.named_parameters(), *module.named_buffers()]
    return {name: tensor.detach().clone() for name, tensor in both}


def assert_same(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    """Fails unless both have the same names, types and bits."""
    assert first.keys() == second.keys()
    for name in first:
        assert first[name].dtype == second[name].dtype and torch.equal(first[name], second[name]), name
