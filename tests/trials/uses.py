"""Training, other classes, and what forward returns."""

import copy
from pathlib import Path

import torch
from torch.testing import assert_close
from transformers import Trainer, TrainingArguments

from .outputs import Load, inputs, is_prior, random_series, seed


def a_trainer_evaluates_in_bfloat16_and_trains(folder: Path, load: Load, work: Path):
    model = load(folder)
    if not is_prior(model):  # no loss
        return
    rows = [{"values": one, "label": index % 2} for index, one in enumerate(random_series(model, 8))]
    settings = {"max_steps": 2, "use_cpu": True, "report_to": [], "disable_tqdm": True, "learning_rate": 1e-2}
    options = TrainingArguments(str(work / "run"), bf16_full_eval=True, save_strategy="no", **settings)
    trainer = Trainer(model, options, train_dataset=rows, eval_dataset=rows)
    assert trainer.evaluate()["eval_loss"] > 0 and model.dtype == torch.bfloat16
    assert model.generate(2, generator=seed()).isfinite().all()
    before = copy.deepcopy(model.state_dict())
    trainer.train()
    assert any(not torch.equal(one, before[name]) for name, one in model.state_dict().items())


def other_classes_are_all_drawn(folder: Path, load: Load, work: Path):
    if not is_prior(load(folder)):
        return
    for given in ({"num_labels": 3}, {"id2label": {0: "a", 1: "b", 2: "c"}}):
        model = load(folder, ignore_mismatched_sizes=True, **given)
        assert_close(model.config.label_shares, 3 * [1 / 3])
        drawn = model.generate(60, num_steps=1, generator=seed(), return_labels=True).labels
        assert set(drawn.tolist()) == {0, 1, 2}


@torch.no_grad()
def outputs_come_as_a_tuple_when_asked(folder: Path, load: Load, work: Path):
    model = load(folder)
    whole, parts = model(**inputs(model)), model(**inputs(model), return_dict=False)
    assert type(parts) is tuple and not isinstance(whole, tuple)
    assert_close(parts, whole.to_tuple())
