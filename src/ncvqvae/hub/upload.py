"""Which files go to the Hub, and how: in one commit, on what was seen there, with one line for what goes wrong."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from json import JSONDecodeError
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError
from huggingface_hub.utils import httpx, validate_repo_id

from ..evaluation.pictures import CAPTIONS
from ..runtime import check_token
from .stamp import has_stamp, is_ours, same


CARD = "README.md"
# The files of a checkpoint's folder that are sent.
WANTED: tuple[str, ...] = (CARD, "config.json", "model.safetensors", "model.sha256", "recipe.yaml")
WANTED += ("metrics.json", "pretraining.json", "notes.md", "report.md", "training.png", "*.py", *CAPTIONS)
# The files of an app's folder, and of this package, that are sent.
APP = (CARD, "requirements.txt", "packages.txt", "*.py", "*.html", "*.js", "*.css")
PACKAGE = ("*.py", "*.md", "*.json")

Files = dict[str, Path | bytes]  # what is sent, by its name on the Hub


class Sent(NamedTuple):
    """What was sent, or would be; the address of the commit, or of the repository if nothing was sent."""

    files: Files
    address: str
    card_kept: bool = False  # because a person has edited it
    deleted: Sequence[str] = ()  # files of an earlier version


def check_repo_id(repo_id: str) -> None:
    """Raises `ValueError` for an id that is not `organisation/name`."""
    try:
        validate_repo_id(repo_id)
        named = "/" in repo_id
    except HFValidationError:
        named = False
    if not named:
        raise ValueError(f"a repository's id is organisation/name, such as my-lab/ncvqvae-fordA; found {repo_id!r}")


def chosen(folder: Path, wanted: Sequence[str], prefix: str = "") -> Files:
    """The files of a folder whose names are `wanted`. Raises `ValueError` for a link, or what else is no file."""
    files: Files = {}
    for path in sorted(folder.iterdir()):
        if not matches(path.name, wanted):
            continue
        if path.is_symlink() or not path.is_file():
            raise ValueError(f"{path} is a link, a folder or a device, and would go up: copy there what it should be")
        files[prefix + path.name] = path
    return files


def matches(name: str, wanted: Sequence[str]) -> bool:
    """Whether a name is one of those that are `wanted`, or fits a pattern among them."""
    return any(fnmatch(name, pattern) for pattern in wanted)


def send(files: Files, repo_id: str, private: bool, kind: str = "model", card_kept: bool = False) -> Sent:
    """Sends files as one commit on top of what is there now; files of an earlier version are deleted.

    Raises:
        ValueError: for a card that somebody has edited there, a commit in between, and whatever else goes wrong.
    """
    with explained(repo_id) as api:
        head = create(api, repo_id, private, kind)
        there = api.list_repo_files(repo_id, repo_type=kind, revision=head)
        if CARD in there:
            _check_card_there(api, repo_id, kind, head, files[CARD])
        # upload_folder may make several commits: a reader could see new figures beside old weights.
        deleted = [name for name in _stale(there, kind) if name not in files]
        changes: list[Any] = [CommitOperationAdd(name, content) for name, content in files.items()]
        changes += [CommitOperationDelete(name) for name in deleted]
        message = f"{repo_id.split('/')[-1]}: {len(files)} files"
        done = api.create_commit(repo_id, changes, commit_message=message, repo_type=kind, parent_commit=head)
        return Sent(files, done.commit_url, card_kept, deleted)


def _check_card_there(api: HfApi, repo_id: str, kind: str, head: str, card: Path | bytes) -> None:
    """Raises `ValueError` for a card on the Hub that is not what this package published last."""
    found, ours = (
        part.decode(errors="replace") if isinstance(part, bytes) else part.read_text(errors="replace")
        for part in (Path(api.hf_hub_download(repo_id, CARD, repo_type=kind, revision=head)), card)
    )
    # A new Space has a card of the Hub's own.
    if is_ours(found) or same(found, ours) or (kind == "space" and not has_stamp(found)):
        return
    where = f"hf download {repo_id} {CARD} {'--repo-type space ' if kind == 'space' else ''}--local-dir FOLDER"
    remedy = f"take it over with {where}, or delete it there"
    raise ValueError(f"{CARD} of {repo_id} was edited on the Hub, and would be overwritten; {remedy}")


def _stale(there: Sequence[str], kind: str) -> list[str]:
    """The files of a repository that may be left over from an earlier version, whose code would still be imported."""
    paths = [PurePosixPath(name) for name in there]
    wanted = {PurePosixPath(): WANTED}
    if kind == "space":
        wanted = {path.parent: WANTED for path in paths if path.name == "config.json"}
        wanted |= {path.parent: PACKAGE for path in paths if path.parts[0] == "ncvqvae"} | {PurePosixPath(): APP}
    return [str(path) for path in paths if matches(path.name, wanted.get(path.parent, ()))]


def create(api: HfApi, repo_id: str, private: bool, kind: str) -> str:
    """Creates the repository unless it exists; returns its last commit.

    It asks first, because a 409 of creation may mean other things too.
    """
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
            try:  # another process may have been faster
                found = api.repo_info(repo_id, repo_type=kind)
            except RepositoryNotFoundError:
                taken = f"the name {repo_id} is taken, by what this token may not see; choose another"
                raise ValueError(f"{taken} (the Hub says: {_said(error)})") from None
        else:
            return api.repo_info(repo_id, repo_type=kind).sha
    if private and not found.private:
        remedy = "make it private in its settings on the Hub, or choose another name"
        raise ValueError(f"{repo_id} exists and is public, and --private makes only new ones private; {remedy}")
    return found.sha


def _said(error: HfHubHTTPError) -> str:
    return " ".join((error.server_message or str(error)).split())


@contextmanager
def explained(repo_id: str) -> Iterator[HfApi]:
    """A client of the Hub; errors of Hub and network become a `ValueError` of one line."""
    if get_token() is None:
        raise ValueError("there is no token for the Hub; run hf auth login, or set HF_TOKEN")
    check_token()
    api = HfApi()
    reasons = {
        401: f"the token is refused: it is wrong, has expired, or may not see {repo_id}; run hf auth login",
        403: f"this token may not write to {repo_id}: the name is someone else's, or the token is for reading only",
        404: f"there is no {repo_id}, or this token may not see it",
        409: f"someone else is writing to {repo_id}; try again",
        412: f"someone else has changed {repo_id} meanwhile; try again",
        429: "the Hub takes no more requests for now; try again in some minutes",
    }
    try:
        yield api
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else None
        reason = reasons.get(status, f"the Hub refused {repo_id}")
        raise ValueError(reason if status in (401, 404) else f"{reason} (the Hub says: {_said(error)})") from None
    except httpx.RequestError as error:
        raise ValueError(f"the Hub at {api.endpoint} cannot be reached: {error}") from None
    except JSONDecodeError:
        raise ValueError(f"what answers at {api.endpoint} is no Hub: perhaps a login page of this network") from None
    except RuntimeError as error:  # raised by the upload of a large file
        raise ValueError(f"the upload failed, and {repo_id} is as it was: {error}") from None
