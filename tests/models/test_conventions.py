"""What callers expect of every model of transformers: arguments of forward, embeddings, saving, other classes."""

import json
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from huggingface_hub.errors import StrictDataclassClassValidationError
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModel

from helpers.tiny import ANY_LENGTH, FROM_BASE, TINY, TINY_PRIOR
from ncvqvae import MaskGITConfig, MaskGITForTimeSeriesGeneration, NCVQVAEConfig, NCVQVAEForPreTraining, NCVQVAEModel


SHAPES = {"thesis": (TINY, {}), "from the base": (ANY_LENGTH | {"length": 40}, FROM_BASE)}


@pytest.fixture(params=SHAPES)
def prior(request):
    sizes, fields = SHAPES[request.param]
    return MaskGITForTimeSeriesGeneration(MaskGITConfig(tokenizer_config=sizes, **TINY_PRIOR, **fields)).eval()


def seed():
    return torch.Generator().manual_seed(0)


def of_each_class():
    values, labels = torch.randn(4, 1, 40), torch.tensor([0, 1, 1, 0])
    tokenizer = NCVQVAEModel(NCVQVAEConfig(**TINY)).eval()
    yield tokenizer, {"values": values}
    yield NCVQVAEForPreTraining(NCVQVAEConfig(**ANY_LENGTH)).eval(), {"values": values, "augmented_values": values}
    yield MaskGITForTimeSeriesGeneration.from_tokenizer(tokenizer, **TINY_PRIOR), {"values": values, "labels": labels}


@torch.no_grad()
def test_forward_returns_a_tuple_when_asked_by_argument_or_configuration():
    for model, inputs in of_each_class():
        draws = {} if isinstance(model, NCVQVAEModel) else {"generator": seed()}
        expected = model(**inputs, **draws).to_tuple()
        for by_config in (False, True):
            model.config.return_dict = not by_config
            draws = {} if isinstance(model, NCVQVAEModel) else {"generator": seed()}
            found = model(**inputs, **draws, **{} if by_config else {"return_dict": False})
            assert type(found) is tuple
            torch.testing.assert_close(found, expected)
            assert type(model(**inputs, return_dict=True)) is not tuple


def test_all_else_works_where_the_configuration_asks_for_tuples(prior):
    values = torch.randn(4, 1, 40)
    for part in (prior, prior.tokenizer):
        part.config.return_dict = False
    codes = prior.encode(values).codes
    assert prior.reconstruct(values).shape == prior.decode(codes, 40).shape == prior.generate(4).shape == (4, 1, 40)
    assert prior.predict(codes, codes > 0, torch.zeros(4, dtype=torch.long)).shape[:2] == codes.shape


def test_without_return_loss_the_output_has_none():
    for model, inputs in list(of_each_class())[1:]:
        assert "loss" in model(**inputs) and "loss" not in model(**inputs, return_loss=False)


def test_the_tokenizer_ignores_further_columns_of_a_batch_and_the_prior_names_them():
    for model, inputs in of_each_class():
        further = {"label": torch.zeros(4), "recorded_at": ["now"] * 4}
        if isinstance(model, MaskGITForTimeSeriesGeneration):  # which would train without classes, and say nothing
            with pytest.raises(TypeError, match="label"):
                model(**inputs, **further)
        else:
            model(**inputs, **further, labels=torch.zeros(4))


@pytest.mark.parametrize("by_config", [False, True])
def test_hidden_states_and_attentions_come_with_the_same_logits(prior, by_config):
    values, labels = torch.randn(4, 1, 40), torch.tensor([0, 1, 1, 0])
    expected = prior(values, labels, generator=seed())
    assert expected.hidden_states is None and expected.attentions is None
    asked = {"output_hidden_states": True, "output_attentions": True}
    if by_config:
        prior.set_attn_implementation("eager")
        for name in asked:
            setattr(prior.config, name, True)
    found = prior(values, labels, generator=seed(), **{} if by_config else asked)
    positions = 1 + found.mask.shape[1]
    torch.testing.assert_close(found.logits, expected.logits)
    assert [one.shape for one in found.hidden_states] == 3 * [(4, positions, 16)]
    assert [one.shape for one in found.attentions] == 2 * [(4, 2, positions, positions)]
    for weights in found.attentions:
        torch.testing.assert_close(weights.sum(-1), torch.ones(4, 2, positions))
    with torch.no_grad():  # the last are what the logits are made of
        dim = prior.transformer.project_out.out_features
        again = prior.head(prior.transformer.project_out(prior.transformer.norm(found.hidden_states[-1])))
    assert again[:, 1:][found.mask].shape == (len(found.logits), dim)
    found.loss.backward()
    assert "hidden_states" not in prior(values, labels, output_hidden_states=False)


def test_a_label_of_minus_one_is_no_class(prior):
    values, labels = torch.randn(3, 1, 40), torch.tensor([0, -1, 1])
    found, expected = (prior(values, one, generator=seed()).logits for one in (labels, labels % 3))
    assert torch.equal(found, expected)


def test_the_codes_embedding_is_the_input_embedding(prior):
    assert prior.get_input_embeddings() is prior.code_embedding
    other = torch.nn.Embedding(*prior.code_embedding.weight.shape)
    prior.set_input_embeddings(other)
    assert prior.code_embedding is other and prior.generate(1).isfinite().all()


def test_save_pretrained_takes_its_arguments_in_transformers_order(prior, tmp_path):
    prior.save_pretrained(tmp_path / "whole", True)
    state = {name: torch.zeros_like(tensor) for name, tensor in prior.state_dict().items()}
    prior.save_pretrained(tmp_path / "zeros", True, state, False, "10KB")
    assert len(list((tmp_path / "zeros").glob("*.safetensors"))) > 1
    loaded = AutoModel.from_pretrained(tmp_path / "zeros")
    assert not any(weight.any() for weight in loaded.parameters())
    assert (tmp_path / "whole" / "model.sha256").is_file()


def digest(folder):
    return (folder / "model.sha256").read_text()


def test_digests_are_written_by_the_main_process_alone(prior, tmp_path):
    prior.save_pretrained(tmp_path)
    before = digest(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")  # damage, which stays to be seen
    prior.save_pretrained(tmp_path, is_main_process=False)
    assert digest(tmp_path) == before
    with pytest.raises(ValueError, match="was changed"):
        AutoModel.from_pretrained(tmp_path)


def test_weights_that_others_wrote_are_refused_and_the_remedy_is_named(prior, tmp_path):
    prior.save_pretrained(tmp_path)
    torch.nn.init.zeros_(prior.label_embedding.weight)
    Accelerator().save_model(prior, str(tmp_path))
    with pytest.raises(ValueError, match=r"delete model\.sha256"):
        AutoModel.from_pretrained(tmp_path)
    (tmp_path / "model.sha256").unlink()
    assert not AutoModel.from_pretrained(tmp_path).label_embedding.weight.any()


NAMED = {"id2label": {0: "a", 1: "b", 2: "c"}}


@pytest.mark.parametrize("given", [{"num_labels": 3}, NAMED, {**NAMED, "label2id": {"a": 0, "b": 1, "c": 2}}])
@pytest.mark.parametrize("loader", [AutoModel, MaskGITForTimeSeriesGeneration])
def test_another_number_of_classes_makes_their_shares_equal_and_all_are_drawn(prior, tmp_path, loader, given):
    prior.save_pretrained(tmp_path / "two")
    model = loader.from_pretrained(tmp_path / "two", ignore_mismatched_sizes=True, **given)
    model.save_pretrained(tmp_path / "three")
    for config in (model.config, AutoConfig.from_pretrained(tmp_path / "three")):
        assert config.label_shares == pytest.approx([1 / 3] * 3) and config.num_labels == 3
        assert config.label2id == {name: index for index, name in config.id2label.items()}
    drawn = model.generate(60, num_steps=1, generator=seed(), return_labels=True).labels
    assert set(drawn.tolist()) == {0, 1, 2}
    assert model.generate(2, config.id2label[2], num_steps=1).isfinite().all()
    for name in ("transformer", "head"):
        kept, found = getattr(prior, name).state_dict(), getattr(model, name).state_dict()
        assert all(torch.equal(found[key], kept[key]) for key in kept)


@pytest.mark.parametrize(("name", "value"), [("num_labels", 3), *NAMED.items()])
def test_a_configuration_with_another_number_of_classes_has_equal_shares(name, value):
    config = MaskGITConfig(tokenizer_config=TINY, **TINY_PRIOR)
    setattr(config, name, value)
    model = MaskGITForTimeSeriesGeneration(config).eval()
    assert set(model.generate(60, num_steps=1, return_labels=True).labels.tolist()) == {0, 1, 2}


@pytest.mark.parametrize("given", [{"num_labels": 3}, {"id2label": NAMED["id2label"]}])
def test_a_prior_without_classes_takes_some(tmp_path, given):
    sizes = {name: value for name, value in TINY_PRIOR.items() if name not in ("id2label", "label_shares")}
    MaskGITForTimeSeriesGeneration(MaskGITConfig(tokenizer_config=TINY, **sizes)).save_pretrained(tmp_path)
    model = AutoModel.from_pretrained(tmp_path, ignore_mismatched_sizes=True, **given)
    assert model.config.label_shares == pytest.approx([1 / 3] * 3)
    drawn = model.generate(60, num_steps=1, generator=seed(), return_labels=True).labels
    assert set(drawn.tolist()) == {0, 1, 2}


def test_a_prior_with_classes_can_do_without(prior, tmp_path):
    prior.save_pretrained(tmp_path)
    model = AutoModel.from_pretrained(tmp_path, ignore_mismatched_sizes=True, num_labels=0)
    assert model.config.label_shares is None and model.config.id2label == {}
    drawn = model.generate(4, num_steps=1, generator=seed(), return_labels=True)
    assert drawn.labels.tolist() == [-1] * 4 and drawn.values.isfinite().all()


def test_other_names_for_as_many_classes_keep_their_shares():
    config = MaskGITConfig(tokenizer_config=TINY, **TINY_PRIOR)
    config.id2label = {"0": "low", "1": "high"}
    assert config.label_shares == [0.25, 0.75]
    assert (config.id2label, config.label2id) == ({0: "low", 1: "high"}, {"low": 0, "high": 1})
    config.id2label, config.label_shares = NAMED["id2label"], [0.2, 0.3, 0.5]
    assert MaskGITConfig.from_dict(config.to_dict()).label_shares == [0.2, 0.3, 0.5]
    with pytest.raises(StrictDataclassClassValidationError, match="label_shares must be 2 shares"):
        MaskGITConfig(tokenizer_config=TINY, **TINY_PRIOR | {"label_shares": [0.2, 0.3, 0.5]})


@pytest.fixture
def adapter(prior, tmp_path):
    """The folder of an adapter, with the model that it and its base make."""
    prior.save_pretrained(tmp_path / "base")
    model = get_peft_model(AutoModel.from_pretrained(tmp_path / "base"), LoraConfig(target_modules=["attention_out"]))
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight)
    model.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter", model.eval()


@pytest.mark.parametrize("loader", [AutoModel, MaskGITForTimeSeriesGeneration])
def test_the_folder_of_an_adapter_loads_it_with_its_base(adapter, prior, loader):
    folder, model = adapter
    loaded = loader.from_pretrained(folder)
    expected = model.generate(3, generator=seed())
    assert torch.equal(loaded.generate(3, generator=seed()), expected)
    assert not torch.equal(prior.generate(3, generator=seed()), expected)


def test_the_base_of_an_adapter_is_checked_as_ever(adapter):
    folder, _ = adapter
    base = Path(json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"])
    weights = base / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    with pytest.raises(ValueError, match="was changed"):
        MaskGITForTimeSeriesGeneration.from_pretrained(folder)
