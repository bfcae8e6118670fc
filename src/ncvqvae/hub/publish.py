"""Publishing on the Hugging Face Hub: checkpoints with a card of real figures, datasets, and the Space."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from importlib import resources
from pathlib import Path, PurePosixPath
from string import Template
from typing import Any, NamedTuple

import torch
import yaml
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, DatasetCard, HfApi, SpaceCard, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError
from huggingface_hub.utils import httpx, validate_repo_id
from transformers.dynamic_module_utils import get_relative_imports

from ..data.synthetic import synthetic_dataset
from ..inference import BASE, load_checkpoint
from ..models.modeling_maskgit import MaskGITForTimeSeriesGeneration
from ..models.modeling_ncvqvae import NCVQVAEModel
from ..runtime import digest, one_line
from .base_card import is_base
from .card import read_metrics, write_card
from .origin import again


PACKAGE_FOLDER = Path(__file__).parents[1]
# The files of a checkpoint's folder that are sent.
WANTED: tuple[str, ...] = ("README.md", "config.json", "model.safetensors", "model.sha256", "recipe.yaml")
WANTED += ("metrics.json", "pretraining.json", "notes.md", "report.md", "*.py", "*.png")
# The files of an app's folder, and of this package, that are sent.
APP = ("README.md", "requirements.txt", "packages.txt", "*.py")
PACKAGE = ("*.py", "*.md", "*.json")


class Sent(NamedTuple):
    """The files by their names on the Hub; the address of the commit, or of the repository if nothing was sent."""

    files: dict[str, Path]
    address: str
    card_kept: bool = False  # because a person has edited it


def publish(folder: str | Path, repo_id: str, private: bool = False, dry_run: bool = False) -> Sent:
    """Checks a checkpoint's folder, writes its card, and sends the folder to the Hub as one commit.

    Args:
        folder: the output folder of a training, with the files that `ncvqvae evaluate FOLDER --out FOLDER` adds.
        repo_id: `organisation/name`; it is created where it does not exist. Files of an earlier version that the
            folder no longer holds are deleted there.
        private: create a private repository; the default is the organisation's. An existing repository is not changed.
        dry_run: check and write the card, but send nothing.

    Raises:
        ValueError: for a folder that is no whole checkpoint of ours, was changed, or has no figures of its weights;
            for a name that the Hub does not take, or a public one with `private`; for no token, right or network.
    """
    folder = Path(folder)
    check_repo_id(repo_id)
    kept = write_card(folder, repo_id, check_checkpoint(folder).config)
    files = _chosen(folder, WANTED)
    if dry_run:
        return Sent(files, f"{HfApi().endpoint}/{repo_id}", kept)
    return Sent(files, _send(files, repo_id, private), kept)


def check_repo_id(repo_id: str) -> None:
    """Raises `ValueError` for an id that is not `organisation/name`."""
    try:
        validate_repo_id(repo_id)
        named = "/" in repo_id
    except HFValidationError:
        named = False
    if not named:
        raise ValueError(f"a repository's id is organisation/name, such as my-lab/ncvqvae-fordA; found {repo_id!r}")


def publish_data(name: str, repo_id: str, data_dir: str | Path | None = None, private: bool = False) -> str:
    """Sends both splits of a dataset of the archive to a dataset repository, as a configuration named after it.

    `load_dataset(repo_id, name)` and `load_ucr(name, repo_id=repo_id)` read them back exactly. Raises `ValueError` as
    `publish` does. Returns the address of the repository.
    """
    from ..data.ucr import load_ucr

    check_repo_id(repo_id)
    dataset = load_ucr(name, data_dir)
    with _explained(repo_id) as api:
        _create(api, repo_id, private, "dataset")
        dataset.push_to_hub(repo_id, config_name=name, commit_message=f"{name} of the UCR archive")
        card = DatasetCard.load(repo_id)
        if not card.text.strip():  # the first configuration
            text = Template(resources.files(__package__).joinpath("dataset_card.md").read_text())
            card.text = "\n" + text.substitute(repo_id=repo_id, name=name)
            card.data.license = "unknown"  # the archives state none
            card.data.tags = ["time-series", "ucr-archive"]
            card.push_to_hub(repo_id, commit_message="Card")
        return f"{api.endpoint}/datasets/{repo_id}"


def publish_synthetic(num_series: int, seed: int, recipe: dict[str, Any], repo_id: str, private: bool = False) -> str:
    """Sends the synthetic series of a pre-training to a dataset repository, with the mixture's recipe in the card.

    `load_dataset(repo_id, "synthetic")` reads them back exactly. Raises `ValueError` as `publish` does. Returns the
    address of the repository.
    """
    check_repo_id(repo_id)
    dataset = synthetic_dataset(num_series, seed)
    with _explained(repo_id) as api:
        _create(api, repo_id, private, "dataset")
        dataset.push_to_hub(repo_id, config_name="synthetic", commit_message=f"{num_series} synthetic series")
        card = DatasetCard.load(repo_id)
        text = Template(resources.files(__package__).joinpath("synthetic_card.md").read_text())
        mixture = yaml.safe_dump(recipe, sort_keys=False).rstrip()
        card.text = "\n" + text.substitute(repo_id=repo_id, num_series=f"{num_series:,}", seed=seed, recipe=mixture)
        card.data.license = "apache-2.0"
        card.data.tags = ["time-series", "synthetic"]
        card.push_to_hub(repo_id, commit_message="Card")
        return f"{api.endpoint}/datasets/{repo_id}"


def publish_space(folder: str | Path, repo_id: str, private: bool = False, dry_run: bool = False) -> Sent:
    """Sends the app to a Space as one commit: its folder, the checkpoints inside, and the installed package.

    So the Space runs this version of the package.

    Raises:
        ValueError: for a folder that is not a Space or holds a broken checkpoint, and as `publish` does.
    """
    folder = Path(folder)
    check_repo_id(repo_id)
    _check_space(folder)
    # A checkpoint may be a link to a folder elsewhere, which `rglob` would not enter.
    checkpoints = [config.parent for config in sorted(folder.glob("*/config.json"))]
    for checkpoint in checkpoints:
        check_checkpoint(checkpoint)
    files = _chosen(folder, APP)
    for path in sorted(PACKAGE_FOLDER.rglob("*")):
        if path.is_file() and _matches(path.name, PACKAGE) and BASE not in path.parts:
            files[f"ncvqvae/{path.relative_to(PACKAGE_FOLDER).as_posix()}"] = path
    for checkpoint in checkpoints:
        files |= _chosen(checkpoint, WANTED, f"{checkpoint.name}/")
    if dry_run:
        return Sent(files, f"{HfApi().endpoint}/spaces/{repo_id}")
    return Sent(files, _send(files, repo_id, private, "space"))


def _check_space(folder: Path) -> None:
    if not all((folder / name).is_file() for name in ("README.md", "app.py", "requirements.txt")):
        raise ValueError(f"{folder} is not a Space: it must hold README.md, app.py and requirements.txt")
    card = folder / "README.md"
    try:
        # Without the lines of --- the card has no metadata, and the client would warn.
        sdk = SpaceCard.load(card).data.sdk if card.read_text().startswith("---\n") else None
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(f"the metadata at the head of {card} cannot be read: {one_line(error)}") from None
    if sdk != "gradio":
        raise ValueError(f"{card} does not say `sdk: gradio` at its head")


def _chosen(folder: Path, wanted: Sequence[str], prefix: str = "") -> dict[str, Path]:
    return {prefix + path.name: path for path in sorted(folder.iterdir()) if _matches(path.name, wanted)}


def _matches(name: str, wanted: Sequence[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in wanted)


def _send(files: dict[str, Path], repo_id: str, private: bool, kind: str = "model") -> str:
    with _explained(repo_id) as api:
        _create(api, repo_id, private, kind)
        there = api.list_repo_files(repo_id, repo_type=kind)
        # upload_folder may make several commits: a reader could see new figures beside old weights.
        changes = [CommitOperationAdd(name, path) for name, path in files.items()]
        changes += [CommitOperationDelete(name) for name in _stale(there, kind) if name not in files]
        message = f"{repo_id.split('/')[-1]}: {len(files)} files"
        return api.create_commit(repo_id, changes, commit_message=message, repo_type=kind).commit_url


def _stale(there: Sequence[str], kind: str) -> list[str]:
    """The files of a repository that may be left over from an earlier version, whose code would still be imported."""
    paths = [PurePosixPath(name) for name in there]
    wanted = {PurePosixPath(): WANTED}
    if kind == "space":
        wanted = {path.parent: WANTED for path in paths if path.name == "config.json"}
        wanted |= {path.parent: PACKAGE for path in paths if path.parts[0] == "ncvqvae"} | {PurePosixPath(): APP}
    return [str(path) for path in paths if _matches(path.name, wanted.get(path.parent, ()))]


def _create(api: HfApi, repo_id: str, private: bool, kind: str) -> None:
    """Creates the repository unless it exists. It asks first, because a 409 of creation may mean other things too."""
    try:
        found = api.repo_info(repo_id, repo_type=kind)
    except RepositoryNotFoundError:
        try:
            sdk = "gradio" if kind == "space" else None
            # `None` takes the organisation's default.
            api.create_repo(repo_id, private=private or None, repo_type=kind, space_sdk=sdk)
        except HfHubHTTPError as error:
            if error.response.status_code != 409:
                raise
            taken = f"the name {repo_id} is taken, by what this token may not see; choose another"
            raise ValueError(f"{taken} (the Hub says: {_said(error)})") from None
        return
    if private and not found.private:
        remedy = "make it private in its settings on the Hub, or choose another name"
        raise ValueError(f"{repo_id} exists and is public, and --private makes only new ones private; {remedy}")


def _said(error: HfHubHTTPError) -> str:
    return " ".join((error.server_message or str(error)).split())


@contextmanager
def _explained(repo_id: str) -> Iterator[HfApi]:
    """A client of the Hub; errors of Hub and network become a `ValueError` of one line."""
    if get_token() is None:
        raise ValueError("there is no token for the Hub; run hf auth login, or set HF_TOKEN")
    api = HfApi()
    reasons = {
        401: f"the token is refused: it is wrong, has expired, or may not see {repo_id}; run hf auth login",
        403: f"this token may not write to {repo_id}: the name is someone else's, or the token is for reading only",
        404: f"there is no {repo_id}, or this token may not see it",
        409: f"someone else is writing to {repo_id}; try again",
    }
    try:
        yield api
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else None
        reason = reasons.get(status, f"the Hub refused {repo_id}")
        raise ValueError(reason if status in (401, 404) else f"{reason} (the Hub says: {_said(error)})") from None
    except httpx.RequestError as error:
        raise ValueError(f"the Hub at {api.endpoint} cannot be reached: {error}") from None
    except RuntimeError as error:  # raised by the upload of a large file
        raise ValueError(f"the upload failed, and {repo_id} is as it was: {error}") from None


def check_checkpoint(folder: Path) -> MaskGITForTimeSeriesGeneration | NCVQVAEModel:
    """Loads the checkpoint and generates, and reconstructs with one for all series.

    Raises:
        ValueError: unless it is the one that was trained and measured.
    """
    model = load_checkpoint(folder)  # compares the weights with their SHA-256
    if isinstance(model, NCVQVAEModel) and model.config.length is not None:
        raise ValueError(f"{folder} is a tokenizer without a prior; train the prior: ncvqvae finetune --stage prior")
    _check_code(folder, getattr(model.config, "auto_map", None) or {})
    if (folder / "metrics.json").is_file():
        metrics = read_metrics(folder, model.config)
        if is_base(model.config):  # the figures are those of its tokenizer
            same = metrics["tokenizer_sha256"] == digest(getattr(model, "tokenizer", model).state_dict().values())
        else:
            weights = (folder / "model.safetensors").read_bytes()
            same = metrics["weights_sha256"] == hashlib.sha256(weights).hexdigest()
        if not same:
            raise ValueError(f"{folder}/metrics.json was measured with other weights; {again(folder, model.config)}")
    generator = torch.Generator(model.device).manual_seed(0)
    made = []
    if is_base(model.config):
        made.append(model.reconstruct(torch.randn(4, 1, 100, generator=generator, device=model.device)))
    if isinstance(model, MaskGITForTimeSeriesGeneration):
        labels = model.config.id2label[0] if model.config.sets else None
        made.append(model.generate(4, labels, generator=generator))
    if not all(part.isfinite().all() for part in made):
        raise ValueError(f"{folder} makes values that are NaN or infinite; train it again")
    return model


def _check_code(folder: Path, auto_map: dict[str, str]) -> None:
    """Raises `ValueError` unless the folder holds this package's code, whole and unchanged: strangers run it."""
    remedy = f"write the code of this version there with python -m ncvqvae.hub.refresh {folder}"
    for file in sorted(folder.glob("*.py")):
        ours = PACKAGE_FOLDER / "models" / file.name
        if not ours.is_file():
            raise ValueError(f"{file} is not part of ncvqvae: remove it")
        if file.read_bytes() != ours.read_bytes():
            raise ValueError(f"{file} differs from the installed ncvqvae; {remedy}")
    if not {"AutoConfig", "AutoModel"} <= auto_map.keys():
        raise ValueError(f"{folder}/config.json has no auto_map that says which code loads it; {remedy}")
    waiting, known = {target.split(".")[0] for target in auto_map.values()}, set()
    while waiting:
        name = waiting.pop()
        known.add(name)
        if not (folder / f"{name}.py").is_file():
            raise ValueError(f"{folder} lacks {name}.py, without which nobody can load it; {remedy}")
        waiting |= set(get_relative_imports(folder / f"{name}.py")) - known
