"""What a process does that trains: alone, or as one of several, forked from one that has imported all this."""

import os
import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import torch

from helpers.tiny import SETTINGS, toy_dataset
from ncvqvae.cli.__main__ import run
from ncvqvae.data.training_split import TrainingData
from ncvqvae.models.distributed import sum_over_processes
from ncvqvae.models.vector_quantizer import VectorQuantizer
from ncvqvae.training.augmentations import augment
from ncvqvae.training.loop import batch_indices, fit
from ncvqvae.training.recipes import load_recipe
from ncvqvae.training.run_folder import Run
from ncvqvae.training.stages import train, train_prior, train_tokenizer


def here(size, device):
    return 0, size


def local_means(*means, count):
    return list(means)


def same(tensor):
    return tensor


DIM = 8  # of a code, in SETTINGS
sample, quantize = VectorQuantizer.sample, VectorQuantizer.forward


def own(generator):
    """Another generator in the second process. What the first draws stays, so that nothing else differs."""
    return torch.Generator().manual_seed(generator.initial_seed() + int(os.environ.get("RANK", 0)))


def own_views(values, views, generator):
    drawn = augment(values, views, generator)
    return drawn if os.environ.get("RANK", "0") == "0" else augment(values, views, own(generator))


def own_codes(self, latents, temperature, generator):
    return sample(self, latents, temperature, own(generator))


def own_draws(self, latents, generator=None):
    return quantize(self, latents, None if generator is None else own(generator))


def without(columns):
    """The sum over processes but for these columns of the quantizer's statistics, `(codes, 1 + DIM)`."""

    def summed(tensor):
        total = sum_over_processes(tensor)
        if tensor.shape[1] == 1 + DIM:
            total[:, columns] = tensor[:, columns]
        return total

    return summed


def own_candidates(tensor):
    """The sum over processes but for the points `(codes, DIM)` that dead codes become."""
    return tensor if tensor.shape[1] == DIM else sum_over_processes(tensor)


CASES = {
    "none": ["tokenizer.ssl_objective=null"],
    "barlow_twins": ["tokenizer.ssl_objective=barlow_twins"],
    "vibcreg": ["tokenizer.ssl_objective=vibcreg"],
    "own_draws": ["tokenizer.ssl_objective=null"],
    # Stage 1 moves its codebook alone: of latents that differ by rounding only, both draw the same codes.
    "drawn_codes": ["tokenizer.ssl_objective=null", "tokenizer_training.learning_rate=1e-12", "code_temperature=1"],
    "drawn_views": ["tokenizer.ssl_objective=null", "tokenizer_training.learning_rate=1e-12", "prior_views=[offset]"],
}
# The second process has another generator, as in a user's own loop: the codebook is the first one's all the same.
ALWAYS = {"own_draws": ("models.vector_quantizer.VectorQuantizer.forward", own_draws)}
BATCH_NORM = torch.nn.modules.batchnorm._BatchNorm.forward
# What each reduction, and each draw that all share, is without the other processes.
REDUCTIONS = {
    "vibcreg-without-batch-norm": ("models.distributed._GlobalBatchNorm.forward", BATCH_NORM),
    "vibcreg-without-losses": ("models.modeling_ncvqvae_pretraining.mean_over_batch", local_means),
    "vibcreg-without-objective": ("models.modeling_ncvqvae_pretraining.gather_batch", same),
    "barlow_twins-without-objective": ("models.modeling_ncvqvae_pretraining.gather_batch", same),
    "vibcreg-without-iterative-norm": ("models.projector.mean_over_batch", local_means),
    "none-without-views": ("training.stages.augment", own_views),
    "none-without-counts": ("models.vector_quantizer.sum_over_processes", without(slice(0, 1))),
    "none-without-sums": ("models.vector_quantizer.sum_over_processes", without(slice(1, None))),
    "none-without-revived-points": ("models.vector_quantizer.sum_over_processes", own_candidates),
    "none-without-kmeans": ("models.vector_quantizer.gather_batch", same),
    "own_draws-without-the-first": ("models.vector_quantizer.broadcast_from_first", same),
    "none-without-revival": ("models.vector_quantizer.place_in_batch", here),
    "none-without-masks": ("models.modeling_maskgit.place_in_batch", here),
    "none-without-prior-loss": ("models.modeling_maskgit.mean_over_batch", local_means),
    "drawn_codes-without-the-draw": ("models.vector_quantizer.VectorQuantizer.sample", own_codes),
}
STEPS = [
    "tokenizer.revival_threshold=12",  # so that codes are revived again and again
    "tokenizer_training={max_steps: 20, batch_size: 7, save_steps: 20, eval_steps: 20, precision: 'no'}",
    # Adam makes whole steps of gradients that are nothing but rounding; large ones soon change the code of a point.
    "tokenizer_training.learning_rate=1e-5",
    "prior_training={max_steps: 20, batch_size: 7, repeats: 2, save_steps: 20, eval_steps: 20, precision: 'no'}",
]


def equal(folder: Path, cases: Iterable[str]) -> None:
    """Trains, and leaves losses and weights of this process, the projector's too, of each case.

    A case is one of CASES, or one with a reduction taken out.
    """
    for case in cases:
        _equal(folder, case)


def _equal(folder: Path, case: str) -> None:
    recipe = load_recipe(None, [*SETTINGS, *STEPS, *CASES[case.partition("-")[0]]])
    with ExitStack() as stack:
        for patches, key in ((ALWAYS, case.partition("-")[0]), (REDUCTIONS, case)):
            if key in patches:
                name, replacement = patches[key]
                stack.enter_context(patch(f"ncvqvae.{name}", replacement))
        data = TrainingData.from_dataset(toy_dataset(), recipe.seed, recipe.validation_fraction)
        given = Run(recipe, folder / f"{case}-work")
        pretrained, first = train_tokenizer(data, given)
        state = {name: tensor.clone() for name, tensor in pretrained.state_dict().items()}
        model, second = train_prior(pretrained.tokenizer, data, given)
    losses = {"tokenizer": first.training, "prior": second.training}
    rank = os.environ.get("RANK", "0")
    torch.save({"state": state | model.state_dict(), "losses": losses}, folder / f"{case}-{rank}.pt")


def trains(folder: str, resume: bool, *overrides: str) -> int:
    """Trains both stages on toy series as a command does, with `FOLDER-work` beside the folder; the exit code.

    `FOLDER-STAGE` has as many bytes as the number of the step which this process has begun in a stage.
    """

    def noted(model, stage, *arguments):
        def begun(step: int, *others: int) -> torch.Tensor:
            os.truncate(file, step + 1)
            return batch_indices(step, *others)

        file = Path(f"{folder}-{stage.name}")
        file.touch()
        with patch("ncvqvae.training.loop.batch_indices", begun):
            return fit(model, stage, *arguments)

    recipe = load_recipe(None, [*SETTINGS, *overrides])
    with patch("ncvqvae.training.stages.fit", noted):
        return run(lambda _: train(toy_dataset(), recipe, folder, f"{folder}-work", resume), None, "train")


def fail(which: str) -> int:
    """Ends as a command does that fails in both processes, or in the second while the first waits for it."""

    def command(_) -> None:
        if which == "second" and os.environ["RANK"] == "0":
            time.sleep(60)
        raise ValueError(f"no luck in process {os.environ['RANK']}")

    return run(command, None, "train")


def die() -> None:
    """Trains; the second process fails at the sixth step, while the first waits for its part of a sum."""

    def fails(step: int, *others: int) -> torch.Tensor:
        if step == 5 and os.environ["RANK"] == "1":
            raise RuntimeError("the second process has had enough")
        return batch_indices(step, *others)

    with TemporaryDirectory() as folder, patch("ncvqvae.training.loop.batch_indices", fails):
        train(toy_dataset(), load_recipe(None, SETTINGS), folder, f"{folder}/work")


def leave() -> int:
    """A command that trains; fails where threads of the group outlive it."""

    def command(_) -> None:
        with TemporaryDirectory() as folder:
            train(toy_dataset(), load_recipe(None, SETTINGS), folder, f"{folder}/work")

    code = run(command, None, "train")
    threads = [file.read_text().strip() for file in Path("/proc/self/task").glob("*/comm")]
    if left := [name for name in threads if "gloo" in name]:
        print(f"left behind: {', '.join(left)}")
    return code or len(left)
