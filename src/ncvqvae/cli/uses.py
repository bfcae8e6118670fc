"""Commands that do with a checkpoint what it was not trained for: impute, edit, score, augment."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .inference import CHECKPOINT, OUTPUT
from .own_series import KINDS, add_reading_options, reading


LABEL = "class of the series (default: the file's labels, if the model knows them, or none)"

if TYPE_CHECKING:
    from ..models.imputation import MaskGITImputeOutput


def add_impute(commands: Any) -> None:
    parser = commands.add_parser(
        "impute",
        help="fill the gaps of the series of a file",
        description="Fill the gaps of the series of a file: missing codes are drawn by the prior. What the file holds "
        "comes back as it was; a gap gets the average of the draws.",
    )
    parser.set_defaults(run=impute)
    _add_filling(parser, f"series, empty or NaN where values are missing: {KINDS}", 10)


def impute(options: argparse.Namespace) -> None:
    _fill(options, lambda model, values, labels, **how: model.impute(values, labels, **how))


def add_edit(commands: Any) -> None:
    parser = commands.add_parser(
        "edit",
        help="keep a part of the series of a file, and draw the rest anew",
        description="Keep a part of the series of a file, and draw the rest anew, perhaps as another class.",
    )
    parser.set_defaults(run=edit)
    add = parser.add_argument
    add(
        "--keep",
        required=True,
        metavar="START:STOP",
        help="samples to keep, counted from 0: 0:40, :40 -40: (as --keep=-40:)",
    )
    _add_filling(parser, f"series: {KINDS}", 1)


def edit(options: argparse.Namespace) -> None:
    try:
        keep = slice(*(int(part) if part.strip() else None for part in options.keep.split(":")))
    except (ValueError, TypeError):
        keep = None
    if keep is None or ":" not in options.keep or keep.step == 0:
        raise ValueError(f"--keep takes START:STOP, such as 0:40, found {options.keep!r}")
    _fill(options, lambda model, values, labels, **how: model.edit(values, keep, labels, **how))


def _add_filling(parser: argparse.ArgumentParser, series: str, num_draws: int) -> None:
    add = parser.add_argument
    add("checkpoint", help=CHECKPOINT)
    add("input", help=series)
    add("output", help=OUTPUT)
    add("--spread", metavar="FILE", help="write the standard deviation of the draws there, a series in each row")
    add("--label", metavar="NAME", help=LABEL)
    add("--num-draws", type=int, default=num_draws, metavar="N", help=f"draws to average (default: {num_draws})")
    add("--seed", type=int, default=0, metavar="N", help="seed; the same seed gives the same series (default: 0)")
    add_reading_options(add)


def _fill(options: argparse.Namespace, function: Callable[..., "MaskGITImputeOutput"]) -> None:
    import torch

    from ..data.files import check_output, write_series
    from ..data.gaps import read_with_gaps
    from ..inference import check_finite, load_model
    from ..models.modeling_maskgit import MaskGITForTimeSeriesGeneration

    if not 0 <= options.seed < 2**63:
        raise ValueError(f"--seed must lie in 0 to 2**63 - 1, found {options.seed}")
    for path in filter(None, (options.output, options.spread)):
        check_output(path)
    model = load_model(MaskGITForTimeSeriesGeneration, options.checkpoint)
    values, names, description = read_with_gaps(options.input, **reading(options))
    print(description)
    generator = torch.Generator(model.device).manual_seed(options.seed)
    filled: Any = function(
        model, values, _labels(options, names, model), num_draws=options.num_draws, generator=generator
    )
    # After an edit with a label the series are of that class.
    known = options.label in model.config.label2id
    write_series(
        options.output,
        check_finite(filled.values, options.checkpoint),
        [options.label] * len(values) if known else names,
    )
    if options.spread:
        write_series(options.spread, filled.spread, names)
    print(f"{len(values)} series in {options.output}")


def add_score(commands: Any) -> None:
    parser = commands.add_parser(
        "score",
        help="say how likely the series of a file are",
        description="Write the log-likelihood of each series of a file, in nats: that of its codes, and that of what "
        "the codes leave out, a Gaussian's. The lowest are the oddest series.",
    )
    parser.set_defaults(run=score)
    add = parser.add_argument
    add("checkpoint", help=CHECKPOINT)
    add("input", help=f"series: {KINDS}")
    add("output", help=OUTPUT)
    add("--label", metavar="NAME", help=LABEL)
    add("--num-orders", type=int, default=16, metavar="N", help="random orders of the codes, averaged (default: 16)")
    told = "standard deviation of what the codes leave out (default: that of these series, which is printed)"
    add("--residual-std", type=float, metavar="S", help=told)
    add_reading_options(add)


def score(options: argparse.Namespace) -> None:
    import torch

    from ..data.files import check_output, write_features
    from ..data.own_series import read_series
    from ..inference import check_finite, load_model
    from ..models.modeling_maskgit import MaskGITForTimeSeriesGeneration

    check_output(options.output)
    model = load_model(MaskGITForTimeSeriesGeneration, options.checkpoint)
    values, names, description = read_series(options.input, **reading(options))
    print(description)
    found: Any = model.score(values, _labels(options, names, model), options.num_orders, options.residual_std)
    columns = torch.stack((found.scores, found.codes, found.residual), 1)
    told = ["log_likelihood", "of_codes", "of_residual"]
    write_features(options.output, check_finite(columns, options.checkpoint), names, told)
    print(f"scores of {len(values)} series in {options.output}; residual_std {float(found.residual_std):.6g}")


def _labels(options: argparse.Namespace, names: list[str] | None, model: Any) -> Any:
    if options.label is None and names is not None and set(names) <= set(model.config.label2id):
        return names
    return options.label


def add_augment(commands: Any) -> None:
    parser = commands.add_parser(
        "augment",
        help="add generated series to a training set",
        description="Write the series of a file and, after them, generated ones of their classes.",
    )
    parser.set_defaults(run=augment)
    add = parser.add_argument
    add("checkpoint", help=f"{CHECKPOINT}; it was trained on series of these classes")
    add("input", help=f"series with classes: {KINDS}")
    add("output", help=OUTPUT)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--balance", action="store_true", help="make all classes as large as the largest one")
    how.add_argument("--ratio", type=float, default=1.0, metavar="R", help="series to add for each one (default: 1)")
    add("--seed", type=int, default=0, metavar="N", help="seed; the same seed gives the same series (default: 0)")
    add_reading_options(add)


def augment(options: argparse.Namespace) -> None:
    import torch

    from ..data.files import check_output, write_series
    from ..data.own_series import read_series
    from ..inference import check_finite
    from ..training.estimators import Augmenter, ClassBalancer

    if not 0 <= options.seed < 2**32:
        raise ValueError(f"--seed must lie in 0 to 2**32 - 1, found {options.seed}")
    check_output(options.output)
    values, names, description = read_series(options.input, **reading(options))
    print(description)
    if names is None:
        raise ValueError(f"{options.input} has no classes; name their column with --label-column")
    how: Any = {"checkpoint": options.checkpoint, "random_state": options.seed}
    sampler = ClassBalancer(**how) if options.balance else Augmenter(ratio=options.ratio, **how)
    more, labels = sampler.fit_resample(values.numpy(), names)
    write_series(options.output, check_finite(torch.from_numpy(more), options.checkpoint), labels.tolist())
    print(f"{len(more)} series in {options.output}, of which {len(more) - len(values)} are generated")
