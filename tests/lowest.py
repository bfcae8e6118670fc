"""What `make test-lowest` runs in an environment that holds the inference install and nothing else.

    python tests/lowest.py CHECKPOINT [--floors]

A checkpoint loads, generates, is saved and loads again, with the package and without, and its samples go into a CSV:
the same bits everywhere. `--floors` also asks uv whether every extra can be had at the lowest versions that
pyproject.toml names.
"""

import argparse
import csv
import platform
import subprocess
import sys
import tomllib
from importlib.metadata import requires, version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from transformers import AutoModel

import ncvqvae


PROJECT = Path(__file__).parents[1] / "pyproject.toml"
EXTRAS = ("train", "eval", "demo", "export", "sweep")
NUM_SAMPLES = 4
WITHOUT_THE_PACKAGE = """
import sys
sys.modules["ncvqvae"] = None  # importing it fails
import torch
from transformers import AutoModel
model = AutoModel.from_pretrained(sys.argv[1], trust_remote_code=True)
torch.save(model.generate(int(sys.argv[3]), generator=torch.Generator().manual_seed(0)), sys.argv[2])
"""


def generated(checkpoint):
    model = AutoModel.from_pretrained(checkpoint)
    return model, model.generate(NUM_SAMPLES, generator=torch.Generator().manual_seed(0))


def check_use(checkpoint, folder):
    model, values = generated(checkpoint)
    assert values.shape[0] == NUM_SAMPLES and values.isfinite().all()
    codes = model.encode(values).codes
    again = model.decode(codes)
    assert again.shape == values.shape and again.isfinite().all()
    assert torch.equal(again, model.reconstruct(values)) and len(model.embed(values)) == NUM_SAMPLES

    model.save_pretrained(folder / "saved")
    reloaded, same = generated(folder / "saved")
    assert torch.equal(same, values) and torch.equal(reloaded.encode(values).codes, codes)

    for source in (checkpoint, folder / "saved"):
        run("-c", WITHOUT_THE_PACKAGE, source, folder / "values.pt", NUM_SAMPLES)
        assert torch.equal(torch.load(folder / "values.pt"), values), f"{source} without the package"

    run("-m", "ncvqvae.cli", "sample", checkpoint, folder / "samples.csv", "-n", NUM_SAMPLES)
    with open(folder / "samples.csv", newline="", encoding="utf-8") as file:
        (label, *_), *rows = csv.reader(file)
    assert label == "label"
    assert torch.equal(torch.tensor([[float(one) for one in row[1:]] for row in rows]), values.flatten(1))


def run(*arguments):
    subprocess.run([sys.executable, *map(str, arguments)], check=True)


def check_floors():
    project = tomllib.loads(PROJECT.read_text())["project"]
    python = project["requires-python"].removeprefix(">=")
    named = [*project["dependencies"], *(one for extra in EXTRAS for one in project["optional-dependencies"][extra])]
    floors = {one.name: floor(one) for one in map(Requirement, named) if one.name != project["name"]}
    extras = [part for extra in EXTRAS for part in ("--extra", extra)]
    ask = ["uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--only-binary", ":all:"]
    ask += ["--resolution", "lowest-direct", "--python-version", python, *extras, str(PROJECT)]
    answer = subprocess.run([sys.executable, "-m", *ask], check=True, capture_output=True, text=True).stdout
    pairs = (line.split(";")[0].split("==") for line in answer.splitlines() if "==" in line)
    found = {canonicalize_name(name): Version(number.strip()) for name, number in pairs}
    wrong = [f"{name}>={low}" for name, low in floors.items() if found[canonicalize_name(name)] != low]
    assert not wrong, f"cannot be had together, as wheels for Python {python}: {', '.join(wrong)}"
    print(f"can be had together for Python {python}:", ", ".join(f"{name} {low}" for name, low in floors.items()))


def floor(requirement):
    (low,) = [Version(one.version) for one in requirement.specifier if one.operator == ">="]
    return low


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--floors", action="store_true")
    options = parser.parse_args()

    needed = [one for one in map(Requirement, requires("ncvqvae")) if one.marker is None]
    print(f"Python {platform.python_version()}:", ", ".join(f"{one.name} {version(one.name)}" for one in needed))
    assert Path(sys.prefix) in Path(ncvqvae.__file__).parents, f"{ncvqvae.__file__} is not what was installed"
    assert find_spec("pandas") is None, "more is installed than what inference needs"
    if options.floors:
        check_floors()
    with TemporaryDirectory() as folder:
        check_use(options.checkpoint, Path(folder))
    print("loads, generates, saves, reloads and samples into a CSV, with the same bits")


if __name__ == "__main__":
    main()
