"""The network of the prior: a pre-norm transformer in which every position sees all others."""

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
    scores = query @ key.mT * scaling
    if attention_mask is not None:
        scores = scores + attention_mask
    weights = F.dropout(scores.softmax(-1, dtype=torch.float32).to(query.dtype), dropout, module.training)
    return (weights @ value).transpose(1, 2), weights


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

    def forward(self, hidden: Tensor, attention: Callable) -> Tensor:
        batch, positions, _ = hidden.shape
        projected = self.query_key_value(self.attention_norm(hidden)).view(batch, positions, 3, self.num_heads, -1)
        query, key, value = projected.permute(2, 0, 3, 1, 4)  # each (batch, heads, positions, head_dim)
        mixed, _ = attention(self, query, key, value, None, scaling=self.head_dim**-0.5)
        hidden = hidden + self.attention_out(mixed.reshape(batch, positions, -1))
        return hidden + self.perceptron(self.perceptron_norm(hidden))


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

    def forward(self, embedded: Tensor, attention: Callable = eager_attention) -> Tensor:
        hidden = self.project_in(embedded) + self.position_scale * self.position_embedding.weight
        for layer in self.layers:
            hidden = layer(hidden, attention)
        return self.project_out(self.norm(hidden))
