"""What the app's handlers share: a lent GPU, progress, errors in one line, and files to download."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import gradio as gr
from gradio.processing_utils import save_file_to_cache
from gradio.utils import get_upload_folder
from torch import Tensor

from ..data.files import write_series
from ..runtime import first_line, user_errors


try:
    from spaces import GPU  # lends a GPU of Hugging Face's ZeroGPU for the time of a call
except ImportError:

    def GPU(function: Callable) -> Callable:
        return function


PROGRESS = gr.Progress()  # Gradio looks for one in a handler's signature


@contextmanager
def messages() -> Iterator[None]:
    """Shows errors that a user can put right in one line of the app, without a trace."""
    try:
        yield
    except user_errors() as error:
        raise gr.Error(first_line(error), print_exception=False) from None


def written(name: str, values: Tensor, labels: Sequence[str] | None) -> str:
    """The path of a CSV of the series, in Gradio's cache, which Gradio clears."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        write_series(path, values, labels)
        return save_file_to_cache(path, get_upload_folder())
