"""The tab that generates series, and shows them over real ones."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import gradio as gr
import torch
from torch import nn

from ..data.meanings import explained as with_meaning
from ..models.configuration_maskgit import MaskGITConfig
from ..models.modeling_maskgit import MaskGITForTimeSeriesGeneration, MaskGITGenerateOutput
from .handlers import GPU, PROGRESS, messages, replace, written
from .inputs import load, real_series
from .limits import number
from .pictures import Labelled, codes_grids, series_panels, spectrogram_panels


ALL = "all classes"
MOST = 100  # series generated at a time
FIRST = 12  # before anybody asks
SEEDS = 0, 2**32 - 1
# The least, the most and the step of each setting of sampling, and what it does.
RANGES = {
    "Steps": (1, 64, 1, "more are slower and mostly better"),
    "Temperature": (0.05, 2, 0.05, "lower is more typical, higher more diverse"),
    "Choice temperature": (0, 10, 0.1, "noise in the choice of which codes to keep at each step"),
    "Guidance": (0, 5, 0.1, "above 1 follows the class more closely, at twice the cost"),
}


def generate_tab(
    chosen: gr.components.Component, config: MaskGITConfig, first: list
) -> tuple[list[gr.components.Component], Callable[[Callable], None]]:
    """Builds the tab, which shows what was generated `first`.

    Returns the components that `choose` sets, and a function that lets an event generate as the button does.
    """
    with gr.Row():
        with gr.Column(scale=3):  # first, so that it stands above the settings on a phone
            said = gr.Markdown(first[0], label="Summary")
            names = ("Series", "Spectrogram", "Codes")
            pictures = [gr.HTML(value, label=name) for name, value in zip(names, first[1:4], strict=True)]
            csv = gr.File(first[4], label="Generated series (CSV)", height=120)
        with gr.Column(scale=1, min_width=280):
            # Custom values, so that a client of the API may name a class of another checkpoint.
            label = gr.Dropdown(classes_of(config), value=ALL, label="Class", allow_custom_value=True)
            number_of = gr.Slider(1, MOST, FIRST, step=1, label="How many")
            info = "the same seed gives the same series"
            seed = gr.Number(0, label="Seed", info=info, precision=0, minimum=SEEDS[0], maximum=SEEDS[1])
            button = gr.Button("Generate", variant="primary")
            with gr.Accordion("Settings of the sampling", open=False):
                sampling = [
                    gr.Slider(least, most, value, step=step, label=name, info=info)
                    for (name, (least, most, step, info)), value in zip(
                        RANGES.items(), sampling_of(config), strict=True
                    )
                ]
    inputs, outputs = [chosen, label, number_of, *sampling, seed], [said, *pictures, csv]
    shown = {"show_progress_on": pictures[0], "scroll_to_output": True, "concurrency_id": "generate"}
    for component in (number_of, *sampling, seed):
        replace(component, "preprocess", lambda value: value)  # `generate` says what is wrong with it
    button.click(generate, inputs, outputs, api_name="generate", **shown)
    return [label, *sampling], lambda event: event(generate, inputs, outputs, api_visibility="private", **shown)


@GPU
@messages
def generate(
    checkpoint: str,
    label: str | None = ALL,
    num_samples: int = FIRST,
    num_steps: int | None = None,
    temperature: float | None = None,
    choice_temperature: float | None = None,
    guidance_scale: float | None = None,
    seed: int | None = 0,
    progress: gr.Progress = PROGRESS,
) -> list:
    """Generates time series; returns a sentence, pictures (HTML) of the series, spectrogram and codes, and a CSV.

    Args:
        checkpoint: one of those that the app serves.
        label: the name of a class, or "all classes" for classes at their shares in the training split.
        num_samples: how many series, up to 100.
        num_steps: in how many steps the codes are decided; the checkpoint's own number if not given.
        temperature: of the draws of codes; the checkpoint's own if not given.
        choice_temperature: of the noise in the choice of which codes to keep; the checkpoint's own if not given.
        guidance_scale: how closely the class is followed, 1 for no guidance; the checkpoint's own if not given.
        seed: of the draws. The same seed gives the same series.
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


def _drawn(model: MaskGITForTimeSeriesGeneration, made: MaskGITGenerateOutput, real: Labelled | None) -> list[str]:
    """Pictures of the series, of their spectrogram, and of their codes."""
    names, tokenizer = model.config.id2label, model.tokenizer
    dataset = tokenizer.config.dataset_name
    labels = made.labels.cpu() if names else None
    if real is not None and labels is not None and real[1] is not None:
        there = torch.isin(real[1], labels)
        real = real[0][there], real[1][there]
    sets = {"generated": made.values.cpu()} | ({} if real is None else {"real": real[0]})
    titles = [f"series {index}" for index in range(1, len(made.codes) + 1)]
    if labels is not None:
        classes = [
            f"class {with_meaning(dataset, names[label])}" if label in names else "no class"
            for label in labels.tolist()
        ]
        titles = [f"{title}, {name}" for title, name in zip(titles, classes, strict=True)]
    return [
        series_panels((sets["generated"], labels), real, names or {}, dataset),
        spectrogram_panels(sets, lambda part: tokenizer.time_frequency(tokenizer.scale(part.to(model.device))).cpu()),
        codes_grids(made.codes.cpu(), tokenizer.config.latent_shape, titles),
    ]


def classes_of(config: MaskGITConfig) -> list[tuple[str, str]]:
    """The choices, each as it is shown and as it is sent."""
    dataset = config.tokenizer_config.dataset_name
    return [(ALL, ALL), *((with_meaning(dataset, name), name) for name in config.id2label.values())]


def sampling_of(config: MaskGITConfig) -> list[float]:
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
