"""The arguments of a run, its folders, and how its model is saved."""

import contextlib
import difflib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from safetensors import SafetensorError
from transformers import PreTrainedModel
from transformers.utils import SAFE_WEIGHTS_NAME

from ..models.integrity import read_json
from ..runtime import bars_for_terminals, process_state, remove, whole_file
from .finetuning import Start
from .recipes import Recipe


try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None


RUN = "run.json"  # in a work folder


@dataclass
class Run:
    """The arguments of a training run.

    Args:
        recipe: the settings.
        work_dir: holds checkpoints to resume from and the trackers' files, in a folder for each stage.
        resume: continue the run in `work_dir`.
        start: the checkpoint to train further, if there is one.
        output: the folder of the checkpoint that comes out, absolute, and the stage in it if it is only one.
        overwrite: replace another finished checkpoint in that folder.
    """

    recipe: Recipe
    work_dir: Path
    resume: bool = False
    start: Start = field(default_factory=Start)
    output: tuple[str, str | None] | None = None
    overwrite: bool = False


@bars_for_terminals()
def save(model: PreTrainedModel, folder: str | Path, recipe: Recipe | None = None) -> None:
    """Saves as `save_pretrained` does, but gives each file its name only when it is whole. Other files stay.

    A recipe is saved beside the model, as `recipe.yaml`.

    Raises:
        OSError: for a model that cannot be saved, for example on a full disk.
    """
    if not process_state().is_main_process:
        return
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(".partial-*/"):  # left by a run that was killed while it saved
            shutil.rmtree(left)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".partial-") as partial:
            model.save_pretrained(partial)
            if recipe is not None:
                (Path(partial) / "recipe.yaml").write_text(yaml.safe_dump(recipe.to_dict(), sort_keys=False))
            for file in Path(partial).iterdir():
                file.chmod(0o644)
                shutil.move(file, folder / file.name)
    except (OSError, RuntimeError, SafetensorError) as error:  # each library has its own error for a full disk
        raise OSError(f"cannot save the model in {folder} ({error}): make room and resume") from None


def default_output_dir(dataset: str, only: str | None = None) -> Path:
    """The default folder of a checkpoint: `ncvqvae-gunPoint` for GunPoint, a name for `AutoModel.from_pretrained`.

    Stage 1 alone goes to `ncvqvae-gunPoint-tokenizer`.
    """
    ending = "-tokenizer" if only == "tokenizer" else ""
    return Path(f"ncvqvae-{dataset[:1].lower()}{dataset[1:]}{ending}")


def default_work_dir(output_dir: str | Path) -> Path:
    """The default work folder, `runs/<output_dir>`, so that checkpoints of one name in two folders do not share it."""
    path = Path(output_dir).resolve()
    return Path("runs") / path.relative_to(Path.cwd() if path.is_relative_to(Path.cwd()) else path.anchor)


def check_writable(folder: Path) -> None:
    """Raises `ValueError` for a folder that cannot be written, before the hours of training.

    Leaves nothing behind. Only the main process checks, so that ranks do not delete each other's folders.
    """
    if not process_state().is_main_process:
        return
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(f"cannot write to {folder}: {error.strerror}; choose another folder") from None
    finally:
        for path in missing:
            with contextlib.suppress(OSError):
                path.rmdir()


def check_resumable(work_dir: Path) -> None:
    """Raises `ValueError` for a work folder in which no training was begun, for example one that is misspelt."""
    if any(any(work_dir.glob(sign)) for sign in (RUN, f"prior/{RUN}", "*/*checkpoint-*")):
        return
    near = difflib.get_close_matches(work_dir.name, [file.parent.name for file in work_dir.parent.glob(f"*/{RUN}")], 1)
    hint = f"did you mean --work-dir {work_dir.parent / near[0]}?" if near else "leave out --resume to begin one"
    raise ValueError(f"there is nothing to resume in {work_dir}, no training was begun there; {hint}")


def _check_replaceable(file: Path, facts: dict) -> None:
    """Raises `ValueError` where the folder of the output holds the checkpoint of another training.

    A training may be repeated, because it leaves the same weights again: the last one that was begun in its work
    folder, if `file`, its `run.json`, has the same facts.
    """
    folder = Path(facts["output"][0])
    if not (folder / SAFE_WEIGHTS_NAME).is_file():
        return
    before = read_run(file) if file.is_file() else {}
    if before.get("output") != facts["output"] or any(changes(before, facts)):
        remedy = "add --overwrite to replace it, or choose another --output-dir"
        raise ValueError(f"{folder} holds the finished checkpoint of another training; {remedy}")


def read_run(file: Path) -> dict:
    """The facts that `note_run` wrote. Raises `ValueError` for a file that holds something else."""
    try:
        return read_json(file)
    except ValueError as error:
        raise ValueError(f"{error}, or delete it and train anew: it says what was trained") from None


def note_run(folder: Path, facts: dict, resume: bool, overwrite: bool = False) -> None:
    """Writes the facts of a run to `folder / run.json`. A run that does not resume deletes earlier checkpoints first.

    Raises:
        ValueError: for resuming a run with other facts, the first of which is named, or, unless it may `overwrite` it,
            where facts["output"], see `Run`, names a folder with the finished checkpoint of another run; for the
            folder of a stage that is a link, which may lead to the checkpoints of another run.
    """
    file, facts = folder / RUN, json.loads(json.dumps(facts))
    with process_state().main_process_first():
        if not process_state().is_main_process:
            return
        # Only those in this run's own folders: folders of other runs may lie below.
        places = [folder, *(folder / stage for stage in ("tokenizer", "decoder", "prior"))]
        if links := [place for place in places[1:] if place.is_symlink()]:
            raise ValueError(f"{links[0]} is a link, not a folder; move there what it leads to")
        checkpoints = [path for place in places for path in place.glob("*checkpoint-*") if path.is_dir()]
        if resume and checkpoints and not file.is_file():
            raise ValueError(f"cannot resume: {file}, which says what the checkpoints belong to, is missing")
        if resume and checkpoints:
            for name, old, new in changes(read_run(file), facts):
                raise ValueError(f"cannot resume: {name} was {old!r} in {file} and is {new!r} now")
        if facts.get("output") and not overwrite:
            _check_replaceable(file, facts)
        if resume and checkpoints:
            return
        for path in checkpoints:
            remove(path)
        folder.mkdir(parents=True, exist_ok=True)
        with whole_file(file) as partial:
            partial.write_text(json.dumps(facts, indent=1))


@contextlib.contextmanager
def only_run_in(folder: Path) -> Iterator[None]:
    """Raises `ValueError` if another run still trains in the folder, for example one whose launcher was killed."""
    if fcntl is None or not process_state().is_main_process:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)  # a link may lead anywhere
    with open(lock):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"another training runs in {folder}; wait for it, stop it, or choose --work-dir"
            ) from None
        yield


def changes(before: dict, now: dict, prefix: str = "") -> Iterator[tuple[str, object, object]]:
    """The settings in which two runs differ, such as `prior_training.batch_size`, with the values of both.

    `report_to`, `save_total_limit` and `output` are left out: they change no number of a run.
    """
    for key in before | now:
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from changes(old, new, f"{prefix}{key}.")
        elif old != new and key not in ("report_to", "save_total_limit", "output"):
            yield f"{prefix}{key}", old, new
