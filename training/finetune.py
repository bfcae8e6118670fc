"""Fine-tuning under a launcher: `accelerate launch training/finetune.py ncvqvae-eCG5000 ECG200`.

The same as `ncvqvae finetune`.
"""

import sys

from ncvqvae.cli.__main__ import main


if __name__ == "__main__":
    sys.exit(main(["finetune", *sys.argv[1:]]))
