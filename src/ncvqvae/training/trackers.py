"""Reports a run to one of Accelerate's trackers. A tracker that fails does not end the run."""

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from accelerate import Accelerator

from .recipes import by_dotted_names


logger = logging.getLogger(__name__)


class Tracker:
    """Scalars and pictures of one stage, on the main process. The first failure is logged; later ones are not.

    Args:
        accelerator: made with `log_with`.
        stage: prefix of all names.
        settings: the run's settings, for the tracker to show.

    Raises:
        ValueError: for a tracker that is not installed.
    """

    def __init__(self, accelerator: Accelerator, report_to: str | None, stage: str, settings: dict | None = None):
        self.accelerator, self.report_to, self.stage = accelerator, report_to, stage
        self.lost, self.pictures = report_to is None, True
        if self.lost:
            return
        if not accelerator.log_with:  # Accelerate would go on silently
            raise ValueError(f"the tracker {report_to} is not installed: pip install {report_to}, or report_to=null")
        shown = {name: _shown(value) for name, value in by_dotted_names(settings or {})}
        self._try(lambda: accelerator.init_trackers(f"ncvqvae-{stage}", shown))

    def log(self, row: dict[str, float], step: int, prefix: str = "") -> None:
        """Sends scalars, named `stage/name`."""
        values = {f"{self.stage}/{prefix}{name}": value for name, value in row.items()}
        self._try(lambda: self.accelerator.log(values, step=step))

    def picture(self, draw: Callable[[Path], None], step: int) -> None:
        """Sends the PNG file that `draw` draws. If `draw` fails, that is logged and no more pictures are drawn."""
        if self.lost or not self.pictures or not self.accelerator.is_main_process:
            return
        with TemporaryDirectory() as folder:
            file = Path(folder) / "picture.png"
            try:
                draw(file)
            except Exception as error:  # any error, because no picture is worth a run
                self.pictures = False
                logger.warning("the run goes on without pictures of %s: %s", self.stage, error)
                return
            self._try(lambda: self._send(file, step))

    def close(self) -> None:
        # Not `end_training`, which would end the group of processes too.
        for tracker in self.accelerator.trackers:
            self._try(tracker.finish)

    def _send(self, file: Path, step: int) -> None:
        name, tracker = f"{self.stage}/series", self.accelerator.trackers[0]
        if self.report_to == "trackio":  # Accelerate sends only scalars to trackio
            from trackio import Image

            tracker.log({name: Image(str(file))}, step=step)
            return
        from matplotlib.image import imread

        image = imread(file)[None, ..., :3]
        tracker.log_images({name: image}, step, **({"dataformats": "NHWC"} if self.report_to == "tensorboard" else {}))

    def _try(self, call: Callable[[], object]) -> None:
        if self.lost:
            return
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                call()
        except Exception as error:  # a tracker may raise anything: network, disk, service
            self.lost = True
            if self.accelerator.is_main_process:
                logger.warning("%s is lost, and the run goes on without it: %s", self.report_to, error)


def _shown(value: object) -> object:
    """A setting as tensorboard takes it: lists become text."""
    return value if isinstance(value, bool | int | float | str | None) else str(value)
