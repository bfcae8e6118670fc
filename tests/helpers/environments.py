"""Environments with a few of the installed packages and what those require, as a stranger's machine may have them."""

from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement


def environment_with(folder: Path, *requirements: str) -> Path:
    """Links what the requirements need, without extras, into `folder`, for `sys.path` of `python -I -S`."""
    folder.mkdir()
    waiting, known = [Requirement(line) for line in requirements], set()
    while waiting:
        wanted = waiting.pop()
        if wanted.name in known or (wanted.marker and not wanted.marker.evaluate({"extra": ""})):
            continue
        known.add(wanted.name)
        found = distribution(wanted.name)
        assert wanted.specifier.contains(found.version, prereleases=True), f"{wanted}: {found.version}"
        waiting += [Requirement(line) for line in found.requires or []]
        for name in {file.parts[0] for file in found.files if file.parts[0] not in ("..", "__pycache__", "bin")}:
            link = folder / name
            if not link.exists():
                link.symlink_to(found.locate_file(name))
    return folder
