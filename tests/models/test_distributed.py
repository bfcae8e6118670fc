"""Alone, a process changes nothing; `training/test_two_processes.py` has what two of them change."""

import pytest
import torch
from torch import nn

from helpers.tensors import assert_same
from ncvqvae.models import distributed


def test_alone_every_sum_mean_and_gathering_is_what_was_given():
    tensor = torch.randn(5, 3, requires_grad=True)
    assert distributed.num_processes() == 1
    for function in (distributed.sum_over_processes, distributed.gather_batch, distributed.broadcast_from_first):
        assert function(tensor) is tensor
    assert distributed.place_in_batch(5, tensor.device) == (0, 5)
    loss, accuracy = tensor.mean(), tensor.sum()
    assert distributed.mean_over_batch(loss, accuracy, count=7) == [loss, accuracy]
    distributed.leave_processes()  # a group that was never entered


@pytest.mark.parametrize(("kind", "shape"), [("BatchNorm1d", (9, 4)), ("BatchNorm2d", (3, 4, 5, 2))])
def test_alone_batch_norm_is_that_of_pytorch_to_the_bit(kind, shape):
    ours, theirs = getattr(distributed, kind)(4), getattr(nn, kind)(4)
    for _ in range(3):
        values = 2 + 3 * torch.randn(shape)
        assert torch.equal(ours.train()(values), theirs.train()(values))
    assert_same(ours.state_dict(), theirs.state_dict())
    assert torch.equal(ours.eval()(values), theirs.eval()(values))
