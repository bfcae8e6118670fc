"""Updates folders of checkpoints to this version of the package: `python -m ncvqvae.hub.refresh FOLDER ...`.

It writes the code beside the weights anew, and renders card and report from `metrics.json`. Weights, figures and
pictures do not change; figures of a version that did not yet note which configuration and recipe they are of get the
digests of those that are there. `make cards` does this for every shipped checkpoint.
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
        config, new = (json.loads((place / "config.json").read_text()) for place in (folder, Path(saved)))
        if config.get("auto_map") != new["auto_map"]:  # the names of the code that loads it
            with whole_file(folder / "config.json") as partial:
                partial.write_text(json.dumps(config | {"auto_map": new["auto_map"]}, indent=2, sort_keys=True) + "\n")
    if not (folder / "metrics.json").is_file():
        return
    metrics = json.loads((folder / "metrics.json").read_text())
    if not metrics.keys() & DIGESTS:  # measured by a version that did not write them
        metrics |= file_digests(folder, is_base(model.config))
        with whole_file(folder / "metrics.json") as partial:
            partial.write_text(json.dumps(metrics, indent=1) + "\n")
    if is_base(model.config):
        report = render_zero_shot(metrics)
    else:
        report = render(metrics, [name for name in CAPTIONS if (folder / name).is_file()])
    texts = {"report.md": report, "README.md": render_card(folder, folder.name, model.config)}
    for name, text in texts.items():
        with whole_file(folder / name) as partial:
            partial.write_text(text)


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
