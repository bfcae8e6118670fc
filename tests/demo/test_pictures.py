"""The pictures of the app: what is drawn, and what a page makes of it."""

import re
from xml.etree import ElementTree

import pytest
import torch


pytest.importorskip("gradio", reason="the extra `demo` is not installed")

from ncvqvae.demo.pictures import codes_grids, reconstruction_panels, series_panels, spectrogram_panels


NAMES = {0: "$5_$", 1: "<b>a & b</b>"}


def captions(picture):
    """The titles of the panels. Raises an error for HTML that is not well formed."""
    root = ElementTree.fromstring(picture.replace("xlink:", ""))
    return [caption.text for caption in root.iter("figcaption")]


def drawn_lines(picture):
    return len(re.findall(r'id="line2d_\d+">\s*<path [^>]*clip-path', picture))


def test_each_class_and_each_channel_has_a_panel_with_its_name_as_it_is_written():
    values, labels = torch.randn(20, 2, 30), torch.arange(20) % 2
    picture = series_panels((values[:8], labels[:8]), (values[:2], labels[:2]), NAMES, None)
    assert captions(picture) == [
        f"class {NAMES[label]}: channel {channel}, 4 generated, 1 real" for label in (0, 1) for channel in (1, 2)
    ]
    assert drawn_lines(picture) == 4 * (4 + 1)
    assert "Drawn:" not in picture and "<b>" not in picture


def test_what_is_not_drawn_is_said():
    values, labels = torch.randn(40, 7, 30), torch.arange(40) % 8
    picture = series_panels((values, labels), None, {}, None)
    assert len(captions(picture)) == 6 * 6 and "5 generated" in picture and "real" not in captions(picture)[0]
    assert "Drawn: the first 6 of 8 classes and the first 6 of 7 channels." in picture
    many = series_panels((values[:, :1], None), None, {}, None)
    assert captions(many) == ["12 of 40 generated"] and drawn_lines(many) == 12
    assert len(captions(reconstruction_panels(values[:5, :1], values[:5, :1], list("abcde")))) == 3


def test_classes_of_the_archive_are_explained():
    picture = series_panels((torch.randn(2, 1, 30), torch.zeros(2)), None, {0: "2"}, "GunPoint")
    assert captions(picture) == ["class 2 (point): 2 generated"]


def test_text_takes_the_colour_of_the_page_and_pictures_the_width_of_their_column():
    values = torch.randn(2, 1, 30)
    for picture in (
        series_panels((values, None), None, {}, None),
        spectrogram_panels({"generated": values}, lambda part: part.view(2, 2, 5, 3)),
        reconstruction_panels(values, values, ["one", "two"]),
    ):
        colours = set(re.findall(r"(?:fill|stroke): (#\w+|currentColor)", picture))
        assert "currentColor" in colours and not {"#000000", "#ffffff", "#010203"} & colours
        assert all('width="100%"' in head and "height=" not in head for head in re.findall(r"<svg [^>]*>", picture))


def test_codes_lie_as_frequencies_over_time_and_say_their_number():
    picture = codes_grids(torch.arange(12).view(2, 6), (2, 3), ["one", "two"])
    assert captions(picture) == ["one", "two"] and "repeat(3,1fr)" in picture
    cells = re.findall(r'title="code (\d+)"[^>]*>(\d*)<', picture)
    assert cells[:6] == [(str(code), str(code)) for code in (3, 4, 5, 0, 1, 2)]  # low frequencies are below
    wide = codes_grids(torch.arange(40).view(1, 40), (1, 40), ["one"])
    assert 'title="code 39"' in wide and ">39<" not in wide
