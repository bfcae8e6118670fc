"""`training/accelerate/*.yaml`: what `accelerate launch` makes of them. No GPU is needed, and none is used."""

import subprocess
import sys

import pytest
import torch
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from transformers import AutoModel

from helpers.places import TRAINING
from ncvqvae.data.files import write_series
from ncvqvae.training.run_folder import save


CONFIGS = TRAINING / "accelerate"
# processes, machines, whether several processes are started, whether on the CPU
EXPECTED = {
    "one_gpu": (1, 1, False, False),
    "several_gpus": (8, 1, True, False),
    "several_nodes": (16, 2, True, False),
    "cpu": (1, 1, False, True),
}


def test_each_file_is_expected():
    assert {file.stem for file in CONFIGS.iterdir()} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_accelerate_knows_every_key_and_launches_what_the_file_says(name):
    file = str(CONFIGS / f"{name}.yaml")
    config = load_config_from_file(file)  # an unknown key is an error
    assert config.mixed_precision == "no"
    options = launch_command_parser().parse_args(["--config_file", file, "-m", "ncvqvae.cli", "train", "GunPoint"])
    options, _, _ = _validate_launch_command(options)
    found = (options.num_processes, options.num_machines, bool(options.multi_gpu), bool(options.use_cpu))
    assert found == EXPECTED[name]
    assert options.mixed_precision == "no"
    assert (options.training_script, options.training_script_args) == ("ncvqvae.cli", ["train", "GunPoint"])


def test_the_second_machine_says_its_rank_on_the_command_line():
    arguments = [
        "--config_file",
        str(CONFIGS / "several_nodes.yaml"),
        "--machine_rank",
        "1",
        "--main_process_ip",
        "n0",
    ]
    options, _, _ = _validate_launch_command(launch_command_parser().parse_args([*arguments, "-m", "ncvqvae.cli"]))
    assert (options.machine_rank, options.main_process_ip, options.main_process_port) == (1, "n0", 29500)


@pytest.mark.slow
def test_the_command_of_the_readme_fine_tunes_on_the_cpu(model, tmp_path):
    save(model, tmp_path / "start")
    write_series(tmp_path / "mine.csv", torch.randn(12, 1, 40), ["a", "b"] * 6)
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(CONFIGS / "cpu.yaml")]
    script = ["-m", "ncvqvae.cli", "finetune", "start", "--data", "mine.csv"]
    settings = ["report_to=null", "tokenizer.projector_dim=16"]
    settings += [f"{stage}_training={{max_steps: 2, batch_size: 6}}" for stage in ("tokenizer", "prior")]
    command = [*launch, *script, *[part for setting in settings for part in ("--set", setting)]]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "model: ncvqvae-mine/" in done.stdout, done.stderr
    assert AutoModel.from_pretrained(tmp_path / "ncvqvae-mine").config.id2label == {0: "a", 1: "b"}
