"""The command line: `ncvqvae train | sample | reconstruct | embed | info`. A user's mistake gets one line and exit
code 2.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor
from transformers.utils import logging

from .files import check_output, read_series, write_features, write_series
from .modeling_maskgit import MaskGITForTimeSeriesGeneration


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    return run(options.run, options, f"ncvqvae {options.command}")


def run(function: Callable[[argparse.Namespace], None], options: argparse.Namespace, name: str) -> int:
    """Calls a command; the exit code is 2, with one line and no stack trace, for what a user can put right."""
    try:
        function(options)
    except ImportError as error:
        print(f"{name}: {error}; pip install 'ncvqvae[train]'", file=sys.stderr)
        return 2
    except (ValueError, OSError, RuntimeError, FloatingPointError, StrictDataclassError) as error:
        reason = error.__cause__ if isinstance(error, StrictDataclassError) and error.__cause__ else error
        lines = [line.strip() for line in str(reason).splitlines() if line.strip()]
        print(f"{name}: {lines[0] if lines else type(error).__name__}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{name}: interrupted; a training goes on from its last checkpoint with --resume", file=sys.stderr)
        return 130
    return 0


def train(options: argparse.Namespace) -> None:
    # The extra `train`, which the other commands do without.
    from .plots import plot_reconstructions, plot_samples, plot_training
    from .recipes import load_recipe
    from .report import training_summary
    from .runs import check_writable, default_output_dir
    from .series import to_tensors
    from .stages import train as train_stages
    from .ucr import load_ucr

    logging.disable_progress_bar()  # transformers' own, for files of a few megabytes
    name = options.dataset
    recipe = load_recipe(options.recipe, options.set)
    folder = Path(options.output_dir or default_output_dir(name))
    figures = Path(options.figures or folder)
    data = load_ucr(name, options.data_dir)
    check_writable(figures)
    model, histories = train_stages(data["train"], recipe, folder, options.work_dir, options.resume)
    figures.mkdir(parents=True, exist_ok=True)
    plot_training(histories, f"Training on {name}", figures / "training.png")

    rows, samples, labels = training_summary(model, data["train"], data["test"], seed=recipe.seed)
    real, real_labels = to_tensors(data["train"])
    names = list(model.config.id2label.values())
    title = f"{name}: the training split and what the model generates"
    plot_samples(real, real_labels, samples.cpu(), labels, names, title, figures / "samples.png")
    test = to_tensors(data["test"])[0][:1000]  # enough to find the best and the worst
    title = f"{name}: test series and their reconstructions from {model.num_codes} codes"
    plot_reconstructions(test, _batched(model.reconstruct, test, model.device), title, figures / "reconstructions.png")

    width = max(len(key) for key, _ in rows)
    print(f"\n{name}, recipe {options.recipe or 'defaults'}")
    for key, value in rows:
        print(f"  {key:<{width}}  {value}")
    print(f"\nmodel: {folder}/    pictures: {figures}/{{samples,reconstructions,training}}.png")
    print(f"load it: import ncvqvae; AutoModel.from_pretrained({str(folder)!r})")


def sample(options: argparse.Namespace) -> None:
    check_output(options.output)
    model = _load(options.checkpoint)
    labels = options.label[0] if len(options.label) == 1 else options.label or None
    output = model.generate(
        options.num_samples,
        labels=labels,
        num_steps=options.num_steps,
        temperature=options.temperature,
        choice_temperature=options.choice_temperature,
        guidance_scale=options.guidance_scale,
        generator=torch.Generator(model.device).manual_seed(options.seed),
        return_labels=True,
    )
    names = model.config.id2label
    classes = [names[label] for label in output.labels.tolist() if label in names]  # none has the null class, or all
    write_series(options.output, output.values, classes or None)
    print(f"{len(output.values)} series in {options.output}")


def reconstruct(options: argparse.Namespace) -> None:
    model, values, labels = _load_with_series(options)
    reconstruction = _batched(model.reconstruct, values, model.device)
    write_series(options.output, reconstruction, labels)
    error = (model.tokenizer.scale(reconstruction) - model.tokenizer.scale(values)).square().mean()
    print(f"{len(values)} series in {options.output}; mean squared error of the scaled series {error:.4f}")


def embed(options: argparse.Namespace) -> None:
    model, values, labels = _load_with_series(options)
    features = _batched(model.embed, values, model.device)
    write_features(options.output, features, labels)
    print(f"{features.shape[1]} features of {len(values)} series in {options.output}")


def info(options: argparse.Namespace) -> None:
    model = _load(options.checkpoint)
    config, tokenizer = model.config, model.config.tokenizer_config
    frequencies, width = tokenizer.latent_shape
    shares = zip(config.id2label.values(), config.label_shares or [], strict=True)
    scaler = [", ".join(f"{value:.4g}" for value in values) for values in (tokenizer.mean, tokenizer.std)]
    rows = {
        "series": f"{tokenizer.num_channels} channels x {tokenizer.length} samples",
        "mean; standard deviation": "; ".join(scaler),
        "classes": ", ".join(f"{name} ({share:.1%})" for name, share in shares) or "none",
        "codes": f"{tokenizer.num_codes} a series ({frequencies} x {width}), of {tokenizer.codebook_size}",
        "objective": tokenizer.ssl_objective or "none",
        "prior": f"{config.code_embedding}, {config.num_hidden_layers} layers of {config.hidden_size}",
        "sampling": f"{config.sampling_steps} steps, temperature {config.sampling_temperature}, choice temperature "
        f"{config.sampling_choice_temperature}, guidance {config.sampling_guidance_scale}",
        "parameters": f"{sum(parameter.numel() for parameter in model.parameters()):,}",
    }
    for key, value in rows.items():
        print(f"{key:<26}{value}")


def _batched(function: Callable[[Tensor], Tensor], values: Tensor, device: torch.device) -> Tensor:
    with torch.no_grad():
        return torch.cat([function(batch.to(device)).cpu() for batch in values.split(256)])


def _load_with_series(options: argparse.Namespace) -> tuple[MaskGITForTimeSeriesGeneration, Tensor, list[str] | None]:
    check_output(options.output)
    model = _load(options.checkpoint)
    return model, *read_series(options.input, model.config.tokenizer_config.num_channels)


def _load(checkpoint: str) -> MaskGITForTimeSeriesGeneration:
    """The composite model, on a GPU where there is one. transformers' own reports are not what a command prints."""
    if not Path(checkpoint).is_dir() and (checkpoint.count("/") > 1 or checkpoint.startswith((".", "/"))):
        raise ValueError(f"there is no folder {checkpoint}")
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        model, report = MaskGITForTimeSeriesGeneration.from_pretrained(checkpoint, output_loading_info=True)
    except OSError as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{checkpoint} is no whole checkpoint here or on the Hub: {reason}") from None
    if report["missing_keys"]:
        raise ValueError(f"{checkpoint} lacks weights, {min(report['missing_keys'])} for one; train or copy it again")
    return model.to("cuda" if torch.cuda.is_available() else "cpu")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("ncvqvae", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(
        function: Callable[[argparse.Namespace], None], summary: str, description: str
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(function.__name__, help=summary, description=f"{summary}. {description}")
        added.set_defaults(run=function)
        return added

    add = command(
        train,
        "train both stages on a dataset of the UCR or UEA archive",
        "Leaves the checkpoint, three pictures and a table. The test split is looked at only for those, at the end.",
    ).add_argument
    add("dataset", help="its name, as the archive spells it: GunPoint")
    add_run_options(add)
    add("--output-dir", metavar="DIR", help="the checkpoint's folder (default: ncvqvae-gunPoint for GunPoint)")
    add("--figures", metavar="DIR", help="folder of the pictures (default: the checkpoint's)")

    add = command(sample, "generate series into a file", "What is not given comes from the checkpoint.").add_argument
    _add_files(add, reads=False)
    add("-n", "--num-samples", type=int, metavar="N", help="how many (default: one for each label given)")
    add(
        "--label",
        action="append",
        default=[],
        metavar="NAME",
        help="a class by name; repeat it for one class a sample; "
        "'null' for no class (default: drawn at the shares of the training split)",
    )
    add("--num-steps", type=int, metavar="N", help="parallel decoding steps: more are slower and mostly better")
    add("--temperature", type=float, metavar="T", help="below 1 is more typical, above 1 more diverse")
    add("--choice-temperature", type=float, metavar="T", help="noise in the choice of which codes to keep")
    add("--guidance-scale", type=float, metavar="S", help="above 1 follows the class more closely")
    add("--seed", type=int, default=0, metavar="N", help="the same seed gives the same series (default: 0)")

    add = command(reconstruct, "encode and decode the series of a file", "").add_argument
    _add_files(add, reads=True)
    add = command(embed, "features of the series of a file, for classifiers", "Scale each feature first.").add_argument
    _add_files(add, reads=True)
    command(info, "what is in a checkpoint", "").add_argument("checkpoint", help="a folder or an id on the Hub")
    return parser


def add_run_options(add: Callable) -> None:
    """What every command that trains takes."""
    add(
        "--data-dir",
        metavar="DIR",
        help="folder of the archive, which holds DATASET/DATASET_TRAIN.tsv (default: aeon)",
    )
    add("--recipe", metavar="YAML", help="run settings, see training/recipes (default: those of `Recipe`)")
    add(
        "--set", metavar="KEY=VALUE", action="append", default=[], help="a setting: --set prior_training.max_steps=100"
    )
    add("--work-dir", metavar="DIR", help="folder of what it takes to resume (default: runs/NAME-OF-OUTPUT-DIR)")
    add("--resume", action="store_true", help="go on with the run that the work folder holds")


def _add_files(add: Callable, reads: bool) -> None:
    add("checkpoint", help="a folder or an id on the Hub")
    if reads:
        add("input", help="series: .csv or .parquet (a row each, with or without a column 'label') or .npz")
    add("output", help="file to write: .csv, .npz or .parquet")


if __name__ == "__main__":
    sys.exit(main())
