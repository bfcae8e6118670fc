import copy
import re

import pytest
import torch
import torch.nn.functional as F
from huggingface_hub.errors import StrictDataclassError

from helpers.tensors import assert_same
from helpers.tiny import TINY
from ncvqvae import NCVQVAEConfig, NCVQVAEForPreTraining, NCVQVAEModel


# Biases whose gradient is zero in exact arithmetic: the batch norm behind them takes off the mean of each channel;
# behind the projector's last layer Barlow Twins or the iterative norm does; and the iterative norm's own bias is that
# of both branches, of which VIbCReg sees the difference, the variances and the covariances.
WITHOUT_GRADIENT = {
    *("encoder.down.0", "encoder.down.3", "encoder.down.6", "encoder.blocks.0.conv1", "encoder.blocks.0.conv2"),
    *("decoder.blocks.0.conv2", "decoder.up.0", "decoder.up.3"),
    *("projector.layers.0", "projector.layers.3", "projector.layers.6", "projector.layers.7"),
}


def tokenizer(**settings):
    return NCVQVAEModel(NCVQVAEConfig(**(TINY | settings))).eval()


def buffers(module):
    return {name: buffer.clone() for name, buffer in module.named_buffers()}


def test_forward_is_decode_of_encode(model):
    values = torch.randn(5, 1, 40)
    output, encoded = model.tokenizer(values), model.encode(values)
    assert torch.equal(output.codes, encoded.codes)
    assert torch.equal(output.latents, encoded.latents)
    assert torch.equal(output.reconstruction, model.decode(encoded.codes))
    assert torch.equal(output.reconstruction, model.reconstruct(values))
    assert encoded.codes.unique().numel() > 1


@pytest.mark.parametrize("n_fft", [4, 8, 16, 32])
@pytest.mark.parametrize("num_channels", [1, 2, 3])
@pytest.mark.parametrize("length", [8, 31, 40, 129])
def test_the_output_is_as_long_as_the_input(length, num_channels, n_fft):
    model = tokenizer(length=length, num_channels=num_channels, n_fft=n_fft)
    values = torch.randn(2, num_channels, length)
    output = model(values)
    assert output.reconstruction.shape == values.shape
    assert output.codes.shape == (2, model.config.num_codes)
    assert output.latents.shape == (2, model.config.dim, *model.config.latent_shape)
    assert model.decode(output.codes).shape == values.shape
    assert output.reconstruction.isfinite().all()


def test_the_scaler_makes_reconstructions_in_units_of_the_data():
    mean, std = torch.tensor([[3.0], [-2.0]]), torch.tensor([[2.0], [0.5]])
    plain = tokenizer(num_channels=2)
    scaled = tokenizer(num_channels=2, mean=mean.flatten().tolist(), std=std.flatten().tolist())
    scaled.load_state_dict(plain.state_dict())
    values = torch.randn(4, 2, 40)
    torch.testing.assert_close(
        scaled.reconstruct(values * std + mean), plain.reconstruct(values) * std + mean, atol=1e-5, rtol=1e-5
    )
    codes = plain.encode(values).codes
    torch.testing.assert_close(scaled.decode(codes), plain.decode(codes) * std + mean, atol=1e-5, rtol=1e-5)


def test_integer_series_are_scaled_like_others():
    model, values = tokenizer(mean=[0.6], std=[0.4]), torch.randint(3, (4, 1, 40))
    assert torch.equal(model.encode(values).latents, model.encode(values.float()).latents)


def test_bfloat16_computes_in_the_units_of_the_data():
    model, codes = tokenizer(mean=[293.0], std=[2.0]), torch.randint(6, (4, 50))
    with torch.autocast("cpu", torch.bfloat16):
        values = model.decode(codes)
    torch.testing.assert_close(values.float(), model.decode(codes), atol=0.1, rtol=0)  # bfloat16 itself steps by 2


def test_evaluation_is_deterministic_and_changes_no_state(pretraining_model):
    pretraining_model.eval()
    before, all_buffers = copy.deepcopy(pretraining_model.state_dict()), buffers(pretraining_model)
    values, augmented_values = torch.randn(2, 4, 1, 40)
    first, second = (pretraining_model(values, augmented_values) for _ in range(2))
    assert_same(dict(first), dict(second))
    pretraining_model.tokenizer.embed(values)
    assert_same(before, pretraining_model.state_dict())
    assert_same(all_buffers, buffers(pretraining_model))


def test_embed_pools_the_continuous_latents():
    model = tokenizer(length=64)
    values = torch.randn(3, 1, 64)
    latents = model.encode(values).latents
    assert latents.shape[-1] == 8
    flat = latents.flatten(2)
    parts = [flat.mean(2), flat.max(2).values, (flat - flat.mean(2, keepdim=True)).square().mean(2).sqrt()]
    quarters = torch.stack([latents[..., 2 * i : 2 * i + 2].mean((2, 3)) for i in range(4)], 2).flatten(1)
    features = model.embed(values)
    assert features.shape == (3, 7 * model.config.dim)
    torch.testing.assert_close(features, torch.cat([*parts, quarters], 1))


def test_codes_of_a_series_do_not_depend_on_its_batch(model):
    values = torch.randn(16, 1, 40)
    alone = torch.cat([model.encode(series[None]).codes for series in values])
    assert torch.equal(model.encode(values).codes, alone)
    assert torch.equal(model.encode(values.flip(0)).codes, alone.flip(0))


DEFAULT_WEIGHTS = dict(time_weight=1, spectrogram_weight=1, commitment_weight=1, augmented_weight=0.1, ssl_weight=1)


@pytest.mark.parametrize("setting", [{}, *({name: 2.5} for name in DEFAULT_WEIGHTS)])
def test_the_loss_is_the_sum_of_its_terms_each_with_its_weight(setting):
    model = NCVQVAEForPreTraining(NCVQVAEConfig(**TINY, **setting))
    output = model(torch.randn(6, 1, 40), torch.randn(6, 1, 40))
    weight = DEFAULT_WEIGHTS | setting
    time = output.time_loss + weight["augmented_weight"] * output.augmented_time_loss
    spectrogram = output.spectrogram_loss + weight["augmented_weight"] * output.augmented_spectrogram_loss
    expected = weight["time_weight"] * time + weight["spectrogram_weight"] * spectrogram
    expected += weight["commitment_weight"] * output.commitment_loss + weight["ssl_weight"] * output.ssl_loss
    torch.testing.assert_close(output.loss, expected)
    assert min(term.item() for name, term in output.items() if name.endswith("loss")) > 0.01


def test_vibcreg_weighs_a_hundredth_unless_told_otherwise():
    model = NCVQVAEForPreTraining(NCVQVAEConfig(**TINY, ssl_objective="vibcreg", augmented_weight=0.0))
    output = model(torch.randn(6, 1, 40), torch.randn(6, 1, 40))
    expected = output.time_loss + output.spectrogram_loss + output.commitment_loss + 0.01 * output.ssl_loss
    torch.testing.assert_close(output.loss, expected)


def test_the_time_loss_is_of_the_scaled_series():
    model = NCVQVAEForPreTraining(NCVQVAEConfig(**TINY, mean=[10.0], std=[4.0])).eval()
    values = 10 + 4 * torch.randn(6, 1, 40)
    output = model(values)
    torch.testing.assert_close(output.time_loss, F.mse_loss(output.reconstruction, values) / 16)
    assert output.ssl_loss is None and output.augmented_time_loss is None


def test_without_an_objective_there_is_no_projector_and_no_ssl_loss():
    model = NCVQVAEForPreTraining(NCVQVAEConfig(**TINY, ssl_objective=None))
    assert not [name for name in model.state_dict() if "projector" in name]
    output = model(torch.randn(6, 1, 40), torch.randn(6, 1, 40))
    assert "ssl_loss" not in output and output.augmented_time_loss > 0
    assert model(torch.randn(6, 1, 40)).loss > 0


@pytest.mark.parametrize("objective", ["barlow_twins", "vibcreg", None])
def test_one_step_moves_every_parameter_that_the_loss_depends_on(objective):
    model = NCVQVAEForPreTraining(NCVQVAEConfig(**(TINY | dict(length=128)), ssl_objective=objective))
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0)
    values = torch.randn(16, 1, 128)
    model(values, values + 0.3 * torch.randn_like(values)).loss.backward()
    optimizer.step()
    for name, parameter in model.named_parameters():
        layer = model.get_submodule(name.rpartition(".")[0])
        gradient = parameter.grad.abs().max() / layer.weight.grad.abs().max()
        if name.endswith(".bias") and name.removeprefix("tokenizer.").removesuffix(".bias") in WITHOUT_GRADIENT:
            assert gradient < 1e-4, name  # rounding noise, which differs between processors
        else:
            assert gradient > 1e-3, name
            assert parameter.grad.abs().max() > 1e-5, name
            assert not torch.equal(parameter, before[name]), name


def test_gradients_pass_the_quantizer_and_both_views(pretraining_model):
    views = [torch.randn(8, 1, 40).requires_grad_() for _ in range(2)]
    output, encoder = pretraining_model(*views), pretraining_model.tokenizer.encoder
    of_views = torch.autograd.grad(output.ssl_loss, views, retain_graph=True)
    of_encoder = torch.autograd.grad(output.spectrogram_loss, encoder.down[0].weight, retain_graph=True)
    of_commitment = torch.autograd.grad(output.commitment_loss, encoder.down[0].weight)
    for gradient in (*of_views, *of_encoder, *of_commitment):
        assert gradient.abs().max() > 1e-6


@pytest.mark.parametrize("objective", ["barlow_twins", "vibcreg", None])
def test_the_augmented_branch_does_not_touch_the_tokenizers_buffers(objective):
    plain = NCVQVAEForPreTraining(NCVQVAEConfig(**TINY, ssl_objective=None))
    model = NCVQVAEForPreTraining(NCVQVAEConfig(**TINY, ssl_objective=objective))
    model.tokenizer.load_state_dict(plain.tokenizer.state_dict())
    before = buffers(plain.tokenizer)
    for step in range(2):
        values = torch.randn(8, 1, 40)
        plain(values, generator=torch.Generator().manual_seed(step))
        model(values, 5 + 3 * torch.randn(8, 1, 40), generator=torch.Generator().manual_seed(step))
    assert_same(buffers(plain.tokenizer), buffers(model.tokenizer))
    changed = {name for name, buffer in buffers(model.tokenizer).items() if not torch.equal(buffer, before[name])}
    assert changed == {name for name in before if not name.startswith(("time_frequency", "scale"))}


def test_training_with_an_objective_needs_the_second_view(pretraining_model):
    with pytest.raises(ValueError, match="barlow_twins needs augmented_values"):
        pretraining_model(torch.randn(4, 1, 40))


@pytest.mark.parametrize("shape", [(2, 1, 39), (2, 2, 40), (40,), (2, 1, 1, 40)])
@pytest.mark.parametrize("method", ["forward", "encode", "reconstruct", "embed"])
def test_series_of_another_shape_are_refused(model, method, shape):
    with pytest.raises(ValueError, match=re.escape(f"(batch, 1, 40), found {shape}")):
        getattr(model.tokenizer, method)(torch.zeros(shape))


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_series_with_gaps_are_refused(model, number):
    values = torch.zeros(2, 1, 40)
    values[1, 0, 7] = number
    with pytest.raises(ValueError, match="NaN or infinite"):
        model.tokenizer(values)


@pytest.mark.parametrize(("length", "n_fft"), [(8, 64), (31, 128)])
def test_a_series_shorter_than_the_hop_is_refused_by_the_configuration(length, n_fft):
    with pytest.raises(StrictDataclassError, match="n_fft"):
        NCVQVAEConfig(length=length, n_fft=n_fft)


@pytest.mark.parametrize(
    ("codes", "found"),
    [
        (torch.full((1, 50), 6), "0 to 5, found 6 to 6"),
        (torch.arange(-1, 49)[None] % 6 - 1, "0 to 5, found -1 to 4"),
        (torch.zeros(2, 49, dtype=torch.long), "(batch, 50), found (2, 49)"),
        (torch.zeros(50, dtype=torch.long), "(batch, 50), found (50,)"),
    ],
)
def test_codes_that_do_not_exist_are_refused(model, codes, found):
    with pytest.raises(ValueError, match=re.escape(found)):
        model.decode(codes)


def test_the_tokenizer_exports(model):
    values = torch.randn(3, 1, 40)
    exported = torch.export.export(model.tokenizer, (values,)).module()
    output, expected = exported(values), model.tokenizer(values)
    assert torch.equal(output.codes, expected.codes)
    torch.testing.assert_close(output.reconstruction, expected.reconstruction)
