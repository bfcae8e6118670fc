"""The app: it shows generated series over real ones, and reconstructs the visitor's own."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import gradio as gr
import torch
from matplotlib.figure import Figure
from torch import nn

from ..models.configuration_maskgit import MaskGITConfig
from ..models.modeling_maskgit import MaskGITForTimeSeriesGeneration, MaskGITGenerateOutput
from .handlers import GPU, PROGRESS, explained, messages, written
from .inputs import describe, load, real_series
from .limits import number
from .plots import Labelled, codes_figure, series_figure, spectrogram_figure
from .reconstruction import reconstruct, reconstruct_tab


__all__ = ["LAUNCH", "build_demo", "default_checkpoint", "generate", "reconstruct"]

VARIABLE, DEFAULT = "NCVQVAE_CHECKPOINT", "ncvqvae-gunPoint"
ALL = "all classes"
MOST = 100  # series generated at a time
WAITING = 128  # calls that wait, each endpoint's in a queue of its own; what comes then is told to come back
SEEDS = 0, 2**32 - 1
# The least, the most and the step of each setting of sampling, and what it does.
RANGES = {
    "Steps": (1, 64, 1, "more are slower and mostly better"),
    "Temperature": (0.05, 2, 0.05, "lower is more typical, higher more diverse"),
    "Choice temperature": (0, 10, 0.1, "noise in the choice of which codes to keep at each step"),
    "Guidance": (0, 5, 0.1, "above 1 follows the class more closely, at twice the cost"),
}
# How to `launch` it. Gradio's own semibold font lacks most of the alphabet, and its hints are a faint grey.
FONT = (gr.themes.Font("system-ui"), gr.themes.Font("sans-serif"))
THEME = gr.themes.Default(font=FONT).set(block_info_text_color="*neutral_500")
LAUNCH = {"theme": THEME, "max_file_size": "20mb"}
INTRODUCTION = """# NC-VQVAE sampler
A tokenizer turns a time series into a small grid of codes and back; a masked transformer draws new grids, class by
class ([Mathisen et al., arXiv 2408.16613](https://arxiv.org/abs/2408.16613))."""


def build_demo(checkpoint: str | None = None, others: Sequence[str] = (), allow_any: bool = False) -> gr.Blocks:
    """The app, ready for `launch(**LAUNCH)`; its API has the endpoints `/load`, `/generate` and `/reconstruct`.

    Args:
        checkpoint (*optional*, defaults to `default_checkpoint`): the checkpoint to start with, a folder or an id.
        others: further checkpoints that it serves. Visitors name one by the last part of its name.
        allow_any: whether visitors may name any other folder of this machine or id on the Hub. Leave it off where
            strangers come.

    Raises:
        ValueError: for a name without a checkpoint, or two checkpoints of one name.
    """
    checkpoint = checkpoint or default_checkpoint()
    config = load(checkpoint).config
    served = {Path(one).name: one for one in (checkpoint, *others)}
    if len(served) < len({checkpoint, *others}):
        raise ValueError(f"checkpoints to serve need different names, found {', '.join((checkpoint, *others))}")
    with gr.Blocks(title="NC-VQVAE sampler", delete_cache=(3600, 3600)) as app:
        gr.Markdown(INTRODUCTION)
        chosen = _checkpoint_input(served, allow_any)
        about = gr.Markdown(describe(checkpoint, config), label="Checkpoint")
        with gr.Tab("Generate"):
            settings = _generate_tab(chosen, config)
        with gr.Tab("Reconstruct"):
            reconstruct_tab(chosen)
        event = chosen.submit if isinstance(chosen, gr.Textbox) else chosen.input
        # It waits for nobody: what is served is loaded once, and stays.
        event(choose, chosen, [about, *settings], api_name="load", queue=allow_any, concurrency_id="load")
    _replace(app, "preprocess_data", explained(app.preprocess_data))
    return app.queue(max_size=WAITING)


def _checkpoint_input(served: dict[str, str], allow_any: bool) -> gr.Textbox | gr.Dropdown:
    """The input that names a checkpoint, of those `served` by name; handlers get the folder or the id."""
    first = next(iter(served))
    chosen: gr.Textbox | gr.Dropdown
    if allow_any:
        info = "one of those here, a folder, or an id on the Hub: organisation/name"
        chosen = gr.Textbox(first, label="Checkpoint", info=info, submit_btn="Load")
    else:
        chosen = gr.Dropdown(list(served), value=first, label="Checkpoint")

    def find(name: object) -> str:
        if isinstance(name, str) and (name in served or allow_any):
            return served.get(name, name)
        raise gr.Error(f"the app serves {', '.join(served)}, found {str(name)[:40]!r}", print_exception=False)

    _replace(chosen, "preprocess", find)
    return chosen


def _replace(owner: object, name: str, function: Callable) -> None:
    """Gives one object a method of its own; Gradio writes a file for each subclass of its components."""
    vars(owner)[name] = function


def default_checkpoint() -> str:
    """The checkpoint that the variable `NCVQVAE_CHECKPOINT` names; else the folder `ncvqvae-gunPoint`, here or in
    `model_cards/` of a checkout.
    """
    shipped = Path(__file__).parents[3] / "model_cards" / DEFAULT
    here = Path(DEFAULT).is_dir() or not shipped.is_dir()
    return os.environ.get(VARIABLE) or (DEFAULT if here else str(shipped))


def _generate_tab(chosen: gr.components.Component, config: MaskGITConfig) -> list[gr.components.Component]:
    """Builds the tab; returns the components that `choose` sets."""
    with gr.Row():
        with gr.Column(scale=1, min_width=280):
            # Custom values, so that a client of the API may name a class of another checkpoint.
            label = gr.Dropdown(_classes(config), value=ALL, label="Class", allow_custom_value=True)
            number_of = gr.Slider(1, MOST, 12, step=1, label="How many")
            info = "the same seed gives the same series"
            seed = gr.Number(0, label="Seed", info=info, precision=0, minimum=SEEDS[0], maximum=SEEDS[1])
            button = gr.Button("Generate", variant="primary")
            sampling = [
                gr.Slider(least, most, value, step=step, label=name, info=info)
                for (name, (least, most, step, info)), value in zip(RANGES.items(), _sampling(config), strict=True)
            ]
        with gr.Column(scale=3):
            said = gr.Markdown("Press *Generate*.", label="Summary")
            pictures = [gr.Plot(label=name, show_label=False) for name in ("Series", "Spectrogram", "Codes")]
            csv = gr.File(label="Generated series (CSV)", height=120)
    inputs, outputs = [chosen, label, number_of, *sampling, seed], [said, *pictures, csv]
    shown = {"show_progress_on": pictures[0], "scroll_to_output": True}
    for component in (number_of, *sampling, seed):
        _replace(component, "preprocess", lambda value: value)  # `generate` says what is wrong with it
    button.click(generate, inputs, outputs, api_name="generate", concurrency_id="generate", **shown)
    return [label, *sampling]


@messages
def choose(checkpoint: str) -> list:
    """Loads a checkpoint; returns its description, classes and settings."""
    config = load(checkpoint).config
    classes = gr.Dropdown(choices=_classes(config), value=ALL)
    return [describe(checkpoint, config), classes, *_sampling(config)]


@GPU
@messages
def generate(
    checkpoint: str,
    label: str | None = ALL,
    num_samples: int = 12,
    num_steps: int | None = None,
    temperature: float | None = None,
    choice_temperature: float | None = None,
    guidance_scale: float | None = None,
    seed: int | None = 0,
    progress: gr.Progress = PROGRESS,
) -> list:
    """Generates series; returns a sentence, pictures of the series, their spectrogram and codes, and a CSV.

    The checkpoint decides a setting that is `None`.
    """
    num_samples, seed = (
        number("the number of series", num_samples, 1, MOST, True),
        number("the seed", seed, *SEEDS, True),
    )
    num_steps, temperature, choice_temperature, guidance_scale = (
        None if given is None else number(name.lower(), given, least, most, name == "Steps")
        for (name, (least, most, *_)), given in zip(
            RANGES.items(), (num_steps, temperature, choice_temperature, guidance_scale), strict=True
        )
    )
    if not isinstance(label, str | None):
        raise ValueError(f"the class is a text, found {str(label)[:40]!r}")
    progress(0, desc="loading the checkpoint")
    model, start = load(checkpoint), time.perf_counter()
    wanted = None if label in (None, ALL) else label
    num_steps = num_steps or model.config.sampling_steps
    settings = num_samples, wanted, num_steps, temperature, choice_temperature, guidance_scale
    generator = torch.Generator(model.device).manual_seed(seed)
    with _progress_of(model.transformer, num_steps, progress):
        made: Any = model.generate(*settings, generator=generator, return_codes=True, return_labels=True)
    said = f"{len(made.values)} series in {time.perf_counter() - start:.1f} seconds."
    progress(1, desc="drawing")
    real, sentence = real_series(model.config.tokenizer_config.dataset_name)
    names = model.config.id2label
    classes = [names.get(index, "null") for index in made.labels.tolist()] if names else None
    csv = written("generated.csv", made.values, classes)
    return [f"{said} {sentence}", *_drawn(model, made, real), csv]


def _drawn(model: MaskGITForTimeSeriesGeneration, made: MaskGITGenerateOutput, real: Labelled | None) -> list[Figure]:
    """Pictures of the series, of their spectrogram, and of their codes."""
    names, tokenizer = model.config.id2label, model.tokenizer
    labels = made.labels.cpu() if names else None
    if real is not None and labels is not None and real[1] is not None:
        there = torch.isin(real[1], labels)
        real = real[0][there], real[1][there]
    sets = {"generated": made.values.cpu()} | ({} if real is None else {"real": real[0]})
    titles = [f"series {index}" for index in range(1, len(made.codes) + 1)]
    if labels is not None:
        classes = [f"class {names[label]}" if label in names else "no class" for label in labels.tolist()]
        titles = [f"{title}, {name}" for title, name in zip(titles, classes, strict=True)]
    return [
        series_figure((sets["generated"], labels), real, names),
        spectrogram_figure(sets, lambda part: tokenizer.time_frequency(tokenizer.scale(part.to(model.device))).cpu()),
        codes_figure(made.codes.cpu(), tokenizer.config.latent_shape, titles),
    ]


def _classes(config: MaskGITConfig) -> list[str]:
    return [ALL, *config.id2label.values()]


def _sampling(config: MaskGITConfig) -> list[float]:
    names = ("steps", "temperature", "choice_temperature", "guidance_scale")
    return [getattr(config, f"sampling_{name}") for name in names]


@contextmanager
def _progress_of(network: nn.Module, calls: int, progress: gr.Progress) -> Iterator[None]:
    """Reports every call of the network."""
    done = count(1)

    def report(*_: object) -> None:  # what a hook returns would replace the network's output
        progress((next(done), calls), desc="generating", unit="steps")

    hook = network.register_forward_hook(report)
    try:
        yield
    finally:
        hook.remove()
