"""The network of the prior: a pre-norm transformer in which every position sees all others."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .cpu_kernels import normalised_linear


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
    # Contiguous, or each product would copy its inputs. The softmax in float32 is also the faster one.
    query, key, value = (tensor.contiguous() for tensor in (query, key, value))
    scores = query @ key.mT * scaling
    if attention_mask is not None:
        scores = scores + attention_mask
    weights = F.dropout(scores.softmax(-1, dtype=torch.float32).to(value.dtype), dropout, module.training)
    return (weights @ value).transpose(1, 2), weights


class TransformerLayer(nn.Module):
    """Pre-RMSNorm self-attention without biases, then a pre-RMSNorm perceptron with GELU."""

    is_causal = False  # transformers' attention functions read this

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

    def queries_keys_values(self, hidden: Tensor) -> Tensor:
        """The projection `(batch, positions, 3 * num_heads * head_dim)`, apart from `forward` to be tabulated."""
        return normalised_linear(self.attention_norm, self.query_key_value, hidden)

    def forward(self, hidden: Tensor, projected: Tensor, attention: Callable, wanted: Tensor | None = None) -> Tensor:
        """New hidden states from `hidden` `(batch, positions, hidden_size)` and its `projected` queries, keys, values.

        With `wanted`, only these rows of `hidden.flatten(0, 1)` are computed and returned.
        """
        batch, positions, _ = hidden.shape
        query, key, value = projected.view(batch, positions, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        mixed, _ = attention(self, query, key, value, None, scaling=self.head_dim**-0.5)
        mixed = mixed.reshape(batch, positions, -1)
        if wanted is not None:
            # The gradient of `index_select` takes a third of the time of an index in brackets.
            hidden, mixed = (tensor.flatten(0, 1).index_select(0, wanted) for tensor in (hidden, mixed))
        hidden = hidden + self.attention_out(mixed)
        first, activation, last = self.perceptron
        return hidden + last(activation(normalised_linear(self.perceptron_norm, first, hidden)))  # type: ignore


class BidirectionalTransformer(nn.Module):
    """Maps `(batch, num_positions, dim)` to the same shape, in layers of `hidden_size` (NC-VQVAE, arXiv 2408.16613).

    It adds learned absolute positions scaled by `hidden_size ** -0.5`, besides those of the prior's embedding.
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
        """Hidden states and the first layer's queries, keys and values. Position-wise, so they can be tabulated."""
        hidden = self.project_in(embedded)
        hidden = hidden + (self.position_scale * self.position_embedding.weight).to(hidden.dtype)
        return hidden, self.layers[0].queries_keys_values(hidden)  # type: ignore[operator]

    def forward(
        self, hidden: Tensor, projected: Tensor, attention: Callable = eager_attention, wanted: Tensor | None = None
    ) -> Tensor:
        """Maps the results of `enter` to `(batch, num_positions, dim)`.

        With `wanted`, only these rows of `hidden.flatten(0, 1)` leave the last layer: `(wanted, dim)`.
        """
        for layer, following in zip(self.layers[:-1], self.layers[1:], strict=True):
            hidden = layer(hidden, projected, attention)
            projected = following.queries_keys_values(hidden)  # type: ignore[operator]
        hidden = self.layers[-1](hidden, projected, attention, wanted)
        return normalised_linear(self.norm, self.project_out, hidden)
