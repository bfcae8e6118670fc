"""The one training loop of both stages, on Accelerate, with checkpoints that resume to the same result.

Every random draw of a step comes from generators that are seeded by (seed, stage, step), so a step is a function of
the state before it and its number: nothing else has to be saved to go on as if never stopped.
"""

import hashlib
import json
import logging
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from safetensors import SafetensorError
from torch import Tensor, nn
from tqdm.auto import tqdm

from .memory import keep_freed_memory
from .recipes import TrainingSettings
from .runs import process_state


logger = logging.getLogger(__name__)

LOG_STEPS = 10  # reading a loss waits for the device

Inputs = dict[str, Tensor]


@dataclass
class Stage:
    """What the loop needs to know of a stage.

    Args:
        name: of the stage, in folders and on the progress bar.
        num_series: size of the training split.
        inputs: the model's arguments for the series at given indices, drawn with the step's generator.
        evaluate: scores of the held-out series, by name; `None` where none are held out.
    """

    name: str
    num_series: int
    inputs: Callable[[Tensor, torch.Generator], Inputs]
    evaluate: Callable[[nn.Module], dict[str, float]] | None = None


@dataclass
class History:
    """What was measured: one row for each logged step, and one for each evaluation."""

    training: list[dict[str, float]] = field(default_factory=list)
    validation: list[dict[str, float]] = field(default_factory=list)


def fit(
    model: nn.Module,
    stage: Stage,
    settings: TrainingSettings,
    folder: Path,
    seed: int,
    resume: bool = False,
    report_to: str | None = None,
) -> History:
    """Trains `model` in place; checkpoints go to `folder / checkpoint-<step>`.

    Args:
        resume: go on from the newest whole checkpoint in `folder`, if there is one.
        report_to: tracker of Accelerate, by name.

    Raises:
        FloatingPointError: for a loss that is not finite.
    """
    accelerator = _accelerator(folder, report_to, stage.name)
    if accelerator.device.type == "cpu":
        keep_freed_memory()
    # The layout that convolutions compute in; in PyTorch's own one each would copy its weights and inputs.
    model.to(memory_format=torch.channels_last)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, settings.learning_rate, weight_decay=settings.weight_decay, fused=True)
    num_steps = settings.num_steps(stage.num_series)
    # Not prepared: Accelerate would step it once for each process.
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: (1 + math.cos(math.pi * step / num_steps)) / 2
    )
    wrapped, optimizer = accelerator.prepare(model, optimizer)
    accelerator.register_for_checkpointing(scheduler)
    checkpoints = Checkpoints(folder, settings.save_total_limit, accelerator)
    history = History()
    start = checkpoints.load(history) if resume else 0

    def evaluate(done: int) -> None:
        if stage.evaluate is None or not (done % settings.eval_steps == 0 or done == num_steps):
            return
        model.eval()
        scores = stage.evaluate(model) | {"step": done}
        model.train()
        history.validation.append(scores)
        accelerator.log({f"{stage.name}/validation_{key}": value for key, value in scores.items()}, step=done)

    batch_size = min(settings.batch_size, stage.num_series * settings.repeats)
    generator = torch.Generator(accelerator.device)
    model.train()
    if start:
        evaluate(start)  # a checkpoint is older than the evaluation of its step
    shown = accelerator.is_main_process
    bar = tqdm(total=num_steps, initial=start, desc=stage.name, unit="step", disable=None if shown else True)
    for step in range(start, num_steps):
        generator.manual_seed(derived_seed(seed, stage.name, step))
        indices = batch_indices(step, batch_size, stage.num_series, derived_seed(seed, stage.name, "order"))
        inputs = _share(stage.inputs(indices.to(accelerator.device), generator), accelerator)
        # Not Accelerate's own mixed precision, which is fixed for the life of the process.
        with torch.autocast(accelerator.device.type, torch.bfloat16, enabled=settings.precision == "bf16"):
            output = wrapped(**inputs, generator=generator)
        accelerator.backward(output.loss)
        if settings.max_grad_norm is not None:
            accelerator.clip_grad_norm_(parameters, settings.max_grad_norm)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()

        done = step + 1
        bar.update()
        saving = done % settings.save_steps == 0 or done == num_steps
        if done % LOG_STEPS == 0 or saving:
            row = _scalars(output, done) | {"learning_rate": scheduler.get_last_lr()[0]}
            if not math.isfinite(row["loss"]):
                raise FloatingPointError(
                    f"the loss of {stage.name} is {row['loss']} at step {done}; lower learning_rate"
                )
            history.training.append(row)
            accelerator.log({f"{stage.name}/{key}": value for key, value in row.items()}, step=done)
            bar.set_postfix(loss=f"{row['loss']:.3f}")
        if saving:  # before evaluating, which may fail
            checkpoints.save(done, history)
        evaluate(done)
    bar.close()
    for tracker in accelerator.trackers:  # not `end_training`, which would end the group of processes too
        tracker.finish()
    model.eval().to(
        memory_format=torch.contiguous_format
    )  # as a loaded model is, which shall compute bitwise the same
    return history


def _accelerator(folder: Path, report_to: str | None, name: str) -> Accelerator:
    # Every rank keeps the codebook itself, from statistics summed over all, so no rank's buffers overwrite another's.
    ddp = DistributedDataParallelKwargs(broadcast_buffers=False)
    process_state()  # before Accelerate decides by itself how many processes there are
    accelerator = Accelerator(log_with=report_to, project_dir=folder, kwargs_handlers=[ddp])
    if report_to is not None:
        if not accelerator.log_with:  # Accelerate would go on without a word
            raise ValueError(f"the tracker {report_to} is not installed: pip install {report_to}, or report_to=null")
        accelerator.init_trackers(f"ncvqvae-{name}")
    return accelerator


def _share(inputs: Inputs, accelerator: Accelerator) -> Inputs:
    """This process's part of a batch that all have drawn alike."""
    if accelerator.num_processes == 1:
        return inputs
    rank, world = accelerator.process_index, accelerator.num_processes
    return {name: tensor.tensor_split(world)[rank] for name, tensor in inputs.items()}


def _scalars(output: dict[str, Tensor], step: int) -> dict[str, float]:
    return {"step": step} | {name: value.item() for name, value in output.items() if value.ndim == 0}


def derived_seed(*parts: object) -> int:
    """A seed of its own for each combination of parts, the same on every machine."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()[:7])


def batch_indices(step: int, batch_size: int, num_series: int, seed: int) -> Tensor:
    """The series of a step: the next `batch_size` of an endless row of shuffled epochs, each its own permutation."""
    first, last = step * batch_size, (step + 1) * batch_size
    epochs = range(first // num_series, (last - 1) // num_series + 1)
    orders = [torch.randperm(num_series, generator=torch.Generator().manual_seed(seed + epoch)) for epoch in epochs]
    return torch.cat(orders)[first - epochs[0] * num_series :][:batch_size]


class Checkpoints:
    """The checkpoints of one stage in one folder. Each is written under another name and renamed when it is whole."""

    def __init__(self, folder: Path, total_limit: int, accelerator: Accelerator):
        self.folder, self.total_limit, self.accelerator = folder, total_limit, accelerator

    def whole(self) -> list[Path]:
        """All of them, oldest first."""
        return sorted(self.folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))

    def save(self, step: int, history: History) -> None:
        partial, final = self.folder / f"partial-checkpoint-{step}", self.folder / f"checkpoint-{step}"
        self.accelerator.save_state(str(partial))
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            state = {"step": step, "training": history.training, "validation": history.validation}
            (partial / "history.json").write_text(json.dumps(state))
            if final.exists():  # evaluated after it was saved, killed, and now here again
                shutil.rmtree(final)
            partial.rename(final)
            for path in self.whole()[: -self.total_limit]:
                shutil.rmtree(path)
        self.accelerator.wait_for_everyone()

    def load(self, history: History) -> int:
        """Restores the newest checkpoint that is whole, and the history; returns the steps done, 0 without one."""
        for path in reversed(self.whole()):
            try:
                self.accelerator.load_state(str(path))
                state = json.loads((path / "history.json").read_text())
            except (SafetensorError, OSError, ValueError, KeyError, EOFError, RuntimeError, UnpicklingError) as error:
                logger.warning("%s is damaged and left aside: %s", path, " ".join(str(error).split()))
                continue
            history.training, history.validation = state["training"], state["validation"]
            return state["step"]
        if self.whole():  # some of it may have been loaded, so there is no beginning to go back to
            raise ValueError(f"all checkpoints in {self.folder} are damaged; start again without resuming")
        return 0
