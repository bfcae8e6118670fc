import numpy as np
import pytest
import torch
from transformers import pipeline

import ncvqvae
from ncvqvae.training.run_folder import save


@pytest.fixture
def generate(model, tmp_path):
    save(model, tmp_path / "model")
    return pipeline("time-series-generation", model=str(tmp_path / "model"), device="cpu")


def test_the_pipeline_is_found_by_its_task_and_gives_what_generate_gives(generate, model):
    assert isinstance(generate, ncvqvae.TimeSeriesGenerationPipeline)
    found = generate(["up", "down", 1], seed=3, num_steps=4)
    expected = model.generate(labels=["up", "down", 1], num_steps=4, generator=torch.Generator().manual_seed(3))
    assert [one["label"] for one in found] == ["up", "down", "up"]
    np.testing.assert_array_equal(np.stack([one["values"] for one in found]), expected.numpy())


def test_one_class_several_series_or_none_with_classes_drawn(generate):
    assert [one["label"] for one in generate("up", num_samples=3)] == ["up"] * 3
    assert len(generate()) == 1 and generate()[0]["values"].shape == (1, 40)
    assert {one["label"] for one in generate(num_samples=40, seed=0)} == {"down", "up"}


def test_mistakes_are_named(generate):
    with pytest.raises(ValueError, match="unknown label 'sideways'"):
        generate("sideways")
    with pytest.raises(TypeError, match="unknown setting 'steps'; known are choice_temperature"):
        generate("up", steps=3)


def test_an_integer_that_may_mean_two_classes_is_refused(model, tmp_path):
    model.config.id2label = {0: "1", 1: "2"}
    model.config.label2id = {"1": 0, "2": 1}
    save(model, tmp_path / "model")
    generate = pipeline("time-series-generation", model=str(tmp_path / "model"), device="cpu")
    assert [one["label"] for one in generate("1", num_samples=2)] == ["1", "1"]
    for labels in (1, ["2", 1]):
        with pytest.raises(ValueError, match="label 1 is the index of class '2' and the name of the class of index 0"):
            generate(labels)
