"""Stage 1 alone: `python training/train_tokenizer.py GunPoint --recipe training/recipes/demo.yaml`.

Leaves a folder that `NCVQVAEModel.from_pretrained` loads and `train_prior.py` goes on from.
"""

import argparse
import sys
from pathlib import Path

from ncvqvae.cli.training import add_run_options
from ncvqvae.cli.__main__ import run
from ncvqvae.training.recipes import load_recipe
from ncvqvae.training.run_folder import check_writable, default_output_dir, default_work_dir, save
from ncvqvae.runtime import process_state
from ncvqvae.evaluation.stage_scores import score_tokenizer
from ncvqvae.training.stages import check_run, train_tokenizer
from ncvqvae.data.training_split import TrainingData
from ncvqvae.data.ucr import load_ucr


def main(options: argparse.Namespace) -> None:
    recipe = load_recipe(options.recipe, options.set)
    folder = Path(options.output_dir or f"{default_output_dir(options.dataset)}-tokenizer")
    work_dir = Path(options.work_dir or default_work_dir(folder))
    data = TrainingData.from_dataset(load_ucr(options.dataset, options.data_dir)["train"], recipe)
    check_writable(folder)
    check_run(work_dir, recipe, data, options.resume)
    model, _ = train_tokenizer(data, recipe, work_dir, options.resume)
    save(model.tokenizer, folder, recipe)
    if process_state().is_main_process:
        print(f"tokenizer in {folder}: {score_tokenizer(model.tokenizer, data.values)} on the training split")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("dataset", help="name of a dataset of the archives")
    parser.add_argument("--output-dir", metavar="DIR", help="folder of the tokenizer")
    add_run_options(parser.add_argument)
    sys.exit(run(main, parser.parse_args(), "train_tokenizer"))
