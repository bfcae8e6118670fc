"""Measurements that are kept, so that a program that was stopped goes on where it was."""

import json
from collections.abc import Callable
from pathlib import Path

from ncvqvae.runtime import whole_file


def once(path: Path, measure: Callable[[], dict]) -> dict:
    """What `measure` gives, or what it gave before, as the JSON file `path` holds it."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        measured = measure()
        with whole_file(path) as partial:
            partial.write_text(json.dumps(measured, indent=2))
        print(f"{path.stem}: {measured['seconds']:.0f} s", flush=True)
    return json.loads(path.read_text())
