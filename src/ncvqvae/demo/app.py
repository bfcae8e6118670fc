"""The app: it shows generated series over real ones, and reconstructs the visitor's own."""

import os
import time
from collections.abc import Iterator
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
from .handlers import GPU, PROGRESS, messages, written
from .inputs import describe, load, real_series
from .plots import Labelled, codes_figure, series_figure, spectrogram_figure
from .reconstruction import reconstruct, reconstruct_tab


__all__ = ["LAUNCH", "build_demo", "default_checkpoint", "generate", "reconstruct"]

VARIABLE, DEFAULT = "NCVQVAE_CHECKPOINT", "ncvqvae-gunPoint"
ALL = "all classes"
MOST = 100  # series generated at a time
# How to `launch` it. Gradio's own semibold font lacks most of the alphabet, and its hints are a faint grey.
FONT = (gr.themes.Font("system-ui"), gr.themes.Font("sans-serif"))
THEME = gr.themes.Default(font=FONT).set(block_info_text_color="*neutral_500")
LAUNCH = {"theme": THEME, "max_file_size": "20mb"}
INTRODUCTION = """# NC-VQVAE sampler
A tokenizer turns a time series into a small grid of codes and back; a masked transformer draws new grids, class by
class ([Mathisen et al., arXiv 2408.16613](https://arxiv.org/abs/2408.16613))."""


def build_demo(checkpoint: str | None = None) -> gr.Blocks:
    """The app, ready for `launch(**LAUNCH)`; its API has the endpoints `/load`, `/generate` and `/reconstruct`.

    Args:
        checkpoint (*optional*, defaults to `default_checkpoint`): the checkpoint to start with, a folder or an id.

    Raises:
        ValueError: for a name without a checkpoint.
    """
    checkpoint = checkpoint or default_checkpoint()
    config = load(checkpoint).config
    with gr.Blocks(title="NC-VQVAE sampler", delete_cache=(3600, 3600)) as app:
        gr.Markdown(INTRODUCTION)
        info = "a folder, or an id on the Hub: organisation/name"
        chosen = gr.Textbox(checkpoint, label="Checkpoint", info=info, submit_btn="Load")
        about = gr.Markdown(describe(checkpoint, config), label="Checkpoint")
        with gr.Tab("Generate"):
            settings = _generate_tab(chosen, config)
        with gr.Tab("Reconstruct"):
            reconstruct_tab(chosen)
        chosen.submit(choose, chosen, [about, *settings], api_name="load")
    return app.queue(max_size=16)


def default_checkpoint() -> str:
    """The checkpoint that the variable `NCVQVAE_CHECKPOINT` names; else the folder `ncvqvae-gunPoint`, here or in
    `model_cards/` of a checkout.
    """
    shipped = Path(__file__).parents[3] / "model_cards" / DEFAULT
    here = Path(DEFAULT).is_dir() or not shipped.is_dir()
    return os.environ.get(VARIABLE) or (DEFAULT if here else str(shipped))


def _generate_tab(chosen: gr.Textbox, config: MaskGITConfig) -> list[gr.components.Component]:
    """Builds the tab; returns the components that `choose` sets."""
    with gr.Row():
        with gr.Column(scale=1, min_width=280):
            # Custom values, so that a client of the API may name a class of another checkpoint.
            label = gr.Dropdown(_classes(config), value=ALL, label="Class", allow_custom_value=True)
            number = gr.Slider(1, MOST, 12, step=1, label="How many")
            info = "the same seed gives the same series"
            seed = gr.Number(0, label="Seed", info=info, precision=0, minimum=0, maximum=2**32 - 1)
            button = gr.Button("Generate", variant="primary")
            ranges = {
                "Steps": (1, 64, 1, "more are slower and mostly better"),
                "Temperature": (0.05, 2, 0.05, "lower is more typical, higher more diverse"),
                "Choice temperature": (0, 10, 0.1, "noise in the choice of which codes to keep at each step"),
                "Guidance": (0, 5, 0.1, "above 1 follows the class more closely, at twice the cost"),
            }
            sampling = [
                gr.Slider(least, most, value, step=step, label=name, info=info)
                for (name, (least, most, step, info)), value in zip(ranges.items(), _sampling(config), strict=True)
            ]
        with gr.Column(scale=3):
            said = gr.Markdown("Press *Generate*.", label="Summary")
            pictures = [gr.Plot(label=name, show_label=False) for name in ("Series", "Spectrogram", "Codes")]
            csv = gr.File(label="Generated series (CSV)", height=120)
    inputs, outputs = [chosen, label, number, *sampling, seed], [said, *pictures, csv]
    shown = {"show_progress_on": pictures[0], "scroll_to_output": True}
    button.click(generate, inputs, outputs, api_name="generate", **shown)
    return [label, *sampling]


@messages()
def choose(checkpoint: str, progress: gr.Progress = PROGRESS) -> list:
    """Loads a checkpoint; returns its description, classes and settings."""
    progress(0, desc="loading the checkpoint")
    config = load(checkpoint).config
    classes = gr.Dropdown(choices=_classes(config), value=ALL)
    return [describe(checkpoint, config), classes, *_sampling(config)]


@GPU
@messages()
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
    if seed is None:
        raise ValueError("give a seed, a whole number such as 0")
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
    classes = [names[index] for index in made.labels.tolist()] if names else None
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
        titles = [f"{title}, class {names[label]}" for title, label in zip(titles, labels.tolist(), strict=True)]
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
