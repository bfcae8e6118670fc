"""Puts beside the page what it runs on: `python spaces/ncvqvae-browser/build.py [CHECKPOINT ...]`; `make browser`.

That is onnxruntime-web, of which npm fetches one version and checks it, and for each checkpoint its ONNX files, its
picture of samples and some real series of each class, where it was trained on a set of the archive (which
`--data-dir` holds, but for sets that come with aeon). Visitors choose among all checkpoints that were added.
"""

import argparse
import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import torch

from ncvqvae.data.meanings import explained
from ncvqvae.data.series import to_tensors
from ncvqvae.data.ucr import load_ucr
from ncvqvae.hub.export import export
from ncvqvae.inference import load_checkpoint


HERE = Path(__file__).parent
CARDS = HERE.parents[1] / "model_cards"
SHIPPED = [CARDS / "ncvqvae-gunPoint", CARDS / "ncvqvae-italyPowerDemand"]  # whose series come with aeon
RUNTIME = "onnxruntime-web@1.30.0"
INTEGRITY = "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
MOST_SERIES = 12  # real ones of a class
PICTURE = "samples.png"  # of the card of the Space


def fetch_runtime(folder: Path) -> None:
    """Fetches the files of onnxruntime-web with npm. Raises `ValueError` for another package than was tested."""
    if all((folder / name).is_file() for name in FILES):
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        packed = subprocess.run(
            ["npm", "pack", RUNTIME, "--json"], cwd=place, check=True, capture_output=True, text=True
        )
        (about,) = json.loads(packed.stdout)
        if about["integrity"] != INTEGRITY:
            raise ValueError(f"{RUNTIME} has the digest {about['integrity']}, and was tested with {INTEGRITY}")
        with tarfile.open(Path(place, about["filename"])) as package:
            for name in FILES:
                with package.extractfile(f"package/dist/{name}") as source, open(folder / name, "wb") as target:
                    shutil.copyfileobj(source, target)


def add_checkpoint(checkpoint: Path, models: Path, data_dir: Path | None = None) -> None:
    """Writes a checkpoint's ONNX files and what the page shows beside them into a folder of its name.

    `models/index.json` names the folders.
    """
    model, name = load_checkpoint(checkpoint), checkpoint.resolve().name
    folder = models / name.removeprefix("ncvqvae-")
    export(model, folder)
    tokenizer = model.config.tokenizer_config
    dataset = tokenizer.dataset_name
    source = f"{dataset} of the UCR archive" if dataset else "series of its author's own"
    shown = {
        "about": f"This is {name}, trained on {source}.",
        "channels": tokenizer.num_channels,
        "length": tokenizer.length,
        "classes": _classes(model.config.id2label, dataset, data_dir),
    }
    (folder / "real.json").write_text(json.dumps(shown) + "\n")
    if (checkpoint / PICTURE).is_file():
        shutil.copyfile(checkpoint / PICTURE, folder / PICTURE)
    names = sorted(path.parent.name for path in models.glob("*/real.json"))
    (models / "index.json").write_text(json.dumps(names) + "\n")


def _classes(names: dict[int, str], dataset: str | None, data_dir: Path | None) -> list[dict]:
    """Each class: its index, what the page calls it, and real series `(series, channels, length)`, if there are any.

    Without classes it is one of all series, with the index that stands for none.
    """
    values, labels = to_tensors(load_ucr(dataset, data_dir)["train"]) if dataset else (torch.empty(0), torch.empty(0))
    found = []
    for index, name in (names or {-1: "all series"}).items():
        rows = values[labels == index] if names and dataset else values
        series = [[[round(one, 4) for one in channel] for channel in row] for row in rows[:MOST_SERIES].tolist()]
        option = explained(dataset, name)
        found.append(
            {"label": index, "name": f"class {option}" if names else name, "option": option, "series": series}
        )
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "checkpoints", nargs="*", type=Path, default=SHIPPED, help="folders (default: two shipped ones)"
    )
    parser.add_argument("--data-dir", type=Path, help="folder of the archive, for sets that do not come with aeon")
    options = parser.parse_args()
    torch.set_num_threads(1)
    fetch_runtime(HERE / "vendor")
    for given in options.checkpoints:
        add_checkpoint(given, HERE / "models", options.data_dir)
