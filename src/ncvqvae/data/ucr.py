"""The UCR and UEA archives of classified time series as Hugging Face datasets (Dau et al., arXiv 1810.07758)."""

import contextlib
import difflib
import io
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
from datasets import DatasetDict
from tqdm.auto import tqdm

from ..runtime import bars_for_terminals, is_first_process
from .labels import label_name, sort_labels
from .series import fill_gaps, series_features, values_column


SPLITS = {"train": "TRAIN", "test": "TEST"}


@bars_for_terminals()
def load_ucr(
    name: str,
    data_dir: str | Path | None = None,
    cache_dir: str | Path | None = None,
    repo_id: str | None = None,
) -> DatasetDict:
    """The official `train` and `test` splits of a dataset of the archives, cached.

    Args:
        name: the dataset's name as the archive spells it, such as `"GunPoint"`.
        data_dir (*optional*): the folder of the archive that holds `<name>/<name>_TRAIN.tsv`. If it lacks the
            dataset or is not given, the package aeon provides it: aeon contains some sets and downloads all others.
        cache_dir (*optional*): the cache of Hugging Face datasets.
        repo_id (*optional*): a dataset repository on the Hub that `ncvqvae publish-data` filled; it replaces both.

    Returns:
        A `DatasetDict` with columns `values` `(channels, length)` and `label`. Missing values are interpolated,
        and series of unequal length are stretched; see `fill_gaps`.

    Raises:
        ValueError: for a name that no source has (the message lists the closest names), or for an empty split.
    """
    if repo_id is not None:
        return datasets.load_dataset(repo_id, name, cache_dir=cache_dir and str(cache_dir))
    builder = UCR(cache_dir=cache_dir and str(cache_dir), config_name=name, **_source(name, data_dir))
    builder.download_and_prepare()
    return builder.as_dataset()


@dataclass
class UCRConfig(datasets.BuilderConfig):
    """`folder` is empty where aeon is the source; `stamp` tells one state of the source's files from another.

    Both are part of the cache's key, which does not depend on the content of the files.
    """

    folder: str = ""
    stamp: str = ""


class UCR(datasets.ArrowBasedBuilder):
    """Builds the datasets of the archives, one configuration for each.

    Raise `VERSION` whenever the built data change: it is part of the cache's key.
    """

    VERSION = datasets.Version("1.0.1")
    BUILDER_CONFIG_CLASS = UCRConfig

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(description=f"{self.config.name} of the UCR and UEA archives")

    def _split_generators(self, dl_manager: datasets.DownloadManager) -> list[datasets.SplitGenerator]:
        name, folder = self.config.name, self.config.folder
        raw = {split: read_split(Path(folder) if folder else None, name, split) for split in SPLITS}
        for split, (series, _) in raw.items():
            if not len(series):
                raise ValueError(f"the {split} split of {name} is empty")
        sizes = [len(series) for series, _ in raw.values()]
        values = fill_gaps([one for series, _ in raw.values() for one in series])
        names = sort_labels([label for _, labels in raw.values() for label in labels])
        self.info.features = series_features(values.shape[1], values.shape[2], names)
        generators = []
        for split, part in zip(SPLITS, np.split(values, [sizes[0]]), strict=True):
            kwargs = {"values": part, "labels": [names.index(label) for label in raw[split][1]]}
            generators.append(datasets.SplitGenerator(name=split, gen_kwargs=kwargs))
        return generators

    def _generate_tables(self, values: np.ndarray, labels: list[int]) -> Iterator[tuple[int, pa.Table]]:
        columns = [values_column(values.astype(np.float32)), pa.array(labels)]
        yield 0, pa.table(columns, names=["values", "label"]).cast(self.info.features.arrow_schema)


def _source(name: str, data_dir: str | Path | None) -> dict[str, str]:
    """Where a dataset comes from, as fields of `UCRConfig`."""
    from aeon.datasets.tsc_datasets import tsc_zenodo

    known = set(tsc_zenodo)
    if data_dir is not None:
        root = Path(data_dir)
        if not root.is_dir():
            raise ValueError(f"the archive folder {root} does not exist")
        root = root / "UCRArchive_2018" if (root / "UCRArchive_2018").is_dir() else root
        files = [root / name / f"{name}_{suffix}.tsv" for suffix in SPLITS.values()]
        if (root / name).is_dir():
            for file in files:
                if not file.is_file():
                    raise ValueError(f"{root / name} lacks the file {file.name}")
            states = [file.stat() for file in files]
            stamp = ";".join(f"{state.st_size},{state.st_mtime_ns}" for state in states)
            return {"folder": str((root / name).resolve()), "stamp": stamp}
        known |= {path.name for path in root.iterdir() if path.is_dir()}
    if name not in known:
        folded = {other.lower(): other for other in known}
        close = [folded[other] for other in difflib.get_close_matches(name.lower(), folded, 5, 0.5)]
        raise ValueError(f"unknown dataset {name!r}; the closest names are {', '.join(close) or 'none'}")
    return {}


def read_split(folder: Path | None, name: str, split: str) -> tuple[list[np.ndarray], list[str]]:
    """The series `(channels, length)` of one split, with their gaps, and their classes.

    They come from `<name>_TRAIN.tsv` or `<name>_TEST.tsv` in `folder`, or from aeon if there is no folder.
    """
    return _read_aeon(name, split) if folder is None else _read_tsv(folder, name, split)


def _read_tsv(folder: Path, name: str, split: str) -> tuple[list[np.ndarray], list[str]]:
    import pandas as pd

    file = folder / f"{name}_{SPLITS[split]}.tsv"
    try:
        table = pd.read_csv(file, sep="\t", header=None)
        series = table.drop(columns=0).to_numpy(np.float64)[:, None]
    except pd.errors.EmptyDataError:
        return [], []
    except ValueError as error:
        raise ValueError(f"{file} is not a table of numbers separated by tabs: {error}") from None
    return list(series), [label_name(label) for label in table[0]]


def _read_aeon(name: str, split: str) -> tuple[list[np.ndarray], list[str]]:
    from aeon.datasets import load_classification

    try:
        # aeon prints to standard output, which is for the command line's own results.
        with contextlib.redirect_stdout(io.StringIO()), _ticking(f"{name} {split}, from aeon"):
            series, labels = load_classification(name, split=split, extract_path=_aeon_folder(name))
    except (OSError, ValueError) as error:
        raise ValueError(f"{name} could not be had from aeon: {error}; name a folder of the archive instead") from None
    return [np.asarray(one, dtype=np.float64) for one in series], [label_name(label) for label in labels]


@contextlib.contextmanager
def _ticking(description: str) -> Iterator[None]:
    """A bar that shows the time passed, because aeon does not tell the size of its downloads."""
    done = threading.Event()
    shown = None if is_first_process() else True  # None shows the bar on a terminal only
    with tqdm(desc=description, bar_format="{desc} {elapsed}", disable=shown, leave=False) as bar:

        def tick() -> None:
            while not done.wait(0.5):
                bar.refresh()

        thread = threading.Thread(target=tick, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def _aeon_folder(name: str) -> str | None:
    """`None` for a set inside aeon, else a folder next to the cache: aeon would write into its own package."""
    import aeon.datasets

    if (Path(aeon.datasets.__file__).parent / "data" / name).is_dir():
        return None
    folder = Path(os.path.expanduser(datasets.config.HF_CACHE_HOME)) / "aeon"
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)
