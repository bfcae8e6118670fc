"""What people do to the modules of any model takes effect on these too: no fast path goes around a module."""

import copy

import pytest
import torch
from accelerate import cpu_offload, disk_offload
from peft import LoraConfig, get_peft_model
from torch import nn
from torch.nn.utils import prune


def layers(module, kind):
    return [name for name, one in module.named_modules() if type(one) is kind]


def loss_of(model):
    return model(torch.randn(4, 1, 40), labels=torch.tensor([0, 1, 0, 1]), return_loss=True).loss


def drawn(model):
    return model.generate(3, "up", precision="no", generator=torch.Generator().manual_seed(0))


def test_an_adapter_on_each_linear_layer_of_the_prior_gets_a_gradient(model):
    names = [name for name in layers(model, nn.Linear) if not name.startswith("tokenizer")]
    assert names
    adapted = get_peft_model(copy.deepcopy(model), LoraConfig(target_modules=names)).train()
    loss_of(adapted).backward()
    gradients = {name: one.grad for name, one in adapted.named_parameters() if "lora_B" in name}
    assert len(gradients) == len(names)
    assert not [name for name, gradient in gradients.items() if gradient is None or not gradient.any()]


def test_a_hook_on_each_linear_layer_of_the_prior_is_called(model):
    called, names = set(), [name for name in layers(model, nn.Linear) if not name.startswith("tokenizer")]
    for name in names:
        model.get_submodule(name).register_forward_hook(lambda *_, name=name: called.add(name))
    loss_of(model)
    assert called == set(names)


@pytest.mark.parametrize("moved", ["cpu", "disk"])
def test_offloaded_weights_give_the_same_series(model, moved, tmp_path):
    wanted, other = drawn(model), copy.deepcopy(model)
    if moved == "cpu":
        cpu_offload(other, torch.device("cpu"))
    else:
        disk_offload(other, tmp_path, torch.device("cpu"))
    torch.testing.assert_close(drawn(other), wanted)


def test_a_pruned_layer_changes_what_is_drawn_as_its_weights_set_to_zero_do(model):
    name = next(name for name in layers(model, nn.Linear) if not name.startswith("tokenizer"))
    pruned, zeroed = copy.deepcopy(model), copy.deepcopy(model)
    prune.l1_unstructured(pruned.get_submodule(name), "weight", amount=0.5)
    with torch.no_grad():
        layer = zeroed.get_submodule(name)
        layer.weight.copy_(pruned.get_submodule(name).weight)
    torch.testing.assert_close(drawn(pruned), drawn(zeroed))
