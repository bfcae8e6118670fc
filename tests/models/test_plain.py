"""Weights of plain modules are read, which is faster; every other module is called."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from helpers.tiny import FROM_BASE, TINY, TINY_PRIOR
from ncvqvae import MaskGITConfig, MaskGITForTimeSeriesGeneration
from ncvqvae.models.cpu_kernels import RMSNorm
from ncvqvae.models.plain import all_plain, is_plain, vectors


READ = {"query_key_value", "perceptron.0", "project_out"}  # by `normalised_linear`
BATCH = 24  # more than the table of codes at each position has rows


@pytest.fixture(params=["thesis", "from the base"])
def prior(request):
    fields = FROM_BASE if request.param == "from the base" else {}
    return MaskGITForTimeSeriesGeneration(MaskGITConfig(tokenizer_config=TINY, **TINY_PRIOR, **fields)).eval()


def called_in_a_step(prior, monkeypatch):
    """The linear layers whose `forward` runs, and how many samples enter the transformer."""
    names, called, entered = {id(one): name for name, one in prior.named_modules()}, set(), []
    linear, layer_norm = nn.Linear.forward, nn.LayerNorm.forward

    def forward(layer, hidden):
        called.add(names[id(layer)])
        return linear(layer, hidden)

    def normalise(norm, hidden):
        entered.extend([len(hidden)] * (norm is prior.embedding_norm))
        return layer_norm(norm, hidden)

    with monkeypatch.context() as patched:
        patched.setattr(nn.Linear, "forward", forward)
        patched.setattr(nn.LayerNorm, "forward", normalise)
        prior(torch.randn(BATCH, 1, 40), torch.arange(BATCH) % 2)
    return called, entered


def test_plain_layers_are_read_and_what_enters_is_tabulated(prior, monkeypatch):
    called, entered = called_in_a_step(prior, monkeypatch)
    assert called and not [name for name in called if name.endswith(tuple(READ))]
    assert entered == [TINY["codebook_size"] + 1]


@pytest.mark.parametrize("name", ["label_embedding", "transformer.layers.1.query_key_value", "transformer.norm"])
def test_where_one_module_has_a_hook_all_that_it_concerns_is_called(prior, monkeypatch, name):
    prior.get_submodule(name).register_forward_hook(lambda *_: None)
    called, entered = called_in_a_step(prior, monkeypatch)
    wanted = {"transformer.norm": "transformer.project_out"}.get(name, name)
    assert wanted in called or name == "label_embedding"
    assert entered == [BATCH]


def hooked(register):
    layer = nn.Linear(3, 3)
    getattr(layer, register)(lambda *_: None)
    return layer


def with_a_forward_of_its_own():
    layer = nn.Linear(3, 3)
    layer.forward = lambda hidden: hidden
    return layer


def compiled():
    layer = nn.Linear(3, 3)
    layer.compile()
    return layer


def parametrized():
    layer = nn.Linear(3, 3)
    parametrize.register_parametrization(layer, "weight", nn.Identity())
    return layer


@pytest.mark.parametrize(
    "register", [f"register_{when}hook" for when in ("forward_", "forward_pre_", "full_backward_")]
)
def test_a_module_with_a_hook_is_not_plain(register):
    assert is_plain(nn.Linear(3, 3), nn.Linear) and not is_plain(hooked(register), nn.Linear)


@pytest.mark.parametrize("make", [with_a_forward_of_its_own, compiled, parametrized, lambda: RMSNorm(3)])
def test_a_module_that_computes_something_else_is_not_a_plain_linear_layer(make):
    assert not is_plain(make(), nn.Linear)


def test_a_hook_of_every_module_is_one_of_each():
    layer = nn.Linear(3, 3)
    handle = nn.modules.module.register_module_forward_hook(lambda *_: None)
    try:
        assert not is_plain(layer, nn.Linear)
    finally:
        handle.remove()
    assert is_plain(layer, nn.Linear)


def test_all_is_plain_where_each_module_is_of_pytorch_or_of_this_package(prior):
    assert all_plain(prior)
    prior.head[0] = type("Other", (nn.Linear,), {})(8, 8)
    assert not all_plain(prior)


def test_the_vectors_of_an_embedding_are_its_answers():
    embedding = nn.Embedding(4, 3)
    assert vectors(embedding, torch.device("cpu")) is embedding.weight
    embedding.register_forward_hook(lambda module, inputs, output: 2 * output)
    assert torch.equal(vectors(embedding, torch.device("cpu")), 2 * embedding.weight)
