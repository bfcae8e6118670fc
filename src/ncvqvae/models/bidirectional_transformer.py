"""The network of the prior: a pre-norm transformer in which every position sees all others."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def eager_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **kwargs: object,
) -> tuple[Tensor, Tensor]:
    """Attention written out, with the signature of transformers' attention functions."""
    # Contiguous, or each product would copy; the softmax in float32, which is also the faster one.
    query, key, value = (tensor.contiguous() for tensor in (query, key, value))
    scores = query @ key.mT * scaling
    if attention_mask is not None:
        scores = scores + attention_mask
    weights = F.dropout(scores.softmax(-1, dtype=torch.float32).to(value.dtype), dropout, module.training)
    return (weights @ value).transpose(1, 2), weights


class _RootMeanSquareNorm(torch.autograd.Function):
    """Division by the root mean square over the last axis, in the dtype of `hidden` and in few passes over it."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, hidden: Tensor) -> Tensor:
        size = hidden.shape[-1]
        smallest = math.sqrt(size * torch.finfo(torch.float32).eps)
        inverse = math.sqrt(size) / torch.linalg.vector_norm(hidden, dim=-1, keepdim=True).clamp_min(smallest)
        normalised = hidden * inverse
        ctx.save_for_backward(normalised, inverse)
        return normalised

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> Tensor:
        normalised, inverse = ctx.saved_tensors
        along = (gradient * normalised).sum(-1, keepdim=True) / -normalised.shape[-1]
        return torch.addcmul(gradient, normalised, along).mul_(inverse)


def normalised_linear(norm: nn.RMSNorm, linear: nn.Linear, hidden: Tensor) -> Tensor:
    """`linear(norm(hidden))`, with the norm's weight in the matrix, which is smaller than the batch.

    Several times as fast as PyTorch's RMS norm on a CPU, which is taken apart and, under autocast, in float32.
    """
    return F.linear(_RootMeanSquareNorm.apply(hidden), linear.weight * norm.weight, linear.bias)


class LookUp(torch.autograd.Function):
    """Rows `index` `(batch, positions)` of a `table` `(entries, positions, size)`, each position's own: `(batch,
    positions, size)`.

    Its gradient is a product for each position, which adds up in float32 whatever the dtype of the table.
    """

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, table: Tensor, index: Tensor) -> Tensor:
        entries, positions, size = table.shape
        ctx.save_for_backward(index)
        ctx.entries = entries
        place = torch.arange(positions, device=index.device)
        return F.embedding(index * positions + place, table.view(-1, size))

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> tuple[Tensor, None]:
        (index,) = ctx.saved_tensors
        every = torch.arange(ctx.entries, device=index.device)
        one_hot = (index.T[:, None] == every[:, None]).to(gradient.dtype)  # (positions, entries, batch)
        return (one_hot @ gradient.transpose(0, 1)).transpose(0, 1), None


class TransformerLayer(nn.Module):
    """Pre-RMSNorm self-attention without biases, then a pre-RMSNorm perceptron with GELU."""

    is_causal = False  # what transformers' attention functions ask the module

    def __init__(self, hidden_size: int, num_heads: int, head_dim: int, intermediate_size: int):
        super().__init__()
        self.num_heads, self.head_dim = num_heads, head_dim
        self.attention_norm = nn.RMSNorm(hidden_size)
        self.query_key_value = nn.Linear(hidden_size, 3 * num_heads * head_dim, bias=False)
        self.attention_out = nn.Linear(num_heads * head_dim, hidden_size, bias=False)
        self.perceptron_norm = nn.RMSNorm(hidden_size)
        self.perceptron = nn.Sequential(
            nn.Linear(hidden_size, intermediate_size), nn.GELU(), nn.Linear(intermediate_size, hidden_size)
        )

    def project(self, hidden: Tensor) -> Tensor:
        """Queries, keys and values `(batch, positions, 3 * num_heads * head_dim)`."""
        return normalised_linear(self.attention_norm, self.query_key_value, hidden)

    def forward(self, hidden: Tensor, projected: Tensor, attention: Callable, wanted: Tensor | None = None) -> Tensor:
        """`hidden` `(batch, positions, hidden_size)`, projected, to the same shape, or to its flat rows `wanted`."""
        batch, positions, _ = hidden.shape
        query, key, value = projected.view(batch, positions, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        mixed, _ = attention(self, query, key, value, None, scaling=self.head_dim**-0.5)
        mixed = mixed.reshape(batch, positions, -1)
        if wanted is not None:
            # Its gradient takes less than a third of the time of that of an index in brackets.
            hidden, mixed = (tensor.flatten(0, 1).index_select(0, wanted) for tensor in (hidden, mixed))
        hidden = hidden + self.attention_out(mixed)
        first, activation, last = self.perceptron
        return hidden + last(activation(normalised_linear(self.perceptron_norm, first, hidden)))


class BidirectionalTransformer(nn.Module):
    """`(batch, num_positions, dim)` to the same shape, through `hidden_size` (NC-VQVAE, arXiv 2408.16613).

    It adds learned absolute positions scaled by `hidden_size ** -0.5`, beside those that the prior's embedding has.
    """

    def __init__(
        self,
        num_positions: int,
        dim: int,
        hidden_size: int,
        num_layers: int,
        num_heads: int,
        head_dim: int,
        intermediate_size: int,
    ):
        super().__init__()
        self.position_scale = hidden_size**-0.5
        self.project_in = nn.Linear(dim, hidden_size, bias=False)
        self.position_embedding = nn.Embedding(num_positions, hidden_size)
        self.layers = nn.ModuleList(
            TransformerLayer(hidden_size, num_heads, head_dim, intermediate_size) for _ in range(num_layers)
        )
        self.norm = nn.RMSNorm(hidden_size)
        self.project_out = nn.Linear(hidden_size, dim, bias=False)

    def enter(self, embedded: Tensor) -> tuple[Tensor, Tensor]:
        """What the first layer attends with: hidden states and their projection, at each position of its own alone."""
        hidden = self.project_in(embedded)
        hidden = hidden + (self.position_scale * self.position_embedding.weight).to(hidden.dtype)
        return hidden, self.layers[0].project(hidden)

    def forward(
        self, hidden: Tensor, projected: Tensor, attention: Callable = eager_attention, wanted: Tensor | None = None
    ) -> Tensor:
        """What has entered to `(batch, num_positions, dim)`; with `wanted`, indices of `hidden.flatten(0, 1)`, only
        those rows are computed to the end and returned.
        """
        for layer, following in zip(self.layers[:-1], self.layers[1:], strict=True):
            hidden = layer(hidden, projected, attention)
            projected = following.project(hidden)
        hidden = self.layers[-1](hidden, projected, attention, wanted)
        return normalised_linear(self.norm, self.project_out, hidden)
