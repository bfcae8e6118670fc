"""NC-VQVAE on the Hugging Face stack: tokenize, embed and generate time series.

Importing the package registers its models for `AutoModel.from_pretrained`, and the task "time-series-generation" for
`pipeline`. PyTorch and transformers are imported only when they are used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from .registration import register_when_imported


if TYPE_CHECKING:
    from .data.own_series import describe, load_series
    from .data.ucr import load_ucr
    from .evaluation.evaluator import evaluate
    from .models.configuration_maskgit import MaskGITConfig
    from .models.configuration_ncvqvae import NCVQVAEConfig
    from .models.modeling_maskgit import MaskGITForTimeSeriesGeneration
    from .models.modeling_ncvqvae import NCVQVAEModel
    from .models.modeling_ncvqvae_pretraining import NCVQVAEForPreTraining
    from .models.pipeline import TimeSeriesGenerationPipeline
    from .training.estimators import Augmenter, ClassBalancer, TimeSeriesFeatures
    from .training.finetuning import Start
    from .training.recipes import load_recipe
    from .training.stages import train


__version__ = "0.1.0"
__all__ = [
    "Augmenter",
    "ClassBalancer",
    "MaskGITConfig",
    "MaskGITForTimeSeriesGeneration",
    "NCVQVAEConfig",
    "NCVQVAEForPreTraining",
    "NCVQVAEModel",
    "Start",
    "TimeSeriesFeatures",
    "TimeSeriesGenerationPipeline",
    "describe",
    "evaluate",
    "load_checkpoint",
    "load_recipe",
    "load_series",
    "load_ucr",
    "train",
]

_MODULES = {
    "Augmenter": "training.estimators",
    "ClassBalancer": "training.estimators",
    "MaskGITConfig": "models.configuration_maskgit",
    "MaskGITForTimeSeriesGeneration": "models.modeling_maskgit",
    "NCVQVAEConfig": "models.configuration_ncvqvae",
    "NCVQVAEForPreTraining": "models.modeling_ncvqvae_pretraining",
    "NCVQVAEModel": "models.modeling_ncvqvae",
    "Start": "training.finetuning",
    "TimeSeriesFeatures": "training.estimators",
    "TimeSeriesGenerationPipeline": "models.pipeline",
    "describe": "data.own_series",
    "evaluate": "evaluation.evaluator",
    "load_checkpoint": "inference",
    "load_recipe": "training.recipes",
    "load_series": "data.own_series",
    "load_ucr": "data.ucr",
    "train": "training.stages",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULES])


register_when_imported()
