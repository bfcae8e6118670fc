"""What people do with any model of transformers works with every kind of checkpoint, and with one of theirs."""

import os
import subprocess
import sys
from functools import partial

import pytest
import torch
from transformers import AutoModel, ViTMAEConfig, ViTMAEModel

from helpers.places import ROOT
from helpers.tiny import ANY_LENGTH, FROM_BASE, TINY, TINY_PRIOR
from ncvqvae import MaskGITForTimeSeriesGeneration, NCVQVAEConfig, NCVQVAEForPreTraining
from trials.__main__ import TRIALS


SCALED = {"mean": [1013.25], "std": [4.0]}
OF_BASE = ANY_LENGTH | {"length": 40, "scale_each": False, "decoder_noise": True} | SCALED
VIT = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "layer_norm_eps": 1e-5,
}


def trained_a_little(sizes):
    """A tokenizer whose codebook and running statistics have seen a few batches."""
    model = NCVQVAEForPreTraining(NCVQVAEConfig(**sizes)).train()
    for _ in range(3):
        values = 1013.25 + 4 * torch.randn(16, 1, 40).cumsum(-1) / 4
        model(values, values + torch.randn_like(values))
    return model.tokenizer.eval()


def prior(sizes, **fields):
    return MaskGITForTimeSeriesGeneration.from_tokenizer(trained_a_little(sizes), **TINY_PRIOR | fields)


KINDS = {
    "thesis": lambda: prior(TINY | SCALED),
    "from the base": lambda: prior(OF_BASE, **FROM_BASE, knows_strength=True),
    "thesis' stage 1": lambda: trained_a_little(TINY | SCALED),
    "base's stage 1": lambda: trained_a_little(OF_BASE),
    "transformers' ViTMAE": lambda: ViTMAEModel(ViTMAEConfig(image_size=16, patch_size=4, **VIT)),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    found = {}
    for kind, make in KINDS.items():
        torch.manual_seed(0)
        found[kind] = tmp_path_factory.mktemp("checkpoint")
        make().save_pretrained(found[kind])
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: trial.__name__)
def test_trial(trial, kind, folders, tmp_path):
    trial(folders[kind], partial(AutoModel.from_pretrained), tmp_path)


def without_the_package(folders, tmp_path):
    environment = os.environ | {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT / "tests")}
    command = [sys.executable, "-m", "trials", *map(str, folders), "--without-package"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(": outputs come as a tuple when asked") == len(folders)


@pytest.mark.slow
def test_all_trials_without_the_package_by_the_code_beside_the_weights(folders, tmp_path):
    without_the_package([folders["thesis"]], tmp_path)


@pytest.mark.long
def test_all_trials_without_the_package_of_every_other_kind(folders, tmp_path):
    without_the_package([folders["from the base"], folders["thesis' stage 1"], folders["base's stage 1"]], tmp_path)
