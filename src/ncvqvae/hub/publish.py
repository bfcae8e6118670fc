"""Publishing on the Hugging Face Hub: checkpoints with a card of real figures, datasets, and the Space."""

from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import yaml
from huggingface_hub import DatasetCard, HfApi, SpaceCard

from ..data.synthetic import synthetic_dataset
from ..inference import BASE
from ..runtime import one_line, whole_file
from .card import card_of
from .checks import PACKAGE_FOLDER, check_checkpoint, check_measured, check_public
from .origin import archive_datasets
from .stamp import stamped
from .upload import APP, CARD, PACKAGE, WANTED, Files, Sent, check_repo_id, chosen, create, explained, matches, send


PAGE_FOLDERS = ("vendor", "models")  # of a static Space
NEEDED = {"gradio": ("app.py", "requirements.txt"), "static": ("index.html", *PAGE_FOLDERS)}


def publish(folder: str | Path, repo_id: str, private: bool = False, dry_run: bool = False) -> Sent:
    """Checks a checkpoint's folder, writes its card, and sends the folder to the Hub as one commit.

    Args:
        folder: the output folder of a training, with the files that `ncvqvae evaluate FOLDER --out FOLDER` adds.
        repo_id: `organisation/name`; it is created where it does not exist. Files of an earlier version that the
            folder no longer holds are deleted there.
        private: create a private repository; the default is the organisation's. An existing repository is not changed.
        dry_run: check, but write and send nothing.

    Raises:
        ValueError: for a folder that is no whole checkpoint of ours, was changed, has no figures of its weights, or
            says where something lies on this machine; for a name that the Hub does not take, or a public one with
            `private`; for a card that was edited there meanwhile; for no token, right or network.
    """
    folder = Path(folder)
    check_repo_id(repo_id)
    model = check_checkpoint(folder)
    card, kept = card_of(folder, repo_id, model.config)
    check_measured(folder, model)
    files = chosen(folder, WANTED) | {CARD: card.encode()}
    check_public(files)
    if dry_run:
        return Sent(files, f"{HfApi().endpoint}/{repo_id}", kept)
    with whole_file(folder / CARD) as partial:
        partial.write_text(card)
    return send(files, repo_id, private, card_kept=kept)


def publish_data(name: str, repo_id: str, data_dir: str | Path | None = None, private: bool = False) -> str:
    """Sends both splits of a dataset of the archive to a dataset repository, as a configuration named after it.

    `load_dataset(repo_id, name)` and `load_ucr(name, repo_id=repo_id)` read them back exactly. Raises `ValueError` as
    `publish` does. Returns the address of the repository.
    """
    from ..data.ucr import load_ucr

    check_repo_id(repo_id)
    dataset = load_ucr(name, data_dir)
    with explained(repo_id) as api:
        create(api, repo_id, private, "dataset")
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
    with explained(repo_id) as api:
        create(api, repo_id, private, "dataset")
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
    """Sends an app to a Space as one commit: its folder, the checkpoints inside, and the installed package.

    So the Space runs this version of the package. A static Space, whose page needs no package, is sent as it is.

    Raises:
        ValueError: for a folder that is not a Space or holds a broken checkpoint, and as `publish` does.
    """
    folder = Path(folder)
    check_repo_id(repo_id)
    sdk = _check_space(folder)
    # A checkpoint may be a link to a folder elsewhere, which `rglob` would not enter.
    checkpoints = [config.parent for config in sorted(folder.glob("*/config.json"))]
    for checkpoint in checkpoints:
        model = check_checkpoint(checkpoint)
        if (checkpoint / "metrics.json").is_file():
            check_measured(checkpoint, model)
    files = chosen(folder, APP) | (_page(folder) if sdk == "static" else _package())
    for checkpoint in checkpoints:
        files |= chosen(checkpoint, WANTED, f"{checkpoint.name}/")
    of_page = [path.parent for path in sorted(folder.glob("models/*/real.json"))] if sdk == "static" else []
    files[CARD] = _space_card(folder, repo_id, checkpoints + of_page)
    check_public(files)
    if dry_run:
        return Sent(files, f"{HfApi().endpoint}/spaces/{repo_id}")
    return send(files, repo_id, private, "space")


def _package() -> Files:
    """The installed package, without the base."""
    paths = [path for path in sorted(PACKAGE_FOLDER.rglob("*")) if path.is_file() and BASE not in path.parts]
    named = {f"ncvqvae/{path.relative_to(PACKAGE_FOLDER).as_posix()}": path for path in paths}
    return {name: path for name, path in named.items() if matches(path.name, PACKAGE)}


def _page(folder: Path) -> Files:
    """What the page of a static Space loads."""
    files: Files = {}
    for path in sorted(path for part in PAGE_FOLDERS for path in (folder / part).rglob("*") if not path.is_dir()):
        files |= chosen(path.parent, [path.name], f"{path.parent.relative_to(folder).as_posix()}/")
    return files


def _space_card(folder: Path, repo_id: str, checkpoints: list[Path]) -> bytes:
    """The Space's card, which names the models inside and their archive, as this organisation's, and a picture."""
    card, organisation = SpaceCard.load(folder / CARD), repo_id.split("/")[0]
    if checkpoints:
        card.data.models = [f"{organisation}/ncvqvae-{path.name.removeprefix('ncvqvae-')}" for path in checkpoints]
        card.data.datasets = archive_datasets(organisation)
        pictured = next((path / "samples.png" for path in checkpoints if (path / "samples.png").is_file()), None)
        if pictured:
            name = pictured.relative_to(folder).as_posix()
            card.data["thumbnail"] = f"{HfApi().endpoint}/spaces/{repo_id}/resolve/main/{name}"
    return stamped(str(card)).encode()


def _check_space(folder: Path) -> str:
    """What serves the Space, `"gradio"` or `"static"`."""
    card = folder / "README.md"
    if not card.is_file():
        raise ValueError(f"{folder} is not a Space: it lacks README.md")
    try:
        # Without the lines of --- the card has no metadata, and the client would warn.
        sdk = SpaceCard.load(card).data.sdk if card.read_text().startswith("---\n") else None
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(f"the metadata at the head of {card} cannot be read: {one_line(error)}") from None
    if sdk not in NEEDED:
        raise ValueError(f"{card} does not say `sdk: gradio` or `sdk: static` at its head")
    if missing := [name for name in NEEDED[sdk] if not (folder / name).exists()]:
        remedy = "; build it with make browser" if missing[0] in PAGE_FOLDERS else ""
        raise ValueError(f"{folder} is not a Space: it lacks {missing[0]}{remedy}")
    return sdk
