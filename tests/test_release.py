"""What a release is made of agrees: the version, its citation and the list of changes."""

import tomllib

import yaml

from helpers.places import ROOT


def test_the_version_is_one():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == project["version"] and citation["license"] == project["license"]
    assert (ROOT / "CHANGELOG.md").read_text().split("\n## ")[1].startswith(("Not yet released", project["version"]))


def test_a_tag_is_released_after_all_checks_and_by_a_token_that_nobody_stores():
    release = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())
    assert release[True]["push"]["tags"]  # YAML reads the key `on` as true
    build, publish = release["jobs"]["build"], release["jobs"]["publish"]
    assert {"run": ".ci/run"} in build["steps"] and publish["needs"] == "build"
    assert publish["permissions"]["id-token"] == "write" and "password" not in str(release)
