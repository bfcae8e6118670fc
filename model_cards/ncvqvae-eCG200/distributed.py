"""Statistics of the global batch when several processes train together, each on its part of every batch.

All processes get equal results. Every process has the losses of the whole batch, so that the mean of the gradients,
which DistributedDataParallel takes, is the gradient that one process would have. With one process nothing changes.
"""

import gc
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


def num_processes() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def leave_processes() -> None:
    """Leaves the group of processes; a command does this last.

    Otherwise the group's threads run on while Python shuts down, which now and then aborts the process.
    """
    if dist.is_available() and dist.is_initialized():
        gc.collect()  # wrapped models hold the group, which ends with the last of them
        dist.destroy_process_group()


def sum_over_processes(tensor: Tensor) -> Tensor:
    """The sum of the processes' tensors, of one shape; gradients flow back to all of them."""
    return tensor if num_processes() == 1 else _Sum.apply(tensor)


def broadcast_from_first(tensor: Tensor) -> Tensor:
    """The first process's tensor on all processes, whatever their own generators have drawn."""
    if num_processes() > 1:
        dist.broadcast(tensor, 0)
    return tensor


def place_in_batch(size: int, device: torch.device) -> tuple[int, int]:
    """The start of this process's `size` entries in the global batch, and the size of that batch."""
    if num_processes() == 1:
        return 0, size
    sizes = torch.zeros(num_processes(), dtype=torch.long, device=device)
    sizes[dist.get_rank()] = size
    dist.all_reduce(sizes)
    return int(sizes[: dist.get_rank()].sum()), int(sizes.sum())


def gather_batch(tensor: Tensor) -> Tensor:
    """The processes' tensors `(batch, ...)` one after the other; gradients flow back to their owners."""
    if num_processes() == 1:
        return tensor
    start, total = place_in_batch(len(tensor), tensor.device)
    before = tensor.new_zeros(start, *tensor.shape[1:])
    after = tensor.new_zeros(total - start - len(tensor), *tensor.shape[1:])
    return sum_over_processes(torch.cat((before, tensor, after)))


def mean_over_batch(*means: Tensor, count: Tensor | int) -> list[Tensor]:
    """Turns means over `count` items of this process into means over the items of all processes."""
    if num_processes() == 1:
        return list(means)
    stacked = torch.stack(means)
    count = torch.as_tensor(count, dtype=stacked.dtype, device=stacked.device)
    total = sum_over_processes(torch.cat((stacked.flatten() * count, count[None])))
    return list((total[:-1] / total[-1]).view(stacked.shape))


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        tensor = tensor.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(tensor)
        return tensor

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _Sum.apply(gradient)  # every process's result depends on every process's tensor


class _GlobalBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm that takes its training statistics over all processes, on every device.

    (`nn.SyncBatchNorm` is for GPUs alone.)
    """

    def forward(self, values: Tensor) -> Tensor:
        if not self.training or num_processes() == 1:
            return super().forward(values)
        given, values = values.dtype, values.float()
        dims = [dim for dim in range(values.ndim) if dim != 1]
        shape = [1, -1, *[1] * (values.ndim - 2)]
        count = values.new_full((1,), values.numel() / values.shape[1])
        total = sum_over_processes(torch.cat((values.sum(dims), count)))
        mean, count = total[:-1] / total[-1], total[-1].detach()
        centred = values - mean.view(shape)
        variance = sum_over_processes(centred.square().sum(dims)) / count
        if self.track_running_stats:
            self._track(mean.detach(), variance.detach() * count / (count - 1))
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale.view(shape) + self.bias.view(shape)).to(given)

    def _track(self, mean: Tensor, variance: Tensor) -> None:
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


class BatchNorm1d(_GlobalBatchNorm, nn.BatchNorm1d):
    """`nn.BatchNorm1d` over the global batch."""


class BatchNorm2d(_GlobalBatchNorm, nn.BatchNorm2d):
    """`nn.BatchNorm2d` over the global batch."""
