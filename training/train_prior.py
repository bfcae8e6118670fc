"""Stage 2 alone, on a tokenizer that `train_tokenizer.py` left.

    python training/train_prior.py ncvqvae-gunPoint-tokenizer GunPoint --recipe training/recipes/demo.yaml

Leaves the composite checkpoint, which `AutoModel.from_pretrained` loads.
"""

import argparse
import sys
from pathlib import Path

from ncvqvae import NCVQVAEModel
from ncvqvae.cli.training import add_run_options
from ncvqvae.cli.__main__ import run
from ncvqvae.training.recipes import load_recipe
from ncvqvae.training.run_folder import check_writable, default_output_dir, default_work_dir, save
from ncvqvae.runtime import process_state
from ncvqvae.training.stages import check_run, train_prior
from ncvqvae.data.training_split import TrainingData
from ncvqvae.data.ucr import load_ucr


def main(options: argparse.Namespace) -> None:
    recipe = load_recipe(options.recipe, options.set)
    folder = Path(options.output_dir or default_output_dir(options.dataset))
    work_dir = Path(options.work_dir or default_work_dir(folder))
    data = TrainingData.from_dataset(load_ucr(options.dataset, options.data_dir)["train"], recipe)
    tokenizer = NCVQVAEModel.from_pretrained(options.tokenizer).to(data.values.device)
    check_writable(folder)
    check_run(work_dir, recipe, data, options.resume)
    model, history = train_prior(tokenizer, data, recipe, work_dir, options.resume)
    save(model, folder, recipe)
    if process_state().is_main_process:
        print(f"model in {folder}; loss of the masked codes {history.training[-1]['loss']:.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tokenizer", help="folder that train_tokenizer.py left")
    parser.add_argument("dataset", help="name of the dataset that it was trained on")
    parser.add_argument("--output-dir", metavar="DIR", help="folder of the checkpoint")
    add_run_options(parser.add_argument)
    sys.exit(run(main, parser.parse_args(), "train_prior"))
