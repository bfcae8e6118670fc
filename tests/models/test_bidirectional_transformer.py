import pytest
import torch
import torch.nn.functional as F

from ncvqvae.models.bidirectional_transformer import (
    BidirectionalTransformer,
    LocalMixing,
    eager_attention,
    rotated,
    rotation,
)


def transformer():
    """51 positions of 8 features, through two layers of 16, with norms whose weights are not one."""
    sizes = dict(hidden_size=16, num_layers=2, num_heads=2, head_dim=8, intermediate_size=24)
    network = BidirectionalTransformer((2, 25), 8, **sizes)
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return network


def test_the_transformer_equals_one_of_pytorchs_own_norms_in_values_and_gradients():
    network, embedded = transformer(), torch.randn(4, 51, 8, requires_grad=True)

    def plain(hidden):
        hidden = network.project_in(hidden) + network.position_scale * network.position_embedding.weight
        for layer in network.layers:
            projected = layer.query_key_value(layer.attention_norm(hidden))
            heads = projected.view(4, 51, 3, layer.num_heads, layer.head_dim).permute(2, 0, 3, 1, 4)
            mixed = F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2)
            hidden = hidden + layer.attention_out(mixed)
            hidden = hidden + layer.perceptron(layer.perceptron_norm(hidden))
        return network.project_out(network.norm(hidden))

    wanted, parameters = torch.tensor([3, 50, 51, 120]), [embedded, *network.parameters()]
    expected, found = plain(embedded).flatten(0, 1)[wanted], network(*network.enter(embedded), wanted=wanted)
    torch.testing.assert_close(found, expected)
    gradients = (torch.autograd.grad(output.square().sum(), parameters) for output in (found, expected))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(network(*network.enter(embedded)), plain(embedded))


def test_what_enters_depends_on_one_position_alone_and_what_leaves_on_all():
    network, embedded = transformer(), torch.randn(2, 51, 8)
    changed = embedded.clone()
    changed[:, 17] += 1
    others = torch.arange(51) != 17
    with torch.no_grad():
        entered, entered_changed = network.enter(embedded), network.enter(changed)
        for before, after in zip(entered, entered_changed, strict=True):
            assert torch.equal(before[:, others], after[:, others]) and not torch.allclose(before[:, 17], after[:, 17])
        difference = (network(*entered) - network(*entered_changed)).abs().amax(2)
    assert (difference > 0).all()  # of positions before it and after it


def test_positions_are_told_apart():
    network = transformer()
    alike = network(*network.enter(torch.ones(1, 51, 8)))
    assert torch.pdist(alike[0]).min() > 1e-4


def test_attention_takes_a_mask_and_drops_out_in_training_alone():
    heads, module = torch.randn(3, 2, 4, 6, 8).unbind(), torch.nn.Module()
    mask = torch.zeros(6, 6).masked_fill(torch.ones(6, 6).triu(1).bool(), -torch.inf)
    mixed, weights = eager_attention(module, *heads, mask, scaling=8**-0.5)
    torch.testing.assert_close(mixed, F.scaled_dot_product_attention(*heads, is_causal=True).transpose(1, 2))
    assert not weights.triu(1).any() and weights.sum(-1).flatten().tolist() == pytest.approx([1] * 48)
    _, dropped = eager_attention(module.train(), *heads, None, scaling=1, dropout=0.5)
    assert 0.3 < (dropped == 0).float().mean() < 0.7
    _, kept = eager_attention(module.eval(), *heads, None, scaling=1, dropout=0.5)
    assert (kept > 0).all()


def test_rotated_queries_and_keys_are_complex_numbers_turned_by_their_column():
    states, (rows, columns) = torch.randn(2, 3, 1 + 2 * 7, 8), (2, 7)  # three heads of eight
    side_by_side = states.transpose(1, 2).flatten(2)
    turned = rotated(side_by_side, *rotation(columns, rows, 3, 8, states.device), 8)
    turned = turned.unflatten(2, (3, 8)).transpose(1, 2)
    numbers = torch.view_as_complex(torch.stack((states[..., :4], states[..., 4:]), -1))
    column = torch.tensor([0, *range(7), *range(7)])
    angles = column[:, None] * 1000.0 ** (-torch.arange(4) / 3)
    expected = numbers * torch.polar(torch.ones_like(angles), angles)
    torch.testing.assert_close(turned, torch.cat((expected.real, expected.imag), -1))


def test_rotary_attention_sees_distances_and_not_places():
    query, key = torch.randn(8), torch.randn(8)
    states = torch.stack((query.expand(30, 8), key.expand(30, 8)))[:, None]
    query, key = rotated(states[:, 0], *rotation(29, 1, 1, 8, query.device), 8)[:, 1:]
    scores = query @ key.T
    for distance in range(-20, 21, 5):
        along = scores.diagonal(distance)
        torch.testing.assert_close(along, along[:1].expand_as(along), atol=1e-4, rtol=1e-4)


def test_local_mixing_convolves_each_row_by_itself_and_leaves_the_class_alone():
    mixing, hidden = LocalMixing(6, 5), torch.randn(3, 1 + 2 * 9, 6)
    found = mixing(hidden, rows=2)
    assert torch.equal(found[:, 0], hidden[:, 0])
    weight, bias = mixing.convolution.weight[:, 0, 0], mixing.convolution.bias
    for row in (slice(1, 10), slice(10, 19)):
        normed = F.pad(F.rms_norm(hidden[:, row], (6,)), (0, 0, 2, 2))
        convolved = sum(normed[:, shift : shift + 9] * weight[:, shift] for shift in range(5)) + bias
        torch.testing.assert_close(found[:, row], hidden[:, row] + mixing.linear(F.gelu(convolved)))


def test_a_rotary_transformer_with_convolutions_takes_weights_of_another_number_of_columns():
    sizes = dict(hidden_size=16, num_layers=2, num_heads=2, head_dim=8, intermediate_size=24)
    short, long = (
        BidirectionalTransformer((1, columns), 8, **sizes, convolution_width=3, rotary=True) for columns in (10, 23)
    )
    long.load_state_dict(short.state_dict())
    assert long(*long.enter(torch.randn(2, 24, 8))).shape == (2, 24, 8)


@pytest.mark.parametrize("convolution_width", [0, 3])
def test_padding_is_seen_by_nothing(convolution_width):
    sizes = dict(hidden_size=16, num_layers=2, num_heads=2, head_dim=8, intermediate_size=24)
    network = BidirectionalTransformer((1, 20), 8, **sizes, convolution_width=convolution_width, rotary=True)
    short, padded = torch.randn(3, 12, 8), torch.randn(3, 21, 8)
    padded[:, :12] = short
    valid = (torch.arange(21) < 12).expand(3, -1)
    alone, found = network(*network.enter(short)), network(*network.enter(padded), valid=valid)
    torch.testing.assert_close(found[:, :12], alone)
