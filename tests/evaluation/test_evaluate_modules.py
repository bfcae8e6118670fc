"""The metrics of `spaces/`, loaded by folder as a user of `evaluate` does, without a network."""

import re
import sys

import pytest
import torch
from huggingface_hub import SpaceCard

from helpers.places import SPACES
from ncvqvae.evaluation import classification
from ncvqvae.evaluation.fcn import FCN, save_fcn, train_fcn
from ncvqvae.evaluation.metrics import frechet_distance, inception_score
from ncvqvae.inference import in_batches


evaluate = pytest.importorskip("evaluate")

NAMES = ("time_series_fid", "time_series_is", "time_series_cas")


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    """What `evaluate` and `datasets` write, and where they look up what they wrote, is a folder of these tests.

    One folder for all: Python imports the package that `evaluate` makes of its modules from the first it is told.
    """
    folder = tmp_path_factory.mktemp("huggingface")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path])
        for name in ("HF_MODULES_CACHE", "HF_METRICS_CACHE"):
            patch.setattr(evaluate.config, name, folder / name)
        patch.setattr("datasets.config.HF_DATASETS_CACHE", folder / "datasets")
        yield
    for name in [name for name in sys.modules if name.split(".")[0] == "evaluate_modules"]:
        del sys.modules[name]


@pytest.fixture
def metrics():
    return [evaluate.load(str(SPACES / name)) for name in NAMES]


@pytest.fixture
def network():
    return FCN(num_channels=1, num_classes=2, mean=0.5, std=2.0).eval()


@pytest.fixture
def generated():
    return torch.randn(30, 1, 24)


@pytest.fixture
def real():
    return torch.randn(17, 1, 24) + 0.5


@pytest.fixture
def few_steps(monkeypatch):
    def train(values, labels, num_classes, num_steps, *others):
        return train_fcn(values, labels, num_classes, 2, *others)

    monkeypatch.setattr(classification, "train_fcn", train)


def test_fid_of_sets_of_unequal_size_is_that_of_the_functions(metrics, network, generated, real):
    expected = frechet_distance(in_batches(network.features, real), in_batches(network.features, generated))
    assert metrics[0].compute(predictions=generated, references=real, network=network) == {"fid": expected}


def test_inception_score_is_that_of_the_function(metrics, network, generated):
    result = metrics[1].compute(predictions=generated, network=network, num_splits=3, seed=5)
    shuffle = torch.Generator().manual_seed(5)
    expected = inception_score(in_batches(network, generated).softmax(1), 3, shuffle)
    assert (result["inception_score"], result["inception_score_std"]) == expected


@pytest.mark.parametrize("classifier", ["fcn", "minirocket"])
def test_cas_is_that_of_the_functions(metrics, generated, real, few_steps, classifier):
    labels, real_labels = torch.arange(30) % 2, torch.arange(17) % 2
    generated, real = generated + 3 * labels[:, None, None], real + 3 * real_labels[:, None, None]
    given = dict(predictions=generated, prediction_labels=labels, references=real, reference_labels=real_labels)
    train, tests = (generated, labels), [(real, real_labels)]
    if classifier == "fcn":
        expected = classification.fcn_accuracy(train, tests, 2, seed=3)
    else:
        expected = classification.minirocket_accuracy(train, tests, seed=3)
    assert [metrics[2].compute(**given, classifier=classifier, seed=3)["cas"]] == expected


def test_batches_lists_and_arrays_make_no_difference(metrics, network, generated, real):
    expected = metrics[0].compute(predictions=generated, references=real, network=network)
    for batch in (generated[:7].tolist(), generated[7:].numpy()):
        metrics[0].add_batch(predictions=batch)
    assert metrics[0].compute(references=real.tolist(), network=network) == expected


@pytest.mark.parametrize(
    ("index", "changed", "message"),
    [
        (
            0,
            dict(predictions=torch.zeros(4, 24)),
            r"predictions must be .*\(series, channels, length\), found \(4, 24\)",
        ),
        (0, dict(references=[[[1.0, 2.0]], [[1.0]]]), "references must be numbers .* expected sequence of length 2"),
        (0, dict(references=None), "references must be numbers"),
        (0, dict(references=torch.full((4, 1, 24), torch.nan)), "real series .* NaN"),
        (0, dict(network="GunPoint.safetensors"), "network must be an FCN of ncvqvae.evaluation.fcn, found str"),
        (1, dict(predictions=[]), r"predictions must be .* found \(0,\)"),
        (1, dict(num_splits=31), "31 series or more, found 30"),
        (2, dict(prediction_labels=[0, 1]), "prediction_labels must be 30 classes"),
        (2, dict(reference_labels=[0.5] * 17), "reference_labels must be 17 classes"),
        (2, dict(prediction_labels=["up"] * 30), "prediction_labels must be series and classes"),
        (2, dict(predictions=torch.full((30, 1, 24), torch.inf)), "predictions must be .* infinite"),
        (2, dict(classifier="svm"), "'fcn' or 'minirocket', found 'svm'"),
    ],
)
def test_bad_input_is_one_line_and_the_next_good_one_is_none_the_worse(
    metrics, network, generated, real, few_steps, index, changed, message
):
    sets = dict(predictions=generated, references=real)
    labels = dict(prediction_labels=torch.arange(30) % 2, reference_labels=torch.arange(17) % 2)
    good = (sets | dict(network=network), dict(predictions=generated, network=network), sets | labels)[index]
    expected = metrics[index].compute(**good)
    with pytest.raises((ValueError, TypeError), match=message) as raised:
        metrics[index].compute(**good | changed)
    assert "\n" not in str(raised.value)
    assert metrics[index].compute(**good) == expected


def test_references_in_a_batch_are_refused_rather_than_ignored(metrics, generated, real):
    with pytest.raises(TypeError, match="unexpected keyword argument 'references'"):
        metrics[0].add_batch(predictions=generated, references=real)


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_of_the_readme_run_as_written(name, network, tmp_path, monkeypatch, few_steps):
    (tmp_path / "spaces").symlink_to(SPACES)
    save_fcn(network, tmp_path / "GunPoint.safetensors", "GunPoint")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", (SPACES / name / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 2
    results, names = [], {}
    for block in blocks:
        exec(block, names)
        results.append(names["result"])
    assert results[0].keys() == results[1].keys()
    if name != "time_series_is":  # the second example of which takes other parts
        assert results[0] == pytest.approx(results[1])


@pytest.mark.parametrize("name", NAMES)
def test_each_folder_is_a_space_that_lists_as_a_metric(name):
    card = SpaceCard.load(SPACES / name / "README.md").data.to_dict()
    assert card["sdk"] == "static" and {"evaluate", "metric"} <= set(card["tags"])
    assert len(card["short_description"]) <= 60  # the Hub's limit
    assert (SPACES / name / "requirements.txt").read_text() == "ncvqvae[eval]\n"
