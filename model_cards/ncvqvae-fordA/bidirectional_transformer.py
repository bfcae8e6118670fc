"""The network of the prior: a pre-norm transformer in which every position sees all others."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.modeling_layers import GradientCheckpointingLayer

from .cpu_kernels import RMSNorm, normalised_linear, root_mean_square_norm
from .plain import is_plain, vectors


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
    digits = torch.promote_types(query.dtype, torch.float32)
    query, key, value = (tensor.contiguous() for tensor in (query, key, value))
    scores = query @ key.mT * scaling
    if attention_mask is not None:
        scores = scores + attention_mask
    weights = F.dropout(scores.softmax(-1, dtype=digits).to(value.dtype), dropout, module.training)
    return (weights @ value).transpose(1, 2), weights


def rotation(columns: int, rows: int, num_heads: int, head_dim: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and signed sines `(1 + rows * columns, num_heads * head_dim)` that rotate states by their column.

    Rotary positions (Su et al., arXiv 2104.09864), so that attention sees distances in time and knows any number of
    columns. The class, which comes first, is not rotated.
    """
    column = F.pad(torch.arange(columns, device=device).repeat(rows), (1, 0))
    frequency = 1000.0 ** -torch.linspace(0, 1, head_dim // 2, dtype=torch.float32, device=device)
    angle = (column[:, None] * frequency).repeat(1, 2)
    sign = torch.tensor([-1.0, 1.0], dtype=torch.float32, device=device).repeat_interleave(head_dim // 2)
    return angle.cos().repeat(1, num_heads), (sign * angle.sin()).repeat(1, num_heads)


def rotated(states: Tensor, cosines: Tensor, sines: Tensor, head_dim: int) -> Tensor:
    """States `(batch, positions, num_heads * head_dim)` at their positions; see `rotation`.

    Each head is a plane's first coordinates and then its second ones. The heads stay side by side: products over whole
    rows take half the time of those head by head.
    """
    turned = states.unflatten(-1, (-1, 2, head_dim // 2)).flip(-2).flatten(-3)
    return torch.addcmul(states * cosines.to(states.dtype), turned, sines.to(states.dtype))


class LocalMixing(GradientCheckpointingLayer):
    """Tells each code about its neighbours in time: RMS norm, a depthwise convolution in each row, GELU, a linear map.

    The class, which comes first, stays as it is.
    """

    def __init__(self, hidden_size: int, width: int):
        super().__init__()
        # Of two dimensions, since PyTorch's depthwise `Conv1d` takes 27 times as long on a CPU.
        self.convolution = nn.Conv2d(hidden_size, hidden_size, (1, width), padding=(0, width // 2), groups=hidden_size)
        self.linear = nn.Linear(hidden_size, hidden_size)

    def forward(self, hidden: Tensor, rows: int, valid: Tensor | None = None) -> Tensor:
        """New hidden states from `hidden` `(batch, 1 + rows * columns, hidden_size)`.

        Codes that are not `valid` `(batch, 1 + rows * columns)` count as the zeros beyond the end of a row.
        """
        label, codes = hidden.split([1, hidden.shape[1] - 1], 1)
        normed = root_mean_square_norm(codes)
        if valid is not None:
            normed = normed * valid[:, 1:, None]
        channels_last = normed.unflatten(1, (rows, -1)).permute(0, 3, 1, 2)
        mixed = self.convolution(channels_last).permute(0, 2, 3, 1).flatten(1, 2)
        return torch.cat((label, codes + self.linear(F.gelu(mixed))), 1)


class TransformerLayer(GradientCheckpointingLayer):
    """Pre-RMSNorm self-attention without biases, then a pre-RMSNorm perceptron with GELU.

    With `convolution_width`, `local` mixes neighbours before.
    """

    is_causal = False  # transformers' attention functions read this

    def __init__(
        self, hidden_size: int, num_heads: int, head_dim: int, intermediate_size: int, convolution_width: int = 0
    ):
        super().__init__()
        self.local = LocalMixing(hidden_size, convolution_width) if convolution_width else None
        self.num_heads, self.head_dim = num_heads, head_dim
        self.attention_norm = RMSNorm(hidden_size)
        self.query_key_value = nn.Linear(hidden_size, 3 * num_heads * head_dim, bias=False)
        self.attention_out = nn.Linear(num_heads * head_dim, hidden_size, bias=False)
        self.perceptron_norm = RMSNorm(hidden_size)
        self.perceptron = nn.Sequential(
            nn.Linear(hidden_size, intermediate_size), nn.GELU(), nn.Linear(intermediate_size, hidden_size)
        )

    def queries_keys_values(self, hidden: Tensor) -> Tensor:
        """The projection `(batch, positions, 3 * num_heads * head_dim)`, apart from `forward` to be tabulated."""
        return normalised_linear(self.attention_norm, self.query_key_value, hidden)

    def forward(
        self,
        hidden: Tensor,
        projected: Tensor,
        attention: Callable,
        wanted: Tensor | None = None,
        rotation: tuple[Tensor, Tensor] | None = None,
        attention_mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """New hidden states from `hidden` `(batch, positions, hidden_size)` and its `projected` queries, keys, values.

        With `wanted`, only these rows of `hidden.flatten(0, 1)` are computed and returned. With them come the weights
        of the attention, where it tells them.
        """
        batch, positions, _ = hidden.shape
        parts = projected.chunk(3, -1)
        if rotation is not None:
            parts = *(rotated(part, *rotation, self.head_dim) for part in parts[:2]), parts[2]
        query, key, value = (part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for part in parts)
        mixed, weights = attention(self, query, key, value, attention_mask, scaling=self.head_dim**-0.5)
        mixed = mixed.reshape(batch, positions, -1)
        if wanted is not None:
            # The gradient of `index_select` takes a third of the time of an index in brackets.
            hidden, mixed = (tensor.flatten(0, 1).index_select(0, wanted) for tensor in (hidden, mixed))
        hidden = hidden + self.attention_out(mixed)
        return hidden + self._perceive(hidden), weights

    def _perceive(self, hidden: Tensor) -> Tensor:
        if not is_plain(self.perceptron, nn.Sequential):
            return self.perceptron(self.perceptron_norm(hidden))
        first, activation, last = self.perceptron
        return last(activation(normalised_linear(self.perceptron_norm, first, hidden)))


class BidirectionalTransformer(nn.Module):
    """Maps a class and codes `(batch, 1 + rows * columns, dim)` to the same shape (NC-VQVAE, arXiv 2408.16613).

    It adds learned absolute positions scaled by `hidden_size ** -0.5`, besides those of the prior's embedding. With
    `rotary`, attention sees distances in time instead, and what is learned is one vector for each row of the grid.

    Args:
        grid: `(rows, columns)` of the codes; columns go on in time. With `rotary` any number of columns will do.
        dim, hidden_size: sizes of what comes in and goes out, and of the layers.
        convolution_width: codes that the depthwise convolution of each layer sees; 0 means none.
    """

    def __init__(
        self,
        grid: tuple[int, int],
        dim: int,
        hidden_size: int,
        num_layers: int,
        num_heads: int,
        head_dim: int,
        intermediate_size: int,
        convolution_width: int = 0,
        rotary: bool = False,
    ):
        super().__init__()
        self.rows, self.rotary = grid[0], rotary
        self.position_scale = hidden_size**-0.5
        self.project_in = nn.Linear(dim, hidden_size, bias=False)
        self.position_embedding = nn.Embedding(1 + (grid[0] if rotary else grid[0] * grid[1]), hidden_size)
        sizes = hidden_size, num_heads, head_dim, intermediate_size, convolution_width
        self.layers = nn.ModuleList(TransformerLayer(*sizes) for _ in range(num_layers))
        self.norm = RMSNorm(hidden_size)
        self.project_out = nn.Linear(hidden_size, dim, bias=False)

    def enter(self, embedded: Tensor) -> tuple[Tensor, ...]:
        """Hidden states and the first layer's queries, keys and values. Position-wise, so they can be tabulated.

        With convolutions, which are not, the hidden states alone.
        """
        hidden, positions = self.project_in(embedded), vectors(self.position_embedding, embedded.device)
        if self.rotary:
            columns = (embedded.shape[1] - 1) // self.rows
            positions = torch.cat((positions[:1], positions[1:].repeat_interleave(columns, 0)))
        hidden = hidden + (self.position_scale * positions).to(hidden.dtype)
        return (hidden,) if self.layers[0].local is not None else (hidden, self._projected(0, hidden)[1])

    def _projected(self, index: int, hidden: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Hidden states with the neighbours mixed in, and their queries, keys and values."""
        layer = self.layers[index]
        if layer.local is not None:
            hidden = layer.local(hidden, self.rows, valid)  # type: ignore[operator]
        return hidden, layer.queries_keys_values(hidden)  # type: ignore[operator]

    def forward(
        self,
        *entered: Tensor,
        attention: Callable = eager_attention,
        wanted: Tensor | None = None,
        valid: Tensor | None = None,
    ) -> Tensor:
        """Maps the results of `enter` to `(batch, num_positions, dim)`.

        With `wanted`, only these rows of `hidden.flatten(0, 1)` leave the last layer: `(wanted, dim)`. Positions that
        are not `valid` `(batch, num_positions)` are seen by no other.
        """
        hidden, projected = entered if len(entered) == 2 else self._projected(0, entered[0], valid)
        mask = turns = None
        if self.rotary:
            columns = (hidden.shape[1] - 1) // self.rows
            first: Any = self.layers[0]
            turns = rotation(columns, self.rows, first.num_heads, first.head_dim, hidden.device)
        if valid is not None:
            mask = torch.zeros_like(valid, dtype=projected.dtype).masked_fill_(~valid, -torch.inf)[:, None, None]
        for index, layer in enumerate(self.layers):
            last = index + 1 == len(self.layers)
            hidden, _ = layer(hidden, projected, attention, wanted if last else None, turns, mask)
            if not last:
                hidden, projected = self._projected(index + 1, hidden, valid)
        return normalised_linear(self.norm, self.project_out, hidden)
