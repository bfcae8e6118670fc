"""Upper bounds of a configuration, far above what is of use: a file that asks for more is refused at once, in one line.

A model of many layers takes hours to build and one of many samples all memory, before anything is known to be wrong.
"""

from typing import Any

from transformers import PreTrainedConfig


# By the names of the fields, nested ones alike: the most that each may be.
MOST = {
    "length": 2**22,
    "working_length": 2**22,
    "num_channels": 2**16,
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
# Of transformers' own; a name beside these would be looked up on the Hub, and its code run.
ATTENTIONS = (None, "eager", "sdpa", "flex_attention")
# Keys that make transformers load something else than these weights into this model.
REFUSED = ("transformers_weights", "configuration_files", "fusion_config", "per_layer_config")


def check_sizes(config: PreTrainedConfig, more: dict[str, Any]) -> None:
    """Raises `ValueError` for a number in `config`, or among the keys that are no fields of it, that is above `MOST`.

    It comes before anything is made from these numbers.
    """
    for name, most in MOST.items():
        found = more[name] if name in more else config.__dict__.get(name)
        if isinstance(found, int | float) and not found <= most:
            raise ValueError(f"{name} must be at most {most}, found {found}")
    for name, most in (("id2label", MOST["num_labels"]), ("sets", MOST_SETS)):
        found = config.__dict__.get(name)
        if isinstance(found, dict | list | tuple) and len(found) > most:
            raise ValueError(f"{name} must have at most {most} entries, found {len(found)}")
    if refused := [name for name in REFUSED if more.get(name) is not None]:
        raise ValueError(f"a checkpoint of ncvqvae has no {refused[0]} in its configuration; remove it")


def check_attention(config: PreTrainedConfig) -> None:
    """Raises `ValueError` for an attention that is not one of `ATTENTIONS`."""
    found = config._attn_implementation
    if found not in ATTENTIONS:
        raise ValueError(f"attn_implementation must be one of {', '.join(filter(None, ATTENTIONS))}, found {found!r}")
