"""What a process may say: of those that train together the first one speaks, and progress bars are for terminals.

What it needs of Datasets and transformers it imports late: the commands of inference do without the former.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


def speaks() -> bool:
    """Whether this is the first of the processes that a launcher has started, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def say_failure(line: str) -> None:
    """Prints why this process ends.

    What all processes meet alike the first one says: the others wait so long that the launcher, which ends all when
    one has ended, ends them before they speak. What one of them meets alone is said all the same.
    """
    if not speaks():
        time.sleep(3 + int(os.environ.get("LOCAL_RANK", "0")))
    print(line, file=sys.stderr, flush=True)


@contextmanager
def bars_for_terminals() -> Iterator[None]:
    """Datasets and transformers draw their progress bars in the first process alone, and not into pipes and files."""
    import datasets
    from transformers.utils import logging

    shows = []
    if not (speaks() and sys.stderr.isatty()):
        if not datasets.are_progress_bars_disabled():
            datasets.disable_progress_bars()
            shows.append(datasets.enable_progress_bars)
        if logging.is_progress_bar_enabled():
            logging.disable_progress_bar()
            shows.append(logging.enable_progress_bar)
    try:
        yield
    finally:
        for show in shows:
            show()
