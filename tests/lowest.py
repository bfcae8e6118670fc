"""What `make test-lowest` runs in an environment that holds the inference install and nothing else.

    python tests/lowest.py CHECKPOINT FOLDER [--floors]

A checkpoint, and a small prior as in the thesis and its tokenizer alone, which are left in FOLDER, compute, are saved
and load again, with the package and without: the same bits everywhere. Damaged weights are refused, and samples go
into a CSV. `--floors` also asks uv whether every extra can be had at the lowest versions that pyproject.toml names.
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
from trials.outputs import expected_of, is_prior


PROJECT = Path(__file__).parents[1] / "pyproject.toml"
EXTRAS = ("train", "eval", "demo", "export", "sweep")
NUM_SAMPLES = 4
TOKENIZER = {"length": 40, "dim": 8, "num_residual_blocks": 1, "codebook_size": 6, "mean": [1013.25], "std": [4.0]}
PRIOR = {"hidden_size": 16, "num_hidden_layers": 2, "head_dim": 8, "intermediate_size": 16}
CLASSES = {"id2label": {0: "down", 1: "up"}, "label_shares": [0.25, 0.75]}
WITHOUT_THE_PACKAGE = """
import sys
sys.modules["ncvqvae"] = None  # importing it fails
sys.path.insert(0, sys.argv[3])
import torch
from transformers import AutoModel
from trials.outputs import expected_of
torch.save(expected_of(AutoModel.from_pretrained(sys.argv[1], trust_remote_code=True)), sys.argv[2])
"""


def save_small_ones(folder):
    """Of each kind besides that of the shipped checkpoints: a prior as the thesis has them, and a tokenizer alone."""
    torch.manual_seed(0)
    tokenizer = ncvqvae.NCVQVAEModel(ncvqvae.NCVQVAEConfig(**TOKENIZER))
    prior = ncvqvae.MaskGITForTimeSeriesGeneration.from_tokenizer(tokenizer, **PRIOR, **CLASSES)
    for name, model in {"prior": prior, "tokenizer": tokenizer}.items():
        model.save_pretrained(folder / name)
        yield folder / name


def check_use(checkpoint, folder):
    model = AutoModel.from_pretrained(checkpoint)
    expected = expected_of(model)
    assert len(expected) >= 3 and all(one.isfinite().all() for one in expected.values())
    model.save_pretrained(folder / "saved")
    check_same(expected_of(AutoModel.from_pretrained(folder / "saved")), expected, "saved and loaded")
    for source in (checkpoint, folder / "saved"):
        run("-c", WITHOUT_THE_PACKAGE, source, folder / "outputs.pt", Path(__file__).parent)
        check_same(torch.load(folder / "outputs.pt"), expected, f"{source} without the package")

    weights = folder / "saved" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    try:
        AutoModel.from_pretrained(folder / "saved")
    except ValueError as error:
        assert "was changed after it was saved" in str(error)
    else:
        raise AssertionError("damaged weights were loaded")

    if is_prior(model):
        check_samples(model, checkpoint, folder)


def check_same(found, expected, said):
    different = [name for name, one in expected.items() if not torch.equal(found[name], one)]
    assert found.keys() == expected.keys() and not different, f"{said}: {different} differ"


def check_samples(model, checkpoint, folder):
    values = model.generate(NUM_SAMPLES, generator=torch.Generator().manual_seed(0))
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
    parser.add_argument("folder", type=Path)
    parser.add_argument("--floors", action="store_true")
    options = parser.parse_args()

    needed = [one for one in map(Requirement, requires("ncvqvae")) if one.marker is None]
    print(f"Python {platform.python_version()}:", ", ".join(f"{one.name} {version(one.name)}" for one in needed))
    assert Path(sys.prefix) in Path(ncvqvae.__file__).parents, f"{ncvqvae.__file__} is not what was installed"
    assert find_spec("pandas") is None, "more is installed than what inference needs"
    if options.floors:
        check_floors()
    for checkpoint in (options.checkpoint, *save_small_ones(options.folder)):
        with TemporaryDirectory() as folder:
            check_use(checkpoint, Path(folder))
        print(f"{checkpoint} computes, is saved and loads, with the package and without, with the same bits")


if __name__ == "__main__":
    main()
