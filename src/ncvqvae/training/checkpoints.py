"""The history of a training, and the checkpoints to resume it from, which are whole or absent."""

import json
import logging
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError

import torch
from accelerate import Accelerator
from safetensors import SafetensorError

from ..models.distributed import num_processes, sum_over_processes
from ..runtime import one_line


logger = logging.getLogger(__name__)


@dataclass
class History:
    """One row for each logged step, and one for each evaluation."""

    training: list[dict[str, float]] = field(default_factory=list)
    validation: list[dict[str, float]] = field(default_factory=list)


class Checkpoints:
    """The checkpoints of one stage in one folder. Each is written under another name and renamed when it is whole."""

    def __init__(self, folder: Path, total_limit: int, accelerator: Accelerator):
        self.folder, self.total_limit, self.accelerator, self.damaged = folder, total_limit, accelerator, False

    def whole(self) -> list[Path]:
        """The whole checkpoints, oldest first."""
        return sorted(self.folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))

    def save(self, step: int, history: History) -> None:
        """Saves a checkpoint. Raises `OSError` if that fails, for example on a full disk; earlier checkpoints stay."""
        partial, final = self.folder / f"partial-checkpoint-{step}", self.folder / f"checkpoint-{step}"
        try:
            self._write(partial, step, history)
        except (OSError, RuntimeError, SafetensorError) as error:  # each library has its own error for a full disk
            shutil.rmtree(partial, ignore_errors=True)
            last = f"the last one is {self.whole()[-1]}" if self.whole() else "there is none before"
            raise OSError(
                f"cannot save step {step} in {self.folder} ({error}); {last}: make room and resume"
            ) from None
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            if final.exists():  # an earlier run saved this step and was killed in its evaluation
                shutil.rmtree(final)
            partial.rename(final)
            for path in self.whole()[: -self.total_limit]:
                shutil.rmtree(path)
        self.accelerator.wait_for_everyone()

    def _write(self, folder: Path, step: int, history: History) -> None:
        self.accelerator.save_state(str(folder))
        if self.accelerator.is_main_process:
            state = {"step": step, "training": history.training, "validation": history.validation}
            (folder / "history.json").write_text(json.dumps(state))

    def load(self, history: History) -> int:
        """Restores the newest whole checkpoint and the history; returns the steps done, or 0 without a checkpoint."""
        self._agree()
        for path in reversed(self.whole()):
            state = self._read(path)
            if state is not None:
                history.training, history.validation = state["training"], state["validation"]
                return state["step"]
            self._set_aside(path)
        if self.damaged:  # one may have been loaded in part, so the initial state is lost
            raise ValueError(f"all checkpoints in {self.folder} are damaged; start again without resuming")
        return 0

    def _agree(self) -> None:
        """Deletes half-written checkpoints; raises `ValueError` if the processes see different checkpoints."""
        if self.accelerator.is_main_process:
            for path in self.folder.glob("partial-checkpoint-*"):
                logger.warning("%s is half written, and deleted", path)
                shutil.rmtree(path)
        steps = [int(path.name.rpartition("-")[2]) for path in self.whole()]
        seen = torch.tensor([float(len(steps)), float(sum(steps))], device=self.accelerator.device)
        if not torch.equal(sum_over_processes(seen), num_processes() * seen):
            raise ValueError(f"the processes see different checkpoints in {self.folder}; it has to be a shared folder")

    def _set_aside(self, path: Path) -> None:
        """Renames a damaged checkpoint. Under its own name it would count as one of the checkpoints to keep."""
        self.damaged = True
        if self.accelerator.is_main_process:
            aside = path.with_name(f"damaged-{path.name}")
            shutil.rmtree(aside, ignore_errors=True)
            path.rename(aside)
        self.accelerator.wait_for_everyone()

    def _read(self, path: Path) -> dict | None:
        """The state, or `None` if any process finds its part of the checkpoint damaged."""
        state, damage = None, ""
        try:
            self.accelerator.load_state(str(path))
            state = json.loads((path / "history.json").read_text())
        except (SafetensorError, OSError, ValueError, KeyError, EOFError, RuntimeError, UnpicklingError) as error:
            damage = one_line(error)
        main, good = self.accelerator.is_main_process, state is not None
        found = torch.tensor([float(good), float(good and main)], device=self.accelerator.device)
        num_good, main_good = sum_over_processes(found).tolist()
        if damage and (main or main_good):  # if all fail, only the main process warns
            logger.warning("%s is damaged and set aside: %s", path, damage)
        return state if num_good == num_processes() else None
