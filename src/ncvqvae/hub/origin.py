"""What a card says about where the series are from: a dataset of the archive, or a file of the author's own."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

from ..evaluation.pictures import CAPTIONS, READ
from ..evaluation.provenance import counted, data_options, judged_by
from ..models.configuration_maskgit import MaskGITConfig


WIDTH = 130  # of a line of the card
MOST_CLASSES = 10  # that are named one by one
UCR = "ucr"  # the repository of an organisation's datasets of the archive
NEAREST = f"""![{CAPTIONS["nearest.png"].capitalize()}](nearest.png)

{READ["nearest.png"]}

"""
FEATURES = f"""![{CAPTIONS["features.png"].capitalize()}](features.png)

{READ["features.png"]}

"""
READ_COPYING = """Read the figures on copying, above and in `report.md`, before
  you take generated series for new or for anonymous."""
COPYING_UNKNOWN = """How near was not measured here, so do
  not take generated series for new or for anonymous."""
OWN_NETWORK = """FID and inception score are in the features of a classifier of the training split, and compare with
those of no other data."""
NO_NETWORK = """They were measured without classes, so there is nothing that takes a classifier, such as FID and
inception score."""
ARCHIVE = """ The
data is from the UCR archive ([1810.07758](https://arxiv.org/abs/1810.07758)), which asks to be cited."""
ARCHIVE_BIBTEX = """@article{dau2019ucr, title={The {UCR} Time Series Archive},
  author={Dau, Hoang Anh and others}, journal={IEEE/CAA Journal of Automatica Sinica}, """
ARCHIVE_BIBTEX += "note={arXiv:1810.07758}, year={2019}}\n"


def is_own(config: MaskGITConfig) -> bool:
    """Whether a checkpoint was trained on series of the author's own."""
    return config.tokenizer_config.dataset_name is None


def hub_datasets(metrics: dict, organisation: str) -> list[str] | None:
    """Ids on the Hub of what a checkpoint was trained on: an organisation's copies of the archive, or a user's."""
    if "data" in metrics:
        return [metrics["data"]["file"].split(":")[0]] if "/" in metrics["data"]["file"] else None
    return archive_datasets(organisation)


def archive_datasets(organisation: str) -> list[str] | None:
    """The id of the datasets of the archive on the Hub, where `ncvqvae publish-data` puts them; none without an
    organisation.
    """
    return [f"{organisation}/{UCR}"] if organisation else None


def again(folder: Path, config: MaskGITConfig | None = None) -> str:
    """What to do to have the figures of a checkpoint's folder measured again."""
    own = config is not None and getattr(config, "tokenizer_config", config).length is not None and is_own(config)
    return f"run ncvqvae evaluate {folder}{' --data SOURCE' if own else ''} --out {folder}"


def origin_fields(metrics: dict, config: MaskGITConfig) -> dict[str, str]:
    """The values of those fields of the template that depend on where the series are from, and on their classes."""
    data, tokenizer = metrics.get("data"), config.tokenizer_config
    shape = f"{tokenizer.length} samples"
    shape += f" in {tokenizer.num_channels} channels" if tokenizer.num_channels > 1 else ""
    labels = list(config.id2label.values())
    fields = {
        "classes": _classes(labels, None if data is None else config.label_shares),
        "apart": " and tell classes apart" if labels else "",
        "given": ", given a class," if labels else "",
        "asked": f', labels="{labels[0]}"' if labels else "",
        "nearest": "" if "copying" in metrics["not_measured"] else NEAREST,
        "copying": READ_COPYING if "nearest_ratio" in metrics["scores"] else COPYING_UNKNOWN,
    }
    if data is None:
        network = "The evaluation network is the one behind the published figures."
        if metrics["network"]["source"] != "reference":
            network = "The evaluation network is our own, so published FID and inception score compare only roughly."
        dataset = metrics["dataset"]
        return fields | {
            "source": f"the UCR dataset **{dataset}**: {shape}",
            "measured": f"`ncvqvae evaluate` measured these figures on the official test split. {network}",
            "training_data": f"the official training split of {dataset}",
            "train": f"ncvqvae train {dataset} --recipe recipe.yaml",
            "archive": ARCHIVE,
            "archive_bibtex": ARCHIVE_BIBTEX,
        }
    network = OWN_NETWORK if metrics["network"] else NO_NETWORK
    return fields | {
        "source": f"{_source(data['file'])}: {counted(data)} of {shape}",
        "measured": fill(f"`ncvqvae evaluate` measured these figures. {judged_by(metrics)} {network}", WIDTH),
        "training_data": f"the {counted(data)} of `{data['file']}`",
        "train": f"ncvqvae train {data_options(data, with_test=False)} --recipe recipe.yaml",
        "archive": "",
        "archive_bibtex": "",
    }


def _source(file: str) -> str:
    """The name of the author's own series; one with a slash is an id on the Hub, perhaps with a configuration."""
    if "/" in file:
        return f"[{file}](https://huggingface.co/datasets/{file.split(':')[0]})"
    return f"**{file}**, its author's own data"


def _classes(labels: list[str], shares: Sequence[float] | None) -> str:
    if not labels:
        return "without classes"
    named = labels if shares is None else [f"{one} {share:.0%}" for one, share in zip(labels, shares, strict=True)]
    return (
        f"{len(labels)} classes ({', '.join(named) if len(named) <= MOST_CLASSES else f'{labels[0]} to {labels[-1]}'})"
    )
