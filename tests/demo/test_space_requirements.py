"""The Space's requirements are the package's: it holds the package as a folder, of which pip knows nothing."""

import tomllib

from huggingface_hub import SpaceCard
from packaging.requirements import Requirement

from helpers.places import ROOT, SPACES


SPACE = SPACES / "ncvqvae-sampler"


def required(project, extra):
    """What the extra names, with what is behind the extras of the package itself in their place."""
    for line in project["optional-dependencies"][extra]:
        one = Requirement(line)
        if one.name == project["name"]:
            for inner in sorted(one.extras):
                yield from required(project, inner)
        else:
            yield one


def test_the_space_requires_what_the_package_does_for_inference_and_the_app():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {*map(Requirement, project["dependencies"]), *required(project, "demo")}
    (gradio,) = (one for one in needed if one.name == "gradio")
    stated = [Requirement(line) for line in (SPACE / "requirements.txt").read_text().splitlines()]
    assert len(stated) == len(set(stated)) and set(stated) == needed - {gradio}

    card = SpaceCard.load(SPACE / "README.md").data
    assert gradio.specifier.contains(card.sdk_version), f"the Space's gradio {card.sdk_version} is not {gradio}"
