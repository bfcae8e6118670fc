"""The one training loop of both stages, on Accelerate, with checkpoints that resume to the same result.

Every random draw of a step comes from generators that are seeded by (seed, stage, step), so a step depends only on its
number and on the state before it. So that state is all that a checkpoint must hold.
"""

import copy
import math
import sys
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor, nn

from ..models.distributed import num_processes, sum_over_processes
from ..models.precision import autocast
from ..runtime import deferred_interrupt, derived_seed, duration, keep_freed_memory, process_state
from .checkpoints import Checkpoints, History
from .progress import Progress
from .recipes import TrainingSettings
from .run_folder import Run
from .trackers import Tracker


LOG_STEPS = 10  # not every step, because reading a loss waits for the device
LEAST_TO_ANNOUNCE = 50  # steps; fewer are done before anyone has read how long they take

Inputs = dict[str, Tensor]


@dataclass
class Stage:
    """What the loop needs to know of a stage.

    Args:
        name: the stage's name, in folders and on the progress bar.
        num_series: size of the training split.
        inputs: the model's arguments for the series at given indices, drawn with the step's generator.
        evaluate: gives the scores of the held-out series, by name; `None` if no series are held out.
        draw: draws series of the model, as trained so far, into a file.
        frozen: parts of the model that stay in evaluation mode.
        smaller: the setting that makes the model smaller, named when memory runs out.
        after: how long what follows the stage takes, in steps, to be announced with it.
    """

    name: str
    num_series: int
    inputs: Callable[[Tensor, torch.Generator], Inputs]
    evaluate: Callable[[Any], dict[str, float]] | None = None
    draw: Callable[[Any, Path], None] | None = None
    frozen: Sequence[nn.Module] = ()
    smaller: str | None = None
    after: float = 0.0


def fit(model: nn.Module, stage: Stage, settings: TrainingSettings, run: Run) -> History:
    """Trains `model` in place; checkpoints go to `run.work_dir / stage.name / checkpoint-<step>`.

    With `run.resume`, training continues from the newest whole checkpoint there, if there is one.

    Raises:
        FloatingPointError: for a loss or a gradient that is not finite.
        KeyboardInterrupt: on Ctrl-C, SIGTERM or SIGHUP, after the step and a checkpoint of it.
        OSError: for a checkpoint that cannot be saved.
        RuntimeError: out of memory, with the setting to change.
    """
    loop = _Loop(model, stage, settings, run)
    try:
        with deferred_interrupt() as asked:
            loop.run(asked)
        if loop.is_asked(asked):  # a signal came after the last check, for example in the last evaluation
            loop.stop(loop.num_steps)
    except KeyboardInterrupt as interrupt:
        what = str(interrupt) or f"{stage.name} interrupted"
        raise KeyboardInterrupt(f"{what}; a training goes on with the same command and --resume") from None
    except (RuntimeError, MemoryError) as error:
        said = str(error)
        if not isinstance(error, MemoryError) and not any(sign in said for sign in ("out of memory", "t allocate")):
            raise
        hint = f"lower {stage.name}_training.batch_size (now {settings.batch_size})"
        hint += f", or {stage.smaller}" if stage.smaller else ""
        hint += f", or set {stage.name}_training.precision to bf16" if settings.precision == "no" else ""
        raise RuntimeError(f"out of memory in {stage.name}: {hint}") from error
    finally:
        loop.tracker.close()
    # The layout of a loaded model, so that both compute the same bits.
    model.eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return loop.history


class _Loop:
    """The state of a training, and the parts of `fit`."""

    def __init__(self, model: nn.Module, stage: Stage, settings: TrainingSettings, run: Run):
        folder, report_to = run.work_dir / stage.name, run.recipe.report_to
        # Every rank updates its codebook from sums over all ranks, so buffers are not broadcast.
        ddp = DistributedDataParallelKwargs(broadcast_buffers=False)
        process_state()  # before Accelerate decides by itself how many processes there are
        # The loop sets the precision from the recipe, whatever the launcher's environment asks for.
        self.accelerator = Accelerator(
            mixed_precision="no", log_with=report_to, project_dir=folder, kwargs_handlers=[ddp]
        )
        self.device = self.accelerator.device
        if self.device.type == "cpu":
            keep_freed_memory()
        self.tracker = Tracker(self.accelerator, report_to, stage.name, run.recipe.to_dict())
        self.model, self.stage, self.settings = model, stage, settings
        self.seed, self.resume = run.recipe.seed, run.resume
        self.history, self.num_steps = History(), settings.num_steps(stage.num_series)
        self.batch_size = min(settings.batch_size, stage.num_series * settings.repeats)
        if self.batch_size < num_processes():
            raise ValueError(f"{num_processes()} processes share batches of {self.batch_size}: start fewer processes")
        # Convolutions compute in channels last; in PyTorch's default layout each would copy weights and inputs.
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(
            self.parameters, settings.learning_rate, weight_decay=settings.weight_decay, fused=True
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # PyTorch deprecates the name `broadcast_buffers`
            self.wrapped, self.optimizer = self.accelerator.prepare(model, optimizer)
        self.checkpoints = Checkpoints(folder, settings.save_total_limit, self.accelerator, model, optimizer)
        self.generator = torch.Generator(self.device)

    def run(self, asked: threading.Event) -> None:
        start = self.checkpoints.load(self.history) if self.resume else 0
        self._train_mode()
        if start:
            self._evaluate(start)  # a checkpoint is saved before its step is evaluated
        if self.num_steps - start >= LEAST_TO_ANNOUNCE:
            self._announce(start)
        silent = not self.accelerator.is_main_process
        with Progress(self.stage.name, self.num_steps, start, silent) as progress:
            for done in range(start + 1, self.num_steps + 1):
                saving = done % self.settings.save_steps == 0 or done == self.num_steps
                self._step(done, progress, logged=done % LOG_STEPS == 0 or saving)
                stopping = self._may_ask(done) and self.is_asked(asked)
                if saving or stopping:  # before the evaluation, which may fail
                    self.checkpoints.save(done, self.history)
                if stopping:
                    self.stop(done)
                self._evaluate(done)

    def _announce(self, start: int) -> None:
        """Says how many steps are ahead, and how long they take: that of two steps of a copy, which learns nothing."""
        model, generator, seconds = copy.deepcopy(self.model), torch.Generator(self.device).manual_seed(0), 0.0
        indices = torch.arange(self.batch_size, device=self.device) % self.stage.num_series
        for _ in range(2):  # the first is slower
            begin = time.perf_counter()
            inputs = _share(self.stage.inputs(indices, generator), self.accelerator)
            with autocast(self.device, self.settings.precision):
                loss = model(**inputs, generator=generator).loss
            loss.backward()
            loss.item()  # waits for the device
            seconds = time.perf_counter() - begin
        if self.accelerator.is_main_process:
            steps = self.num_steps - start
            took = duration((steps + self.stage.after) * seconds)
            print(f"{self.stage.name}: {steps} steps, about {took}", file=sys.stderr, flush=True)

    def _step(self, done: int, progress: Progress, logged: bool) -> None:
        name, settings = self.stage.name, self.settings
        self.generator.manual_seed(derived_seed(self.seed, name, done - 1))
        order = derived_seed(self.seed, name, "order")
        indices = batch_indices(done - 1, self.batch_size, self.stage.num_series, order).to(self.device)
        inputs = _share(self.stage.inputs(indices, self.generator), self.accelerator)
        # Accelerate's own mixed precision would be fixed for the life of the process.
        with autocast(self.device, settings.precision):
            output = self.wrapped(**inputs, generator=self.generator)
        self.accelerator.backward(output.loss)
        if settings.max_grad_norm is not None:
            norm = self.accelerator.clip_grad_norm_(self.parameters, settings.max_grad_norm)
        elif logged:
            norm = nn.utils.get_total_norm([p.grad for p in self.parameters if p.grad is not None])
        learning_rate = settings.learning_rate_at(done - 1, self.num_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step()
        self.optimizer.zero_grad()
        progress.update(done)
        if logged:
            row = {key: value.item() for key, value in output.items() if value.ndim == 0}
            row |= {"learning_rate": learning_rate, "gradient_norm": norm.item()}
            for key in ("loss", "gradient_norm"):
                if not math.isfinite(row[key]):
                    raise FloatingPointError(f"the {key} of {name} is {row[key]} at step {done}; lower learning_rate")
            self.history.training.append({"step": done} | row)
            self.tracker.log(row, done)
            progress.note_loss(row["loss"])

    @torch.no_grad()
    def _evaluate(self, done: int) -> None:
        if not (done % self.settings.eval_steps == 0 or done == self.num_steps):
            return
        self.model.eval()
        if self.stage.evaluate is not None:
            scores = self.stage.evaluate(self.model)
            self.history.validation.append(scores | {"step": done})
            self.tracker.log(scores, done, "validation_")
        if self.stage.draw is not None:
            self.tracker.picture(lambda file: self.stage.draw(self.model, file), done)
        self._train_mode()

    def _train_mode(self) -> None:
        self.model.train()
        for part in self.stage.frozen:
            part.eval()

    def _may_ask(self, done: int) -> bool:
        """Whether to check for a signal after this step. Several GPUs check rarely, because agreeing means waiting."""
        return self.device.type != "cuda" or num_processes() == 1 or done % LOG_STEPS == 0

    def is_asked(self, asked: threading.Event) -> bool:
        """Whether a signal to stop came, to any process."""
        if num_processes() == 1:
            return asked.is_set()
        return bool(sum_over_processes(torch.tensor(float(asked.is_set()), device=self.device)))

    def stop(self, done: int) -> None:
        raise KeyboardInterrupt(f"{self.stage.name} stopped and saved at step {done} of {self.num_steps}")


def _share(inputs: Inputs, accelerator: Accelerator) -> Inputs:
    """This process's part of a batch. All processes draw the same batch."""
    if accelerator.num_processes == 1:
        return inputs
    rank, world = accelerator.process_index, accelerator.num_processes
    return {name: tensor.tensor_split(world)[rank] for name, tensor in inputs.items()}


def batch_indices(step: int, batch_size: int, num_series: int, seed: int) -> Tensor:
    """Indices of a step's series: the next `batch_size` of an endless sequence of epochs, each shuffled anew."""
    first, last = step * batch_size, (step + 1) * batch_size
    epochs = range(first // num_series, (last - 1) // num_series + 1)
    orders = [torch.randperm(num_series, generator=torch.Generator().manual_seed(seed + epoch)) for epoch in epochs]
    return torch.cat(orders)[first - epochs[0] * num_series :][:batch_size]
