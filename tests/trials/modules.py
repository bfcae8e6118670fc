"""Hooks, and other modules or weights in the place of a model's own."""

import copy
from pathlib import Path

import torch
from accelerate import cpu_offload, disk_offload
from torch import nn
from torch.nn.utils import parametrizations, prune

from .outputs import (
    Load,
    assert_computes,
    assert_computes_another,
    expected_of,
    is_ours,
    layers,
    loss_of,
    random_series,
)


def a_hook_on_each_module_is_called(folder: Path, load: Load, work: Path):
    model, called = load(folder), set()
    expected = expected_of(model)
    # Lists are not called, and noise is for who asks for it.
    names = {name for name, one in model.named_modules() if name and not isinstance(one, nn.ModuleList)}
    names -= {"noise", "tokenizer.noise"}
    for name in names:
        model.get_submodule(name).register_forward_hook(lambda *_, name=name: called.add(name))
    assert_computes(model, expected)
    if is_ours(model):
        model.reconstruct(random_series(model))
    assert called == names, f"not called: {names - called}"


def offloaded_weights_compute_the_same(folder: Path, load: Load, work: Path):
    model, cpu = load(folder), torch.device("cpu")
    expected, size = expected_of(model), sum(one.nbytes for one in model.parameters())
    parted = load(folder, device_map="auto", max_memory={"cpu": size // 2}, offload_folder=work / "parts")
    assert any(one.is_meta for one in parted.parameters())
    ways = cpu_offload(copy.deepcopy(model), cpu), disk_offload(copy.deepcopy(model), work / "all", cpu), parted
    for one in (*ways, load(folder, device_map="auto"), load(folder, device_map={"": "cpu"})):
        assert_computes(one, expected)


def quantized_layers_are_called(folder: Path, load: Load, work: Path):
    model, called = load(folder), set()
    expected, linear = expected_of(model), layers(model, nn.Linear)
    quantized = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)
    names = {id(quantized.get_submodule(name)): name for name in linear}
    kind = torch.ao.nn.quantized.dynamic.Linear
    plain = kind.forward
    try:  # no hook, for which a layer is called whose weights are else read
        kind.forward = lambda layer, hidden: called.add(names[id(layer)]) or plain(layer, hidden)
        found = expected_of(quantized)
    finally:
        kind.forward = plain
    assert called == set(linear), f"not called: {set(linear) - called}"
    for name in {"logits", "states"} & found.keys():
        error = (found[name] - expected[name]).norm() / expected[name].norm()
        assert 0 < error < 0.2, f"{name} are off by {error:.0%}"


def pruned_layers_compute_with_their_zeros_and_train(folder: Path, load: Load, work: Path):
    pruned, zeroed = load(folder), load(folder)
    pruned.requires_grad_()
    for name in layers(pruned):
        prune.l1_unstructured(pruned.get_submodule(name), "weight", amount=0.3)
        zeroed.get_submodule(name).weight.data.copy_(pruned.get_submodule(name).weight)
    assert_computes(pruned, expected_of(zeroed))
    for _ in range(2):  # a weight that is read belongs to the first graph, which is gone
        pruned.zero_grad()
        loss_of(pruned).backward()
    silent = [name for name in layers(pruned) if not pruned.get_submodule(name).weight_orig.grad.any()]
    assert not silent, f"no gradient: {silent}"


def parametrized_weights_are_computed(folder: Path, load: Load, work: Path):
    model = load(folder)
    expected = expected_of(model)
    for name in layers(model):
        parametrizations.weight_norm(model.get_submodule(name))
    assert_computes(model, expected)
    for name in layers(model):
        model.get_submodule(name).parametrizations.weight.original0.data.mul_(2)
    assert_computes_another(model, expected)
