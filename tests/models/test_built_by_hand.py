"""Models that callers build, copy and fill themselves make the series of the checkpoint, or say what is wrong."""

import copy
import io
import pickle

import pytest
import torch
from accelerate import init_empty_weights, load_checkpoint_and_dispatch
from torch.func import functional_call
from transformers import AutoModel

from helpers.processes import in_a_fresh_process
from helpers.tiny import ANY_LENGTH, FROM_BASE, TINY, TINY_PRIOR
from ncvqvae import MaskGITConfig, MaskGITForTimeSeriesGeneration


SCALED = {"mean": [1013.25], "std": [4.0]}
SHAPES = {"thesis": (TINY, {}), "from the base": (ANY_LENGTH | {"length": 40, "scale_each": False}, FROM_BASE)}


@pytest.fixture(params=SHAPES)
def prior(request):
    sizes, fields = SHAPES[request.param]
    config = MaskGITConfig(tokenizer_config=sizes | SCALED, **TINY_PRIOR, **fields)
    return MaskGITForTimeSeriesGeneration(config).eval()


def generated(model):
    return model.generate(3, generator=torch.Generator().manual_seed(0))


def on_meta(model):
    with torch.device("meta"):
        return type(model)(model.config).eval()


def emptied(model):
    model = model.to_empty(device="cpu")
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.data_ptr() not in {one.data_ptr() for one in constants(model)}:
            tensor.data.fill_(torch.nan if tensor.is_floating_point() else 0)
    return model


def constants(model):
    """Buffers that no checkpoint holds."""
    saved = model.state_dict()
    return [buffer for name, buffer in model.named_buffers() if name not in saved]


def test_to_empty_and_load_state_dict_make_the_same_series(prior):
    expected = generated(prior)
    for part in (prior, prior.tokenizer):
        for empty in (emptied(on_meta(part)), emptied(copy.deepcopy(part).to("meta"))):
            empty.load_state_dict(part.state_dict())
            if part is prior:
                assert torch.equal(generated(empty), expected)
            else:
                assert torch.equal(empty.decode(prior.encode(expected).codes), prior.reconstruct(expected))
    assigned = on_meta(prior)
    assigned.load_state_dict(prior.state_dict(), assign=True)
    assert torch.equal(generated(assigned), expected)
    with pytest.raises(RuntimeError, match="meta"):  # never other series
        generated(on_meta(prior))


def test_copies_and_files_of_others_make_the_same_series(prior, tmp_path):
    expected = generated(prior)
    prior.save_pretrained(tmp_path)
    file = io.BytesIO()
    torch.save(prior.state_dict(), file)
    file.seek(0)
    filled = AutoModel.from_config(prior.config).eval()
    filled.load_state_dict(torch.load(file))
    with init_empty_weights():
        empty = AutoModel.from_config(prior.config).eval()
    dispatched = load_checkpoint_and_dispatch(empty, str(tmp_path), device_map={"": "cpu"})
    for model in (filled, dispatched, copy.deepcopy(prior), pickle.loads(pickle.dumps(prior))):
        assert torch.equal(generated(model), expected)
    with torch.inference_mode():
        assert torch.equal(generated(prior), expected)


def test_functional_call_computes_with_the_weights_it_is_given(prior):
    values, labels = torch.randn(3, 1, 40), torch.tensor([0, 1, 1])

    def logits(weights):
        draws = {"generator": torch.Generator().manual_seed(0)}
        return functional_call(prior, weights, (values, labels), draws).logits

    own = dict(prior.named_parameters())
    for name in ("query_key_value", "perceptron.0", "project_out", "code_embedding"):
        zeros = {key: torch.zeros_like(weight) for key, weight in own.items() if name in key}
        assert zeros and not torch.equal(logits(zeros), logits({})), name
    assert torch.equal(logits(own), logits({}))


@pytest.mark.slow
@pytest.mark.parametrize("prior", ["thesis"], indirect=True)
def test_without_assertions_and_docstrings_the_series_are_the_same(prior, tmp_path):
    prior.save_pretrained(tmp_path)
    script = """
        import sys
        import torch
        from ncvqvae.inference import load_checkpoint
        assert False, "python -OO takes no notice"
        model = load_checkpoint(sys.argv[1])
        torch.save(model.generate(3, generator=torch.Generator().manual_seed(0)), sys.argv[2])
    """
    done = in_a_fresh_process(script, tmp_path, tmp_path / "values.pt", flags=["-OO"])
    assert done.returncode == 0, done.stderr
    assert torch.equal(torch.load(tmp_path / "values.pt"), generated(prior))
