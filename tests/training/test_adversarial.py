"""The second phase of pre-training: what each side of the game learns from."""

import pytest
import torch
import torch.nn.functional as F

from helpers.tiny import ANY_LENGTH
from ncvqvae import NCVQVAEConfig, NCVQVAEForPreTraining
from ncvqvae.training.adversarial import AdversarialDecoder, Discriminators


@pytest.fixture
def judged():
    config = NCVQVAEConfig(**ANY_LENGTH | {"decoder_noise": True, "working_length": None, "scale_each": False})
    model = NCVQVAEForPreTraining(config).train()
    model(torch.randn(8, 1, 64), torch.randn(8, 1, 64))
    return AdversarialDecoder(model.tokenizer.eval())


def gradients(module, loss):
    module.zero_grad()
    loss.backward(retain_graph=True)
    return {name for name, one in module.named_parameters() if one.grad is not None and one.grad.abs().max() > 0}


def test_each_side_has_its_own_gradient_and_encoder_and_codebook_have_none(judged):
    values, noise = torch.randn(4, 1, 64), torch.randn(4, 8, 1, 9)
    output = judged(values, noise)
    decoder = {"tokenizer.decoder", "tokenizer.from_code", "tokenizer.noise"}

    def parts(loss):
        return {".".join(name.split(".")[:2]) for name in gradients(judged, loss)}

    assert parts(output.discriminator_loss) == {"discriminators.layers", "discriminators.heads"}
    for name in ("adversarial_loss", "matching_loss", "time_loss", "spectrogram_loss", "magnitude_loss"):
        assert parts(output[name]) == decoder
    assert parts(output.loss) == decoder | {"discriminators.layers", "discriminators.heads"}


def test_the_losses_are_their_formulas(judged):
    values = torch.randn(4, 1, 64)
    with torch.no_grad():
        output, made = judged(values), judged.tokenizer.reconstruct(values)
        real, wanted = judged.discriminators(values[:, 0])
        fake, states = judged.discriminators(made[:, 0])
    hinge = [F.relu(1 - yes).mean() + F.relu(1 + no).mean() for yes, no in zip(real, fake, strict=True)]
    matching = [(one - other).abs().mean() / other.abs().mean() for one, other in zip(states, wanted, strict=True)]
    torch.testing.assert_close(output.discriminator_loss, torch.stack(hinge).mean())
    torch.testing.assert_close(output.adversarial_loss, -torch.stack([one.mean() for one in fake]).mean())
    torch.testing.assert_close(output.matching_loss, torch.stack(matching).mean())
    torch.testing.assert_close(output.time_loss, F.mse_loss(made, values))


def test_discriminators_learn_to_tell_noise_from_waves():
    judges = Discriminators(dim=8)
    optimizer = torch.optim.AdamW(judges.parameters(), 5e-3)
    time = torch.arange(64) / 64

    def batch():
        return (6.28 * (3 * time + torch.rand(16, 1))).sin(), torch.randn(16, 64)

    for _ in range(60):
        waves, noise = batch()
        pairs = zip(judges(waves)[0], judges(noise)[0], strict=True)
        loss = sum(F.relu(1 - yes).mean() + F.relu(1 + no).mean() for yes, no in pairs)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    waves, noise = batch()
    assert all(yes.mean() > no.mean() for yes, no in zip(judges(waves)[0], judges(noise)[0], strict=True))
