"""`ncvqvae evaluate` and what it leaves, on tiny real models of toy data."""

import copy
import json
import math

import pytest
import torch
from datasets import DatasetDict

from helpers.tiny import ANY_LENGTH, split, tiny_generator, tiny_tokenizer, toy_dataset
from ncvqvae import MaskGITForTimeSeriesGeneration, NCVQVAEConfig, NCVQVAEModel
from ncvqvae.cli.__main__ import main
from ncvqvae.data.series import to_tensors
from ncvqvae.evaluation.comparison import Comparison
from ncvqvae.evaluation.evaluator import check_dataset, evaluate
from ncvqvae.evaluation.fcn import FCN, evaluation_network, save_fcn, train_fcn
from ncvqvae.evaluation.generation import generate
from ncvqvae.evaluation.measures import SECTIONS
from ncvqvae.evaluation.report import headline_table, legend, published_results, standing, verdicts, write_report
from ncvqvae.evaluation.stage_scores import encode_all
from ncvqvae.training.run_folder import save


@pytest.fixture(scope="module")
def dataset():
    return DatasetDict(train=split(30, 0), test=split(50, 1))


@pytest.fixture(scope="module")
def networks(dataset, tmp_path_factory):
    """A folder with an evaluation network, as `--fcn` takes it."""
    folder = tmp_path_factory.mktemp("fcn")
    save_fcn(train_fcn(*to_tensors(dataset["train"]), 2, num_steps=40), folder / "None.safetensors", "toy")
    return folder


@pytest.fixture(scope="module")
def quick():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ncvqvae.evaluation.classification.LEAST_STEPS", 4)
        patch.setattr("ncvqvae.evaluation.classification.EPOCHS", 0)
        patch.setattr("ncvqvae.evaluation.classification.LEAST_SYNTHETIC", 60)
        yield


@pytest.fixture(scope="module")
def measured(dataset, networks, quick):
    torch.manual_seed(0)  # so that it is of the fixture `model`
    return evaluate(tiny_generator(tiny_tokenizer()), dataset, networks, num_seeds=2)


@pytest.fixture
def result(measured):
    return copy.deepcopy(measured)


def test_everything_that_the_report_shows_is_measured_and_finite(result):
    shown = {key for _, _, rows in SECTIONS for key, *_ in rows}
    assert shown <= result.scores.keys() and not result.not_measured
    assert all(math.isfinite(value) for score in result.scores.values() for value in score["values"])
    assert result.sizes == {"train": 30, "test": 50, "generated": 256, "generated_by_class": 60}


def test_seeds_are_told_apart_and_an_evaluation_is_reproducible(result, model, dataset, networks):
    again = evaluate(model, dataset, networks, num_seeds=2)
    assert again.scores == result.scores
    first, second = result.scores["fid"]["values"]
    assert first != second
    assert result.scores["fid"]["mean"] == pytest.approx((first + second) / 2)
    assert result.scores["fid"]["std"] == pytest.approx(abs(first - second) / math.sqrt(2))
    low, high = result.scores["fid"]["interval"]
    assert low <= first <= high


def test_evaluation_leaves_the_model_as_it_was_and_in_evaluation_mode(model, dataset, networks, quick):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    evaluate(model.train(), dataset, networks, num_seeds=1)
    assert not model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_errors_are_means_over_the_whole_split(result, model, dataset):
    values = to_tensors(dataset["test"])[0]
    scale, transform = model.tokenizer.scale, model.tokenizer.time_frequency
    with torch.no_grad():
        encoded = model.encode(values)
        reconstruction, spectrogram = model.tokenizer.decode_latents(encoded.quantized)
    scaled = scale(values)
    pairs = {"reconstruction": (reconstruction, scaled), "spectrogram": (spectrogram, transform(scaled))}
    for name, (ours, real) in pairs.items():
        expected = (ours - real).square().mean().item()
        assert result.scores[f"test_{name}_error"]["mean"] == pytest.approx(expected, rel=1e-4)
    assert torch.equal(result.test_codes, encoded.codes)


def test_generation_is_the_models_own_with_labels_at_the_shares_of_the_training_split(model):
    model.config.sampling_precision = "no"
    values, codes, labels = generate(model, 600, None, seed=3)
    torch.testing.assert_close(values, model.decode(codes))
    assert abs((labels == 1).float().mean().item() - 0.75) < 0.06
    wanted = torch.tensor([1] * 300 + [0] * 4)
    assert torch.equal(generate(model, 304, wanted, seed=3)[2], wanted)
    assert not torch.equal(generate(model, 304, wanted, seed=4)[1], generate(model, 304, wanted, seed=3)[1])


def test_no_class_is_asked_for_even_where_a_class_is_called_null(model, monkeypatch):
    unnamed = generate(model, 20, "null", seed=1)[:2]
    monkeypatch.setattr(model.config, "id2label", {0: "down", 1: "null"})
    monkeypatch.setattr(model.config, "label2id", {"down": 0, "null": 1})
    values, codes, labels = generate(model, 20, "null", seed=1)
    assert torch.equal(values, unnamed[0]) and torch.equal(codes, unnamed[1]) and labels.unique().tolist() == [-1]
    assert not torch.equal(values, generate(model, 20, torch.ones(20, dtype=torch.long), seed=1)[0])
    assert model.generate(labels=labels, return_labels=True).labels.tolist() == [-1] * 20


def test_series_as_smooth_as_reconstructions_are_no_copies_but_decoded_training_series_are(model, dataset, networks):
    (train, test), network = (to_tensors(dataset[name]) for name in ("train", "test")), FCN(1, 2, 0.0, 1.0).eval()
    comparison = Comparison(train, test, 2, network)
    smooth = torch.nn.AvgPool1d(3, 1, 1, count_include_pad=False)  # what a tokenizer does to noise
    fresh = smooth(to_tensors(split(300, 5))[0])
    drawn = comparison.memorisation(fresh, smooth(test[0]))
    assert drawn["near_copies"] > 0.5 and not drawn["copies"] and drawn["decoded_near_copies"] < 0.2
    copied = comparison.memorisation(smooth(train[0]).repeat(10, 1, 1), smooth(test[0]))
    assert copied["copies"] and copied["dtw_copies"]


def test_a_dataset_too_small_for_some_figures_still_has_the_others(model, networks, quick):
    small = DatasetDict(train=split(30, 0), test=split(8, 1))
    result = evaluate(model, small, networks, num_seeds=1)
    assert "needs 20 series or more" in result.not_measured["memorisation"]
    assert "inception score" in result.not_measured and "fid" in result.scores and "cas_fcn" in result.scores


def test_a_tokenizer_alone_is_measured_without_what_needs_a_prior(model, dataset, networks):
    result = evaluate(model.tokenizer, dataset, networks)
    assert {"reconstruction_fid", "test_perplexity", "svm", "logistic_regression"} <= result.scores.keys()
    assert not {"fid", "cas_fcn"} & result.scores.keys()
    assert "stage 1 alone" in result.not_measured["generation"]


def test_series_whose_channels_are_encoded_one_by_one_have_a_row_of_latents_each():
    tokenizer = NCVQVAEModel(NCVQVAEConfig(**(ANY_LENGTH | {"length": 24, "num_channels": 2}))).eval()
    values = to_tensors(toy_dataset(channels=2))[0]
    assert encode_all(tokenizer, values, "quantized").shape[:3] == (12, 2, 4)
    latents = encode_all(tokenizer, values, "latents")[3:5]
    drawn = tokenizer.quantizer.sample(latents.flatten(0, 1), 1e-6, torch.Generator().manual_seed(0))
    assert torch.equal(drawn.view(2, -1), tokenizer.encode(values[3:5]).codes)


def test_a_model_without_classes_is_measured_without_what_needs_them(
    pretraining_model, dataset, networks, quick, tmp_path
):
    prior = {"hidden_size": 16, "num_hidden_layers": 1, "head_dim": 8, "intermediate_size": 16}
    model = MaskGITForTimeSeriesGeneration.from_tokenizer(pretraining_model.tokenizer, **prior)
    result = evaluate(model, dataset, networks, num_seeds=1)
    assert "fid" in result.scores and "cas_fcn" not in result.scores
    assert result.generated[1] is None
    assert result.scores["null_fid"] == result.scores["fid"]
    facts = {"checkpoint": "tiny", "dataset": "toy", "seeds": [0], "command": "-"}
    write_report(result, model, facts, tmp_path)
    assert "knows no classes" in (tmp_path / "report.md").read_text()
    assert any("no classes" in reason for reason in result.not_measured.values())


def test_the_report_says_what_was_measured_how_and_beside_what(result, model, tmp_path):
    facts = {"checkpoint": "tiny", "dataset": "GunPoint", "seeds": [0, 1], "command": "ncvqvae evaluate tiny"}
    write_report(result, model, facts, tmp_path)
    metrics, report = json.loads((tmp_path / "metrics.json").read_text()), (tmp_path / "report.md").read_text()
    assert metrics["scores"]["fid"] == json.loads(json.dumps(result.scores["fid"]))
    assert metrics["versions"]["torch"] == torch.__version__ and metrics["seeds"] == [0, 1]
    assert metrics["published"]["timevqvae"]["fid"] == [0.8, 0.4]
    assert "0.80 ± 0.40" in report and "ncvqvae evaluate tiny" in report
    for key in ("fid", "nearest_ratio", "cas_minirocket"):
        form = next(form for _, _, rows in SECTIONS for name, _, form, _ in rows if name == key)
        assert format(result.scores[key]["mean"], form) in report
    for picture in ("samples", "spectrograms", "features", "nearest", "codes", "reconstructions"):
        assert f"({picture}.png)" in report
        assert (tmp_path / f"{picture}.png").read_bytes().startswith(b"\x89PNG")
    assert not list(tmp_path.glob("*partial*"))


def test_the_report_of_a_tokenizer_has_no_empty_sections(model, dataset, networks, tmp_path):
    result = evaluate(model.tokenizer, dataset, networks)
    facts = {"checkpoint": "tiny", "dataset": "toy", "seeds": [], "command": "-"}
    write_report(result, model.tokenizer, facts, tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "ncvqvae evaluate tiny --dataset toy --out tiny --only tokenizer" in text
    assert "## Tokenizer" in text and "classifier?" not in text and "## Not measured" in text


@pytest.mark.parametrize("distance", ["", "dtw_"])
def test_copying_by_either_distance_is_said(result, distance):
    scores = {name: dict(score) for name, score in result.scores.items()}
    scores["decoded_near_copies"]["mean"], scores["dtw_decoded_near_copies"]["mean"] = 0.138, 0.276

    def said(share):
        scores["copies"]["mean"] = scores["dtw_copies"]["mean"] = 0.0
        scores[f"{distance}copies"]["mean"] = share
        return " ".join(verdicts(scores, {"thesis": {}, "timevqvae": {}}))

    assert "It copies: by Euclidean distance 13.8% of its series are near-copies of training series" in said(1.0)
    assert "by dynamic time warping 27.6%, where 5% are expected by chance" in said(1.0)
    assert "In some draws it copies: " in said(1 / 3)
    assert "No significant copying: " in said(0.0) and "It copies" not in said(0.0)


def test_verdicts_name_who_is_ahead(result):
    scores = {name: dict(score) for name, score in result.scores.items()}
    scores["null_fid"] |= {"mean": 0.5, "std": 0.1}
    found = " ".join(verdicts(scores, {"thesis": {}, "timevqvae": {"fid": [1.0, 0.1]}}))
    assert "without a class: ahead of TimeVQVAE's 1.00" in found
    assert "classes drawn as in the training split: " in found  # the same law, however well the null class is known
    assert standing({"mean": 1.2, "std": 0.1}, [1.0, 0.1], "lower") == "level with"
    assert standing({"mean": 1.3, "std": 0.1}, [1.0, 0.1], "lower") == "behind"
    assert standing({"mean": 1.3, "std": 0.1}, [1.0, 0.1], "higher") == "ahead of"


def test_the_table_has_the_columns_that_somebody_fills_and_says_what_they_are(result):
    def columns(published):
        table = headline_table(result.scores, published)
        assert len({line.count("|") for line in table}) == 1
        return table[0].strip("| ").split(" | "), legend(table)

    names, meanings = columns({"thesis": {}, "timevqvae": {}})
    assert names == ["here", "real", "warped"] and "*here*: " in meanings and "TimeVQVAE" not in meanings
    everything = {part: published_results()[part]["FordA"] for part in ("thesis", "timevqvae")}
    names, meanings = columns(everything)
    assert names == ["here", "real", "warped", "thesis, plain", "thesis, best arm", "TimeVQVAE"]
    assert all(f"*{name}*: " in meanings for name in names)


def test_published_figures_are_the_papers():
    published = published_results()
    assert len(published["timevqvae"]) == 128 and len(published["thesis"]) == 13
    fids = [published["timevqvae"][name]["fid"][0] for name in published["thesis"]]
    assert sum(fids) / 13 == pytest.approx(4.01, abs=0.01)
    best = [arms["vibcreg_gauss"]["fid"][0] for arms in published["thesis"].values()]
    assert sum(best) / 13 == pytest.approx(7.72, abs=0.01)
    cas = [arms["none"]["cas"][0] for arms in published["thesis"].values()]
    assert sum(cas) / 13 == pytest.approx(0.757, abs=0.001)


def test_the_network_that_is_trained_here_is_trained_once(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr("ncvqvae.evaluation.fcn.HF_HOME", str(tmp_path))
    monkeypatch.setattr("ncvqvae.evaluation.fcn.LEAST_STEPS", 3)
    monkeypatch.setattr("ncvqvae.evaluation.fcn.EPOCHS", 0)
    train = to_tensors(dataset["train"])
    network, facts = evaluation_network("toy", train, 2)
    monkeypatch.setattr("ncvqvae.evaluation.fcn.train_fcn", None)  # a second training would fail
    again, _ = evaluation_network("toy", train, 2)
    assert facts["source"] == "trained here" and (tmp_path / "ncvqvae" / "fcn" / facts["file"]).is_file()
    assert all(torch.equal(left, right) for left, right in zip(network.parameters(), again.parameters(), strict=True))
    with pytest.raises(TypeError):  # other data, another network
        evaluation_network("toy", (train[0] + 1, train[1]), 2)


def test_series_that_are_not_finite_are_refused(model):
    with torch.no_grad():
        model.tokenizer.decoder.load_state_dict(
            {name: tensor * torch.nan for name, tensor in model.tokenizer.decoder.state_dict().items()}, strict=False
        )
    with pytest.raises(ValueError, match="10 of 10 generated series hold NaN"):
        generate(model, 10, None, seed=0)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (split(6, 0, length=30), "takes series of 1 channels x 40 samples, the dataset has 1 x 30"),
        (split(6, 0, names=["left", "right"]), "classes are down, up; the dataset's left, right"),
    ],
)
def test_data_of_another_kind_is_refused_in_one_line(model, other, message):
    with pytest.raises(ValueError, match=message):
        check_dataset(model, to_tensors(other)[0], other.features["label"].names)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "does not name its dataset; name one with --dataset"),
        (["--dataset", "GunPoint"], "takes series of 1 channels x 40 samples, the dataset has 1 x 150"),
        (["--dataset", "GunPint"], "unknown dataset 'GunPint'"),
    ],
)
def test_mistakes_on_the_command_line_get_one_line(checkpoint, arguments, message, capsys, tmp_path):
    assert main(["evaluate", checkpoint, *arguments, "--out", str(tmp_path / "report")]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1 and message in error[0]
    assert not (tmp_path / "report").exists()


def test_a_checkpoint_without_a_prior_is_told_what_can_still_be_measured(model, tmp_path, capsys):
    save(model.tokenizer, tmp_path / "tokenizer")
    assert main(["evaluate", str(tmp_path / "tokenizer"), "--dataset", "GunPoint"]) == 2
    error = capsys.readouterr().err
    assert "without a prior" in error and "--only tokenizer measures reconstruction, codes and probes" in error
    assert isinstance(NCVQVAEModel.from_pretrained(tmp_path / "tokenizer"), NCVQVAEModel)
