"""Publishing on the Hugging Face Hub: checkpoints with a card of real figures, datasets, and the Space."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from importlib import resources
from pathlib import Path

import httpx2
import torch
from huggingface_hub import CommitOperationAdd, DatasetCard, HfApi, SpaceCard, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.utils import validate_repo_id

from .card import check_card, render_card
from .modeling_maskgit import MaskGITForTimeSeriesGeneration


# What a repository holds; nothing else in the folder is sent.
WANTED = ("README.md", "config.json", "model.safetensors", "model.sha256", "recipe.yaml", "metrics.json")
WANTED += ("notes.md", "report.md", "*.py", "*.png")
# Likewise of an app's folder, and of this package's.
APP = ("README.md", "requirements.txt", "packages.txt", "*.py")
PACKAGE = ("*.py", "*.md", "*.json")


def publish(folder: str | Path, repo_id: str, private: bool = False, dry_run: bool = False) -> tuple[list[Path], str]:
    """Sends a checkpoint's folder to the Hub as one commit, after it has checked it and written its card.

    Args:
        folder: what training left, with what `ncvqvae evaluate FOLDER --out FOLDER` adds.
        repo_id: `organisation/name`; it is created where it does not exist.
        private: whether a repository that is created is private.
        dry_run: check and write the card, but send nothing.

    Returns:
        The files, and the address of the commit (of the repository, in a dry run).

    Raises:
        ValueError: for a folder that is no whole checkpoint of ours, was changed, or has no or other figures; a name
            that the Hub does not take; no token, no right or no network.
    """
    folder = Path(folder)
    check_repo_id(repo_id)
    model = check_checkpoint(folder)
    metrics, card = folder / "metrics.json", folder / "README.md"
    text = render_card(folder, repo_id, model.config)
    if card.is_file():  # what a person has written there stays, as long as its figures are true
        check_card(card.read_text(), json.loads(metrics.read_text()), card)
    else:
        partial = card.with_suffix(".partial")
        partial.write_text(text)
        partial.replace(card)
    files = _chosen(folder, WANTED)
    if dry_run:
        return files, f"https://huggingface.co/{repo_id}"
    return files, _send({path.name: path for path in files}, repo_id, private)


def check_repo_id(repo_id: str) -> None:
    """Raises `ValueError` for what is not `organisation/name`."""
    try:
        validate_repo_id(repo_id)
        named = "/" in repo_id
    except HFValidationError:
        named = False
    if not named:
        raise ValueError(f"a repository's id is organisation/name, such as my-lab/ncvqvae-fordA; found {repo_id!r}")


def check_checkpoint(folder: Path) -> MaskGITForTimeSeriesGeneration:
    """Loads the checkpoint and generates; raises `ValueError` where it is not what was trained and measured."""
    model = MaskGITForTimeSeriesGeneration.from_pretrained(folder)  # compares the weights with their SHA-256
    for file in folder.glob("*.py"):
        ours = Path(__file__).with_name(file.name)
        if not ours.is_file() or file.read_bytes() != ours.read_bytes():
            raise ValueError(f"{file} is not this package's; save the checkpoint again with this version of ncvqvae")
    if (metrics := folder / "metrics.json").is_file():
        digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
        if json.loads(metrics.read_text())["weights_sha256"] != digest:
            raise ValueError(f"{metrics} is of other weights; run ncvqvae evaluate {folder} --out {folder}")
    if not model.generate(4, generator=torch.Generator().manual_seed(0)).isfinite().all():
        raise ValueError(f"{folder} generates values that are NaN or infinite; train it again")
    return model


def publish_data(name: str, repo_id: str, data_dir: str | Path | None = None, private: bool = False) -> str:
    """Sends both splits of a dataset of the archive to a dataset repository, as a configuration of its name.

    `load_dataset(repo_id, name)` and `load_ucr(name, repo_id=repo_id)` read them back exactly. Raises `ValueError` as
    `publish` does. Returns the address of the repository.
    """
    from .ucr import load_ucr

    check_repo_id(repo_id)
    dataset = load_ucr(name, data_dir)
    with _explained(repo_id) as api:
        dataset.push_to_hub(repo_id, config_name=name, private=private, commit_message=f"{name} of the UCR archive")
        card = DatasetCard.load(repo_id)
        if not card.text.strip():  # the first configuration
            card.text = "\n" + resources.files(__package__).joinpath("dataset_card.md").read_text()
            card.data.tags = ["time-series", "ucr-archive"]
            card.push_to_hub(repo_id, commit_message="Card")
        return f"{api.endpoint}/datasets/{repo_id}"


def publish_space(
    folder: str | Path, repo_id: str, private: bool = False, dry_run: bool = False
) -> tuple[dict[str, Path], str]:
    """Sends the app to a Space as one commit: its folder, the checkpoints inside, and this package as it is installed.

    The package goes along so that the Space runs this version of it, from wherever it was installed.

    Returns:
        The files, by their names in the Space, and the address of the commit (of the Space, in a dry run).

    Raises:
        ValueError: for a folder that is no Space or holds a broken checkpoint, and as `publish` does.
    """
    folder, package = Path(folder), Path(__file__).parent
    check_repo_id(repo_id)
    if not all((folder / name).is_file() for name in ("README.md", "app.py", "requirements.txt")):
        raise ValueError(f"{folder} is no Space: it must hold README.md, app.py and requirements.txt")
    if SpaceCard.load(folder / "README.md").data.sdk != "gradio":
        raise ValueError(f"{folder / 'README.md'} does not say `sdk: gradio` at its head")
    # A checkpoint may be a link to a folder elsewhere, into which `rglob` of the whole would not look.
    checkpoints = [config.parent for config in sorted(folder.glob("*/config.json"))]
    for checkpoint in checkpoints:
        check_checkpoint(checkpoint)
    parts = [("", folder, APP), ("ncvqvae/", package, PACKAGE)]
    parts += [(f"{checkpoint.name}/", checkpoint, WANTED) for checkpoint in checkpoints]
    files = {prefix + path.name: path for prefix, part, wanted in parts for path in _chosen(part, wanted)}
    if dry_run:
        return files, f"https://huggingface.co/spaces/{repo_id}"
    return files, _send(files, repo_id, private, kind="space")


def _chosen(folder: Path, wanted: Sequence[str]) -> list[Path]:
    return sorted(path for path in folder.iterdir() if any(fnmatch(path.name, name) for name in wanted))


def _send(files: dict[str, Path], repo_id: str, private: bool, kind: str = "model") -> str:
    with _explained(repo_id) as api:
        sdk = "gradio" if kind == "space" else None
        api.create_repo(repo_id, private=private, exist_ok=True, repo_type=kind, space_sdk=sdk)
        # Not upload_folder, which may make several commits: a reader would see new figures beside old weights.
        additions = [CommitOperationAdd(name, path) for name, path in files.items()]
        message = f"{repo_id.split('/')[-1]}: {len(files)} files"
        return api.create_commit(repo_id, additions, commit_message=message, repo_type=kind).commit_url


@contextmanager
def _explained(repo_id: str) -> Iterator[HfApi]:
    """What goes wrong on the way to the Hub, as a `ValueError` of one line."""
    if get_token() is None:
        raise ValueError("there is no token for the Hub; run hf auth login, or set HF_TOKEN")
    api = HfApi()
    reasons = {
        401: f"the token is refused: it is wrong, has expired, or may not see {repo_id}; run hf auth login",
        403: f"this token may not write to {repo_id}: the name is someone else's, or the token is for reading only",
        404: f"there is no {repo_id}, or this token may not see it",
        409: f"the name {repo_id} is taken",
    }
    try:
        yield api
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else None
        unknown = f"the Hub refused {repo_id}: {' '.join(str(error).split())}"
        raise ValueError(reasons.get(status, unknown)) from None
    except httpx2.RequestError as error:
        raise ValueError(f"the Hub at {api.endpoint} cannot be reached: {error}") from None
    except RuntimeError as error:  # of a large file's upload
        raise ValueError(f"the upload failed, and {repo_id} is as it was: {error}") from None
