import signal
import threading

import pytest
import torch

from helpers.loopback_hub import LoopbackHub
from helpers.tiny import ANY_LENGTH, tiny_generator, tiny_tokenizer
from ncvqvae import NCVQVAEConfig, NCVQVAEForPreTraining
from ncvqvae.training.run_folder import save


@pytest.fixture(autouse=True, scope="session")
def interruptible():
    """Ctrl-C reaches tests and what they start, also where a shell runs pytest in the background and ignores it."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def pretraining_model():
    return tiny_tokenizer()


@pytest.fixture
def model(pretraining_model):
    return tiny_generator(pretraining_model)


@pytest.fixture
def checkpoint(model, tmp_path):
    """The folder of the tiny composite model, as training saves it."""
    save(model, tmp_path / "tiny")
    return str(tmp_path / "tiny")


@pytest.fixture
def base_tokenizer():
    """A tiny tokenizer for all series, whose running statistics and codebook have seen a batch."""
    model = NCVQVAEForPreTraining(NCVQVAEConfig(**ANY_LENGTH)).train()
    model(torch.randn(8, 1, 64), torch.randn(8, 1, 64))
    return model.tokenizer.eval()


@pytest.fixture
def hub():
    """A Hub on loopback, for this test alone."""
    with LoopbackHub() as hub:
        yield hub
