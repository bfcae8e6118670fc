"""Updates folders of checkpoints to this version of the package: `python -m ncvqvae.hub.refresh FOLDER ...`.

It writes the code beside the weights anew, and renders card and report from `metrics.json`. Weights, figures and
pictures do not change. Figures of a version that did not yet note which configuration and recipe they are of get the
digests of those that are there, and places on the machine that wrote a file are left out of it. `make cards` does
this for every shipped checkpoint.
"""

import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ..evaluation.pictures import CAPTIONS
from ..evaluation.provenance import file_digests
from ..evaluation.report import render
from ..evaluation.zero_shot import render_zero_shot
from ..inference import load_checkpoint
from ..runtime import first_line, user_errors, whole_file
from .base_card import is_base
from .card import DIGESTS, render_card


CODE_NAMES = ("auto_map", "custom_pipelines")  # where a configuration says which code loads it


def refresh(folder: Path) -> None:
    """Writes code, card and report of a checkpoint's folder. A `config.json` without the code's names gets them.

    The card is named after the folder, as the cards of shipped checkpoints are. A folder without `metrics.json` gets
    its code only.

    Raises:
        ValueError: for a folder that holds no whole checkpoint, or whose figures no card can be made from.
    """
    model = load_checkpoint(folder)
    with tempfile.TemporaryDirectory() as saved:
        model.save_pretrained(saved)
        code = {path.name for path in Path(saved).glob("*.py")}
        for path in folder.glob("*.py"):
            if path.name not in code:
                path.unlink()
        for name in sorted(code):
            with whole_file(folder / name) as partial:
                shutil.copyfile(Path(saved) / name, partial)
        written = json.loads((Path(saved) / "config.json").read_text())
        names = {key: written[key] for key in CODE_NAMES if key in written}
    _refresh_config(folder / "config.json", names)
    if not (folder / "metrics.json").is_file():
        return
    metrics = _refresh_metrics(folder, is_base(model.config))
    if is_base(model.config):
        report = render_zero_shot(metrics)
    else:
        report = render(metrics, [name for name in CAPTIONS if (folder / name).is_file()])
    texts = {"report.md": report, "README.md": render_card(folder, folder.name, model.config)}
    for name, text in texts.items():
        with whole_file(folder / name) as partial:
            partial.write_text(text)


def _refresh_config(file: Path, names: dict[str, dict]) -> None:
    """Writes the names of the code, and leaves out where stage 1 was loaded from."""
    config = json.loads(file.read_text())
    new = config | names
    for part in (new, new.get("tokenizer_config") or {}):
        part.pop("_name_or_path", None)
    if new != json.loads(file.read_text()):
        with whole_file(file) as partial:
            partial.write_text(json.dumps(new, indent=2) + "\n")


def _refresh_metrics(folder: Path, base: bool) -> dict:
    """Adds the digests that an earlier version did not write; names the evaluation network without its folder."""
    file = folder / "metrics.json"
    metrics = json.loads(file.read_text())
    new = metrics if metrics.keys() & DIGESTS else metrics | file_digests(folder, base)
    if network := metrics.get("network"):
        new = new | {"network": network | {"file": Path(network["file"]).name}}
    if new != metrics:
        with whole_file(file) as partial:
            partial.write_text(json.dumps(new, indent=1) + "\n")
    return new


def main(folders: Sequence[str]) -> int:
    for name in folders:
        try:
            refresh(Path(name).resolve())
        except user_errors() as error:
            print(f"refresh: {first_line(error)}", file=sys.stderr)
            return 2
        print(f"refreshed {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
