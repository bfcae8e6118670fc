"""What a process may say: of those that train together the first one speaks, and progress bars are for terminals.

Without Accelerate or Datasets at import, which the commands of inference do without.
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
    """Datasets draws its progress bars in the first process alone, and not into pipes and files."""
    from datasets import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if (speaks() and sys.stderr.isatty()) or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()
