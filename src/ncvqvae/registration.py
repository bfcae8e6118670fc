"""Registers models and pipeline with transformers when its registries are imported, and not before.

transformers has no entry points: an extension must call its registries. Importing them, with the classes that they
register, takes seconds. So `import ncvqvae` only installs an import hook, which registers the package later.
"""

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


def _register_configs(auto: ModuleType) -> None:
    from .models.configuration_maskgit import MaskGITConfig
    from .models.configuration_ncvqvae import NCVQVAEConfig

    for config in (NCVQVAEConfig, MaskGITConfig):
        auto.AutoConfig.register(config.model_type, config)


def _register_models(auto: ModuleType) -> None:
    from .models.configuration_maskgit import MaskGITConfig
    from .models.configuration_ncvqvae import NCVQVAEConfig
    from .models.modeling_maskgit import MaskGITForTimeSeriesGeneration
    from .models.modeling_ncvqvae import NCVQVAEModel
    from .models.modeling_ncvqvae_pretraining import NCVQVAEForPreTraining

    auto.AutoModel.register(NCVQVAEConfig, NCVQVAEModel)
    auto.AutoModel.register(MaskGITConfig, MaskGITForTimeSeriesGeneration)
    auto.AutoModelForPreTraining.register(NCVQVAEConfig, NCVQVAEForPreTraining)


def _register_pipeline(pipelines: ModuleType) -> None:
    from transformers import AutoModel

    from .models.pipeline import TASK, TimeSeriesGenerationPipeline

    pipelines.PIPELINE_REGISTRY.register_pipeline(TASK, TimeSeriesGenerationPipeline, AutoModel, type="time")


_REGISTRIES = {
    "transformers.models.auto.configuration_auto": _register_configs,
    "transformers.models.auto.modeling_auto": _register_models,
    "transformers.pipelines": _register_pipeline,
}
# Each imports a registry before it is whole, and registering imports it: the layers' base class, and our own models,
# which have it.
_BETWEEN = ("transformers.modeling_layers", f"{__package__}.models.")

_importing: list[str] = []
_waiting: list[str] = []  # registries that are imported, while one of the above is not


def register_when_imported() -> None:
    """Registers with the registries that are already imported, and with the others once they are imported."""
    sys.meta_path.insert(0, _Finder())
    _waiting.extend(name for name in _REGISTRIES if name in sys.modules)
    _register()


def _register() -> None:
    while _waiting and not _importing:
        name = _waiting.pop(0)
        _REGISTRIES[name](sys.modules[name])


class _Finder(MetaPathFinder):
    """Finds some modules as Python does, and gives them a loader that registers the package when they are there."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in _REGISTRIES and not name.startswith(_BETWEEN):
            return None
        found = (finder.find_spec(name, path, target) for finder in sys.meta_path if finder is not self)
        spec = next(filter(None, found), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(Loader):
    def __init__(self, loader: Loader):
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__
        module.__spec__.loader = module.__loader__ = self.loader  # so that the module shows its own loader
        _importing.append(name)
        try:
            self.loader.exec_module(module)
        finally:
            _importing.remove(name)
        if name in _REGISTRIES:
            _waiting.append(name)
        _register()
