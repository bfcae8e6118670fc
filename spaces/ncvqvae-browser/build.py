"""Puts beside the page what it runs on: `python spaces/ncvqvae-browser/build.py [CHECKPOINT ...]`; `make browser`.

That is onnxruntime-web, of which npm fetches one version and checks it, and for each checkpoint its ONNX files and
some real series of each class. The page shows the checkpoint of GunPoint; `?model=cBF` shows another.
"""

import json
import shutil
import subprocess
import sys
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
SHIPPED = HERE.parents[1] / "model_cards" / "ncvqvae-gunPoint"
RUNTIME = "onnxruntime-web@1.30.0"
INTEGRITY = "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
MOST_SERIES = 12  # real ones of a class


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


def add_checkpoint(checkpoint: Path, models: Path) -> None:
    """Writes a checkpoint's ONNX files, and some real series of each of its classes, into a folder of its name."""
    model, folder = load_checkpoint(checkpoint), models / checkpoint.resolve().name.removeprefix("ncvqvae-")
    export(model, folder)
    dataset, classes = model.config.tokenizer_config.dataset_name, model.config.id2label
    values, labels = to_tensors(load_ucr(dataset)["train"])
    series = [values[labels == index][:MOST_SERIES, 0] for index in classes]
    shown = {
        "about": f"This is {checkpoint.resolve().name}, trained on {dataset} of the UCR archive.",
        "classes": [explained(dataset, one) for one in classes.values()],
        "series": [[[round(value, 4) for value in row] for row in one.tolist()] for one in series],
    }
    (folder / "real.json").write_text(json.dumps(shown) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    fetch_runtime(HERE / "vendor")
    for given in sys.argv[1:] or [SHIPPED]:
        add_checkpoint(Path(given), HERE / "models")
