"""PEFT, on every layer that it knows."""

from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn

from .outputs import Load, assert_computes, assert_computes_another, expected_of, layers, loss_of, seed


def adaptable(model) -> list[str]:
    """PEFT takes no transposed convolutions, and merges no grouped ones."""
    names = layers(model, nn.Linear, nn.Conv2d, nn.Embedding)
    return [name for name in names if getattr(model.get_submodule(name), "groups", 1) == 1]


def adapted(model, draw: bool = False, **fields):
    """A model with adapters, which change nothing unless they are drawn."""
    found = get_peft_model(model, LoraConfig(**{"target_modules": adaptable(model), "r": 2} | fields)).eval()
    for name, weight in found.named_parameters():
        if draw and ("lora_" in name or "modules_to_save" in name):
            weight.data += 0.1 * torch.randn(weight.shape, generator=seed())
    return found


def without_gradient(model, *parts: str) -> list[str]:
    """Which parameters have none, of those whose names hold one of `parts`."""
    found = {name: one.grad for name, one in model.named_parameters() if any(part in name for part in parts)}
    assert found
    # Noise is for who asks for it. A bias of the keys cancels in the softmax.
    expected = {name: one for name, one in found.items() if "noise" not in name and not name.endswith("key.bias")}
    return [name for name, gradient in expected.items() if gradient is None or not gradient.any()]


def an_adapter_on_each_layer_gets_a_gradient(folder: Path, load: Load, work: Path):
    model = adapted(load(folder))
    assert len([name for name, _ in model.named_parameters() if "lora_" in name]) == 2 * len(adaptable(load(folder)))
    loss_of(model).backward()
    # Gradients of the other halves are products with these, which begin at zero.
    assert not (silent := without_gradient(model, "lora_B.", "lora_embedding_A.")), f"no gradient: {silent}"


def adapters_are_saved_loaded_and_merged(folder: Path, load: Load, work: Path):
    model = adapted(load(folder), draw=True)
    assert_computes_another(model, expected_of(load(folder)))
    expected = expected_of(model)
    model.save_pretrained(work / "adapter")
    again = PeftModel.from_pretrained(load(folder), work / "adapter").eval()
    own_class = type(again.get_base_model())
    for loaded in (again, load(work / "adapter"), own_class.from_pretrained(work / "adapter")):
        assert_computes(loaded, expected)
    merged = model.merge_and_unload()
    assert type(merged) is own_class and not [name for name, _ in merged.named_modules() if "lora" in name]
    expected.pop("drawn", None)  # where rounding decides a code, others follow
    assert_computes(merged, expected)
    merged.save_pretrained(work / "merged")
    assert_computes(load(work / "merged"), expected)


def around(model, target: str) -> list[str]:
    """The largest modules that hold others, but not `target`. Lists are not called.

    PEFT would take two modules where the name of one ends with the other's.
    """
    names = target.split(".")
    above, found = {".".join(names[:depth]) for depth in range(len(names) + 1)}, []
    for name, one in model.named_modules():
        whole = any(True for _ in one.children()) and not isinstance(one, nn.ModuleList)
        if name.rpartition(".")[0] in above and name not in above and whole:
            found.append(name)
    return [one for one in found if sum(name.endswith(one) for name, _ in model.named_modules()) == 1]


def modules_to_save_stand_in_the_place_of_each_module(folder: Path, load: Load, work: Path):
    model = load(folder)
    expected, every = expected_of(model), adaptable(model)
    target = "label_embedding" if "label_embedding" in every else every[-1]
    norms = [name for name, one in model.named_modules() if "Norm" in type(one).__name__]
    leaves = [name for name in (*every, *norms) if name != target]
    sequences = [name for name in layers(model, nn.Sequential) if not target.startswith(f"{name}.")]
    for saved in (around(model, target), sequences, leaves):
        if not saved:
            continue
        fields = {"target_modules": [target], "modules_to_save": saved}
        unchanged = adapted(load(folder), **fields)
        for name, weight in unchanged.named_parameters():
            if "original_module" in name:
                weight.data.fill_(torch.nan)
        assert_computes(unchanged, expected)
        changed = adapted(load(folder), draw=True, **fields)
        loss_of(changed).backward()
        assert not (silent := without_gradient(changed, "modules_to_save")), f"no gradient: {silent}"
        changed.save_pretrained(work / "saved")
        assert_computes(load(work / "saved"), expected_of(changed))
