"""Importing the package is light, and makes its models known to transformers in whatever order things are imported."""

from pathlib import Path

import pytest

import ncvqvae
from helpers.processes import in_a_fresh_process


def run(script, *arguments):
    done = in_a_fresh_process(script, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def folder(model, tmp_path):
    model.save_pretrained(tmp_path / "tiny")
    return tmp_path / "tiny"


def test_importing_the_package_imports_neither_torch_nor_transformers():
    run("""
import sys, ncvqvae
assert not {"torch", "transformers", "datasets", "gradio", "matplotlib"} & set(sys.modules)
assert "NCVQVAEModel" in dir(ncvqvae) and ncvqvae.__version__
""")


def test_all_public_names_are_there_and_no_others():
    assert all(getattr(ncvqvae, name).__name__ == name for name in ncvqvae.__all__)
    with pytest.raises(AttributeError, match="module 'ncvqvae' has no attribute 'Nonsense'"):
        ncvqvae.Nonsense  # noqa: B018


@pytest.mark.slow
@pytest.mark.parametrize(
    "imports",
    [
        "import ncvqvae; from transformers import AutoModel",
        "from transformers import AutoModel; import ncvqvae",
        "import ncvqvae; from transformers import PreTrainedModel, AutoConfig, AutoModel",
        "from transformers import pipeline; import ncvqvae; from transformers import AutoModel",
    ],
)
def test_auto_model_knows_the_models_in_whatever_order_things_are_imported(folder, imports):
    said = run(f"import sys; {imports}; print(type(AutoModel.from_pretrained(sys.argv[1])))", folder)
    assert said == "<class 'ncvqvae.models.modeling_maskgit.MaskGITForTimeSeriesGeneration'>\n"


@pytest.mark.slow
def test_the_models_are_known_where_their_import_is_what_imports_the_registry():
    """They import transformers' layers, which import the registry, upon which the models are imported."""
    first = ["ncvqvae.models.bidirectional_transformer", "ncvqvae.MaskGITForTimeSeriesGeneration"]
    first.append("transformers.modeling_layers")  # as every model of transformers does
    script = """
import os, sys, ncvqvae, transformers.modeling_utils
for name in sys.argv[1:]:
    assert not {"transformers.modeling_layers", "transformers.models.auto.modeling_auto"} & set(sys.modules)
    if os.fork() == 0:
        package, _, last = name.rpartition(".")
        exec(f"from {package} import {last}")
        from transformers import AutoModel, AutoModelForPreTraining
        from ncvqvae import MaskGITConfig, NCVQVAEConfig
        assert {MaskGITConfig, NCVQVAEConfig} <= set(AutoModel._model_mapping.keys())
        assert NCVQVAEConfig in AutoModelForPreTraining._model_mapping.keys()
        print(name, flush=True)
        os._exit(0)
    assert os.wait()[1] == 0, name
"""
    assert run(script, *first).split() == first


@pytest.mark.slow
def test_auto_config_and_the_pipeline_know_them_too(folder):
    said = run(
        "import sys, ncvqvae; from transformers import AutoConfig as a; print(type(a.from_pretrained(sys.argv[1])))",
        folder,
    )
    assert said == "<class 'ncvqvae.models.configuration_maskgit.MaskGITConfig'>\n"
    script = "import sys, ncvqvae; from transformers import pipeline; "
    script += "print(pipeline('time-series-generation', sys.argv[1])('up', seed=0))"
    assert "'label': 'up'" in run(script, folder)


@pytest.mark.slow
@pytest.mark.parametrize("name", {module: name for name, module in ncvqvae._MODULES.items()}.values())
def test_a_public_name_of_each_module_can_be_the_first_import(name):
    assert run(f"from ncvqvae import {name}; print({name}.__name__)") == f"{name}\n"


def test_transformers_own_modules_look_as_they_did():
    said = run(
        "import ncvqvae; from transformers.models.auto import modeling_auto as m; print(m.__spec__.loader, m.__file__)"
    )
    assert "SourceFileLoader" in said and Path(said.split()[-1]).name == "modeling_auto.py"
