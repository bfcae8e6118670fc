import copy

import pytest
import torch
import torch.nn.functional as F

from ncvqvae import NCVQVAEConfig
from ncvqvae.models.encoder_decoder import Decoder, Encoder, Halvings, UpConvolution


# The thesis' datasets: length, latent width, parameters of the encoder and of the decoder, run on the reference.
TABLE = pytest.mark.parametrize(
    ("length", "width", "encoder_parameters", "decoder_parameters"),
    [
        (96, 12, 216_448, 215_796),  # ElectricDevices
        (500, 15, 315_136, 314_484),  # FordA, FordB
        (152, 9, 265_792, 265_140),  # Wafer
        (128, 8, 265_792, 265_140),  # TwoPatterns
        (1024, 8, 413_824, 413_172),  # StarLightCurves, Mallat
        (945, 14, 364_480, 363_828),  # UWaveGestureLibraryAll
        (140, 8, 265_792, 265_140),  # ECG5000
        (512, 8, 364_480, 363_828),  # ShapesAll
        (398, 12, 315_136, 314_484),  # Symbols
        (70, 9, 216_448, 215_796),  # SonyAIBORobotSurface1
        (65, 8, 216_448, 215_796),  # SonyAIBORobotSurface2
    ],
)


def build(config):
    channels, halvings, blocks = 2 * config.num_channels, config.num_downsampling, config.num_residual_blocks
    encoder = Encoder(channels, config.dim, halvings, blocks)
    return encoder, Decoder(channels, config.dim, halvings, blocks)


def num_parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


@TABLE
def test_grids_and_parameters_are_those_of_the_thesis(length, width, encoder_parameters, decoder_parameters):
    config = NCVQVAEConfig(length=length)
    encoder, decoder = build(config)
    spectrogram = torch.randn(2, 2, 5, length // 2 + 1)
    latents = encoder(spectrogram)
    assert config.latent_shape == (5, width) and config.num_codes == 5 * width
    assert latents.shape == (2, 64, 5, width)
    assert decoder(latents, spectrogram.shape[3]).shape == spectrogram.shape
    assert (num_parameters(encoder), num_parameters(decoder)) == (encoder_parameters, decoder_parameters)


@pytest.mark.parametrize("n_fft", [4, 8, 16, 32])
def test_every_short_length_gives_the_grid_that_the_configuration_announces(n_fft):
    for length in [*range(8, 71), 124]:
        config = NCVQVAEConfig(length=length, n_fft=n_fft, dim=4, num_residual_blocks=1, num_channels=2)
        encoder, decoder = build(config)
        spectrogram = torch.randn(2, 4, n_fft // 2 + 1, length // (n_fft // 4) + 1)
        latents = encoder(spectrogram)
        assert latents.shape == (2, 4, *config.latent_shape) and latents.numel() > 0
        assert decoder(latents, spectrogram.shape[3]).shape == spectrogram.shape


@pytest.mark.parametrize("length", [8, 65, 500])
def test_every_parameter_and_the_spectrogram_get_a_gradient(length):
    encoder, decoder = build(NCVQVAEConfig(length=length, dim=8, num_residual_blocks=2))
    spectrogram = torch.randn(4, 2, 5, length // 2 + 1, requires_grad=True)
    output = decoder(encoder(spectrogram), spectrogram.shape[3])
    (output * torch.randn_like(output)).sum().backward()
    for part in (encoder, decoder):
        for name, parameter in part.named_parameters():
            assert parameter.grad is not None and parameter.grad.isfinite().all(), name
            # A bias right before a batch norm may be left with rounding only.
            assert name.endswith("bias") or parameter.grad.abs().max() > 0, name
    assert (spectrogram.grad != 0).all()


def test_a_residual_block_is_the_formula_with_the_inner_norm_in_the_encoder_only():
    encoder, decoder = build(NCVQVAEConfig(length=16, dim=4, num_residual_blocks=1))
    hidden = torch.randn(5, 4, 5, 6)

    def normalised(values):  # over batch and positions, as at the start of training
        variance = values.var((0, 2, 3), correction=0, keepdim=True)
        return (values - values.mean((0, 2, 3), keepdim=True)) / (variance + 1e-5).sqrt()

    for block, inner in ((encoder.blocks[0], normalised), (decoder.blocks[0], lambda values: values)):
        first, second = (m for m in block.modules() if isinstance(m, torch.nn.Conv2d))
        assert (first.kernel_size, second.kernel_size) == ((3, 3), (1, 1))
        branch = inner(F.conv2d(F.leaky_relu(hidden, 0.01), first.weight, first.bias, padding=1))
        branch = F.conv2d(F.leaky_relu(branch, 0.01), second.weight, second.bias)
        torch.testing.assert_close(block(hidden), normalised(hidden + branch), atol=1e-5, rtol=1e-4)


def test_only_time_is_down_sampled_and_each_latent_depends_on_its_neighbourhood():
    encoder, _ = build(NCVQVAEConfig(length=512, dim=4, num_residual_blocks=1))
    encoder.eval()
    spectrogram = torch.randn(1, 2, 5, 257)
    changed = spectrogram.clone()
    changed[..., :10] += 1
    difference = (encoder(changed) - encoder(spectrogram)).abs().amax((0, 1))
    assert (difference[:, 0] > 0).all() and (difference[:, 4:] == 0).all()


def plain(module):
    """The same network of PyTorch's own modules."""
    module = copy.deepcopy(module)
    for sequence in (m for m in module.modules() if isinstance(m, torch.nn.Sequential)):
        halves = isinstance(sequence, Halvings)
        sequence.__class__ = torch.nn.Sequential
        for place, part in enumerate(sequence):
            geometry = (part.in_channels, part.out_channels, (3, 4), (1, 2), (1, 1)) if hasattr(part, "stride") else ()
            if halves and geometry:
                sequence[place] = torch.nn.Conv2d(*geometry, padding_mode="replicate")
            elif isinstance(part, UpConvolution):
                sequence[place] = torch.nn.ConvTranspose2d(*geometry)
            elif isinstance(part, torch.nn.LeakyReLU):
                sequence[place] = torch.nn.LeakyReLU(0.01)
            sequence[place].load_state_dict(part.state_dict())
    return module


def run(network, inputs):
    """Its output, and the gradients of a weighted sum of that by the input and by every parameter."""
    inputs = inputs.detach().requires_grad_()
    output = network(inputs)
    weights = torch.randn(output.shape, generator=torch.Generator().manual_seed(0))
    return output, *torch.autograd.grad((output * weights).sum(), [inputs, *network.parameters()])


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("length", [17, 64, 131])
def test_encoder_and_decoder_are_those_of_pytorchs_own_modules_in_values_and_gradients(length, layout):
    config = NCVQVAEConfig(length=length, dim=8, num_residual_blocks=1, num_channels=2)
    encoder, decoder = (part.to(memory_format=layout) for part in build(config))
    plain_encoder, plain_decoder = plain(encoder), plain(decoder)

    def decode(latents):
        raw = plain_decoder.up(plain_decoder.blocks(latents))
        return F.interpolate(raw, (raw.shape[2], config.frames(length)), mode="bilinear", align_corners=True)

    def own_decode(latents):
        return decoder(latents, config.frames(length))

    decode.parameters, own_decode.parameters = plain_decoder.parameters, decoder.parameters
    spectrogram = torch.randn(6, 4, 5, config.frames(length)).contiguous(memory_format=layout)
    latents = torch.randn(6, 8, *config.latent_shape).contiguous(memory_format=layout)
    for own, reference, inputs in ((encoder, plain_encoder, spectrogram), (own_decode, decode, latents)):
        for found, expected in zip(run(own, inputs), run(reference, inputs), strict=True):
            torch.testing.assert_close(found, expected, atol=2e-4, rtol=1e-4)
