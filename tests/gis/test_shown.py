"""What a notebook shows of a frame."""

from __future__ import annotations

import io
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import hsrgeo
from hsrgeo.model.frame import Frame
from hsrgeo.model.quantity import QUANTITIES


def test_a_frame_shows_itself_as_a_small_map_and_in_words(frame: Frame) -> None:
    part = frame.crop(window=(500, 700, 60, 50))
    picture = part._repr_png_()
    assert picture is not None
    with Image.open(io.BytesIO(picture)) as image:
        assert image.format == "PNG"
        assert image.width <= 480
        assert len(np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)) > 3
    html = part._repr_html_()
    assert "2022-06-09 11:15 KST" in html
    assert "reflectivity [dBZ]" in html
    assert "60 x 50 of" in html
    assert 'src="data:image/png;base64,' in html


def test_names_are_text_and_without_the_extra_there_are_words_only(
    frame: Frame, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = replace(frame, name="<img src=x onerror=alert(1)>")
    assert "<img src=x" not in named.crop(window=(500, 700, 9, 9))._repr_html_()
    assert "&lt;img src=x" in named.crop(window=(500, 700, 9, 9))._repr_html_()
    unknown = replace(frame.crop(window=(500, 700, 9, 9)), quantity=replace(QUANTITIES[1], name="values"))
    assert unknown._repr_png_() is None
    monkeypatch.setitem(sys.modules, "PIL", None)
    part = frame.crop(window=(501, 701, 9, 9))
    assert part._repr_png_() is None
    assert "data:image" not in part._repr_html_()


def test_a_view_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.raises(hsrgeo.MissingExtraError, match=r"needs anywidget: pip install 'hsrgeo\[notebook\]'"):
        hsrgeo.view("anywhere")
