"""The app: it shows generated series over real ones, and reconstructs the visitor's own."""

import os
from collections.abc import Sequence
from pathlib import Path

import gradio as gr

from .generation import ALL, classes_of, generate, generate_tab, sampling_of
from .handlers import explained, messages, replace
from .inputs import describe, load
from .reconstruction import reconstruct, reconstruct_tab


__all__ = ["LAUNCH", "build_demo", "default_checkpoint", "generate", "reconstruct"]

VARIABLE, DEFAULT = "NCVQVAE_CHECKPOINT", "ncvqvae-gunPoint"
WAITING = 128  # calls that wait, each endpoint's in a queue of its own; what comes then is told to come back
# How to `launch` it. Gradio's own semibold font lacks most of the alphabet, and its hints are a faint grey.
FONT = (gr.themes.Font("system-ui"), gr.themes.Font("sans-serif"))
THEME = gr.themes.Default(font=FONT).set(block_info_text_color="*neutral_500")
# Gradio keeps for each visitor what the components show, pictures too: most of a megabyte.
LAUNCH = {"theme": THEME, "max_file_size": "20mb", "mcp_server": True, "state_session_capacity": 50}
INTRODUCTION = """# NC-VQVAE sampler
A tokenizer turns a time series into a few codes and back; a masked transformer draws new codes, class by class
([paper](https://arxiv.org/abs/2408.16613), [its authors' code](https://github.com/erlendlokna/Generative-SSL-VQVAE))."""


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
    first = generate(checkpoint)  # a picture is there before anybody asks for one
    served = {Path(one).name: one for one in (checkpoint, *others)}
    if len(served) < len({checkpoint, *others}):
        raise ValueError(f"checkpoints to serve need different names, found {', '.join((checkpoint, *others))}")
    with gr.Blocks(title="NC-VQVAE sampler", delete_cache=(3600, 3600)) as app:
        gr.Markdown(INTRODUCTION)
        chosen = _checkpoint_input(served, allow_any)
        about = gr.Markdown(describe(checkpoint, config), label="Checkpoint")
        with gr.Tab("Generate"):
            settings, press = generate_tab(chosen, config, first)
        with gr.Tab("Reconstruct"):
            reconstruct_tab(chosen)
        event = chosen.submit if isinstance(chosen, gr.Textbox) else chosen.input
        # It waits for nobody: what is served is loaded once, and stays.
        how = {"api_name": "load", "queue": allow_any, "concurrency_id": "load"}
        loaded = event(choose, chosen, [about, *settings], **how)
        press(loaded.success)
    replace(app, "preprocess_data", explained(app.preprocess_data))
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

    replace(chosen, "preprocess", find)
    return chosen


def default_checkpoint() -> str:
    """The checkpoint that the variable `NCVQVAE_CHECKPOINT` names; else the folder `ncvqvae-gunPoint`, here or in
    `model_cards/` of a checkout.
    """
    shipped = Path(__file__).parents[3] / "model_cards" / DEFAULT
    here = Path(DEFAULT).is_dir() or not shipped.is_dir()
    return os.environ.get(VARIABLE) or (DEFAULT if here else str(shipped))


@messages
def choose(checkpoint: str) -> list:
    """Loads a checkpoint; returns its description, classes and settings.

    Args:
        checkpoint: one of those that the app serves.
    """
    config = load(checkpoint).config
    classes = gr.Dropdown(choices=classes_of(config), value=ALL)
    return [describe(checkpoint, config), classes, *sampling_of(config)]
