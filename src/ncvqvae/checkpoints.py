"""Checkpoints to resume from: whole or not there."""

import json
import logging
import shutil
from pathlib import Path
from pickle import UnpicklingError

import torch
from accelerate import Accelerator
from safetensors import SafetensorError

from .history import History
from .processes import num_processes, sum_over_processes


logger = logging.getLogger(__name__)


class Checkpoints:
    """The checkpoints of one stage in one folder. Each is written under another name and renamed when it is whole."""

    def __init__(self, folder: Path, total_limit: int, accelerator: Accelerator):
        self.folder, self.total_limit, self.accelerator = folder, total_limit, accelerator

    def whole(self) -> list[Path]:
        """All of them, oldest first."""
        return sorted(self.folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))

    def save(self, step: int, history: History) -> None:
        """Raises `OSError` where it cannot, a full disk say; the one before is still there."""
        partial, final = self.folder / f"partial-checkpoint-{step}", self.folder / f"checkpoint-{step}"
        try:
            self._write(partial, step, history)
        except (OSError, RuntimeError, SafetensorError) as error:  # each library has its own for a full disk
            shutil.rmtree(partial, ignore_errors=True)
            last = f"the last one is {self.whole()[-1]}" if self.whole() else "there is none before"
            raise OSError(
                f"cannot save step {step} in {self.folder} ({error}); {last}: make room and resume"
            ) from None
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            if final.exists():  # evaluated after it was saved, killed, and now here again
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
        """Restores the newest checkpoint that is whole, and the history; returns the steps done, 0 without one."""
        for path in reversed(self.whole()):
            state = self._read(path)
            if state is not None:
                history.training, history.validation = state["training"], state["validation"]
                return state["step"]
        if self.whole():  # some of it may have been loaded, so there is no beginning to go back to
            raise ValueError(f"all checkpoints in {self.folder} are damaged; start again without resuming")
        return 0

    def _read(self, path: Path) -> dict | None:
        """The state, or nothing where a process finds its part of the checkpoint damaged."""
        try:
            self.accelerator.load_state(str(path))
            state = json.loads((path / "history.json").read_text())
        except (SafetensorError, OSError, ValueError, KeyError, EOFError, RuntimeError, UnpicklingError) as error:
            logger.warning("%s is damaged and left aside: %s", path, " ".join(str(error).split()))
            state = None
        good = sum_over_processes(torch.tensor(float(state is not None), device=self.accelerator.device))
        return state if good == num_processes() else None
