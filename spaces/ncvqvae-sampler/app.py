"""The Space: the app of the package, with the checkpoints beside this file, which need no network.

It starts with the one that `--checkpoint` or `NCVQVAE_CHECKPOINT` names. Visitors choose among these; `--allow-any`
lets them name any folder of the machine and any id on the Hub, which is for yourself alone.
"""

import argparse
import os
from pathlib import Path

from ncvqvae.demo.app import DEFAULT, LAUNCH, VARIABLE, build_demo


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--checkpoint", default=os.environ.get(VARIABLE), help="a folder or an id on the Hub")
    parser.add_argument("--allow-any", action="store_true", help="visitors may name any folder or id")
    options = parser.parse_args()
    checkpoint = options.checkpoint or str(Path(__file__).with_name(DEFAULT))
    shipped = sorted(config.parent for config in Path(__file__).parent.glob("*/config.json"))
    others = [str(folder) for folder in shipped if folder.name != Path(checkpoint).name]
    build_demo(checkpoint, others, options.allow_any).launch(**LAUNCH)
