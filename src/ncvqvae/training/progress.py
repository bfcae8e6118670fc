"""How far a stage is: a bar on a terminal, and elsewhere, in a log file for example, a line now and then."""

import sys
import time

from tqdm.auto import tqdm

from ..runtime import duration


SECONDS = 60.0  # from one line to the next


class Progress:
    """Shows how many of `num_steps` steps are done, and how long the others take; a context manager.

    Args:
        name: of the stage.
        num_steps, start: steps in all, and those that are done already.
        silent: shows nothing, as in all processes but the first.
    """

    def __init__(self, name: str, num_steps: int, start: int = 0, silent: bool = False):
        self.name, self.num_steps, self.start, self.silent = name, num_steps, start, silent
        self.loss, self.began, self.said = "", time.monotonic(), time.monotonic()
        # With None it shows a bar on a terminal only.
        self.bar = tqdm(total=num_steps, initial=start, desc=name, unit="step", disable=True if silent else None)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def note_loss(self, loss: float) -> None:
        """Shows this loss from now on."""
        self.loss = f", loss {loss:.3f}"
        self.bar.set_postfix(loss=f"{loss:.3f}")

    def update(self, done: int) -> None:
        """Says that `done` steps are done; called after each step."""
        self.bar.update()
        now = time.monotonic()
        if self.silent or not self.bar.disable or now - self.said < SECONDS or done == self.num_steps:
            return
        self.said = now
        left = duration((now - self.began) / (done - self.start) * (self.num_steps - done))
        print(
            f"{self.name}: step {done} of {self.num_steps}{self.loss}, about {left} left", file=sys.stderr, flush=True
        )
