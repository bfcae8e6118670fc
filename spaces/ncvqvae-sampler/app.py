"""The Space: the app of the package, with the checkpoint that `--checkpoint` or `NCVQVAE_CHECKPOINT` names.

Without either, the app loads the checkpoint beside this file and needs no network.
"""

import argparse
import os
from pathlib import Path

from ncvqvae.demo.app import DEFAULT, LAUNCH, VARIABLE, build_demo


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--checkpoint", default=os.environ.get(VARIABLE), help="a folder or an id on the Hub")
    checkpoint = parser.parse_args().checkpoint or str(Path(__file__).with_name(DEFAULT))
    build_demo(checkpoint).launch(**LAUNCH)
