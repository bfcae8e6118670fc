"""The tab that reconstructs the visitor's own series, with the options of reading that the command line has."""

import math
from typing import Any

import gradio as gr
import torch

from ..data.sources import ENDINGS, OPTIONS, spelled
from ..inference import in_batches
from .handlers import GPU, PROGRESS, messages, written
from .inputs import as_it_is, load, read_given, stretched
from .pictures import codes_grids, reconstruction_panels


YOURS = """Upload a file **or** paste numbers. A table has a line of column names, and in a row a series, a time of one
or a single value; npz holds an array `values`. The CSV that *Generate* makes is such a file."""
READING = """How the file is read, if its columns do not say it. The options are those of the command line."""

EXAMPLES = {
    "a wave": ", ".join(f"{math.sin(0.2 * time):.2f}" for time in range(100)),
    "a step": ", ".join(["0"] * 40 + ["1"] * 60),
    "a spike": ", ".join(["0"] * 48 + ["1", "3", "1"] + ["0"] * 49),
}


def reconstruct_tab(chosen: gr.components.Component) -> None:
    """Builds the tab for the checkpoint that is chosen."""
    with gr.Row():
        with gr.Column(scale=3):
            said = gr.Markdown("Upload, paste or take a series, then press *Reconstruct*.", label="Summary")
            pictures = [gr.HTML(label=name) for name in ("Reconstruction", "Codes")]
            csv = gr.File(label="Reconstructed series (CSV)", height=120)
        with gr.Column(scale=1, min_width=280):
            gr.Markdown(YOURS)
            file = gr.File(label="File", file_types=list(ENDINGS), height=140)
            with gr.Accordion("Options for the file", open=False):
                gr.Markdown(READING)
                options = [_option(name) for name in OPTIONS]
            info = "separated by commas, spaces or lines; channel after channel"
            text = gr.Textbox("", label="Numbers", info=info, lines=4, max_lines=8)
            generated = gr.Button("Take a generated one")
            gr.Examples([[text] for text in EXAMPLES.values()], [text], example_labels=list(EXAMPLES))
            button = gr.Button("Reconstruct", variant="primary")
    inputs, outputs = [chosen, file, text, *options], [said, *pictures, csv]
    shown = {"show_progress_on": pictures[0], "scroll_to_output": True}
    generated.click(take, chosen, text, api_name="take", concurrency_id="take")
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


@messages
def take(checkpoint: str) -> str:
    """Generates one series; returns its numbers, channel after channel, separated by commas.

    Args:
        checkpoint: one of those that the app serves.
    """
    model = load(checkpoint)
    (values,) = model.generate(1)
    return ", ".join(f"{value:.4g}" for value in values.flatten().tolist())


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
    """Encodes and decodes the series of a file or a text; returns a sentence, pictures (HTML) of both and a CSV.

    Args:
        checkpoint: one of those that the app serves.
        file: a CSV, npz or parquet file, or another kind that `ncvqvae train --data` reads.
        text: numbers, separated by commas, spaces or lines; channel after channel.
        label_column: the column of the classes, for a file; as this, the following arguments are options of reading.
        id_column: the column that says to which series a row belongs.
        time_column: the column of the times.
        value_columns: the columns of the values, separated by commas.
        channel_column: the column that says to which channel a row belongs.
        channels_last: "yes" for an array (series, length, channels).
        day_first: "yes" for dates with the day before the month.
        missing_value: a number that stands for a missing one.
        window: the number of samples of the windows into which recordings are cut.
        stride: the number of samples between the starts of windows.
        drop_rare_classes: whether classes of a single series are left out.
    """
    given = dict(locals())
    progress(0, desc="loading the checkpoint")
    model = load(checkpoint)
    config = model.config.tokenizer_config
    values, labels, read = read_given(file, text, given, config.num_channels, config.length)
    progress(0.5, desc=f"reconstructing {len(values)} series")
    codes = in_batches(lambda batch: model.encode(batch).codes, stretched(values, config.length), model.device)
    again = stretched(in_batches(model.decode, codes, model.device), values.shape[2])
    errors = ((again - values) / torch.tensor(config.std)[:, None]).square().mean((1, 2))
    names = [f"series {index}" for index in range(1, len(values) + 1)]
    titles = [f"{name}, error {error:.2g}" for name, error in zip(names, errors.tolist(), strict=True)]
    said = (
        f"{len(values)} series, mean squared error {errors.mean():.2g}, where 1 is the variance of the training data."
    ) + f" Read: {as_it_is(read)}." * bool(read)
    if values.shape[2] != config.length:
        said += f" They were stretched from {values.shape[2]} to {config.length} samples, and back."
    pictures = reconstruction_panels(values, again, titles), codes_grids(codes, config.latent_shape, names)
    return [said, *pictures, written("reconstructed.csv", again, labels)]
