import numpy as np
import pytest
import torch

from ncvqvae.models.time_frequency import TimeFrequency


LENGTHS = [*range(8, 71), 500, 945]
WINDOWS = pytest.mark.parametrize("n_fft", [4, 8, 16, 32])


def reference_stft(values, n_fft):
    """`(rows, length)` to complex `(rows, frequencies, frames)` by PyTorch's own transform."""
    kind = dict(n_fft=n_fft, hop_length=n_fft // 4, window=torch.hann_window(n_fft), return_complex=True)
    if values.shape[1] > n_fft // 2:
        return torch.stft(values, center=True, pad_mode="reflect", **kind)
    with pytest.raises(RuntimeError, match="Padding size should be less"):
        torch.stft(values, center=True, pad_mode="reflect", **kind)
    padded = np.pad(values.numpy(), ((0, 0), (n_fft // 2, n_fft // 2)), mode="reflect")
    return torch.stft(torch.from_numpy(padded), center=False, **kind)


def assert_equal(actual, expected, length):
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=0, msg=lambda text: f"length {length}: {text}")


class RoundTrip(torch.nn.Module):
    def __init__(self, length, n_fft):
        super().__init__()
        self.time_frequency = TimeFrequency(length, n_fft)

    def forward(self, values):
        spectrogram = self.time_frequency(values)
        return spectrogram, self.time_frequency.inverse(spectrogram)


@WINDOWS
def test_spectrogram_equals_torch_stft_at_every_length(n_fft):
    for length in LENGTHS:
        values = torch.randn(3, 1, length)
        expected = torch.view_as_real(reference_stft(values[:, 0], n_fft)).movedim(-1, 1)
        assert_equal(TimeFrequency(length, n_fft)(values), expected, length)


@WINDOWS
@pytest.mark.filterwarnings("error")
def test_inverse_of_any_spectrogram_equals_torch_istft_at_every_length(n_fft):
    # No length is skipped: given `length`, torch.istft refuses none of these, and pads none (it would warn, here an
    # error). It ignores the imaginary parts of the first and last frequency, so ours must; they are random here.
    for length in LENGTHS:
        time_frequency = TimeFrequency(length, n_fft)
        spectrogram = torch.randn(3, 2, n_fft // 2 + 1, length // (n_fft // 4) + 1)
        spectrum = torch.complex(spectrogram[:, 0], spectrogram[:, 1])
        expected = torch.istft(spectrum, n_fft, n_fft // 4, window=torch.hann_window(n_fft), length=length)
        assert_equal(time_frequency.inverse(spectrogram), expected[:, None], length)


@WINDOWS
def test_round_trip_returns_the_series_at_its_exact_length(n_fft):
    for length in LENGTHS:
        time_frequency, values = TimeFrequency(length, n_fft), torch.randn(2, 2, length)
        spectrogram = time_frequency(values)
        assert spectrogram.shape == (2, 4, time_frequency.num_frequencies, length // time_frequency.hop + 1)
        assert_equal(time_frequency.inverse(spectrogram), values, length)


def test_channel_2c_holds_the_real_and_2c_plus_1_the_imaginary_parts_of_channel_c():
    values = torch.randn(4, 3, 41)
    spectrogram = TimeFrequency(41)(values)
    for channel in range(3):
        expected = reference_stft(values[:, channel], 8)
        torch.testing.assert_close(spectrogram[:, 2 * channel], expected.real, atol=1e-5, rtol=0)
        torch.testing.assert_close(spectrogram[:, 2 * channel + 1], expected.imag, atol=1e-5, rtol=0)


def test_gradients_pass_both_ways_and_are_those_of_the_linear_maps():
    round_trip, units = RoundTrip(11, 8), torch.eye(11)[:, None, None]  # both ways are linear
    jacobians = torch.autograd.functional.jacobian(round_trip, torch.randn(1, 1, 11))
    for index, jacobian in enumerate(jacobians):
        of_units = torch.cat([round_trip(unit)[index] for unit in units])
        torch.testing.assert_close(jacobian.flatten(end_dim=-2).T, of_units.flatten(1), atol=1e-5, rtol=0)


def test_it_exports_and_no_tensor_of_the_graph_is_complex():
    module, values = RoundTrip(45, 8), torch.randn(2, 1, 45)
    exported = torch.export.export(module, (values,))
    tensors = [node.meta["val"] for node in exported.graph.nodes if isinstance(node.meta.get("val"), torch.Tensor)]
    assert tensors and not any(tensor.is_complex() for tensor in tensors)
    for actual, expected in zip(exported.module()(values), module(values), strict=True):
        torch.testing.assert_close(actual, expected)


def test_a_module_built_on_the_meta_device_is_filled_by_reset_parameters():
    with torch.device("meta"):
        module = TimeFrequency(45, 16)
    assert all(buffer.is_meta for buffer in module.buffers())
    module.to_empty(device="cpu").reset_parameters()
    expected = dict(TimeFrequency(45, 16).named_buffers())
    assert {name for name, _ in module.named_buffers()} == expected.keys() and len(expected) == 3
    for name, buffer in module.named_buffers():
        assert torch.equal(buffer, expected[name])


def test_nothing_of_it_is_saved():
    assert not TimeFrequency(45).state_dict()
