from types import SimpleNamespace

import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.text import Text

from ncvqvae.evaluation.plots import new_figure, plot_samples, save_figure
from ncvqvae.training.summary import plot_training


NAMES = ["$5_$", "a^{b} $x^2$ \\$ \\alpha"]


@pytest.fixture
def saved(monkeypatch):
    """The figures that are saved."""
    figures, save = [], Figure.savefig

    def note(figure, *arguments, **settings):
        save(figure, *arguments, **settings)
        figures.append(figure)

    monkeypatch.setattr(Figure, "savefig", note)
    return figures


def formulas(figure):
    """What of a drawn figure is drawn as a formula."""
    texts = {text for text in figure.findobj(Text) if text.get_visible() and "$" in text.get_text()}
    return {text.get_text() for text in texts if text.get_parse_math()}


def test_titles_legends_and_ticks_are_drawn_as_they_are_written(saved, tmp_path):
    figure = new_figure(4, 3)
    axis = figure.subplots()
    axis.bar([0, 1], [1, 200], label="$6_$")
    axis.set_xticks([0, 1], NAMES)
    axis.set_xlabel("$7_$")
    axis.set_title("$8_$")
    axis.legend(title="$9^$")
    save_figure(figure, "$10_$", tmp_path / "picture.png")  # formulas without an end would raise
    assert saved == [figure] and not formulas(figure)


def test_classes_are_drawn_as_they_are_written(saved, tmp_path):
    values, labels = torch.randn(8, 1, 20), torch.arange(8) % 2
    plot_samples(values, labels, values, labels, NAMES, "Samples of $5_$", tmp_path / "picture.png")
    assert len(saved) == 1 and not any(map(formulas, saved))


def test_powers_of_ten_stay_formulas(saved, tmp_path):
    history = SimpleNamespace(training=[{"step": step, "loss": 10.0**-step} for step in range(4)], validation=[])
    plot_training({"prior": history}, "Losses of $5_$", tmp_path / "picture.png")
    (found,) = map(formulas, saved)
    assert found and all(text.startswith("$\\mathdefault{10^{") for text in found)
