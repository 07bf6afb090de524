"""How QGIS draws what has no colour classes: radars in a colour each, anything else in shades of grey."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from functools import cache
from xml.sax.saxutils import quoteattr

from hsrgeo.gis.classes import DRY, NODATA, Rgb
from hsrgeo.gis.styles import hex_colour, qgis_colour
from hsrgeo.model.projections import projections_dir
from hsrgeo.model.quantity import Quantity

_RADARS: tuple[Rgb, ...] = (
    (31, 119, 180),
    (255, 127, 14),
    (44, 160, 44),
    (214, 39, 40),
    (148, 103, 189),
    (140, 86, 75),
    (227, 119, 194),
    (188, 189, 34),
    (23, 190, 207),
    (174, 199, 232),
    (255, 187, 120),
    (152, 223, 138),
    (255, 152, 150),
    (197, 176, 213),
    (196, 156, 148),
)
"""Told apart by eye. Source: the palette of categories that Tableau and matplotlib (``tab20``) have, without greys."""


def station_pipe(codes: Sequence[str], quantity: Quantity) -> str:
    """Return the ``<pipe>`` element that draws band 1, the radar that each cell is of, with the radars' names.

    A radar has the same colour whatever its number in the list of a frame.

    Args:
        codes: Of the radars, in the order of the frame's list: a cell's value is a place in it, from 1.
        quantity: The stations'.

    References:
        KMA composite format, section 7: the number is one-based.
    """
    places = _places()
    known = [*places, *(code for code in codes if code not in places)]
    entries = [
        (quantity.nodata, NODATA, "not observed"),
        (quantity.undetect, DRY, "no echo"),
        *(
            (number, _RADARS[known.index(code) % len(_RADARS)], f"{code} {places.get(code, '')}".strip())
            for number, code in enumerate(codes, 1)
        ),
    ]
    listed = "\n".join(
        f'<paletteEntry value="{value}" color="{hex_colour(rgb)}" alpha="255" label={quoteattr(label)}/>'
        for value, rgb, label in entries
    )
    return f"""\
<pipe>
<provider><resampling enabled="false" maxOversampling="2" zoomedInResamplingMethod="nearestNeighbour" \
zoomedOutResamplingMethod="nearestNeighbour"/></provider>
<rasterrenderer type="paletted" band="1" opacity="1" alphaBand="-1" nodataColor="{qgis_colour(NODATA)}">
<rasterTransparency/>
<colorPalette>
{listed}
</colorPalette>
</rasterrenderer>
<resamplingStage>resamplingFilter</resamplingStage>
</pipe>"""


@cache
def _places() -> dict[str, str]:
    """Return code and place of each radar that is known, in order."""
    with (projections_dir() / "sites.csv").open(encoding="utf-8", newline="") as file:
        return {row["name"]: row["place"] for row in csv.DictReader(file)}


def grey_pipe(quantity: Quantity, limits: tuple[float, float] | None) -> str:
    """Return the ``<pipe>`` element that draws band 1 in shades of grey, and nothing where nothing was detected.

    Args:
        quantity: What is drawn; for those without colour classes.
        limits: Physical values of black and white; None where nothing is known.
    """
    darkest, brightest = limits or (0.0, 1.0)
    lowest, first = (
        (stored - quantity.minus) / quantity.scale
        for stored in (min(quantity.undetect, quantity.echo_from - 1), quantity.echo_from)
    )
    return f"""\
<pipe>
<provider><resampling enabled="false" maxOversampling="2" zoomedInResamplingMethod="nearestNeighbour" \
zoomedOutResamplingMethod="nearestNeighbour"/></provider>
<rasterrenderer type="singlebandgray" grayBand="1" gradient="BlackToWhite" opacity="1" alphaBand="-1" nodataColor="">
<rasterTransparency><singleValuePixelList>
<pixelListEntry min="{lowest:.10g}" max="{first - 0.5 / quantity.scale:.10g}" percentTransparent="100"/>
</singleValuePixelList></rasterTransparency>
<minMaxOrigin><limits>None</limits><extent>WholeRaster</extent><statAccuracy>Exact</statAccuracy></minMaxOrigin>
<contrastEnhancement>
<minValue>{darkest:.10g}</minValue><maxValue>{max(brightest, darkest + 1 / quantity.scale):.10g}</maxValue>
<algorithm>StretchToMinimumMaximum</algorithm>
</contrastEnhancement>
</rasterrenderer>
<brightnesscontrast brightness="0" contrast="0" gamma="1"/>
<huesaturation saturation="0" grayscaleMode="0" invertColors="0" colorizeOn="0"/>
<rasterresampler maxOversampling="2"/>
<resamplingStage>resamplingFilter</resamplingStage>
</pipe>"""
