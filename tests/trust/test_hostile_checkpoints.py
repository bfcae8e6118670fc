"""Folders that a stranger sends: each ends at once, in one line that names what is wrong, and runs nothing."""

import json
import os
import pickle
import shutil
import signal
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from helpers.tensors import assert_same, tensors
from ncvqvae import MaskGITForTimeSeriesGeneration, NCVQVAEConfig, NCVQVAEForPreTraining, NCVQVAEModel
from ncvqvae.cli.__main__ import main
from ncvqvae.inference import load_checkpoint


@contextmanager
def at_once(seconds=20):
    """A FIFO that is read never ends; nor does a model of a million layers."""

    def late(*_):
        raise AssertionError("it does not end")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def folder(checkpoint):
    return Path(checkpoint)


@pytest.fixture
def refused(folder, tmp_path, capsys):
    """The one line that the command line says about the folder."""

    def refused():
        out = tmp_path / "out.csv"
        with at_once():
            assert main(["sample", str(folder), str(out), "-n", "1"]) == 2
        lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("Writing")]
        assert len(lines) == 1 and str(folder) in lines[0] and not out.exists(), lines
        assert "above report" not in lines[0] and "Expecting" not in lines[0]
        return lines[0]

    return refused


def write(text):
    return lambda path: path.write_bytes(text if isinstance(text, bytes) else text.encode())


def link_to(target):
    def link(path):
        path.unlink()
        path.symlink_to(target)

    return link


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def in_its_place_a_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "model.sha256"])
@pytest.mark.parametrize("damage", [pipe, in_its_place_a_folder, link_to("/dev/zero"), link_to("/etc/hostname")])
def test_what_is_no_file_of_the_folder_is_never_read(folder, refused, name, damage):
    damage(folder / name)
    assert f"{name} is a" in refused() and "not a file" in refused()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", "holds a list where an object belongs"),
        ("", "is not JSON"),
        (b"\xff\xfe\x00", "is not text"),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, "is not JSON"),
        ("3", "holds a int"),
        (b" " * (2**22 + 1), "more than any of ours"),
        ('{"model_type": "bert"}', "holds a model of type 'bert'"),
        ('{"model_type": ["ncvqvae"]}', "holds a model of type ['ncvqvae']"),
    ],
)
def test_a_configuration_that_is_none_is_said_to_be_none(folder, refused, text, message):
    write(text)(folder / "config.json")
    assert (message in refused() and "config.json" in refused()) or "model of type" in message
    with at_once(), pytest.raises(ValueError, match=r"config\.json|model of type"):
        MaskGITForTimeSeriesGeneration.from_pretrained(folder)


HUGE = [10**6, 10**9, 10**12, 1e300]
OF_PRIOR = ["num_hidden_layers", "hidden_size", "num_attention_heads", "head_dim", "intermediate_size"]
OF_PRIOR += ["sampling_steps", "num_labels", "convolution_width"]
OF_TOKENIZER = ["length", "num_channels", "n_fft", "dim", "code_dim", "num_residual_blocks", "codebook_size"]
OF_TOKENIZER += ["num_halvings", "working_length", "projector_dim", "downsampled_width", "num_labels"]
STRANGE = [
    {"id2label": {str(index): str(index) for index in range(50_000)}},
    {"id2label": {"0": None, "1": "up"}},
    {"id2label": []},
    {"label_shares": [0.5] * 100_000},
    {"label_shares": ["a", "b"]},
    {"sets": [1]},
    {"tokenizer_config": []},
    {"tokenizer_config": {"mean": [0.0] * 100_000}},
    {"tokenizer_config": {"n_fft": 4096, "num_halvings": 20}},
    {"tokenizer_config": {"attn_implementation": "evil/kernel"}},
    {"attn_implementation": "evil/kernel"},
    {"_attn_implementation": "evil/kernel"},
    {"attn_implementation": {"tokenizer_config": "evil/kernel"}},
    {"attn_implementation": "flash_attention_2"},
    {"experts_implementation": "evil/kernel"},
    {"transformers_weights": "../elsewhere.safetensors"},
    {"transformers_weights": "adapter_model.bin"},
    {"configuration_files": ["config.4.0.0.json"]},
    {"per_layer_config": {"0": {"hidden_size": 10**9}}},
    {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}},
    {"sampling": 5},
    {"to_dict": 5},
    {"attribute_map": {"sampling_steps": "hidden_size"}},
    {"dtype": "load"},
    # Within the bounds, and of other weights than these: nothing of that size is built.
    {"num_hidden_layers": 100},
    {"num_hidden_layers": 1},
    {"hidden_size": 2**14},
    {"intermediate_size": 2**16, "num_hidden_layers": 200},
    {"convolution_width": 3},
    {"knows_strength": True},
    {"id2label": {"0": "down"}, "label_shares": [1.0]},
    {"tokenizer_config": {"num_residual_blocks": 100}},
    {"tokenizer_config": {"dim": 2**14}},
    {"tokenizer_config": {"codebook_size": 2**20}},
]


def set_in(path, changes):
    known = json.loads(path.read_text())
    nested = changes.get("tokenizer_config")
    known |= changes | ({"tokenizer_config": known["tokenizer_config"] | nested} if isinstance(nested, dict) else {})
    path.write_text(json.dumps(known))


def test_a_configuration_that_asks_for_too_much_or_for_something_else_ends_at_once_in_one_line(folder):
    original = (folder / "config.json").read_text()
    cases = [{name: value} for name in OF_PRIOR for value in HUGE] + STRANGE
    cases += [{"tokenizer_config": {name: value}} for name in OF_TOKENIZER for value in HUGE]
    assert len(cases) > 79
    for changes in cases:
        (folder / "config.json").write_text(original)
        set_in(folder / "config.json", changes)
        start = time.perf_counter()
        with at_once(), pytest.raises(ValueError) as error:
            load_checkpoint(folder)
        shown = str(changes)[:80]
        assert time.perf_counter() - start < 10, shown
        assert str(folder) in str(error.value) and "\n" not in str(error.value), shown
        assert len(str(error.value)) < 1000, shown


class Evil:
    def __reduce__(self):
        return os.mkdir, (os.environ["NCVQVAE_EXECUTED"],)


def evil_bin(folder, tmp_path):
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Evil()))
    return "pytorch_model.bin"


def index_outside(target):
    def make(folder, tmp_path):
        (tmp_path / "elsewhere").mkdir()
        shutil.copyfile(tmp_path / "weights", tmp_path / "elsewhere" / "w.safetensors")
        names = dict.fromkeys(load_file(tmp_path / "weights"), target.format(tmp_path))
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))
        return "index.json names"

    return make


def index_of(content):
    def make(folder, tmp_path):
        (folder / "model.safetensors.index.json").write_text(json.dumps(content))
        return "index.json"

    return make


def shard_that_is_a_link(folder, tmp_path):
    names = dict.fromkeys(load_file(tmp_path / "weights"), "w.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))
    (folder / "w.safetensors").symlink_to(tmp_path / "weights")
    return "w.safetensors is a link"


def shards_of_several_processes(folder, tmp_path):
    shutil.copyfile(tmp_path / "weights", folder / "shard-00001-model-00001-of-00001.safetensors")
    return "several processes"


@pytest.mark.parametrize(
    "make",
    [
        evil_bin,
        index_outside("../elsewhere/w.safetensors"),
        index_outside("{}/elsewhere/w.safetensors"),
        index_outside("/etc/passwd"),
        index_of({}),
        index_of({"weight_map": {}}),
        index_of({"weight_map": {"a": 3}}),
        index_of({"weight_map": {"a": "pytorch_model.bin"}}),
        index_of([1]),
        shard_that_is_a_link,
        shards_of_several_processes,
    ],
)
def test_weights_come_from_safetensors_of_the_folder_alone(folder, refused, make, tmp_path, monkeypatch):
    monkeypatch.setenv("NCVQVAE_EXECUTED", str(tmp_path / "executed"))
    (folder / "model.safetensors").rename(tmp_path / "weights")
    (folder / "model.sha256").unlink()
    message = make(folder, tmp_path)
    found = refused()
    assert message in found or message == "pytorch_model.bin"
    with at_once(), pytest.raises((ValueError, OSError)):
        AutoModel.from_pretrained(folder)
    assert not (tmp_path / "executed").exists()


def test_a_header_of_more_weights_than_any_model_has_is_not_looked_at(folder, refused):
    none = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    header = json.dumps({f"weight {index}": none for index in range(300_000)}).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    start = time.perf_counter()
    assert f"a header of {len(header)} bytes" in refused() and time.perf_counter() - start < 5


def test_links_into_the_hubs_cache_are_what_its_client_makes(model, folder, tmp_path):
    snapshot, blobs = tmp_path / "models--org--toy" / "snapshots" / "abc", tmp_path / "models--org--toy" / "blobs"
    for path in (snapshot, blobs):
        path.mkdir(parents=True)
    for file in folder.iterdir():
        shutil.copyfile(file, blobs / file.name)
        (snapshot / file.name).symlink_to(f"../../blobs/{file.name}")
    assert_same(tensors(AutoModel.from_pretrained(snapshot)), tensors(model))
    (snapshot / "config.json").unlink()
    shutil.copyfile(folder / "config.json", tmp_path / "outside.json")
    (snapshot / "config.json").symlink_to("../../../outside.json")
    with pytest.raises(ValueError, match=r"config\.json is a link"):
        load_checkpoint(snapshot)


def edited(folder, edit):
    """Weights that were edited, without the digest that would tell."""
    file = folder / "model.safetensors"
    weights = load_file(file)
    edit(weights)
    save_file(weights, file, {"format": "pt"})
    (folder / "model.sha256").unlink(missing_ok=True)


CODES = "tokenizer.quantizer.cluster_size"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda weights: weights["tokenizer.quantizer.embedding_sum"].fill_(torch.nan), "NaN or infinite"),
        (
            lambda weights: weights["head.0.weight"][0, 0].fill_(torch.inf),
            "NaN or infinite, for example head.0.weight",
        ),
        (lambda weights: weights[CODES][0].fill_(-1), "counts codes below zero"),
        (lambda weights: weights.update({CODES: weights[CODES].int()}), f"holds {CODES[10:]} as I32"),
        (lambda weights: weights.update({"head.0.weight": weights["head.0.weight"].int()}), "as I32"),
        (lambda weights: weights.update(mine=torch.zeros(1)), "leaves out, for example mine"),
        (lambda weights: weights.update({"transformer.layers.2.attention_out.weight": torch.zeros(1)}), "leaves out"),
        (lambda weights: weights.update({"head.0.bias": torch.zeros(9)}), "of the shape (9,), and its configuration"),
    ],
)
def test_weights_that_are_not_those_of_a_model_are_refused(folder, refused, edit, message):
    edited(folder, edit)
    assert message in refused()
    for loader in (AutoModel, MaskGITForTimeSeriesGeneration):
        with pytest.raises((ValueError, RuntimeError)):
            loader.from_pretrained(folder)


@pytest.mark.parametrize("kind", ["composite", "tokenizer", "pretraining"])
def test_a_model_with_a_random_weight_is_never_returned(model, pretraining_model, kind, tmp_path):
    saved = {"composite": model, "tokenizer": model.tokenizer, "pretraining": pretraining_model}[kind]
    saved.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    (tmp_path / "model.sha256").unlink()
    loaders = {AutoModel, type(saved)} if kind != "pretraining" else {type(saved)}
    for missing in weights:
        if missing.startswith("projector"):
            continue  # which no published checkpoint has
        rest = {name: tensor for name, tensor in weights.items() if name != missing}
        save_file(rest, tmp_path / "model.safetensors", {"format": "pt"})
        for loader in loaders:
            with pytest.raises(ValueError, match="lacks weights, for example"):
                loader.from_pretrained(tmp_path)


def test_other_classes_are_learned_from_a_checkpoint_with_a_new_head(folder, model):
    names = {"id2label": {0: "a", 1: "b", 2: "c"}, "label_shares": [0.2, 0.3, 0.5]}
    loaded = AutoModel.from_pretrained(folder, ignore_mismatched_sizes=True, **names)
    assert loaded.label_embedding.weight.shape[0] == 4 and loaded.generate(3, torch.tensor([2, 2, 2])).isfinite().all()
    for name, tensor in tensors(loaded).items():
        assert name == "label_embedding.weight" or torch.equal(tensor, tensors(model)[name]), name


def test_stage_1_of_a_composite_goes_on_being_trained_with_a_new_projector(folder, pretraining_model):
    loaded = NCVQVAEForPreTraining.from_pretrained(folder)
    assert_same(tensors(loaded.tokenizer), tensors(pretraining_model.tokenizer))
    values = torch.randn(4, 1, 40)
    assert loaded.train()(values, values).loss.isfinite()


def test_weights_in_several_files_may_name_each_other_alone(model, tmp_path):
    model.save_pretrained(tmp_path, max_shard_size="10KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    assert_same(tensors(load_checkpoint(tmp_path)), tensors(model))


def test_series_that_are_not_finite_are_not_written(tmp_path, folder, refused):
    """Finite weights that make infinite series."""

    def enlarge(weights):
        for name, tensor in weights.items():
            if name.startswith("tokenizer.decoder.up") and tensor.ndim == 4:
                tensor.fill_(1e30)

    edited(folder, enlarge)
    load_checkpoint(folder)
    assert "makes values that are NaN or infinite" in refused()
    series = tmp_path / "in.csv"
    series.write_text(",".join(f"c0_{i}" for i in range(40)) + "\n" + ",".join(str(i) for i in range(40)) + "\n")
    assert main(["reconstruct", str(folder), str(series), str(tmp_path / "again.csv")]) == 2
    assert not (tmp_path / "again.csv").exists()


def test_a_tokenizer_alone_is_checked_alike(pretraining_model, tmp_path):
    pretraining_model.tokenizer.save_pretrained(tmp_path)
    edited(tmp_path, lambda weights: weights["quantizer.cluster_size"].fill_(-1))
    with pytest.raises(ValueError, match="below zero"):
        NCVQVAEModel.from_pretrained(tmp_path)


@pytest.mark.parametrize("name", [*OF_TOKENIZER, "mean"])
def test_a_configuration_made_by_hand_has_the_same_bounds(name):
    with at_once(), pytest.raises(ValueError, match=f"{name} must"):
        NCVQVAEConfig(**{name: [0.0] * 10**5 if name == "mean" else 10**12})
