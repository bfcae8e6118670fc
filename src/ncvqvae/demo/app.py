"""The app: it shows generated series over real ones, and reconstructs the visitor's own."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr
import torch
from gradio.processing_utils import save_file_to_cache
from gradio.utils import get_upload_folder
from matplotlib.figure import Figure
from torch import Tensor, nn

from ..data.files import FORMATS, write_series
from ..inference import in_batches
from ..models.configuration_maskgit import MaskGITConfig
from ..models.modeling_maskgit import MaskGITForTimeSeriesGeneration, MaskGITGenerateOutput
from ..runtime import first_line, user_errors
from .inputs import describe, load, read_given, real_series
from .plots import Labelled, codes_figure, reconstruction_figure, series_figure, spectrogram_figure


try:
    from spaces import GPU  # lends a GPU of Hugging Face's ZeroGPU for the time of a call
except ImportError:

    def GPU(function: Callable) -> Callable:
        return function


VARIABLE, DEFAULT = "NCVQVAE_CHECKPOINT", "ncvqvae-gunPoint"
ALL = "all classes"
MOST = 100  # series generated at a time
# How to `launch` it. Gradio's own semibold font lacks most of the alphabet, and its hints are a faint grey.
FONT = (gr.themes.Font("system-ui"), gr.themes.Font("sans-serif"))
THEME = gr.themes.Default(font=FONT).set(block_info_text_color="*neutral_500")
LAUNCH = {"theme": THEME, "max_file_size": "20mb"}
PROGRESS = gr.Progress()  # Gradio looks for one in a handler's signature
INTRODUCTION = """# NC-VQVAE sampler
A tokenizer turns a time series into a small grid of codes and back; a masked transformer draws new grids, class by
class ([Mathisen et al., arXiv 2408.16613](https://arxiv.org/abs/2408.16613))."""
YOURS = """Upload a file **or** paste numbers. CSV and parquet hold a series in a row, under a line of column names;
npz holds an array `values`. The CSV that *Generate* makes is such a file."""


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
            _reconstruct_tab(chosen)
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


def _reconstruct_tab(chosen: gr.Textbox) -> None:
    with gr.Row():
        with gr.Column(scale=1, min_width=280):
            gr.Markdown(YOURS)
            file = gr.File(label="File", file_types=list(FORMATS), height=140)
            info = "separated by commas, spaces or lines; channel after channel"
            text = gr.Textbox("", label="Numbers", info=info, lines=4, max_lines=8)
            button = gr.Button("Reconstruct", variant="primary")
        with gr.Column(scale=3):
            said = gr.Markdown("Upload or paste a series, then press *Reconstruct*.", label="Summary")
            pictures = [gr.Plot(label=name, show_label=False) for name in ("Reconstruction", "Codes")]
            csv = gr.File(label="Reconstructed series (CSV)", height=120)
    inputs, outputs = [chosen, file, text], [said, *pictures, csv]
    shown = {"show_progress_on": pictures[0], "scroll_to_output": True}
    button.click(reconstruct, inputs, outputs, api_name="reconstruct", **shown)


@contextmanager
def messages() -> Iterator[None]:
    """Shows errors that a user can put right in one line of the app, without a trace."""
    try:
        yield
    except user_errors() as error:
        raise gr.Error(first_line(error), print_exception=False) from None


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
    written = _written("generated.csv", made.values, classes)
    return [f"{said} {sentence}", *_drawn(model, made, real), written]


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


@GPU
@messages()
def reconstruct(checkpoint: str, file: str | None = None, text: str = "", progress: gr.Progress = PROGRESS) -> list:
    """Encodes and decodes the series of a file or a text; returns a sentence, pictures of both and a CSV."""
    progress(0, desc="loading the checkpoint")
    model = load(checkpoint)
    config = model.config.tokenizer_config
    values, labels = read_given(file, text, config.num_channels, config.length)
    progress(0.5, desc=f"reconstructing {len(values)} series")
    codes = in_batches(lambda batch: model.encode(batch).codes, values, model.device)
    again = in_batches(model.decode, codes, model.device)
    errors = ((again - values) / torch.tensor(config.std)[:, None]).square().mean((1, 2))
    names = [f"series {index}" for index in range(1, len(values) + 1)]
    titles = [f"{name}, error {error:.2g}" for name, error in zip(names, errors.tolist(), strict=True)]
    said = (
        f"{len(values)} series, mean squared error {errors.mean():.2g}, where 1 is the variance of the training data."
    )
    pictures = reconstruction_figure(values, again, titles), codes_figure(codes, config.latent_shape, names)
    return [said, *pictures, _written("reconstructed.csv", again, labels)]


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


def _written(name: str, values: Tensor, labels: Sequence[str] | None) -> str:
    """The path of a CSV of the series, in Gradio's cache, which Gradio clears."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        write_series(path, values, labels)
        return save_file_to_cache(path, get_upload_folder())
