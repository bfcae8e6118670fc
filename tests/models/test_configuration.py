import json

import pytest
from huggingface_hub.errors import StrictDataclassError

from ncvqvae import MaskGITConfig, NCVQVAEConfig


TWO = {"id2label": {0: "down", 1: "up"}}
TOKENIZER = dict(
    num_channels=2,
    length=945,
    mean=[0.5, -3],
    std=[2.0, 1e-3],
    n_fft=16,
    dim=32,
    codebook_decay=0.99,
    ssl_objective=None,
    ssl_weight=0.5,
)
MANY = dict(num_channels=300, mean=None, std=None, channelwise=True, fold_frequencies=True, num_halvings=1)
VALID = [
    (NCVQVAEConfig, {}),
    (NCVQVAEConfig, TOKENIZER),
    (NCVQVAEConfig, {"ssl_objective": "vibcreg"}),
    (MaskGITConfig, {}),
    (MaskGITConfig, {"tokenizer_config": TOKENIZER, **TWO, "label_shares": [0.25, 0.75], "sampling_steps": 3}),
    (MaskGITConfig, {"id2label": {0: 'Ü "quoted", \n', 1: ""}, "code_embedding": "codebook_finetuned"}),
    (MaskGITConfig, {"id2label": {0: "1", 1: "0"}}),
    (MaskGITConfig, {"id2label": {i: f"class {i}" for i in range(12)}}),  # keys that sort differently as text
]
INVALID = [
    (
        MaskGITConfig,
        {"tokenizer_config": TOKENIZER | MANY},
        "300 channels of 945 samples are 36000 codes, more than the",
    ),
    (NCVQVAEConfig, {"n_fft": 6}, "n_fft"),
    (NCVQVAEConfig, {"n_fft": 0}, "n_fft"),
    (NCVQVAEConfig, {"n_fft": 8.0}, "n_fft"),
    (NCVQVAEConfig, {"length": 4}, "length"),
    (NCVQVAEConfig, {"length": "128"}, "length"),
    (NCVQVAEConfig, {"dim": 0}, "dim"),
    (NCVQVAEConfig, {"codebook_size": -1}, "codebook_size"),
    (NCVQVAEConfig, {"ssl_objective": "simclr"}, "ssl_objective"),
    (NCVQVAEConfig, {"ssl_objective": "vibcreg", "projector_dim": 100}, "projector_dim"),
    (NCVQVAEConfig, {"codebook_decay": 1.5}, "codebook_decay"),
    (NCVQVAEConfig, {"kmeans_init": "yes"}, "kmeans_init"),
    (NCVQVAEConfig, {"mean": [0.0, 0.0]}, "mean"),
    (NCVQVAEConfig, {"num_channels": 2, "mean": [0.0, 0.0], "std": [1.0]}, "std"),
    (NCVQVAEConfig, {"mean": 0.0}, "mean"),
    (NCVQVAEConfig, {"std": [0.0]}, "std"),
    (NCVQVAEConfig, {"std": ["one"]}, "std"),
    (MaskGITConfig, {"hidden_size": 0}, "hidden_size"),
    (MaskGITConfig, {"code_embedding": "one_hot"}, "code_embedding"),
    (MaskGITConfig, {"id2label": {0: "down", 2: "up"}}, "id2label"),
    (MaskGITConfig, {"id2label": {0: "up", 1: "up"}}, "id2label"),
    (MaskGITConfig, {**TWO, "label_shares": [1.0]}, "label_shares"),
    (MaskGITConfig, {**TWO, "label_shares": [0.5, 0.6]}, "label_shares"),
    (MaskGITConfig, {"label_dropout": 1.5}, "label_dropout"),
    (MaskGITConfig, {"sampling_steps": 0}, "sampling_steps"),
    (MaskGITConfig, {"tokenizer_config": {"n_fft": 6}}, "n_fft"),
]
# Out of their range too: the first three break every `generate`, the others every series.
INVALID_LATER = [
    (MaskGITConfig, {**TWO, "label_shares": [1.5, -0.5]}, "label_shares"),
    (MaskGITConfig, {"sampling_temperature": 0.0}, "sampling_temperature"),
    (MaskGITConfig, {"sampling_choice_temperature": -1.0}, "sampling_choice_temperature"),
    (NCVQVAEConfig, {"mean": [float("nan")]}, "mean"),
    (NCVQVAEConfig, {"std": [float("inf")]}, "std"),
]


@pytest.mark.parametrize(("kind", "fields"), VALID)
def test_configurations_survive_a_dictionary_and_a_folder(kind, fields, tmp_path):
    config = kind(**fields)
    config.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == kind.model_type
    for again in (kind(**config.to_dict()), kind.from_dict(config.to_dict()), kind.from_pretrained(tmp_path)):
        for name, value in fields.items():
            found = getattr(again, name)
            if name == "tokenizer_config":
                assert isinstance(found, NCVQVAEConfig)
                assert {key: getattr(found, key) for key in value} == value
            else:
                assert found == value
        # The folder's name and the library's version are the loader's.
        ours = {key: value for key, value in config.to_dict().items() if not key.startswith(("_", "transformers"))}
        assert {key: again.to_dict()[key] for key in ours} == ours


@pytest.mark.parametrize("fields", [{}, {"id2label": {}}, {"id2label": None}])
def test_without_names_there_are_no_classes(fields, tmp_path):
    MaskGITConfig(**fields).save_pretrained(tmp_path)
    for config in (MaskGITConfig(**fields), MaskGITConfig.from_pretrained(tmp_path)):
        assert (config.num_labels, config.id2label, config.label2id) == (0, {}, {})


def test_names_of_classes_keep_their_order_under_integer_keys(tmp_path):
    names = [f"class {i}" for i in range(12)]
    MaskGITConfig(id2label=dict(enumerate(names))).save_pretrained(tmp_path)
    config = MaskGITConfig.from_pretrained(tmp_path)
    assert [config.id2label[i] for i in range(12)] == names
    assert config.label2id == {name: i for i, name in enumerate(names)}
    assert config.num_labels == 12 and config.label_shares == pytest.approx([1 / 12] * 12)


def test_the_defaults_that_depend_on_other_fields():
    assert NCVQVAEConfig(num_channels=3).mean == [0, 0, 0] and NCVQVAEConfig(num_channels=3).std == [1, 1, 1]
    assert NCVQVAEConfig().ssl_weight == 1 and NCVQVAEConfig(ssl_objective="vibcreg").ssl_weight == 0.01
    assert MaskGITConfig().tokenizer_config.to_dict() == NCVQVAEConfig().to_dict()


def test_a_configuration_given_for_the_tokenizer_is_taken_as_it_is():
    tokenizer = NCVQVAEConfig(**TOKENIZER)
    assert MaskGITConfig(tokenizer_config=tokenizer).tokenizer_config.to_dict() == tokenizer.to_dict()


@pytest.mark.parametrize(("kind", "fields", "name"), INVALID)
def test_an_invalid_value_is_refused_by_the_name_of_its_field(kind, fields, name):
    with pytest.raises(StrictDataclassError, match=rf"\b{name}\b"):
        kind(**fields)


@pytest.mark.parametrize(("kind", "fields", "name"), INVALID_LATER)
def test_a_value_that_would_only_fail_in_use_is_refused_too(kind, fields, name):
    with pytest.raises(StrictDataclassError, match=rf"\b{name}\b"):
        kind(**fields)
