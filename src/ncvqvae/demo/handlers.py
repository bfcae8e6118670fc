"""What the app's handlers share: a lent GPU, progress, a limit of time, errors in one line, files to download."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial, wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr
from gradio.processing_utils import save_file_to_cache
from gradio.utils import get_upload_folder
from torch import Tensor

from ..data.files import write_series
from ..runtime import first_line, user_errors
from .limits import within


try:
    from spaces import GPU  # lends a GPU of Hugging Face's ZeroGPU for the time of a call
except ImportError:

    def GPU(function: Callable) -> Callable:
        return function


PROGRESS = gr.Progress()  # Gradio looks for one in a handler's signature
MOST_SECONDS = 120.0  # of a call
WRONG = "a value is of another kind than its input takes, such as a list where a text belongs"


def messages(handler: Callable) -> Callable:
    """Ends a call after `MOST_SECONDS`, and shows what goes wrong in one line of the app, without a trace."""

    @wraps(handler)
    def answered(*arguments: Any, **options: Any) -> Any:
        try:
            return within(MOST_SECONDS, partial(handler, *arguments, **options))
        except gr.Error:
            raise
        except user_errors() as error:
            raise gr.Error(first_line(error), print_exception=False) from None
        except Exception as error:  # ours to mend; the trace is in the server's log
            raise gr.Error(f"the app has a fault ({type(error).__name__}); try other settings") from error

    return answered


def explained(read: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Gradio's reading of what comes in, with a sentence for what no component takes."""

    @wraps(read)
    async def reading(*arguments: Any, **options: Any) -> Any:
        try:
            return await read(*arguments, **options)
        except gr.Error:
            raise
        except Exception:  # of Gradio's components, each its own
            raise gr.Error(WRONG, print_exception=False) from None

    return reading


def written(name: str, values: Tensor, labels: Sequence[str] | None) -> str:
    """The path of a CSV of the series, in Gradio's cache, which Gradio clears."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        write_series(path, values, labels)
        return save_file_to_cache(path, get_upload_folder())


def replace(owner: object, name: str, function: Callable) -> None:
    """Gives one object a method of its own; Gradio writes a file for each subclass of its components."""
    vars(owner)[name] = function
