"""Registers models and pipeline with transformers when its registries are imported, and not before.

transformers has no entry points: an extension must call its registries. Importing them, with the classes that they
register, takes seconds. So `import ncvqvae` only installs an import hook, which registers the package later.
"""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
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


def _register_pipeline(_: ModuleType) -> None:
    # The module registers itself in its last line. If it is what imports transformers.pipelines, that line runs later.
    import_module(".pipeline", __package__)


_REGISTRIES = {
    "transformers.models.auto.configuration_auto": _register_configs,
    "transformers.models.auto.modeling_auto": _register_models,
    "transformers.pipelines": _register_pipeline,
}


def register_when_imported() -> None:
    """Registers with the registries that are already imported, and with the others once they are imported."""
    sys.meta_path.insert(0, _Finder())
    for name, register in _REGISTRIES.items():
        if name in sys.modules:
            register(sys.modules[name])


class _Finder(MetaPathFinder):
    """Finds the registries where Python finds them, and gives them a loader that then registers the package."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name in _REGISTRIES else None
        if spec is not None:
            spec.loader = _Loader(spec.loader, _REGISTRIES[name])
        return spec


class _Loader(Loader):
    def __init__(self, loader: Loader, then: Callable[[ModuleType], None]):
        self.loader, self.then = loader, then

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__.loader = module.__loader__ = self.loader  # so that the module shows its own loader
        self.loader.exec_module(module)
        self.then(module)
