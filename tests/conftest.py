import pytest
import torch

from ncvqvae import MaskGITForTimeSeriesGeneration, NCVQVAEConfig, NCVQVAEForPreTraining


TINY = dict(length=40, dim=8, num_residual_blocks=1, codebook_size=6, projector_dim=16)
TINY_PRIOR = dict(
    id2label={0: "down", 1: "up"},
    label_shares=[0.25, 0.75],
    hidden_size=16,
    num_hidden_layers=2,
    head_dim=8,
    intermediate_size=16,
)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def pretraining_model():
    """A tiny stage 1 with projector, whose codebook and running statistics have seen a few batches."""
    model = NCVQVAEForPreTraining(NCVQVAEConfig(**TINY))
    for _ in range(3):
        values = torch.randn(8, 1, 40)
        model(values, values + 0.1 * torch.randn_like(values))
    return model


@pytest.fixture
def model(pretraining_model):
    """A tiny composite model in evaluation mode."""
    return MaskGITForTimeSeriesGeneration.from_tokenizer(pretraining_model.tokenizer, **TINY_PRIOR).eval()
