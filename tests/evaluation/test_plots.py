import re
from types import SimpleNamespace

import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.text import Text

from ncvqvae.evaluation.plots import new_figure, plot_reconstructions, plot_samples, save_figure
from ncvqvae.evaluation.plots_of_sets import plot_codes, plot_nearest, plot_spectrograms
from ncvqvae.models.time_frequency import TimeFrequency
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


def test_losses_stand_at_plain_numbers(saved, tmp_path):
    history = SimpleNamespace(training=[{"step": step, "loss": 6.5 - step} for step in range(4)], validation=[])
    plot_training({"prior": history}, "Losses of $5_$", tmp_path / "picture.png")
    (figure,) = saved
    shown = [text.get_text() for text in figure.axes[0].get_yticklabels(which="both")]
    assert "5" in shown and all(re.fullmatch(r"[\d.]*", text) for text in shown)  # no 6x10^0


THREE = torch.randn(30, 3, 20, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(30) % 2


def spectrogram(values):
    return TimeFrequency(None, 8)(values)


PICTURES = {
    "samples": lambda *file: plot_samples(THREE, LABELS, THREE, LABELS, NAMES, *file),
    "reconstructions": lambda *file: plot_reconstructions(THREE, 0.9 * THREE, *file),
    "nearest": lambda *file: plot_nearest(
        THREE + 0.1, THREE, {"test": torch.rand(30), "generated": torch.rand(9)}, *file
    ),
}


@pytest.mark.parametrize(
    ("name", "panels"), [("samples", 2 * 2 * 3), ("reconstructions", 6 * 3), ("nearest", 1 + 3 * 3)]
)
def test_every_channel_is_drawn_and_no_line_stands_out(name, panels, saved, tmp_path):
    PICTURES[name]("Picture", tmp_path / "picture.png")
    (figure,) = saved
    assert len(figure.axes) == panels and "first" not in figure.get_suptitle()
    said = " ".join(text.get_text() for text in figure.findobj(Text))
    assert all(f"channel {one}" in said for one in (1, 2, 3))
    widths = {line.get_linewidth() for axis in figure.axes for line in axis.get_lines()}
    assert max(widths) < 1.3
    if name != "samples":
        assert figure.legends


def test_channels_and_classes_that_are_not_drawn_are_said(saved, tmp_path):
    many, labels = torch.randn(8, 8, 9), torch.arange(8)
    plot_samples(many, labels, many, labels, [str(one) for one in range(8)], "Many", tmp_path / "picture.png")
    assert saved[0].get_suptitle() == "Many (the first 2 of 8 classes, the first 6 of 8 channels)"


def test_a_spectrogram_has_samples_and_cycles_and_what_generated_series_have_more(saved, tmp_path):
    louder = THREE[LABELS == 0] * 10, LABELS[LABELS == 0]
    sets = {"test": (THREE, LABELS), "generated": louder}
    plot_spectrograms(sets, spectrogram, NAMES, "Spectrograms", tmp_path / "picture.png")
    images = [axis.images[0] for axis in saved[0].axes if axis.images and axis.get_title()]
    assert len(images) == 3 + 1  # there are no generated series of the second class
    assert images[0].get_extent() == [0, 20, 0, 0.5]
    assert torch.as_tensor(images[2].get_array()).mean().item() == pytest.approx(20, abs=0.5)


def test_the_commonest_codes_are_drawn_and_the_others_counted(saved, tmp_path):
    codes = {"test": torch.arange(80)[None].repeat(4, 1), "generated": torch.tensor([[0, 0, 3, 700]])}
    plot_codes(codes, 1024, "Codes", tmp_path / "picture.png")
    (legend,) = saved[0].legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "test: 62% of its codes are these; 80 of 1024 occur",
        "generated: 75% of its codes are these; 3 of 1024 occur",
    ]
