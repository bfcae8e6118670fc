"""Leaves out, before anything runs, what of transformers' tests is not for these models, and counts it by its reason.

A test that skips itself costs as much to prepare as one that runs, and hundreds of them hide the few that matter.
"""

from collections import Counter
from fnmatch import fnmatch

import pytest


LEFT_OUT = pytest.StashKey[Counter]()


def why_not(item):
    """The reason that transformers' own mark gives (no GPU, no Flash Attention), or a class' table `left_out`."""
    if not hasattr(item.cls, "left_out"):  # a test of our own: pytest shows all of them to every conftest
        return None
    if marked := getattr(item.function, "__unittest_skip_why__", None):
        return marked
    table = item.cls.left_out.items()
    return next((why for why, names in table if any(fnmatch(item.name, name) for name in names)), None)


def pytest_collection_modifyitems(config, items):
    reasons = [why_not(item) for item in items]
    config.stash[LEFT_OUT] = Counter(reason for reason in reasons if reason)
    getattr(config, "workeroutput", {})["left_out"] = dict(config.stash[LEFT_OUT])
    config.hook.pytest_deselected(items=[item for item, reason in zip(items, reasons, strict=True) if reason])
    items[:] = [item for item, reason in zip(items, reasons, strict=True) if not reason]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """Each process of pytest-xdist collects all; the one that reports, nothing."""
    node.config.stash[LEFT_OUT] = Counter(getattr(node, "workeroutput", {}).get("left_out"))


def pytest_terminal_summary(terminalreporter, config):
    for reason, count in config.stash.get(LEFT_OUT, Counter()).most_common():
        terminalreporter.write_line(f"left out: {count:>4}  {reason}")
