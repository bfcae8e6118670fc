"""NC-VQVAE on the Hugging Face stack: tokenize, embed and generate time series.

Importing the package makes its models known to transformers, so that `AutoModel.from_pretrained` finds them, and the
task "time-series-generation" of `pipeline`. Neither PyTorch nor transformers is imported before it is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from .registration import register_when_imported


if TYPE_CHECKING:
    from .configuration_maskgit import MaskGITConfig
    from .configuration_ncvqvae import NCVQVAEConfig
    from .modeling_maskgit import MaskGITForTimeSeriesGeneration
    from .modeling_ncvqvae import NCVQVAEModel
    from .modeling_ncvqvae_pretraining import NCVQVAEForPreTraining
    from .pipeline import TimeSeriesGenerationPipeline


__version__ = "0.1.0"
__all__ = [
    "MaskGITConfig",
    "MaskGITForTimeSeriesGeneration",
    "NCVQVAEConfig",
    "NCVQVAEForPreTraining",
    "NCVQVAEModel",
    "TimeSeriesGenerationPipeline",
]

_MODULES = {
    "MaskGITConfig": "configuration_maskgit",
    "MaskGITForTimeSeriesGeneration": "modeling_maskgit",
    "NCVQVAEConfig": "configuration_ncvqvae",
    "NCVQVAEForPreTraining": "modeling_ncvqvae_pretraining",
    "NCVQVAEModel": "modeling_ncvqvae",
    "TimeSeriesGenerationPipeline": "pipeline",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULES])


register_when_imported()
