"""What `test_two_processes.py` runs under torchrun, or alone.

python two_processes.py equal FOLDER CASE...   a case is an objective, or one with a reduction taken out
python two_processes.py resume FOLDER OVERRIDE...
python two_processes.py die
"""

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import torch

from ncvqvae.recipes import load_recipe
from ncvqvae.stages import train
from ncvqvae.training import batch_indices
from test_training import SETTINGS, toy_dataset


def here(size, device):
    return 0, size


def local_means(*means, count):
    return list(means)


def same(tensor):
    return tensor


OBJECTIVES = ("none", "barlow_twins", "vibcreg")
BATCH_NORM = torch.nn.modules.batchnorm._BatchNorm.forward
# What each reduction is without the other processes.
REDUCTIONS = {
    "vibcreg-without-batch-norm": ("processes._GlobalBatchNorm.forward", BATCH_NORM),
    "vibcreg-without-losses": ("modeling_ncvqvae_pretraining.mean_over_batch", local_means),
    "vibcreg-without-objective": ("modeling_ncvqvae_pretraining.gather_batch", same),
    "barlow_twins-without-objective": ("modeling_ncvqvae_pretraining.gather_batch", same),
    "vibcreg-without-iterative-norm": ("projector.mean_over_batch", local_means),
    "none-without-codebook": ("vector_quantizer.sum_over_processes", same),
    "none-without-kmeans": ("vector_quantizer.gather_batch", same),
    "none-without-revival": ("vector_quantizer.place_in_batch", here),
    "none-without-masks": ("modeling_maskgit.place_in_batch", here),
    "none-without-prior-loss": ("modeling_maskgit.mean_over_batch", local_means),
}
STEPS = [
    "tokenizer.revival_threshold=12",  # so that codes are revived again and again
    "tokenizer_training={max_steps: 20, batch_size: 7, save_steps: 20, eval_steps: 20}",
    "prior_training={max_steps: 20, batch_size: 7, repeats: 2, save_steps: 20, eval_steps: 20}",
]


def equal(folder: Path, case: str) -> None:
    """Trains, and leaves losses and weights of this process."""
    objective = case.partition("-")[0].replace("none", "null")
    recipe = load_recipe(None, [*SETTINGS, *STEPS, f"tokenizer.ssl_objective={objective}"])
    with ExitStack() as stack:
        if case in REDUCTIONS:
            name, replacement = REDUCTIONS[case]
            stack.enter_context(patch(f"ncvqvae.{name}", replacement))
        model, histories = train(toy_dataset(), recipe, folder / case, folder / f"{case}-work")
    losses = {stage: history.training for stage, history in histories.items()}
    rank = os.environ.get("RANK", "0")
    torch.save({"state": model.state_dict(), "losses": losses}, folder / f"{case}-{rank}.pt")


def resume(folder: str, *overrides: str) -> None:
    """Trains, or goes on."""
    recipe = load_recipe(None, [*SETTINGS, "tokenizer.ssl_objective=vibcreg", *overrides])
    train(toy_dataset(), recipe, folder, f"{folder}-work", resume=True)


def die() -> None:
    """Trains; the second process fails at the sixth step, while the first waits for its part of a sum."""

    def fails(step: int, *others: int) -> torch.Tensor:
        if step == 5 and os.environ["RANK"] == "1":
            raise RuntimeError("the second process has had enough")
        return batch_indices(step, *others)

    with TemporaryDirectory() as folder, patch("ncvqvae.training.batch_indices", fails):
        train(toy_dataset(), load_recipe(None, SETTINGS), folder, f"{folder}/work")


if __name__ == "__main__":
    torch.set_num_threads(1)
    what, *arguments = sys.argv[1:]
    if what == "equal":
        for case in arguments[1:]:
            equal(Path(arguments[0]), case)
    else:
        {"resume": resume, "die": die}[what](*arguments)
