"""transformers' `Trainer` on our models as on any other, and what it uses of PyTorch to train."""

import re
import sys
from copy import deepcopy

import pytest
import torch
from torch.nn.parallel import replicate
from transformers import Trainer, TrainingArguments

from helpers.places import MODEL_CARDS, ROOT
from helpers.tensors import assert_same
from helpers.tiny import ANY_LENGTH, FROM_BASE, TINY, TINY_PRIOR
from ncvqvae import MaskGITConfig, MaskGITForTimeSeriesGeneration, NCVQVAEConfig, NCVQVAEForPreTraining, load_series


STAGES = ("thesis' tokenizer", "base's tokenizer", "thesis' prior", "prior from the base")


def untrained(stage):
    of_thesis, is_tokenizer = stage.startswith("thesis"), stage.endswith("tokenizer")
    sizes = TINY if of_thesis else ANY_LENGTH | {"length": 40}
    torch.manual_seed(0)
    if is_tokenizer:
        return NCVQVAEForPreTraining(NCVQVAEConfig(**sizes))
    kind = {} if of_thesis else FROM_BASE | {"knows_strength": True}
    return MaskGITForTimeSeriesGeneration(MaskGITConfig(tokenizer_config=sizes, **TINY_PRIOR, **kind))


def rows(stage, count=16):
    """As `load_ucr` has them, with the second view that the tokenizer's training needs, and an unknown column."""
    generator = torch.Generator().manual_seed(1)
    found = []
    for index in range(count):
        values = torch.randn(1, 40, generator=generator).cumsum(-1)
        found.append({"values": values, "label": index % 2, "recorded_at": index})
        if stage.endswith("tokenizer"):
            found[-1]["augmented_values"] = 1.1 * values
    return found


def trainer(model, stage, folder, data=None, **arguments):
    defaults = {"report_to": [], "use_cpu": True, "disable_tqdm": True, "learning_rate": 1e-2, "logging_steps": 1}
    defaults |= {"per_device_train_batch_size": 8, "max_steps": 6}
    options = TrainingArguments(folder, **defaults | arguments)
    return Trainer(model, options, train_dataset=data or rows(stage), eval_dataset=data or rows(stage))


@pytest.mark.parametrize("stage", STAGES)
def test_it_trains_evaluates_keeps_the_best_and_resumes_to_the_same_weights(stage, tmp_path):
    every = {"eval_strategy": "steps", "eval_steps": 3, "save_steps": 3, "load_best_model_at_end": True}
    whole, resumed = untrained(stage), untrained(stage)
    before = deepcopy(whole.state_dict())
    done = trainer(whole, stage, tmp_path / "whole", **every)
    done.train()
    told = [entry["eval_loss"] for entry in done.state.log_history if "eval_loss" in entry]
    assert len(told) == 2 and done.state.best_metric == min(told)
    assert any(not torch.equal(tensor, before[name]) for name, tensor in whole.state_dict().items())

    trainer(resumed, stage, tmp_path / "resumed", **every).train(str(tmp_path / "whole" / "checkpoint-3"))
    assert_same(resumed.state_dict(), whole.state_dict())
    again = type(whole).from_pretrained(tmp_path / "whole" / f"checkpoint-{done.state.best_global_step}")
    assert_same(again.state_dict(), whole.state_dict())


@pytest.mark.parametrize("stage", STAGES)
def test_it_predicts_and_hands_what_is_predicted_to_the_metrics(stage, tmp_path):
    told = []
    done = trainer(untrained(stage), stage, tmp_path)
    done.compute_metrics = lambda prediction: told.append(prediction) or {"rows": len(told)}
    assert done.evaluate()["eval_rows"] == 1
    assert isinstance(told[0].predictions, tuple)
    assert len(told[0].label_ids) == (0 if stage.endswith("tokenizer") else 16)


def test_a_prior_without_labels_is_evaluated_when_told_that_there_are_none(tmp_path):
    data = [{"values": row["values"]} for row in rows("prior")]
    done = trainer(untrained("thesis' prior"), "prior", tmp_path, data, label_names=[])
    assert done.evaluate()["eval_loss"] > 0


@pytest.mark.parametrize("stage", ["thesis' tokenizer", "thesis' prior"])
def test_accumulated_batches_count_as_one_of_their_size(stage, tmp_path):
    """A forward with **kwargs is taken for one that divides its loss by the number of batches."""

    def first_loss(**arguments):
        done = trainer(untrained(stage), stage, tmp_path, max_steps=1, learning_rate=0.0, **arguments)
        done.train()
        return done.state.log_history[0]["loss"]

    whole = first_loss()
    parts = first_loss(per_device_train_batch_size=4, gradient_accumulation_steps=2)
    assert parts == pytest.approx(whole, rel=0.3)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("reentrant", [False, True])
def test_activation_checkpoints_change_no_gradient_and_no_running_statistic(stage, reentrant):
    plain, frugal = untrained(stage).train(), untrained(stage).train()
    frugal.gradient_checkpointing_enable({"use_reentrant": reentrant})
    batch = {name: torch.stack([row[name] for row in rows(stage)]) for name in rows(stage)[0] if "values" in name}
    kept = []  # numbers, for the backward pass
    for model in (plain, frugal):
        kept.append(0)

        def keep(tensor):
            kept[-1] += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = model(**batch, generator=torch.Generator().manual_seed(3)).loss
        loss.backward()
    assert kept[1] < 0.9 * kept[0]
    assert_same(frugal.state_dict(), plain.state_dict())
    expected = {name: weight.grad for name, weight in plain.named_parameters() if weight.grad is not None}
    found = {name: weight.grad for name, weight in frugal.named_parameters() if weight.grad is not None}
    assert found.keys() == expected.keys() and len(found) > 10
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, msg=lambda told, name=name: f"{name}: {told}")


@pytest.mark.parametrize("stage", STAGES)
def test_it_checkpoints_activations_when_asked(stage, tmp_path):
    done = trainer(untrained(stage), stage, tmp_path, max_steps=2, gradient_checkpointing=True)
    done.train()
    assert done.state.global_step == 2


@pytest.mark.parametrize("stage", STAGES)
def test_replicas_of_data_parallel_which_have_no_parameters_give_the_same_loss_and_gradients(stage, monkeypatch):
    monkeypatch.setattr(  # it broadcasts between GPUs alone
        sys.modules[replicate.__module__],
        "_broadcast_coalesced_reshape",
        lambda tensors, devices, detach=False: [[tensor.clone() for tensor in tensors] for _ in devices],
    )
    batch = {name: torch.stack([row[name] for row in rows(stage)]) for name in rows(stage)[0] if "values" in name}
    for train in (False, True):
        model, results = untrained(stage).train(train), []
        replicas = replicate(model, [0, 1])
        assert not any(list(one.parameters()) for one in replicas)
        for one in (*replicas, model):
            model.zero_grad()
            loss = one(**batch, generator=torch.Generator().manual_seed(3)).loss
            loss.backward()
            gradients = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
            results.append({"loss": loss.detach(), **{name: gradient.clone() for name, gradient in gradients.items()}})
        assert len(results[2]) > 10
        for found in results[:2]:
            torch.testing.assert_close(found, results[2])


def test_the_examples_of_the_readme_run_as_written(tmp_path, monkeypatch):
    text = (ROOT / "README.md").read_text()
    blocks = [one for one in re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE) if "Trainer(" in one]
    assert len(blocks) == 2 and all("max_steps=500" in block for block in blocks)
    (tmp_path / "ncvqvae-gunPoint").symlink_to(MODEL_CARDS / "ncvqvae-gunPoint")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "logs"))
    dataset = load_series(torch.randn(12, 150).cumsum(-1), labels=["run", "sit", "walk"] * 4)
    for block in blocks:
        names = {"dataset": dataset if "id2label" in block else load_series(torch.randn(8, 150), labels=[0, 1] * 4)}
        exec(block.replace("max_steps=500", "max_steps=2, use_cpu=True, report_to=[]"), names)
    mine = MaskGITForTimeSeriesGeneration.from_pretrained("ncvqvae-mine")
    assert mine.config.id2label == {0: "run", 1: "sit", 2: "walk"} and mine.generate(3, "walk").shape == (3, 1, 150)
    adapted, again = names["adapted"].eval(), MaskGITForTimeSeriesGeneration.from_pretrained("adapter")
    drawn = [model.generate(2, generator=torch.Generator().manual_seed(0)) for model in (adapted, again)]
    assert torch.equal(*drawn)
