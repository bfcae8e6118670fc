"""The tab that reconstructs the visitor's own series, with the options of reading that the command line has."""

from typing import Any

import gradio as gr
import torch

from ..data.sources import ENDINGS, OPTIONS, spelled
from ..inference import in_batches
from .handlers import GPU, PROGRESS, messages, written
from .inputs import as_it_is, load, read_given
from .plots import codes_figure, reconstruction_figure


YOURS = """Upload a file **or** paste numbers. A table has a line of column names, and in a row a series, a time of one
or a single value; npz holds an array `values`. The CSV that *Generate* makes is such a file."""
READING = """How the file is read, if its columns do not say it. The options are those of the command line."""


def reconstruct_tab(chosen: gr.components.Component) -> None:
    """Builds the tab for the checkpoint that is chosen."""
    with gr.Row():
        with gr.Column(scale=1, min_width=280):
            gr.Markdown(YOURS)
            file = gr.File(label="File", file_types=list(ENDINGS), height=140)
            with gr.Accordion("Options for the file", open=False):
                gr.Markdown(READING)
                options = [_option(name) for name in OPTIONS]
            info = "separated by commas, spaces or lines; channel after channel"
            text = gr.Textbox("", label="Numbers", info=info, lines=4, max_lines=8)
            button = gr.Button("Reconstruct", variant="primary")
        with gr.Column(scale=3):
            said = gr.Markdown("Upload or paste a series, then press *Reconstruct*.", label="Summary")
            pictures = [gr.Plot(label=name, show_label=False) for name in ("Reconstruction", "Codes")]
            csv = gr.File(label="Reconstructed series (CSV)", height=120)
    inputs, outputs = [chosen, file, text, *options], [said, *pictures, csv]
    shown = {"show_progress_on": pictures[0], "scroll_to_output": True}
    button.click(reconstruct, inputs, outputs, api_name="reconstruct", concurrency_id="reconstruct", **shown)


def _option(name: str) -> gr.components.Component:
    """The component for an option of reading, called as on the command line, where messages name it so."""
    kind, info = OPTIONS[name]
    about: dict[str, Any] = {"label": spelled(name), "info": info}
    match kind:
        case "choice":
            return gr.Radio(["not said", "yes", "no"], value="not said", **about)
        case "switch":
            return gr.Checkbox(False, **about)
    return gr.Textbox("", **about)  # for numbers too: Gradio shows, and sends, 0 for one that nobody gave


@GPU
@messages
def reconstruct(
    checkpoint: str,
    file: str | None = None,
    text: str | None = "",
    label_column: str = "",
    id_column: str = "",
    time_column: str = "",
    value_columns: str = "",
    channel_column: str = "",
    channels_last: str = "",
    day_first: str = "",
    missing_value: str = "",
    window: str = "",
    stride: str = "",
    drop_rare_classes: bool = False,
    progress: gr.Progress = PROGRESS,
) -> list:
    """Encodes and decodes the series of a file or a text; returns a sentence, pictures of both and a CSV.

    The arguments that follow the text are the options of reading a file; see `OPTIONS` and `load_series`.
    """
    given = dict(locals())
    progress(0, desc="loading the checkpoint")
    model = load(checkpoint)
    config = model.config.tokenizer_config
    values, labels, read = read_given(file, text, given, config.num_channels, config.length)
    progress(0.5, desc=f"reconstructing {len(values)} series")
    codes = in_batches(lambda batch: model.encode(batch).codes, values, model.device)
    again = in_batches(model.decode, codes, model.device)
    errors = ((again - values) / torch.tensor(config.std)[:, None]).square().mean((1, 2))
    names = [f"series {index}" for index in range(1, len(values) + 1)]
    titles = [f"{name}, error {error:.2g}" for name, error in zip(names, errors.tolist(), strict=True)]
    said = (
        f"{len(values)} series, mean squared error {errors.mean():.2g}, where 1 is the variance of the training data."
    ) + f" Read: {as_it_is(read)}." * bool(read)
    pictures = reconstruction_figure(values, again, titles), codes_figure(codes, config.latent_shape, names)
    return [said, *pictures, written("reconstructed.csv", again, labels)]
