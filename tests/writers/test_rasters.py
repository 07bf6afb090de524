"""The table of output formats is the only list of them."""

from __future__ import annotations

from typing import get_args

from hsrgeo.cli.output_options import FormatChoice
from hsrgeo.engine.verify.compare import _BY_SUFFIX
from hsrgeo.writers.rasters import FORMATS, RASTERS, Format


def test_every_format_has_an_encoder_a_comparison_and_a_word_of_the_command_line() -> None:
    assert tuple(RASTERS) == FORMATS == get_args(Format)
    assert {choice.value for choice in FormatChoice} == set(FORMATS)
    suffixes = {suffix for raster in RASTERS.values() for suffix in raster.suffixes}
    assert suffixes == set(_BY_SUFFIX)
