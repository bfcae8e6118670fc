"""The commands: each takes the options that `cli.py` has parsed, and prints what a person wants to know."""

import argparse
import contextlib
import hashlib
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.utils import logging

from .files import check_output, read_series, write_features, write_series
from .memory import keep_freed_memory
from .modeling_maskgit import MaskGITForTimeSeriesGeneration
from .modeling_ncvqvae import NCVQVAEModel


if TYPE_CHECKING:
    from .hub import Sent

Model = TypeVar("Model", bound=PreTrainedModel)


def sample(options: argparse.Namespace) -> None:
    check_output(options.output)
    model = load_checkpoint(options.checkpoint)
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
    reconstruction = in_batches(model.reconstruct, values, model.device)
    write_series(options.output, reconstruction, labels)
    error = (model.tokenizer.scale(reconstruction) - model.tokenizer.scale(values)).square().mean()
    print(f"{len(values)} series in {options.output}; mean squared error of the scaled series {error:.4f}")


def embed(options: argparse.Namespace) -> None:
    model, values, labels = _load_with_series(options)
    features = in_batches(model.embed, values, model.device)
    write_features(options.output, features, labels)
    print(f"{features.shape[1]} features of {len(values)} series in {options.output}")


def info(options: argparse.Namespace) -> None:
    model = load_checkpoint(options.checkpoint)
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


def publish(options: argparse.Namespace) -> None:
    from .hub import publish as publish_folder

    quiet()
    if not Path(options.folder).is_dir():
        raise ValueError(f"there is no folder {options.folder}")
    sent = publish_folder(options.folder, options.repo_id, options.private, options.dry_run)
    _say_what_is_sent(sent, options)
    print(f"README.md: {'kept as it was edited' if sent.card_kept else 'written'}")


def publish_space(options: argparse.Namespace) -> None:
    from .hub import publish_space as publish_app

    quiet()
    _say_what_is_sent(publish_app(options.folder, options.repo_id, options.private, options.dry_run), options)


def _say_what_is_sent(sent: "Sent", options: argparse.Namespace) -> None:
    for name, file in sent.files.items():
        print(f"  {name:<48}{file.stat().st_size / 1e6:>10.3f} MB")
    if not options.dry_run:
        print(f"published: {sent.address}")
        return
    print(f"would go to {sent.address}")
    new = "private" if options.private else "public, unless its organisation's default is private"
    print(f"a new repository would be {new}; in one that exists, files of these kinds that are not listed are deleted")


def publish_data(options: argparse.Namespace) -> None:
    from .hub import publish_data as publish_dataset

    print(f"published: {publish_dataset(options.dataset, options.repo_id, options.data_dir, options.private)}")


def demo(options: argparse.Namespace) -> None:
    # The extra `demo`, which the other commands do without.
    from .demo import LAUNCH, build_demo

    quiet()
    build_demo(options.checkpoint).launch(server_port=options.port, **LAUNCH)


def in_batches(function: Callable[[Tensor], Tensor], values: Tensor, device: torch.device) -> Tensor:
    with torch.no_grad():
        return torch.cat([function(batch.to(device)).cpu() for batch in values.split(256)])


def _load_with_series(options: argparse.Namespace) -> tuple[MaskGITForTimeSeriesGeneration, Tensor, list[str] | None]:
    check_output(options.output)
    model = load_checkpoint(options.checkpoint)
    return model, *read_series(options.input, model.config.tokenizer_config.num_channels)


def evaluate(options: argparse.Namespace) -> None:
    # The extra `eval`, which the other commands do without.
    from .evaluation import evaluate as evaluate_model
    from .precision import fast_bfloat16
    from .report import published_results, verdicts, write_report
    from .runs import check_writable
    from .ucr import load_ucr

    start = time.perf_counter()
    model = _load_part(options.checkpoint, options.only)
    tokenizer = model.config if options.only == "tokenizer" else model.config.tokenizer_config
    name = options.dataset or tokenizer.dataset_name
    if name is None:
        raise ValueError(f"{options.checkpoint} does not say what it was trained on; name a dataset with --dataset")
    title = Path(options.checkpoint).resolve().name
    folder = Path(options.out or Path("report") / title)
    check_writable(folder)
    result = evaluate_model(model, load_ucr(name, options.data_dir), options.fcn, options.seeds)
    folder.mkdir(parents=True, exist_ok=True)
    weights = Path(options.checkpoint) / "model.safetensors"
    facts = {
        "checkpoint": title,
        "weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest() if weights.is_file() else None,
        "dataset": name,
        "created": datetime.now(UTC).date().isoformat(),
        "command": options.command_line,
        "device": str(model.device),
        "classifiers_trained_in": "bfloat16" if fast_bfloat16(model.device) else "float32",
        "seeds": [] if options.only else list(range(options.seeds)),
        "sampling": {key: value for key, value in model.config.to_dict().items() if key.startswith("sampling_")},
    }
    write_report(result, model, facts, folder)
    published = {key: part.get(name, {}) for key, part in published_results().items() if key != "about"}
    print(f"{title} on {name}, {time.perf_counter() - start:.0f} s")
    for sentence in verdicts(result.scores, published):
        print(f"  {sentence}")
    for what, why in result.not_measured.items():
        print(f"  not measured: {what}: {why}")
    print(f"report: {folder}/report.md    figures: {folder}/metrics.json")


def load_checkpoint(checkpoint: str) -> MaskGITForTimeSeriesGeneration:
    """The composite model, on a GPU where there is one."""
    return _load_class(MaskGITForTimeSeriesGeneration, checkpoint)


def load_any(checkpoint: str) -> MaskGITForTimeSeriesGeneration | NCVQVAEModel:
    """The composite model, or stage 1 where the checkpoint holds no more."""
    with contextlib.suppress(OSError):  # for `_load_class` to explain
        if PreTrainedConfig.get_config_dict(checkpoint)[0].get("model_type") == NCVQVAEModel.config_class.model_type:
            return _load_class(NCVQVAEModel, checkpoint)
    return _load_class(MaskGITForTimeSeriesGeneration, checkpoint)


def _load_part(checkpoint: str, only: str | None) -> MaskGITForTimeSeriesGeneration | NCVQVAEModel:
    if only == "tokenizer":
        return _load_class(NCVQVAEModel, checkpoint)
    with contextlib.suppress(OSError):  # for `_load_class` to explain
        kind = PreTrainedConfig.get_config_dict(checkpoint)[0].get("model_type")
        if kind == NCVQVAEModel.config_class.model_type:
            missing = "a tokenizer without a prior, so FID, IS, CAS and whatever else is generated cannot be measured"
            raise ValueError(f"{checkpoint} is {missing}; --only tokenizer measures reconstruction, codes and probes")
    return _load_class(MaskGITForTimeSeriesGeneration, checkpoint)


def _load_class(kind: type[Model], checkpoint: str) -> Model:
    if not Path(checkpoint).is_dir() and (checkpoint.count("/") > 1 or checkpoint.startswith((".", "/"))):
        raise ValueError(f"there is no folder {checkpoint}")
    quiet()
    if not torch.cuda.is_available():
        keep_freed_memory()
    try:
        model, report = kind.from_pretrained(checkpoint, output_loading_info=True)
    except OSError as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{checkpoint} is no whole checkpoint here or on the Hub: {reason}") from None
    if report["missing_keys"]:
        raise ValueError(f"{checkpoint} lacks weights, {min(report['missing_keys'])} for one; train or copy it again")
    return model.to("cuda" if torch.cuda.is_available() else "cpu")


def quiet() -> None:
    """transformers' own reports are not what a command prints."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
