"""What PyTorch does slowly on a CPU, done faster. Each function equals the plain form that its docstring names.

The models read as the paper does and call these functions; `tests/models/test_cpu_kernels.py` compares each with the
plain form in values and gradients. The gains were measured on two cores with FordA's shapes (500 samples, 75 codes);
`training/LOG.md` has the tables.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .plain import is_plain


Enter = Callable[[Tensor, Tensor], tuple[Tensor, ...]]  # from visible codes and labels to the transformer's input


def replicate_pad(hidden: Tensor) -> Tensor:
    """`F.pad(hidden, (1, 1, 1, 1), mode="replicate")` that keeps channels last.

    PyTorch's own converts to contiguous and back, which takes two to three times as long: 8 of the 150 ms of a branch.
    """
    return _ReplicatePad.apply(hidden)


class _ReplicatePad(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor) -> Tensor:
        batch, dim, frequencies, frames = hidden.shape
        size = batch, dim, frequencies + 2, frames + 2
        padded = torch.empty(size, dtype=hidden.dtype, device=hidden.device, memory_format=_layout(hidden))
        padded[:, :, 1:-1, 1:-1] = hidden
        padded[:, :, 1:-1, 0], padded[:, :, 1:-1, -1] = hidden[..., 0], hidden[..., -1]
        padded[:, :, 0], padded[:, :, -1] = padded[:, :, 1], padded[:, :, -2]  # which includes the corners
        return padded

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        inner = gradient[:, :, 1:-1, 1:-1].clone(memory_format=_layout(gradient))
        for edge in (0, -1):
            inner[:, :, edge] += gradient[:, :, edge, 1:-1]
            inner[..., edge] += gradient[:, :, 1:-1, edge]
            for other in (0, -1):
                inner[:, :, edge, other] += gradient[:, :, edge, other]
        return inner


def _layout(tensor: Tensor) -> torch.memory_format:
    last = tensor.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format


def transposed_convolution(convolution: nn.ConvTranspose2d, hidden: Tensor) -> Tensor:
    """`convolution(hidden)`, where the gradient of the bias is a sum of its own.

    PyTorch's takes up to two thirds as long as the two other gradients together: 16.7 ms of a branch against 1.8.
    """
    weight, bias = convolution.weight, convolution.bias
    raised = F.conv_transpose2d(hidden, weight, bias.detach(), convolution.stride, convolution.padding)  # type: ignore
    return _Biased.apply(raised, bias)


class _Biased(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, bias: Tensor) -> Tensor:
        return hidden

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        return gradient, gradient.sum((0, 2, 3))


class RMSNorm(nn.RMSNorm):
    """`nn.RMSNorm` in the dtype of what it is given and in few passes.

    PyTorch's takes several, in float32 under autocast: 27 ms forward and backward for 256 x 76 x 256, against 4.2. A
    stage-2 step went from .78 to .55 s.
    """

    def forward(self, hidden: Tensor) -> Tensor:
        normalised = root_mean_square_norm(hidden)
        return normalised * self.weight.to(normalised.dtype)


def normalised_linear(norm: nn.Module, linear: nn.Module, hidden: Tensor) -> Tensor:
    """`linear(norm(hidden))`, where both are plain with the norm's weight in the matrix, which is smaller than the
    batch.
    """
    if is_plain(norm, RMSNorm) and is_plain(linear, nn.Linear):
        return F.linear(root_mean_square_norm(hidden), linear.weight * norm.weight, linear.bias)  # type: ignore
    return linear(norm(hidden))


def root_mean_square_norm(hidden: Tensor) -> Tensor:
    """`F.rms_norm(hidden, hidden.shape[-1:])`; see `RMSNorm`."""
    return _RootMeanSquareNorm.apply(hidden)


class _RootMeanSquareNorm(torch.autograd.Function):
    """Division by the root mean square over the last axis, in the dtype of `hidden` and in few passes over it."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor) -> Tensor:
        size = hidden.shape[-1]
        smallest = math.sqrt(size * torch.finfo(torch.float32).eps)
        inverse = math.sqrt(size) / torch.linalg.vector_norm(hidden, dim=-1, keepdim=True).clamp_min(smallest)
        normalised = hidden * inverse
        ctx.save_for_backward(normalised, inverse)
        return normalised

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        normalised, inverse = ctx.saved_tensors
        along = (gradient * normalised).sum(-1, keepdim=True) / -normalised.shape[-1]
        return torch.addcmul(gradient, normalised, along).mul_(inverse)


class LayerNorm(nn.LayerNorm):
    """`nn.LayerNorm` in the dtype of its weights.

    Under autocast `hidden` is bfloat16, and PyTorch adds up the gradients of the weights in the dtype of the input:
    over 12 000 rows they were off by 55 and 64 %, here by .7 %.
    """

    def forward(self, hidden: Tensor) -> Tensor:
        return super().forward(hidden.to(self.weight.dtype))


def tabulated(enter: Enter, num_samples: int, num_codes: int, codebook_size: int, num_labels: int) -> Enter:
    """`enter` for a batch of `num_samples`, looked up in a table of every code at every position and every label.

    What enters the transformer depends on one code and its position. So it is computed once for each pair, where the
    batch is larger than the table. Sampling 256 series went from 1.74 to 1.59 s, a stage-2 step from .51 to .48 s.
    """
    size = max(codebook_size, num_labels) + 1
    if num_samples < size:
        return enter
    table: list[Tensor] = []

    def look_up_codes(visible: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        if not table:
            every = torch.arange(size, device=visible.device)
            codes = every.clamp_max(codebook_size)[:, None].expand(-1, num_codes)
            table.extend(enter(codes, every.clamp_max(num_labels)))
        index = torch.cat((labels[:, None], visible), 1)
        return tuple(look_up(entries, index) for entries in table)

    return look_up_codes


def look_up(table: Tensor, index: Tensor) -> Tensor:
    """`table[index, positions]` of a `table` `(entries, positions, size)`, for an `index` `(batch, positions)`.

    The gradient is a matrix product for each position, which adds up in float32 whatever the dtype of the table.
    PyTorch's gradient adds up in the table's dtype, which in bfloat16 is off by 1 %.
    """
    return _LookUp.apply(table, index)


class _LookUp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: Tensor, index: Tensor) -> Tensor:
        entries, positions, size = table.shape
        ctx.save_for_backward(index)
        ctx.entries = entries
        place = torch.arange(positions, device=index.device)
        return F.embedding(index * positions + place, table.view(-1, size))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (index,) = ctx.saved_tensors
        every = torch.arange(ctx.entries, device=index.device)
        one_hot = (index.T[:, None] == every[:, None]).to(gradient.dtype)  # (positions, entries, batch)
        return (one_hot @ gradient.transpose(0, 1)).transpose(0, 1), None


def sums_by_code(points: Tensor, codes: Tensor, num_codes: int) -> Tensor:
    """`one_hot(codes).T @ points`: the sum `(num_codes, dim)` of the `points` `(points, dim)` of each code.

    With many short codes the matrix is far larger than both: 1600 points of 8 dimensions and 2048 codes took 27 ms,
    and take .1. On a GPU the product stays, since there additions by index come in any order.
    """
    if num_codes <= 256 or points.is_cuda:
        return F.one_hot(codes, num_codes).to(points.dtype).T @ points
    return points.new_zeros(num_codes, points.shape[1]).index_add_(0, codes, points)


def rounded_rows(rows: Tensor, total: int) -> Tensor:
    """Indices of `rows`, padded with zeros to a multiple of a sixteenth of `total`.

    oneDNN compiles and keeps kernels for every number of rows: 120 steps with varying numbers took 3.2 GB and grew on,
    with sixteen numbers 1.0 GB.
    """
    return F.pad(rows, (0, -rows.shape[0] % math.ceil(total / 16)))


def attention_for(implementation: str, device: torch.device) -> str:
    """The name of transformers' attention function to use: `"eager"` in the place of `"sdpa"` on a CPU.

    For so few codes PyTorch's fused kernel takes twice as long there, above all backward: a stage-2 step took 1.75 s
    with it, and 1.26 s without.
    """
    return "eager" if implementation == "sdpa" and device.type == "cpu" else implementation


def gram_product(first: Tensor, second: Tensor) -> Tensor:
    """`(first.T @ second).square().sum()` of two `(batch, dim)`, through the `(batch, batch)` Gram matrices.

    The sum of squares of A'B equals the inner product of AA' and BB'. Its gradient by A is 2 BB'A: one product, where
    autograd, which does not know that Gram matrices are symmetric, takes two. Barlow Twins at 128 x 4096 went from 16
    to 8 ms.
    """
    return _GramProduct.apply(first, second.view_as(second))  # a compiled graph refuses the same tensor twice


class _GramProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, first: Tensor, second: Tensor) -> Tensor:
        grams = first @ first.T, second @ second.T
        ctx.save_for_backward(first, second, *grams)
        return (grams[0] * grams[1]).sum()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        first, second, first_gram, second_gram = ctx.saved_tensors
        return 2 * gradient * second_gram @ first, 2 * gradient * first_gram @ second
