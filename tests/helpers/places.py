"""Where things are in the repository, and beside it in a folder that a clone does not have."""

from pathlib import Path


ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
TRAINING = ROOT / "training"
SPACES = ROOT / "spaces"
MODEL_CARDS = ROOT / "model_cards"
SHARED = ROOT.parent / "shared"
ARCHIVE = SHARED / "data" / "UCRArchive_2018"
