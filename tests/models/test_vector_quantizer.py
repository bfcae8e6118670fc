import copy

import numpy as np
import pytest
import scipy.stats
import torch

from ncvqvae.models.vector_quantizer import VectorQuantizer


REFERENCE = dict(kmeans_init=False, revival_threshold=0)


def as_latents(points):
    """`(points, dim)` to one sample `(1, dim, 1, points)`."""
    return points.T[None, :, None]


def clusters(num_clusters, dim=4, points_each=40):
    """Centres at least 15 apart, and points within about 1 of each, `(num_clusters, points_each, dim)`."""
    centres = 30 * torch.randn(num_clusters, dim)
    while torch.pdist(centres).min() < 15:
        centres = 30 * torch.randn(num_clusters, dim)
    return centres, centres[:, None] + 0.3 * torch.randn(num_clusters, points_each, dim)


@pytest.mark.parametrize("training", [True, False])
def test_codes_are_the_nearest_and_the_forward_value_is_bitwise_the_codebook_vector(training):
    quantizer, latents = VectorQuantizer(32, 8, **REFERENCE).train(training), torch.randn(6, 8, 5, 7)
    codebook = quantizer.codebook.clone()
    output = quantizer(latents)
    points = latents.permute(0, 2, 3, 1).reshape(6, 35, 8)  # row-major over (frequency, width)
    expected = torch.cdist(points, codebook, compute_mode="donot_use_mm_for_euclid_dist").argmin(-1)
    assert torch.equal(output.codes, expected)
    assert torch.equal(output.quantized.permute(0, 2, 3, 1).reshape(6, 35, 8), codebook[expected])
    assert output.usage == len(expected.unique()) / 32


def test_gradient_passes_straight_through_and_commitment_moves_latents_only():
    quantizer, latents = VectorQuantizer(16, 8, **REFERENCE), torch.randn(3, 8, 5, 7, requires_grad=True)
    output, downstream = quantizer(latents), torch.randn(3, 8, 5, 7)
    assert torch.equal(torch.autograd.grad(output.quantized, latents, downstream)[0], downstream)
    difference = latents.detach() - output.quantized.detach()
    torch.testing.assert_close(output.commitment_loss, difference.square().mean())
    (gradient,) = torch.autograd.grad(output.commitment_loss, latents)
    torch.testing.assert_close(gradient, 2 * difference / latents.numel())
    assert not list(quantizer.parameters()) and not any(buffer.requires_grad for buffer in quantizer.buffers())


def test_moving_averages_follow_the_textbook_recursion():
    quantizer, decay, epsilon = VectorQuantizer(5, 3, decay=0.8, epsilon=1e-2, **REFERENCE), 0.8, 1e-2
    size, total = np.ones(5), quantizer.embedding_sum.double().numpy().copy()
    for _ in range(6):
        points = torch.randn(50, 3)
        output = quantizer(as_latents(points))
        one_hot = np.eye(5)[output.codes[0].numpy()]
        size = decay * size + (1 - decay) * one_hot.sum(0)
        total = decay * total + (1 - decay) * one_hot.T @ points.double().numpy()
        smoothed = (size + epsilon) / (size.sum() + 5 * epsilon) * size.sum()
        np.testing.assert_allclose(quantizer.codebook.numpy(), total / smoothed[:, None], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(quantizer.cluster_size.numpy(), size, rtol=1e-5)
    assert quantizer.started == 1


def test_codes_converge_to_the_means_of_well_separated_clusters():
    centres, points = clusters(6)
    quantizer = VectorQuantizer(6, 4, **REFERENCE)
    quantizer.embedding_sum.copy_(centres + torch.randn_like(centres))
    for _ in range(150):
        quantizer(as_latents(points.flatten(0, 1)))
    torch.testing.assert_close(quantizer.codebook, points.mean(1), atol=1e-3, rtol=1e-4)


def test_kmeans_start_finds_more_of_the_clusters_than_random_points_would():
    found = []
    for _ in range(30):
        centres, points = clusters(8)
        quantizer = VectorQuantizer(8, 4, revival_threshold=0)
        quantizer(as_latents(points.flatten(0, 1)))
        found.append((torch.cdist(centres, quantizer.codebook).min(1).values < 5).float().mean())
    random_points = 1 - (1 - 1 / 8) ** 8  # 0.656, in expectation
    assert np.mean(found) > random_points + 0.1


def test_kmeans_starts_once_and_not_after_loading():
    far, near = torch.randn(1, 4, 5, 20) + 100, torch.randn(1, 4, 5, 20)
    quantizer = VectorQuantizer(8, 4, revival_threshold=0)
    quantizer(far)
    assert ((quantizer.codebook - 100).abs() < 5).all() and quantizer.started == 1
    loaded = VectorQuantizer(8, 4, revival_threshold=0)
    loaded.load_state_dict(quantizer.state_dict())
    for module in (quantizer, loaded):
        counts = torch.bincount(module(near).codes[0], minlength=8)  # one code takes all, and moves by a tenth at most
        assert counts.max() == 100 and (module.codebook > 25).sum() >= 28


def test_a_dead_code_is_revived_among_the_data_and_stays_there_unless_switched_off(generator):
    points = torch.randn(200, 4)
    for threshold, revived in ((0.5, True), (0, False)):
        quantizer = VectorQuantizer(8, 4, kmeans_init=False, revival_threshold=threshold)
        quantizer.embedding_sum[3] = 1000.0
        used = []
        for _ in range(30):
            used.append((quantizer(as_latents(points), generator).codes == 3).any().item())
            nearest = torch.cdist(quantizer.codebook[3:4], points).min()
            assert not revived or len(used) < 7 or (nearest < 2 and quantizer.cluster_size[3] >= 0.5)
        # From a count of 1, 0.9 ** 7 is the first below one half: used from the eighth step on.
        assert used == [False] * 7 + [revived] * 23


def test_evaluation_changes_no_buffer_and_repeats_itself():
    quantizer, latents = VectorQuantizer(8, 4).eval(), torch.randn(3, 4, 5, 7)
    before = copy.deepcopy(quantizer.state_dict())
    first, second = quantizer(latents), quantizer(latents)
    assert all(torch.equal(value, before[name]) for name, value in quantizer.state_dict().items())
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_perplexity_is_the_number_of_codes_in_uniform_use_and_one_when_all_latents_share_one():
    quantizer = VectorQuantizer(8, 4).eval()
    uniform, single = quantizer(as_latents(quantizer.codebook.repeat(3, 1))), quantizer(torch.ones(2, 4, 3, 3))
    assert uniform.perplexity.item() == pytest.approx(8, rel=1e-5) and uniform.usage == 1
    assert single.perplexity.item() == pytest.approx(1, rel=1e-5) and single.usage == 1 / 8


def test_sampled_codes_follow_the_exponential_of_squared_distance_over_temperature(generator):
    quantizer, point, draws = VectorQuantizer(6, 4), torch.randn(4), 20_000
    squared = (quantizer.codebook - point).square().sum(1).double().numpy()
    for temperature in (1.0, 4.0):
        codes = quantizer.sample(point[None, :, None, None].expand(draws, 4, 1, 1), temperature, generator)
        expected = np.exp(-squared / temperature) / np.exp(-squared / temperature).sum() * draws
        assert scipy.stats.chisquare(np.bincount(codes.flatten(), minlength=6), expected).pvalue > 1e-3
    latents = torch.randn(5, 4, 5, 7)
    assert torch.equal(quantizer.sample(latents, 1e-5, generator), quantizer.eval()(latents).codes)


@pytest.mark.long
def test_compiled_training_agrees_with_eager():
    """From the start by k-means to the revival of codes, with the same draws."""
    eager = VectorQuantizer(16, 8, revival_threshold=1.5)
    module = copy.deepcopy(eager)
    compiled = torch.compile(module, fullgraph=True)
    for seed in range(3):
        latents, found = torch.randn(4, 8, 5, 7), []
        for one in (eager, compiled):
            torch.manual_seed(seed)
            with torch._inductor.config.patch(fallback_random=True):
                found.append(one(latents).codes)
        assert torch.equal(*found)
    assert eager.started == module.started == 1
    torch.testing.assert_close(module.codebook, eager.codebook)
    torch.testing.assert_close(dict(module.named_buffers()), dict(eager.named_buffers()))


def test_autocast_to_bfloat16_leaves_quantization_and_its_statistics_in_float32():
    eager, latents = VectorQuantizer(32, 16, **REFERENCE), torch.randn(8, 16, 5, 9)
    autocast = copy.deepcopy(eager)
    expected = eager(latents)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        actual = autocast(latents)
    assert actual.quantized.dtype == torch.float32
    assert all(torch.equal(a, b) for a, b in zip(actual, expected, strict=True))
    assert all(torch.equal(value, eager.state_dict()[name]) for name, value in autocast.state_dict().items())


def test_autocast_to_bfloat16_leaves_sampling_in_float32():
    quantizer, latents = VectorQuantizer(32, 16).eval(), torch.randn(64, 16, 5, 9)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        codes = quantizer.sample(latents, 1e-6, torch.Generator().manual_seed(0))
    assert torch.equal(codes, quantizer(latents).codes)
