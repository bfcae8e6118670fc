"""Commands that use a checkpoint: sample, reconstruct, embed, info, demo."""

import argparse
import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .own_series import KINDS, add_reading_options, load_own, reading, refuse_without_data


if TYPE_CHECKING:
    from torch import Tensor

    from ..models.configuration_maskgit import MaskGITConfig
    from ..models.configuration_ncvqvae import NCVQVAEConfig
    from ..models.modeling_maskgit import MaskGITForTimeSeriesGeneration
    from ..models.modeling_ncvqvae import NCVQVAEModel

CHECKPOINT = "a folder or an id on the Hub; ncvqvae-base comes with the package"
OUTPUT = "file to write: .csv, .npz or .parquet"


def add_sample(commands: Any) -> None:
    parser = commands.add_parser(
        "sample",
        help="generate series into a file",
        description="Generate series into a file. The checkpoint decides every setting that is not given.",
    )
    parser.set_defaults(run=sample)
    add = parser.add_argument
    add("checkpoint", help=CHECKPOINT)
    add("output", help=OUTPUT)
    add("-n", "--num-samples", type=int, metavar="N", help="number of series (default: one for each label given)")
    add(
        "--label",
        action="append",
        default=[],
        metavar="NAME",
        help="name of a class; repeat it to give each series its class; 'null' for no class "
        "(default: classes are drawn at their shares in the training split)",
    )
    add("--num-steps", type=int, metavar="N", help="parallel decoding steps: more are slower and mostly better")
    add("--temperature", type=float, metavar="T", help="temperature of the codes: below 1 typical, above 1 diverse")
    add("--choice-temperature", type=float, metavar="T", help="noise in the choice of which codes to keep")
    add("--guidance-scale", type=float, metavar="S", help="guidance: above 1 follows the class more closely")
    add("--guidance-schedule", metavar="WHEN", help="when it guides: constant, ramped (more and more) or interval")
    add("--order", metavar="ORDER", help="codes to decide first: confidence, random or low_discrepancy (far ones)")
    add("--seed", type=int, default=0, metavar="N", help="seed; the same seed gives the same series (default: 0)")


def sample(options: argparse.Namespace) -> None:
    import torch

    from ..data.files import check_output, write_series
    from ..inference import check_finite, load_model
    from ..models.modeling_maskgit import MaskGITForTimeSeriesGeneration

    if not 0 <= options.seed < 2**63:
        raise ValueError(f"--seed must lie in 0 to 2**63 - 1, found {options.seed}")
    check_output(options.output)
    model = load_model(MaskGITForTimeSeriesGeneration, options.checkpoint)
    labels = options.label[0] if len(options.label) == 1 else options.label or None
    output: Any = model.generate(
        options.num_samples,
        labels=labels,
        num_steps=options.num_steps,
        temperature=options.temperature,
        choice_temperature=options.choice_temperature,
        guidance_scale=options.guidance_scale,
        guidance_schedule=options.guidance_schedule,
        order=options.order,
        generator=torch.Generator(model.device).manual_seed(options.seed),
        return_labels=True,
    )
    names = model.config.id2label
    classes = [names[label] for label in output.labels.tolist() if label in names]  # the null class has no name
    write_series(options.output, check_finite(output.values, options.checkpoint), classes or None)
    print(f"{len(output.values)} series in {options.output}")


def add_reconstruct(commands: Any) -> None:
    parser = commands.add_parser(
        "reconstruct",
        help="encode and decode the series of a file",
        description="Encode the series of a file to codes, and decode the codes into another file.",
    )
    parser.set_defaults(run=reconstruct)
    _add_files(parser)


def reconstruct(options: argparse.Namespace) -> None:
    from ..data.files import write_series
    from ..inference import check_finite, in_batches
    from ..models.scaler import moments_of

    model, values, labels = _load_with_series(options)
    reconstruction = check_finite(in_batches(model.reconstruct, values, model.device), options.checkpoint)
    write_series(options.output, reconstruction, labels)
    tokenizer = getattr(model, "tokenizer", model).cpu()
    moments = moments_of(values, None, None, tokenizer.config.scale_each)
    error = (tokenizer.scale(reconstruction, moments) - tokenizer.scale(values, moments)).square().mean()
    print(f"{len(values)} series in {options.output}; mean squared error of the scaled series {error:.4f}")


def add_embed(commands: Any) -> None:
    parser = commands.add_parser(
        "embed",
        help="compute features of the series of a file, for classifiers",
        description="Compute features of the series of a file. Scale each feature before you fit a classifier.",
    )
    parser.set_defaults(run=embed)
    _add_files(parser)


def embed(options: argparse.Namespace) -> None:
    from ..data.files import write_features
    from ..inference import check_finite, in_batches

    model, values, labels = _load_with_series(options)
    features = check_finite(in_batches(model.embed, values, model.device), options.checkpoint)
    write_features(options.output, features, labels)
    print(f"{features.shape[1]} features of {len(values)} series in {options.output}")


def add_info(commands: Any) -> None:
    parser = commands.add_parser(
        "info",
        help="print what is in a checkpoint, or in series of your own",
        description="Print what is in a checkpoint, or what is read from series of your own, so that you can look "
        "before you train.",
    )
    parser.set_defaults(run=info)
    add = parser.add_argument
    add("checkpoint", nargs="?", help=f"{CHECKPOINT} (or use --data)")
    add("--data", metavar="SOURCE", help=f"your own series: {KINDS}")
    add("--test", metavar="SOURCE", help="your own test series, of the same kinds")
    add("--picture", metavar="FILE", help="draw some of the series into a .png")
    add_reading_options(add)


def info(options: argparse.Namespace) -> None:
    if (options.checkpoint is None) == (options.data is None):
        raise ValueError("name either a checkpoint or, with --data, series of your own")
    refuse_without_data(options, "test", "picture")
    if options.picture is not None:
        picture = Path(options.picture)
        if picture.suffix.lower() != ".png" or not picture.resolve().parent.is_dir():
            raise ValueError(f"--picture takes the name of a .png in a folder that there is, found {picture}")
    if options.data is not None:
        _info_of_data(options)
    else:
        _info_of_checkpoint(options)


def _info_of_data(options: argparse.Namespace) -> None:
    name, data = load_own(options)
    if options.picture is None:
        return
    from ..data.series import to_tensors
    from ..data.training_split import subsample
    from ..evaluation.plots import plot_series

    values, labels = to_tensors(subsample(data["train"]))
    names = data["train"].features["label"].names if labels is not None else []
    plot_series(values, labels, names, f"{name}: {len(data['train'])} series", options.picture)
    print(f"picture: {options.picture}")


def _info_of_checkpoint(options: argparse.Namespace) -> None:
    from ..inference import load_checkpoint
    from ..models.configuration_maskgit import MaskGITConfig

    model = load_checkpoint(options.checkpoint)
    config: Any = model.config
    rows = _info_of_tokenizer(getattr(config, "tokenizer_config", config))
    if isinstance(config, MaskGITConfig):
        rows["sets" if config.sets else "classes"] = _classes(config) or "none"
        rows["prior"] = f"{config.code_embedding}, {config.num_hidden_layers} layers of {config.hidden_size}"
        rows["sampling"] = (
            f"{config.sampling_steps} steps by {config.sampling_order}, temperature {config.sampling_temperature}, "
            f"choice temperature {config.sampling_choice_temperature}, {config.sampling_guidance_schedule} guidance "
            f"{config.sampling_guidance_scale}"
        )
    rows["parameters"] = f"{sum(parameter.numel() for parameter in model.parameters()):,}"
    for key, value in rows.items():
        print(f"{key:<26}{value}")


def _classes(config: "MaskGITConfig") -> str:
    """The classes with their shares; of a prior over many sets, the sets with the number of their classes."""
    if not config.sets:
        shares = zip(config.id2label.values(), config.label_shares or [], strict=True)
        return ", ".join(f"{name} ({share:.1%})" for name, share in shares)
    counts = Counter(name.partition("/")[0] for name in config.id2label.values())
    return ", ".join(f"{name} ({count} classes)" for name, count in counts.items())


def _info_of_tokenizer(config: "NCVQVAEConfig") -> dict[str, str]:
    channels = "any number of" if config.channelwise and config.length is None else str(config.num_channels)
    series = f"{channels} channels x {config.length or 'any number of'} samples"
    if config.length is None:
        lengths = 128, 512, 2048
        codes = ", ".join(str(math.prod(config.grid(length)) * config.num_bands) for length in lengths)
        codes += f" a {'channel' if config.channelwise else 'series'} of {', '.join(map(str, lengths))} samples"
    else:
        width = config.latent_shape[1]
        codes = f"{config.num_codes} a series ({config.num_codes // width} x {width})"
    scaler = [", ".join(f"{value:.4g}" for value in values) for values in (config.mean, config.std)]
    return {
        "series": series,
        "mean; standard deviation": "of each series" if config.scale_each else "; ".join(scaler),
        "transform": config.transform + (", low and high band one by one" if config.split_bands else ""),
        "codes": f"{codes}, of {config.codebook_size}",
        "objective": config.ssl_objective or "none",
    }


def add_demo(commands: Any) -> None:
    parser = commands.add_parser(
        "demo",
        help="serve the app on this machine",
        description="Serve the app, which generates and reconstructs series in a browser, on this machine.",
    )
    parser.set_defaults(run=demo)
    default = "$NCVQVAE_CHECKPOINT, or ncvqvae-gunPoint in this folder or in model_cards/ of the source"
    parser.add_argument("checkpoint", nargs="?", help=f"{CHECKPOINT} (default: {default})")
    parser.add_argument("--allow-any", action="store_true", help="visitors may name any folder here, and any id")
    parser.add_argument("--port", type=int, metavar="N", help="the server's port (default: the first free from 7860)")


def demo(options: argparse.Namespace) -> None:
    from ..demo.app import LAUNCH, build_demo
    from ..inference import silence_transformers

    if options.port is not None and not 1 <= options.port <= 65535:
        raise ValueError(f"a port lies in 1 to 65535, found {options.port}")
    silence_transformers()
    build_demo(options.checkpoint, allow_any=options.allow_any).launch(server_port=options.port, **LAUNCH)


def _add_files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", help=CHECKPOINT)
    parser.add_argument("input", help=f"series: {KINDS}")
    parser.add_argument("output", help=OUTPUT)
    add_reading_options(parser.add_argument)


def _load_with_series(
    options: argparse.Namespace,
) -> "tuple[MaskGITForTimeSeriesGeneration | NCVQVAEModel, Tensor, list[str] | None]":
    from ..data.files import check_output
    from ..data.own_series import read_series
    from ..inference import load_checkpoint

    check_output(options.output)
    model = load_checkpoint(options.checkpoint)
    values, labels, description = read_series(options.input, **reading(options))
    print(description)
    return model, values, labels
