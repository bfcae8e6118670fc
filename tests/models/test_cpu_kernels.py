"""Each kernel equals PyTorch's plain form, in values and in gradients."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from helpers.tiny import TINY_PRIOR
from ncvqvae import MaskGITForTimeSeriesGeneration
from ncvqvae.models.bidirectional_transformer import eager_attention
from ncvqvae.models.cpu_kernels import (
    LayerNorm,
    RMSNorm,
    attention_for,
    gram_product,
    look_up,
    normalised_linear,
    replicate_pad,
    rounded_rows,
    sums_by_code,
    tabulated,
    transposed_convolution,
)


LAYOUTS = pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "last"])


def run(function, *leaves):
    """The output, and the gradients of a weighted sum of it by every leaf."""
    leaves = [leaf.detach().requires_grad_() if not isinstance(leaf, nn.Parameter) else leaf for leaf in leaves]
    inputs = [leaf for leaf in leaves if not isinstance(leaf, nn.Parameter)]
    output = function(*inputs)
    drawn = torch.randn(output.shape, generator=torch.Generator().manual_seed(1))
    weights = torch.empty_like(output).copy_(drawn)  # in the output's layout, as a gradient is
    return output.detach(), *torch.autograd.grad((output * weights).sum(), leaves)


def assert_equal_in_values_and_gradients(kernel, plain, *leaves, **tolerance):
    for found, expected in zip(run(kernel, *leaves), run(plain, *leaves), strict=True):
        assert found.dtype == expected.dtype
        torch.testing.assert_close(found, expected, **tolerance)


def relative_error(found, expected):
    return ((found.double() - expected.double()).norm() / expected.double().norm()).item()


def assert_close_to_float32_in_bfloat16(kernel, plain, *leaves, most=0.01):
    """The kernel under autocast, against the plain form in float32."""
    with torch.autocast("cpu", torch.bfloat16):
        rounded = run(kernel, *leaves)
    assert rounded[0].dtype == torch.bfloat16
    for found, exact in zip(rounded, run(plain, *leaves), strict=True):
        assert relative_error(found, exact) < most


def plain_pad(hidden):
    return F.pad(hidden, (1, 1, 1, 1), mode="replicate")


@LAYOUTS
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(3, 4, 5, 7), (2, 3, 1, 6), (2, 3, 4, 1), (1, 2, 1, 1)])
def test_padding_is_replicated_borders_and_keeps_the_layout(shape, dtype, layout):
    hidden = torch.randn(shape).to(dtype, memory_format=layout)
    close = {} if dtype == torch.float32 else dict(atol=0.05, rtol=0.02)  # up to nine terms are added up
    assert torch.equal(replicate_pad(hidden), plain_pad(hidden))
    assert_equal_in_values_and_gradients(replicate_pad, plain_pad, hidden, **close)
    if hidden[0, 0].numel() > 1:  # one position is contiguous in either layout
        assert all(tensor.is_contiguous(memory_format=layout) for tensor in run(replicate_pad, hidden))


@LAYOUTS
def test_a_transposed_convolution_is_that_of_pytorch_with_all_its_gradients(layout):
    convolution = nn.ConvTranspose2d(6, 5, (3, 4), (1, 2), (1, 1)).to(memory_format=layout)
    hidden = torch.randn(4, 6, 5, 7).contiguous(memory_format=layout)
    leaves = hidden, convolution.weight, convolution.bias

    def kernel(hidden):
        return transposed_convolution(convolution, hidden)

    assert_equal_in_values_and_gradients(kernel, convolution, *leaves, atol=1e-4, rtol=1e-4)
    assert_close_to_float32_in_bfloat16(kernel, convolution, *leaves)
    assert kernel(hidden).is_contiguous(memory_format=layout)


@pytest.mark.parametrize("bias", [True, False])
def test_a_normalised_linear_is_the_linear_of_the_norm(bias):
    norm, linear = RMSNorm(12), nn.Linear(12, 9, bias=bias)
    nn.init.normal_(norm.weight, 1, 0.3)
    leaves = 3 * torch.randn(5, 8, 12), norm.weight, *linear.parameters()

    def kernel(hidden):
        return normalised_linear(norm, linear, hidden)

    def plain(hidden):
        return linear(F.rms_norm(hidden, norm.normalized_shape, norm.weight))

    assert_equal_in_values_and_gradients(kernel, plain, *leaves, atol=1e-5, rtol=1e-4)
    assert_close_to_float32_in_bfloat16(kernel, plain, *leaves)
    # A row of zeros, which has no direction, and one so small that the norm's epsilon rules it.
    leaves = torch.cat((torch.zeros(1, 12), 1e-12 * torch.randn(1, 12), torch.randn(2, 12))), *leaves[1:]
    assert_equal_in_values_and_gradients(kernel, plain, *leaves, atol=1e-5, rtol=1e-4)


def test_a_layer_norm_is_that_of_pytorch_in_the_dtype_of_its_weights():
    norm, hidden = LayerNorm(16, eps=1e-12), torch.randn(30, 16)
    nn.init.normal_(norm.weight, 1, 0.3)

    def plain(hidden):
        return F.layer_norm(hidden, (16,), norm.weight, norm.bias, norm.eps)

    assert_equal_in_values_and_gradients(norm, plain, hidden, *norm.parameters())
    rounded = copy.deepcopy(norm).bfloat16()
    assert rounded(hidden.bfloat16()).dtype == rounded(hidden).dtype == torch.bfloat16


def test_under_autocast_the_gradients_of_a_layer_norm_are_added_up_in_float32():
    norm, hidden = LayerNorm(16, eps=1e-12), torch.randn(12_000, 16).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        output = norm(hidden)
    (found,) = torch.autograd.grad(output.sum(), norm.bias)
    assert relative_error(found, torch.full((16,), 12_000.0)) < 0.01  # in bfloat16 a sum of ones stands still at 256


def test_looking_up_is_indexing_by_entry_and_position():
    table, index = torch.randn(7, 5, 4), torch.randint(7, (300, 5))
    places = torch.arange(5)

    def kernel(table):
        return look_up(table, index)

    def plain(table):
        return table[index, places]

    assert torch.equal(kernel(table), plain(table))
    assert_equal_in_values_and_gradients(kernel, plain, table, atol=1e-4, rtol=1e-5)


def test_the_gradient_of_a_look_up_in_bfloat16_is_added_up_in_float32():
    table, index = torch.randn(3, 2, 4).bfloat16(), torch.randint(3, (6000, 2))
    (found,) = torch.autograd.grad(look_up(leaf := table.requires_grad_(), index).sum(), leaf)
    counts = torch.stack([torch.bincount(column, minlength=3) for column in index.T], 1)
    assert relative_error(found, counts[..., None].expand(3, 2, 4)) < 0.005  # bfloat16 itself rounds by as much


def own_table(codebook_size, num_labels, num_codes=5, dim=4):
    """What enters a network of two embeddings, position by position, in two parts; and its parameters."""
    labels, codes = nn.Embedding(num_labels + 1, dim), nn.Embedding(codebook_size + 1, dim)
    positions, sizes = nn.Parameter(torch.randn(num_codes + 1, dim)), []

    def enter(visible, classes):
        sizes.append(len(visible))
        hidden = torch.cat((labels(classes)[:, None], codes(visible)), 1) + positions
        return hidden, hidden.tanh()

    return enter, sizes, [labels.weight, codes.weight, positions]


# More codes than classes, and more classes than codes; fewer samples than the table has rows, as many, and more.
@pytest.mark.parametrize(("codebook_size", "num_labels"), [(6, 2), (3, 8), (4, 0)])
@pytest.mark.parametrize("more", [-1, 0, 30])
def test_a_table_gives_what_entering_gives_below_and_above_its_size(codebook_size, num_labels, more):
    size = max(codebook_size, num_labels) + 1
    enter, sizes, parameters = own_table(codebook_size, num_labels)
    batch = size + more
    visible, labels = torch.randint(codebook_size + 1, (batch, 5)), torch.randint(num_labels + 1, (batch,))
    tabled = tabulated(enter, batch, 5, codebook_size, num_labels)

    def joined(way):
        return lambda: torch.stack(way(visible, labels))

    assert_equal_in_values_and_gradients(joined(tabled), joined(enter), *parameters, atol=1e-5, rtol=1e-5)
    sizes.clear()
    tabled = tabulated(enter, batch, 5, codebook_size, num_labels)
    for _ in range(3):
        tabled(visible, labels)
    assert sizes == ([batch] * 3 if more < 0 else [size])  # a table is filled once, whatever the batch


@pytest.mark.parametrize("kind", ["learned", "codebook", "codebook_finetuned"])
@pytest.mark.parametrize("batch", [6, 40])
def test_the_prior_enters_by_its_table_as_without(pretraining_model, kind, batch):
    settings = TINY_PRIOR | {"code_embedding": kind}
    model = MaskGITForTimeSeriesGeneration.from_tokenizer(pretraining_model.tokenizer, **settings)
    visible, labels = torch.randint(7, (batch, 50)), torch.randint(3, (batch,))
    used = [one for one in model.parameters() if one.requires_grad]
    for part in (0, 1):
        outputs = [enter(visible, labels)[part] for enter in (model._tabulated(batch, model.num_codes), model._enter)]
        torch.testing.assert_close(outputs[0], outputs[1], atol=1e-5, rtol=1e-5)
        gradients = [torch.autograd.grad(output.square().sum(), used, allow_unused=True) for output in outputs]
        assert [one is None for one in gradients[0]] == [one is None for one in gradients[1]]
        pairs = [pair for pair in zip(*gradients, strict=True) if pair[0] is not None]
        assert len(pairs) > 4
        for found, expected in pairs:
            torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("total", [1, 15, 50, 1000])
def test_rows_are_rounded_up_to_one_of_sixteen_numbers_and_keep_their_order(total):
    lengths = set()
    for count in range(1, total + 1):
        rows = torch.randperm(total)[:count]
        rounded = rounded_rows(rows, total)
        lengths.add(len(rounded))
        assert torch.equal(rounded[:count], rows) and not rounded[count:].any()
        assert len(rounded) - count < max(total / 16, 1)
    assert len(lengths) <= 16


def test_on_a_cpu_attention_is_eager_where_sdpa_was_meant_which_computes_the_same():
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert attention_for("sdpa", cpu) == "eager"
    assert attention_for("sdpa", gpu) == "sdpa"
    for name in ("eager", "flash_attention_2", "flex_attention"):
        assert attention_for(name, cpu) == attention_for(name, gpu) == name

    def eager(*heads):
        return eager_attention(nn.Module(), *heads, None, scaling=8**-0.5)[0]

    def fused(*heads):
        return F.scaled_dot_product_attention(*heads).transpose(1, 2)

    heads = torch.randn(3, 4, 2, 11, 8).unbind()
    assert_equal_in_values_and_gradients(eager, fused, *heads, atol=1e-5, rtol=1e-4)
    assert_close_to_float32_in_bfloat16(eager, fused, *heads)


@pytest.mark.parametrize("shape", [(6, 20), (20, 6), (1, 5)])
def test_a_gram_product_is_the_sum_of_squares_of_the_product(shape):
    first, second = torch.randn(2, *shape, dtype=torch.float64)

    def plain(first, second):
        return (first.T @ second).square().sum()

    assert_equal_in_values_and_gradients(gram_product, plain, first, second)
    with_itself = [
        torch.autograd.grad(3 * form(leaf, leaf), leaf)[0]
        for form in (gram_product, plain)
        for leaf in [first.clone().requires_grad_()]
    ]
    torch.testing.assert_close(*with_itself)


@pytest.mark.parametrize("num_codes", [32, 2048])
def test_sums_by_code_are_those_of_a_loop_for_few_codes_and_for_many(num_codes):
    points, codes = torch.randn(300, 8, dtype=torch.float64), torch.randint(num_codes, (300,))
    expected = torch.stack([points[codes == code].sum(0) for code in range(num_codes)])
    torch.testing.assert_close(sums_by_code(points, codes, num_codes), expected)
