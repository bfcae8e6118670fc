"""Upper bounds of a configuration, far above what is of use: a file that asks for more is refused at once.

A model of many layers takes hours to build and one of many samples all memory, before anything is known to be wrong.
"""

import math
from collections.abc import Iterable, Mapping, Sized
from typing import Any

from transformers import PreTrainedConfig


# By the names of the fields, nested ones alike: the most that each may be.
MOST = {
    "length": 2**24,
    "working_length": 2**24,
    "num_channels": 2**14,
    "n_fft": 2**12,
    "downsampled_width": 2**16,
    "num_halvings": 20,
    "dim": 2**14,
    "code_dim": 2**14,
    "num_residual_blocks": 256,
    "codebook_size": 2**20,
    "projector_dim": 2**16,
    "num_labels": 2**14,
    "convolution_width": 1025,
    "hidden_size": 2**14,
    "num_hidden_layers": 256,
    "num_attention_heads": 2**10,
    "head_dim": 2**12,
    "intermediate_size": 2**16,
    "sampling_steps": 2**12,
}
MOST_SETS = 2**10
MOST_ENTRIES = 2**14  # of a list or a table
# Of transformers' own; a name beside these would be looked up on the Hub, and its code run.
ATTENTIONS = (None, "eager", "sdpa", "flex_attention")
# Keys that make transformers load something else than these weights into this model.
REFUSED = (
    *("transformers_weights", "configuration_files", "fusion_config", "per_layer_config"),
    *("experts_implementation", "_experts_implementation"),
)
# The names that a class of configurations has, besides its fields, which a file may give too.
KNOWN = ("model_type", "num_labels", "name_or_path", "output_attentions", "torch_dtype", "_attn_implementation")


def check_sizes(given: Mapping[str, Any]) -> None:
    """Raises `ValueError` for a value that is above its bound, by the names of a configuration's fields and keys.

    It comes before anything is made from these values.
    """
    for name, value in given.items():
        most = MOST.get(name, math.inf)
        if isinstance(value, int | float) and value > most:
            raise ValueError(f"{name} must be at most {most}, found {value}")
        entries = MOST_SETS if name == "sets" else MOST_ENTRIES
        if isinstance(value, Sized) and not isinstance(value, str) and len(value) > entries:
            raise ValueError(f"{name} must have at most {entries} entries, found {len(value)}")
    if isinstance(nested := given.get("tokenizer_config"), dict):
        check_sizes(nested)


def check_keys(config: type[PreTrainedConfig], names: Iterable[str]) -> None:
    """Raises `ValueError` for keys that are no fields, and would change how a configuration or its model works."""
    for name in names:
        if name in REFUSED or (hasattr(config, name) and name not in KNOWN):
            raise ValueError(f"a configuration of ncvqvae may not set {name}; remove it")


def check_attention(config: PreTrainedConfig) -> None:
    """Raises `ValueError` for an attention that is not one of `ATTENTIONS`."""
    found = config._attn_implementation
    if found not in ATTENTIONS:
        raise ValueError(f"attn_implementation must be one of {', '.join(filter(None, ATTENTIONS))}, found {found!r}")
