import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from helpers.places import ARCHIVE, SHARED
from helpers.tiny import sines_in_noise
from ncvqvae.data.series import to_tensors
from ncvqvae.data.ucr import load_ucr
from ncvqvae.evaluation.fcn import FCN, load_fcn, save_fcn, train_fcn
from ncvqvae.evaluation.metrics import frechet_distance
from ncvqvae.inference import in_batches


FLOORS = {
    "SonyAIBORobotSurface1": 4.762,
    "CBF": 5.792,
    "SyntheticControl": 0.618,
    "ECG200": 0.783,
    "Coffee": 0.863,
    "GunPoint": 0.195,
    "ItalyPowerDemand": 1.414,
}


def any_network(num_channels=2, num_classes=3):
    """In evaluation mode, with weights and statistics such that no two are alike."""
    network = FCN(num_channels, num_classes, 2.0, 0.5)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if "layers.1" in name and tensor.ndim:
                tensor.copy_(0.5 + torch.rand(tensor.shape))
    return network.eval()


def direct_features(state, values):
    hidden = (values - 2.0) / 0.5
    for i, padding in enumerate([(3, 4), (2, 2), (1, 1)]):
        convolution, norm = ([f"layers.{i}.layers.{j}.{name}" for name in ("weight", "bias")] for j in (0, 1))
        hidden = F.conv1d(F.pad(hidden, padding), *[state[name] for name in convolution])
        mean, variance = (state[f"layers.{i}.layers.1.running_{name}"][:, None] for name in ("mean", "var"))
        scale, offset = (state[name][:, None] for name in norm)
        hidden = ((hidden - mean) / (variance + 1e-5).sqrt() * scale + offset).clamp(min=0)
    return hidden.sum(2) / hidden.shape[2]


def test_weights_have_the_names_and_shapes_of_the_reference():
    shapes = {name: tuple(tensor.shape) for name, tensor in FCN(2, 3, 0.0, 1.0).state_dict().items() if tensor.ndim}
    expected = {"final.weight": (3, 128), "final.bias": (3,)}
    for i, (inputs, outputs, kernel) in enumerate([(2, 128, 8), (128, 256, 5), (256, 128, 3)]):
        norm = [f"1.{name}" for name in ("weight", "bias", "running_mean", "running_var")]
        expected |= {f"layers.{i}.layers.{name}": (outputs,) for name in ("0.bias", *norm)}
        expected[f"layers.{i}.layers.0.weight"] = (outputs, inputs, kernel)
    assert shapes == expected


@pytest.mark.parametrize("length", [1, 5, 24])
def test_features_and_logits_equal_an_independent_form_that_pads_three_left_and_four_right(length):
    network, values = any_network(), 2 + torch.randn(6, 2, length)
    state = network.state_dict()
    expected = direct_features(state, values)
    with torch.no_grad():
        features, logits = network.features(values), network(values)
    assert features.shape == (6, 128) and expected.std() > 0.01
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(logits, expected @ state["final.weight"].T + state["final.bias"], rtol=1e-4, atol=1e-5)


def test_sixty_steps_learn_two_classes_and_scale_by_the_training_series():
    (train, labels), (test, test_labels) = sines_in_noise(64), sines_in_noise(100, seed=1)
    network = train_fcn(train, labels, 2, 60)
    assert not network.training
    predicted = in_batches(network, test).argmax(1)
    assert (predicted == test_labels).double().mean() > 0.97
    assert network.mean == pytest.approx(train.mean().item(), rel=1e-5)
    assert network.std == pytest.approx(train.var(correction=0).sqrt().item(), rel=1e-5)


def test_the_same_seed_gives_the_same_network_whatever_was_drawn_before_and_another_seed_another():
    values, labels = sines_in_noise(20)  # fewer series than a batch
    networks = []
    for seed in (1, 1, 2):
        torch.rand(3)
        before = torch.get_rng_state()
        networks.append(train_fcn(values, labels, 2, 4, seed=seed).state_dict())
        assert torch.equal(torch.get_rng_state(), before)
    same = [[torch.equal(networks[0][name], other[name]) for name in other] for other in networks[1:]]
    assert all(same[0]) and not all(same[1])


def test_applying_in_batches_is_applying_at_once_without_a_gradient(monkeypatch):
    network, values = any_network(), torch.randn(10, 2, 12)
    monkeypatch.setattr("ncvqvae.inference.BATCH_SIZE", 4)
    batched = in_batches(network.features, values)
    assert not batched.requires_grad
    torch.testing.assert_close(batched, network.features(values).detach(), rtol=1e-5, atol=1e-6)


def test_a_saved_network_loads_with_the_same_bits_and_scales_by_the_data_it_is_loaded_for(tmp_path):
    values, labels = sines_in_noise(20)
    network, file = train_fcn(values, labels, 2, 3), tmp_path / "new" / "Toy.safetensors"
    save_fcn(network, file, "Toy")
    assert [path.name for path in file.parent.iterdir()] == ["Toy.safetensors"]
    with safe_open(file, "pt") as weights:
        assert weights.metadata()["dataset"] == "Toy"
    loaded = load_fcn(file, values, 2)
    assert not loaded.training
    assert torch.equal(in_batches(loaded, values), in_batches(network, values))
    assert all(
        torch.equal(tensor, loaded.state_dict()[name]) for name, tensor in network.state_dict().items() if tensor.ndim
    )
    other = load_fcn(file, 2 * values - 5, 2)  # in other units
    torch.testing.assert_close(in_batches(other, 2 * values - 5), in_batches(network, values), rtol=1e-3, atol=1e-4)


def refusal(file, channels=2, num_classes=3):
    with pytest.raises(ValueError) as refused:
        load_fcn(file, torch.randn(4, channels, 12), num_classes)
    message = str(refused.value)
    assert "\n" not in message and str(file) in message
    return message


def test_a_missing_file_and_a_network_of_other_data_are_refused_in_one_line(tmp_path):
    file = tmp_path / "Toy.safetensors"
    assert "none" in refusal(file)
    save_fcn(any_network(), file, "Toy")
    load_fcn(file, torch.randn(4, 2, 12), 3)
    assert "Toy" in refusal(tmp_path / "Other.safetensors").split("Other")[1]
    for kwargs, kind, found, wanted in ((dict(num_classes=4), "classes", 3, 4), (dict(channels=1), "channel", 2, 1)):
        message = refusal(file, **kwargs)
        assert f"{found} {kind}" in message and f"{wanted} {kind}" in message


@pytest.mark.parametrize("damage", ["text", "empty", "truncated", "others", "lacking", "other shape", "flat"])
def test_a_file_that_is_no_network_is_refused_in_one_line(tmp_path, damage):
    file = tmp_path / "Toy.safetensors"
    save_fcn(any_network(), file, "Toy")
    whole, weights = file.read_bytes(), load_file(file)
    file.unlink()
    if damage in ("text", "empty", "truncated"):
        file.write_bytes({"text": b"no network\nat all" * 9, "empty": b"", "truncated": whole[:-1000]}[damage])
    else:
        name = "layers.1.layers.0.weight"
        rest = {other: tensor for other, tensor in weights.items() if other != name}
        flat = {other: tensor.flatten() for other, tensor in weights.items()}
        others = {"encoder.weight": torch.ones(3, 3)}
        changed = rest | {name: torch.ones(2, 2, 2)}
        save_file({"others": others, "lacking": rest, "other shape": changed, "flat": flat}[damage], file)
    refusal(file)


@pytest.mark.parametrize("name", FLOORS)
def test_reference_networks_have_the_accuracy_and_the_floor_of_fid_of_their_source(name, tmp_path):
    file = SHARED / "fcn" / f"{name}.safetensors"
    if not (file.is_file() and ARCHIVE.is_dir()):
        pytest.skip(f"the reference network or the archive is absent: {file}, {ARCHIVE}")
    data = load_ucr(name, ARCHIVE, tmp_path)
    (train, _), (test, labels) = to_tensors(data["train"]), to_tensors(data["test"])
    network = load_fcn(file, train, data["train"].features["label"].num_classes)
    real, held_out = (in_batches(network.features, values) for values in (train, test))
    with safe_open(file, "pt") as weights:
        expected = float(weights.metadata()["test_accuracy"])
    accuracy = (network.final(held_out).argmax(1) == labels).double().mean().item()
    assert accuracy == pytest.approx(expected, abs=1e-4)
    assert frechet_distance(real, held_out) == pytest.approx(FLOORS[name], rel=0.01)
