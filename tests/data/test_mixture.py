"""The mixture of sets and synthetic series that a tokenizer is pre-trained on."""

import numpy as np
import pandas as pd
import pytest
import torch
from datasets import Dataset, Features, List, Value

from ncvqvae.data.mixture import EMBEDDED, MixtureSettings, draw_crops, hold_out_series, load_mixture, mix
from ncvqvae.data.synthetic import COMPONENTS, synthetic_dataset, synthetic_series


SMALL = dict(num_synthetic=50, crop=64, working_length=100)
FEATURES = Features(values=List(Value("float32")))


def ramps(count, length):
    """Series that rise from -1 to 1."""
    return Dataset.from_dict({"values": [np.linspace(-1, 1, length)] * count}, features=FEATURES)


@pytest.fixture
def archive(tmp_path):
    """A folder of the archive with one set, whose test split must not be read."""
    folder = tmp_path / "archive" / "Tiny"
    folder.mkdir(parents=True)
    rows = [[1, 5, 7, 5, 7, 5, 7, 5, 7, "NaN"], [2, 5, 7, 5, "NaN", 5, 7, 5, 7, 5]]
    (folder / "Tiny_TRAIN.tsv").write_text("\n".join("\t".join(map(str, row)) for row in rows))
    (folder / "Tiny_TEST.tsv").write_text("not a table")
    return folder.parent


def test_training_splits_are_read_and_scaled_gaps_filled_and_no_test_split_touched(archive):
    sets = load_mixture([archive])
    assert {*EMBEDDED, "Tiny"} == sets.keys()
    first, second = sets["Tiny"]["values"]
    assert len(first) == 8 and len(second) == 9  # padding is cut, a gap inside is filled
    assert np.concatenate([first, second]).mean() == pytest.approx(0, abs=1e-6)
    assert np.concatenate([first, second]).std() == pytest.approx(1, abs=1e-6)
    assert len(sets["BasicMotions"]) == 40 * 6  # a series of each channel


def test_sets_come_from_tables_too_and_may_be_left_out(archive, tmp_path):
    values = [np.sin(np.arange(20)), np.cos(np.arange(30)), np.arange(5.0)]
    pd.DataFrame({"dataset": ["a", "b", "b"], "values": values}).to_parquet(tmp_path / "more.parquet")
    sets = load_mixture([archive], [tmp_path / "more.parquet"], leave_out=["GunPoint"])
    assert {"a", "b"} < sets.keys() and "GunPoint" not in sets
    assert len(sets["b"]) == 1  # the other has fewer than eight samples


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (lambda folder: dict(archives=[folder / "empty"]), "holds no <name>/<name>_TRAIN.tsv"),
        (lambda folder: dict(tables=[folder / "gone.parquet"]), "is no parquet table with the columns"),
        (lambda folder: dict(leave_out=["Nowhere"]), "there is no set Nowhere to leave out"),
    ],
)
def test_a_mixture_of_what_is_not_there_is_refused_in_one_line(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message) as error:
        load_mixture(**arguments(tmp_path))
    assert "\n" not in str(error.value)


def test_a_mixture_of_nothing_is_refused():
    with pytest.raises(ValueError, match="the mixture has no sets"):
        mix({}, MixtureSettings(**SMALL), 0)


def test_sets_come_with_the_root_of_their_sizes_and_synthetic_series_with_their_share():
    mixed = mix({"small": ramps(100, 20), "large": ramps(900, 20)}, MixtureSettings(**SMALL), 0)
    shares = np.bincount(mixed["source"]) / len(mixed)
    assert mixed.features["source"].names == ["small", "large", "synthetic"]
    assert shares == pytest.approx([0.75 / 4, 0.75 * 3 / 4, 0.25], abs=0.05)


def test_the_same_seed_mixes_and_draws_the_same_and_another_others():
    settings = MixtureSettings(**SMALL)
    first, again, other = (mix({"a": ramps(40, 20)}, settings, seed) for seed in (0, 0, 1))
    assert first["source"] == again["source"] and first["source"] != other["source"]
    indices = torch.arange(10)
    drawn = [draw_crops(first, indices, settings, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


def test_a_crop_is_a_straight_part_of_a_ramp_at_the_drawn_scale():
    settings = MixtureSettings(**SMALL, least_scale=1.0, most_scale=1.0, amplitude=0.0)
    crops = draw_crops(ramps(200, 30), torch.arange(200), settings, torch.Generator().manual_seed(0))[:, 0]
    slopes = crops.diff(dim=1)
    straight = (slopes - slopes[:, :1]).abs().amax(1) < 1e-5  # those without noise
    assert 0.5 < straight.float().mean() < 0.9
    assert slopes[straight].abs().mean().item() == pytest.approx(2 / 199, rel=1e-3)  # 200 samples from -1 to 1
    assert 0.02 < (slopes[straight][:, 0] < 0).float().mean() < 0.2


def test_long_series_keep_their_own_scale_and_unequal_lengths_go_together():
    settings = MixtureSettings(**SMALL, least_scale=0.0, most_scale=0.0, amplitude=0.0)
    dataset = Dataset.from_dict({"values": [np.linspace(-1, 1, 501), np.linspace(-1, 1, 8)]}, features=FEATURES)
    crops = draw_crops(dataset, torch.tensor([0, 1] * 50), settings, torch.Generator().manual_seed(0))
    slopes = crops.diff(dim=2).abs().median(2).values.view(50, 2).median(0).values
    assert slopes.tolist() == pytest.approx([2 / 500, 2 / 99], rel=1e-2)


def test_series_that_are_held_out_are_not_trained_on():
    rows = [np.full(10, float(index)) for index in range(100)]
    sets = {"a": Dataset.from_dict({"values": rows}, features=FEATURES)}
    kept, held = hold_out_series(sets, 0.2, seed=0)
    first = {row[0] for row in kept["a"]["values"]}
    second = {row[0] for row in held["values"]}
    assert len(first) == 80 and len(second) == 20 and not first & second


def test_synthetic_series_are_scaled_finite_reproducible_and_of_many_kinds():
    series = [synthetic_series(96, np.random.default_rng(seed)) for seed in range(200)]
    assert all(one.shape == (96,) and np.isfinite(one).all() for one in series)
    assert all(abs(one.mean()) < 1e-9 and one.std() == pytest.approx(1) for one in series)
    assert np.array_equal(series[3], synthetic_series(96, np.random.default_rng(3)))
    rough = [np.abs(np.diff(one)).mean() for one in series]
    assert min(rough) < 0.05 and max(rough) > 0.5


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda component: component.__name__[1:])
def test_a_component_is_finite_and_no_two_draws_are_alike(component):
    rng, time = np.random.default_rng(0), np.linspace(0, 1, 50)
    draws = [component(time, rng) for _ in range(20)]
    assert all(draw.shape == (50,) and np.isfinite(draw).all() for draw in draws)
    assert len({draw.tobytes() for draw in draws}) > 10


def test_the_synthetic_dataset_depends_on_its_seed_alone(tmp_path):
    first, other = synthetic_dataset(20, seed=0), synthetic_dataset(20, seed=1)
    assert first["values"] == synthetic_dataset(20, seed=0)["values"] != other["values"]


@pytest.mark.parametrize("settings", [dict(crop=10), dict(synthetic_share=1.0), dict(least_scale=1.0)])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(Exception, match="mixture"):
        MixtureSettings(**settings)
