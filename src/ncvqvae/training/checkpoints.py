"""The history of a training, and the checkpoints to resume it from, which are whole or absent.

A checkpoint is two files of safetensors, weights and the averages of the optimiser, the history as JSON, and the
SHA-256 of these three, as `sha256sum -c` reads them. Nothing in it is a pickle, so loading one runs no code. Nothing
else is needed: the learning rate is a function of the step, and every draw has a generator that the step seeds.
"""

import hashlib
import json
import logging
import math
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors import SafetensorError
from safetensors.torch import load_file, load_model, save_file, save_model
from torch import Tensor, nn

from ..models.distributed import num_processes, sum_over_processes
from ..models.integrity import read_header
from ..runtime import one_line, remove


logger = logging.getLogger(__name__)

WEIGHTS, OPTIMIZER, HISTORY, SUMS = "model.safetensors", "optimizer.safetensors", "history.json", "SHA256SUMS"
NAME = re.compile(r"checkpoint-(0|[1-9][0-9]*)")
MOST_BYTES = {HISTORY: 2**28, SUMS: 2**12}  # which are read whole
AVERAGES = {"step", "exp_avg", "exp_avg_sq"}  # of AdamW, for each parameter


@dataclass
class History:
    """One row for each logged step, and one for each evaluation."""

    training: list[dict[str, float]] = field(default_factory=list)
    validation: list[dict[str, float]] = field(default_factory=list)


class Checkpoints:
    """The checkpoints of one stage in one folder. Each is written under another name and renamed when it is whole.

    Args:
        folder: holds `checkpoint-<step>` for each.
        total_limit: how many are kept.
        accelerator: says which process writes.
        model, optimizer: what is saved and restored, as they are before Accelerate wraps them.
    """

    def __init__(
        self,
        folder: Path,
        total_limit: int,
        accelerator: Accelerator,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
    ):
        self.folder, self.total_limit, self.accelerator, self.damaged = folder, total_limit, accelerator, False
        self.model, self.optimizer = model, optimizer

    def whole(self) -> list[Path]:
        """The checkpoints that were whole when they got their names, oldest first."""
        named = [path for path in self.folder.glob("checkpoint-*") if NAME.fullmatch(path.name) and path.is_dir()]
        return sorted(named, key=_step_of)

    def save(self, step: int, history: History) -> None:
        """Saves a checkpoint. Raises `OSError` if that fails, for example on a full disk; earlier checkpoints stay."""
        problem = ""
        if self.accelerator.is_main_process:
            partial = self.folder / f"partial-checkpoint-{step}"
            try:
                self._write(partial, step, history)
            except (OSError, RuntimeError, SafetensorError) as error:  # each library has its own error for a full disk
                shutil.rmtree(partial, ignore_errors=True)
                problem = one_line(error)
        failed = torch.tensor(float(bool(problem)), device=self.accelerator.device)
        if sum_over_processes(failed).item():  # so that all end, and none waits for one that has
            last = f"the last one is {self.whole()[-1]}" if self.whole() else "there is none before"
            problem = problem or "the first process failed"
            raise OSError(f"cannot save step {step} in {self.folder} ({problem}); {last}: make room and resume")

    def _write(self, partial: Path, step: int, history: History) -> None:
        partial.mkdir(parents=True, exist_ok=True)
        save_model(self.model, str(partial / WEIGHTS))
        averages = {name: tensor.contiguous() for name, tensor in self._averages().items()}
        save_file(averages, partial / OPTIMIZER)
        state = {"step": step, "training": history.training, "validation": history.validation}
        (partial / HISTORY).write_text(json.dumps(state))
        (partial / SUMS).write_text(_sums(partial))
        final = self.folder / f"checkpoint-{step}"
        if final.exists():  # an earlier run saved this step and was killed in its evaluation
            remove(final)
        partial.rename(final)
        for path in self.whole()[: -self.total_limit]:
            remove(path)

    def _averages(self) -> dict[str, Tensor]:
        """The optimiser's tensors: of each parameter its averages, and how many steps it has taken."""
        names: dict[Tensor, str] = {parameter: name for name, parameter in self.model.named_parameters()}
        state = self.optimizer.state.items()
        return {f"{names[parameter]}.{key}": tensor for parameter, own in state for key, tensor in own.items()}

    def load(self, history: History) -> int:
        """Restores the newest whole checkpoint and the history; returns the steps done, or 0 without a checkpoint."""
        self._agree()
        for path in reversed(self.whole()):
            found = self._read(path)
            if found is not None:
                history.training, history.validation = found.training, found.validation
                return _step_of(path)
            self._set_aside(path)
        if self.damaged:  # one may have been loaded in part, so the initial state is lost
            raise ValueError(f"all checkpoints in {self.folder} are damaged; start again without resuming")
        return 0

    def _agree(self) -> None:
        """Deletes half-written checkpoints; raises `ValueError` if the processes see different checkpoints."""
        if self.accelerator.is_main_process:
            for path in self.folder.glob("partial-checkpoint-*"):
                logger.warning("%s is half written, and deleted", path)
                remove(path)
            for path in set(self.folder.glob("checkpoint-*")) - set(self.whole()):
                logger.warning("%s is no checkpoint of a step, and left alone", path)
        steps = [_step_of(path) for path in self.whole()]
        seen = torch.tensor([float(len(steps)), float(sum(steps))], device=self.accelerator.device)
        if not torch.equal(sum_over_processes(seen), num_processes() * seen):
            raise ValueError(f"the processes see different checkpoints in {self.folder}; it has to be a shared folder")

    def _set_aside(self, path: Path) -> None:
        """Renames a damaged checkpoint. Under its own name it would count as one of the checkpoints to keep."""
        self.damaged = True
        if self.accelerator.is_main_process:
            aside = path.with_name(f"damaged-{path.name}")
            if aside.is_symlink() or aside.exists():
                remove(aside)
            path.rename(aside)
        self.accelerator.wait_for_everyone()

    def _read(self, path: Path) -> History | None:
        """Loads a checkpoint; returns its history, or `None` if any process finds it damaged."""
        history, damage = None, ""
        try:
            _check_sums(path)
            history = _history((path / HISTORY).read_text(), _step_of(path))
            device = self.accelerator.device
            where = "cpu" if device.type == "cpu" else str(device)  # safetensors does not know the cpu:0 of several
            load_model(self.model, path / WEIGHTS, device=where)
            self._restore(load_file(path / OPTIMIZER, where))
        except (SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
            history, damage = None, one_line(error)
        main, good = self.accelerator.is_main_process, history is not None
        found = torch.tensor([float(good), float(good and main)], device=self.accelerator.device)
        num_good, main_good = sum_over_processes(found).tolist()
        if damage and (main or main_good):  # if all fail, only the main process warns
            logger.warning("%s is damaged and set aside: %s", path, damage)
        return history if num_good == num_processes() else None

    def _restore(self, averages: dict[str, Tensor]) -> None:
        """Gives the optimiser the tensors of `_averages`, in the layout of their parameters, as it made them."""
        parameters = dict(self.model.named_parameters())
        self.optimizer.state.clear()
        for name, tensor in averages.items():
            of, _, key = name.rpartition(".")
            if of not in parameters:
                raise ValueError(f"{OPTIMIZER} has {name}, of no parameter")
            place = torch.empty_like(parameters[of]) if key != "step" else torch.empty((), device=tensor.device)
            if (place.shape, place.dtype) != (tensor.shape, tensor.dtype):
                found, wanted = (f"{tuple(one.shape)} of {one.dtype}" for one in (tensor, place))
                raise ValueError(f"{name} is {found}, where {wanted} belongs")
            self.optimizer.state[parameters[of]][key] = place.copy_(tensor)
        for own in self.optimizer.state.values():
            if own.keys() != AVERAGES:
                raise ValueError(f"{OPTIMIZER} has {', '.join(sorted(own))} of a parameter")


def _step_of(path: Path) -> int:
    return int(path.name.rpartition("-")[2])


def _sums(folder: Path) -> str:
    """The SHA-256 of each file of a checkpoint, as `sha256sum` prints them."""
    lines = []
    for name in (WEIGHTS, OPTIMIZER, HISTORY):
        with open(folder / name, "rb") as file:
            lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}\n")
    return "".join(lines)


def _check_sums(folder: Path) -> None:
    """Raises `ValueError` for a file that is missing, or not the one that was saved."""
    for name in (WEIGHTS, OPTIMIZER, HISTORY, SUMS):
        path = folder / name
        if not path.is_file():  # which a pipe or a device is not either: it would be waited for
            raise ValueError(f"it has no {name}")
        if path.stat().st_size > MOST_BYTES.get(name, math.inf):
            raise ValueError(f"{name} has {path.stat().st_size} bytes")
        if path.suffix == ".safetensors":  # whose header says how long it is, before all of it is read
            read_header(path)
    found, recorded = _sums(folder).encode(), (folder / SUMS).read_bytes()
    if found != recorded:
        changed = [line.split()[1].decode() for line in found.splitlines() if line not in recorded]
        raise ValueError(f"{', '.join(changed) or SUMS} was changed: its SHA-256 is not the one in {SUMS}")


def _history(text: str, step: int) -> History:
    """The history in a checkpoint of this step. Raises `ValueError` for anything else."""
    try:
        state = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"{HISTORY} is not JSON") from None
    if not isinstance(state, dict) or state.get("step") != step:
        raise ValueError(f"{HISTORY} is not that of step {step}")
    curves = [state.get(name) for name in ("training", "validation")]
    for rows in curves:
        if not isinstance(rows, list) or not all(map(_is_row, rows)):
            raise ValueError(f"{HISTORY} has no rows of numbers")
    return History(*curves)


def _is_row(row: object) -> bool:
    return isinstance(row, dict) and "step" in row and all(isinstance(value, int | float) for value in row.values())
