"""The command that measures: evaluate."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .own_series import KINDS, add_reading_options, load_own, reading, refuse_without_data
from .publishing import DATA_DIR


if TYPE_CHECKING:
    from datasets import DatasetDict

    from ..evaluation.result import Model
    from ..training.recipes import Recipe

OF_THE_ARCHIVE = ("dataset", "data_dir", "fcn")
MOST_SERIES = 5000  # of a split of the user's own: more are measured in part, so that it takes minutes


def add_evaluate(commands: Any) -> None:
    parser = commands.add_parser(
        "evaluate",
        help="measure a checkpoint, next to the published models",
        description="Measure a checkpoint. Writes metrics.json, report.md and pictures, in minutes on two cores. "
        "One of your own series is measured on the file that it was trained on, with --data, and best on a test file. "
        "A tokenizer for all series, such as ncvqvae-base, is measured on all sets at hand, without training on them.",
    )
    parser.set_defaults(run=evaluate)
    add = parser.add_argument
    add("checkpoint", help="a folder or an id on the Hub")
    add("--dataset", metavar="NAME", help="dataset of the archive (default: the one that the checkpoint names)")
    add("--data-dir", metavar="DIR", help=DATA_DIR)
    add("--data", metavar="SOURCE", help=f"your own series that the checkpoint was trained on: {KINDS}")
    held_out = "the split test of --data, else the series that training held out"
    add("--test", metavar="SOURCE", help=f"your own test series, of the same kinds (default: {held_out})")
    add_reading_options(add)
    add("--fcn", metavar="DIR", help="folder of evaluation networks, NAME.safetensors (default: trained and cached)")
    add("--seeds", type=int, default=3, metavar="N", help="number of seeds for everything random (default: 3)")
    add("--only", choices=["tokenizer"], help="measure stage 1 alone: reconstruction, codes, probes")
    add("--out", metavar="DIR", help="folder of the report (default: report/NAME-OF-CHECKPOINT)")


def evaluate(options: argparse.Namespace) -> None:
    from ..training.run_folder import check_writable

    _check_source(options)
    model = _load_part(options.checkpoint, options.only)
    tokenizer = getattr(model.config, "tokenizer_config", model.config)
    folder = Path(options.out or Path("report") / Path(options.checkpoint).resolve().name)
    check_writable(folder)
    if tokenizer.length is not None:
        _evaluate_on_one_set(options, model, folder)
    elif options.data is None:
        _evaluate_zero_shot(options, model, folder)
    else:
        remedy = f"train on yours first: ncvqvae train --data {options.data}"
        raise ValueError(f"{options.checkpoint} is for all series, and measured on sets of the archive; {remedy}")


def _check_source(options: argparse.Namespace) -> None:
    """Raises `ValueError` for options of the archive beside those of the user's own series."""
    refuse_without_data(options, "test")
    archive = [name for name in OF_THE_ARCHIVE if getattr(options, name) is not None]
    if options.data is not None and archive:
        option = archive[0].replace("_", "-")
        raise ValueError(f"--{option} is for the archive, --data for series of your own: leave one out")


def _evaluate_on_one_set(options: argparse.Namespace, model: "Model", folder: Path) -> None:
    import time

    from ..evaluation.evaluator import evaluate as evaluate_model
    from ..evaluation.report import verdicts, write_report
    from ..models.precision import fast_bfloat16

    start = time.perf_counter()
    dataset, facts = _archive(options, model) if options.data is None else _own(options, model)
    result = evaluate_model(model, dataset, options.fcn, options.seeds, scaled=options.data is not None)
    folder.mkdir(parents=True, exist_ok=True)
    facts = _facts(options, model) | facts
    facts |= {
        "classifiers_trained_in": "bfloat16" if fast_bfloat16(model.device) else "float32",
        "seeds": [] if options.only else list(range(options.seeds)),
        "sampling": {key: value for key, value in model.config.to_dict().items() if key.startswith("sampling_")},
    }
    metrics = write_report(result, model, facts, folder)
    print(f"{facts['checkpoint']} on {facts['dataset']}, {time.perf_counter() - start:.0f} s")
    for sentence in verdicts(result.scores, metrics["published"]):
        print(f"  {sentence}")
    for what, why in result.not_measured.items():
        print(f"  not measured: {what}: {why}")
    print(f"report: {folder}/report.md    figures: {folder}/metrics.json")


def _archive(options: argparse.Namespace, model: "Model") -> "tuple[DatasetDict, dict[str, Any]]":
    """The dataset of the archive, and what `metrics.json` says about it."""
    from ..data.ucr import load_ucr

    name = options.dataset or getattr(model.config, "tokenizer_config", model.config).dataset_name
    if name is None:
        remedy = "name one with --dataset, or with --data the series of your own that it was trained on"
        raise ValueError(f"{options.checkpoint} does not name its dataset; {remedy}")
    return load_ucr(name, options.data_dir), {"dataset": name}


def _own(options: argparse.Namespace, model: "Model") -> "tuple[DatasetDict, dict[str, Any]]":
    """The user's own series, split as training did it, and what `metrics.json` says about them."""
    from datasets import DatasetDict

    from ..data.training_split import evaluation_split, subsample
    from ..evaluation.evaluator import check_training_split

    _, data = load_own(options)
    check_training_split(model, data["train"])
    if getattr(model.config, "num_labels", None) == 0 and "label" in data["train"].column_names:
        data = data.remove_columns("label")  # nor had training any classes when it held series out
    recipe = _recipe_of(options.checkpoint)
    train, test, kind = evaluation_split(data, recipe.seed, recipe.validation_fraction)
    facts = {
        "file": _public(options.data),
        "test_file": options.test and _public(options.test),
        "judged_by": kind,
        "series": {"split": len(data["train"]), "train": len(train), "test": len(test)},
        "windows": "series" in data["train"].column_names,
        "reading": reading(options),
    }
    some = DatasetDict(train=subsample(train, MOST_SERIES), test=subsample(test, MOST_SERIES))
    return some, {"dataset": facts["file"], "data": facts}


def _recipe_of(checkpoint: str) -> "Recipe":
    """The recipe beside a checkpoint, in its folder or on the Hub, or all defaults."""
    from transformers.utils import cached_file

    from ..inference import find_checkpoint
    from ..training.recipes import load_recipe

    name = find_checkpoint(checkpoint)
    return load_recipe(cached_file(name, "recipe.yaml", _raise_exceptions_for_missing_entries=False))


def _public(source: str) -> str:
    """A file or folder without the folders that it lies in, which are nobody's business; an id on the Hub as it is."""
    return Path(source).resolve().name if Path(source).exists() else source


def _evaluate_zero_shot(options: argparse.Namespace, model: "Model", folder: Path) -> None:
    """Measures a tokenizer for all series on every set at hand, or on the one that is named."""
    from ..evaluation.provenance import file_digests
    from ..evaluation.zero_shot import seen_sets, sets_at_hand, write_zero_shot, zero_shot
    from ..inference import find_checkpoint
    from ..runtime import digest

    archive, fcn = (Path(name) if name else None for name in (options.data_dir, options.fcn))
    seen = seen_sets(Path(find_checkpoint(options.checkpoint)))
    names = [options.dataset] if options.dataset else sets_at_hand(archive)
    tokenizer: Any = getattr(model, "tokenizer", model)
    own = file_digests(Path(find_checkpoint(options.checkpoint)), of_tokenizer=True)
    facts = _facts(options, model) | own | {"tokenizer_sha256": digest(tokenizer.state_dict().values())}
    del facts["weights_sha256"]  # a prior may come later, and changes no figure
    rows = []
    for row in zero_shot(tokenizer, archive, fcn, names, seen):
        rows.append(row)
        fid = "" if row.reconstruction_fid is None else f"reconstruction FID {row.reconstruction_fid:.2f}, "
        print(f"  {row.name}: {fid}ridge on embed {row.ridge:.3f}, MiniROCKET {row.minirocket:.3f}", flush=True)
    write_zero_shot(rows, facts, folder)
    print(f"report: {folder}/report.md    figures: {folder}/metrics.json")


def _facts(options: argparse.Namespace, model: "Model") -> dict[str, Any]:
    """What `metrics.json` says about the checkpoint and the command."""
    from datetime import UTC, datetime

    from ..evaluation.provenance import file_digests
    from ..inference import find_checkpoint
    from ..models.integrity import sha256

    checkpoint = Path(find_checkpoint(options.checkpoint))
    weights = checkpoint / "model.safetensors"
    return {
        "checkpoint": checkpoint.resolve().name,
        "weights_sha256": sha256(weights) if weights.is_file() else None,
        **file_digests(checkpoint),
        "created": datetime.now(UTC).date().isoformat(),
        "command": _command(options),
        "device": str(model.device),
    }


def _command(options: argparse.Namespace) -> str:
    """The command line, as strangers may read it in `metrics.json`: see `_public`."""
    import shlex

    paths = [getattr(options, name) for name in ("checkpoint", "data_dir", "data", "test", "fcn")]
    shown = {path: _public(path) for path in paths if path} | {options.out: Path(options.out or "").name}
    words = []
    for word in shlex.split(options.command_line):
        option, path = word.split("=", 1) if word.startswith("--") and "=" in word else ("", word)
        name = shown.get(path, Path(path).name if Path(path).is_absolute() else path)
        words.append(f"{option}={name}" if option else name)
    return shlex.join(words)


def _load_part(checkpoint: str, only: str | None) -> "Model":
    from ..inference import is_tokenizer, load_model
    from ..models.modeling_maskgit import MaskGITForTimeSeriesGeneration
    from ..models.modeling_ncvqvae import NCVQVAEModel

    if only == "tokenizer":
        return load_model(NCVQVAEModel, checkpoint)
    if is_tokenizer(checkpoint):
        model = load_model(NCVQVAEModel, checkpoint)
        if model.config.length is None:
            return model
        missing = "a tokenizer without a prior, so FID, IS, CAS and whatever else is generated cannot be measured"
        raise ValueError(f"{checkpoint} is {missing}; --only tokenizer measures reconstruction, codes and probes")
    return load_model(MaskGITForTimeSeriesGeneration, checkpoint)
