"""Styles for other programs: QGIS, GeoServer (SLD) and gdaldem, each with the classes of `products.classes`.

A style colours a COG as hsrgeo writes it, with its scale and unit: QGIS and GeoServer apply the scale and want physical
values, gdaldem does not and wants stored ones. Bounds that a program compares with physical values lie half a stored
step below the class, where no cell can be: single precision then decides nothing.
"""

from __future__ import annotations

import math
from xml.sax.saxutils import quoteattr

from hsrgeo.errors import OptionsError
from hsrgeo.model.quantity import Quantity
from hsrgeo.products.classes import RAIN_END, REFLECTIVITY_END, By, ColourClass, classes_for, dry_and_nodata
from hsrgeo.products.palettes import Palette, Rgb, Rgba
from hsrgeo.products.rain import Law


def below_text(quantity: Quantity) -> str:
    """Return the label of everything below the first class."""
    return "no rain" if quantity.is_rain or quantity.unit == "mm" else "no echo"


_BEYOND = 1e6  # dBZ or mm/h: SLD has no infinity, and int16 in hundredths ends at 327.67


def drawn_classes(quantity: Quantity, by: By = None, times: int = 1) -> tuple[ColourClass, ...]:
    """Return the classes that a stored value can be in; a steep law leaves none to some, and styles leave those out.

    Raises:
        OptionsError: There is no class table for the quantity, or no stored value reaches its first class.
    """
    lowest, *others = classes_for(quantity, by, times)
    drawn = tuple(one for one in (lowest, *others) if one.last >= one.first)
    if not drawn or (isinstance(by, Law) and drawn == (lowest,)):
        raise OptionsError(f"{by}: no {quantity.name} that a file can store reaches a colour class")
    return drawn


def class_label(one: ColourClass, quantity: Quantity, by: By = None, times: int = 1) -> str:
    """Return the bounds of a class as a legend says them: from, to and unit; of reflectivity by a law also in mm/h."""
    if one.name:
        return one.name
    is_last = math.isinf(one.upper)
    if isinstance(by, Law) and quantity.name == "reflectivity":
        lower, upper = (bound_text(bound) if math.isfinite(bound) else "" for bound in (one.lower, one.upper))
        upper_rate = RAIN_END if is_last else by.rate(one.upper)
        rates = _range(one.label, f"{upper_rate:.3g}", "mm/h", is_last=is_last)
        return f"{_range(lower, upper, quantity.unit)} ({rates})"
    if not quantity.unit and not is_last:  # whole numbers
        return f"{one.first}" if one.first == one.last else _range(f"{one.first}", f"{one.last}", "")
    ends = {} if isinstance(by, Palette) else {"dBZ": REFLECTIVITY_END, "mm/h": RAIN_END, "mm": RAIN_END * times}
    end = ends.get(quantity.unit, math.inf) if is_last else one.upper
    return _range(one.label, f"{end:g}" if math.isfinite(end) else "", quantity.unit, is_last=is_last)


def bound_text(dbz: float) -> str:
    """Return a bound [dBZ] to a tenth."""
    return f"{round(dbz, 1) + 0:.1f}"  # + 0: no -0.0


def _range(lower: str, upper: str, unit: str, *, is_last: bool = False) -> str:
    if not lower or not upper:
        return (f"< {upper} {unit}" if upper else f"≥ {lower} {unit}").rstrip()
    more = " and above" if is_last else ""
    return f"{lower} – {upper} {unit}{more}".rstrip()  # noqa: RUF001 - a dash as readers expect it


def raster_pipe(quantity: Quantity, by: By = None, times: int = 1, *, opaque: bool = False) -> str:
    """Return the ``<pipe>`` element that draws band 1 in QGIS, 3.22 or newer: of a ``.qml`` or of a layer in a project.

    The shader is DISCRETE: a value takes the colour of the first item that is not below it. Neither values nor colours
    are interpolated, and cells are never resampled to something between two of them.

    Args:
        quantity: What is drawn.
        by: See `classes_for`.
        times: See `classes_for`.
        opaque: What holds nothing is nearly white and what was not observed grey, so that nothing below shows through;
            else both are transparent.

    Raises:
        OptionsError: See `drawn_classes`.
    """
    classes = drawn_classes(quantity, by, times)
    lowest, highest = _below(classes[0], quantity), _above(classes[-1], quantity)
    dry, unknown = dry_and_nodata(by, opaque=opaque)
    items = [_qgis_item(lowest, dry, below_text(quantity))]
    if unknown[3] or dry[3]:  # not observed is never drawn as dry
        items.insert(0, _qgis_item(_physical(quantity.undetect - 0.5, quantity), unknown, "not observed"))
    nodata = qgis_colour(unknown) if unknown[3] else ""
    for one in classes:
        value = math.inf if one is classes[-1] else _above(one, quantity)
        items.append(_qgis_item(value, one.rgba, class_label(one, quantity, by, times)))
    listed = "\n".join(f"        {item}" for item in items)
    return f"""\
<pipe>
  <provider>
    <resampling enabled="false" maxOversampling="2" zoomedInResamplingMethod="nearestNeighbour"
        zoomedOutResamplingMethod="nearestNeighbour"/>
  </provider>
  <rasterrenderer type="singlebandpseudocolor" band="1" opacity="1" alphaBand="-1" nodataColor="{nodata}"
      classificationMin="{lowest:.10g}" classificationMax="{highest:.10g}">
    <rasterTransparency/>
    <minMaxOrigin>
      <limits>None</limits>
      <extent>WholeRaster</extent>
      <statAccuracy>Exact</statAccuracy>
    </minMaxOrigin>
    <rastershader>
      <colorrampshader colorRampType="DISCRETE" classificationMode="1" clip="0" labelPrecision="2"
          minimumValue="{lowest:.10g}" maximumValue="{highest:.10g}">
{listed}
      </colorrampshader>
    </rastershader>
  </rasterrenderer>
  <brightnesscontrast brightness="0" contrast="0" gamma="1"/>
  <huesaturation saturation="0" grayscaleMode="0" invertColors="0" colorizeOn="0"/>
  <rasterresampler maxOversampling="2"/>
  <resamplingStage>resamplingFilter</resamplingStage>
</pipe>"""


def qml(quantity: Quantity, by: By = None, times: int = 1) -> str:
    """Return a QGIS layer style (``.qml``), for QGIS 3.22 or newer.

    Raises:
        OptionsError: See `drawn_classes`.
    """
    pipe = "\n".join(f"  {line}" for line in raster_pipe(quantity, by, times).splitlines())
    return f"""\
<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<qgis version="3.22.0" styleCategories="AllStyleCategories" hasScaleBasedVisibilityFlag="0">
{pipe}
  <blendMode>0</blendMode>
</qgis>
"""


def _qgis_item(value: float, rgba: Rgba, label: str) -> str:
    colour = f'color="{hex_colour(rgba)}" alpha="{rgba[3]}"'
    return f'<item value="{value:.10g}" label={quoteattr(label)} {colour}/>'


def sld(quantity: Quantity, by: By = None, times: int = 1) -> str:
    """Return a Styled Layer Descriptor 1.0, for GeoServer.

    Its colour map is of type ``intervals``, which GeoServer brought: a value takes the colour of the first entry whose
    quantity is above it. GeoServer applies a band's scale unless "Rescale Pixels" is off for the coverage.

    Raises:
        OptionsError: See `drawn_classes`.
    """
    classes = drawn_classes(quantity, by, times)
    dry, unknown = dry_and_nodata(by, opaque=False)
    entries = [_sld_entry(_below(classes[0], quantity), dry, below_text(quantity))]
    if unknown[3] or dry[3]:  # not observed is never drawn as dry
        entries.insert(0, _sld_entry(_physical(quantity.undetect - 0.5, quantity), unknown, "not observed"))
    for one in classes:
        value = _BEYOND if one is classes[-1] else _above(one, quantity)
        entries.append(_sld_entry(value, one.rgba, class_label(one, quantity, by, times)))
    listed = "\n".join(f"              {entry}" for entry in entries)
    return f"""\
<?xml version="1.0" encoding="UTF-8"?>
<StyledLayerDescriptor version="1.0.0" xmlns="http://www.opengis.net/sld" xmlns:ogc="http://www.opengis.net/ogc"
    xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
    xsi:schemaLocation="http://www.opengis.net/sld http://schemas.opengis.net/sld/1.0.0/StyledLayerDescriptor.xsd">
  <NamedLayer>
    <Name>{quantity.name}</Name>
    <UserStyle>
      <Title>{quantity.name} [{quantity.unit}]</Title>
      <FeatureTypeStyle>
        <Rule>
          <RasterSymbolizer>
            <Opacity>1</Opacity>
            <ChannelSelection>
              <GrayChannel>
                <SourceChannelName>1</SourceChannelName>
              </GrayChannel>
            </ChannelSelection>
            <ColorMap type="intervals">
{listed}
            </ColorMap>
          </RasterSymbolizer>
        </Rule>
      </FeatureTypeStyle>
    </UserStyle>
  </NamedLayer>
</StyledLayerDescriptor>
"""


def _sld_entry(value: float, rgba: Rgba, label: str) -> str:
    colour = f'color="{hex_colour(rgba)}" opacity="{rgba[3] / 255:.3g}"'
    return f'<ColorMapEntry {colour} quantity="{value:.10g}" label={quoteattr(label)}/>'


def gdal(quantity: Quantity, by: By = None) -> str:
    """Return colours for ``gdaldem color-relief``, in **stored** values: gdaldem applies no scale.

    Each class is a pair of entries of one colour, its first value and its last: however gdaldem interpolates, no value
    lies between two classes.

    Raises:
        OptionsError: See `drawn_classes`.
    """
    classes = drawn_classes(quantity, by)
    dry, unknown = dry_and_nodata(by, opaque=False)
    lines = [
        f"# {quantity.name}, stored value (= {_packing(quantity)}), red, green, blue, alpha",
        "# gdaldem color-relief in.tif THIS_FILE out.tif -alpha",
        f"nv {_parts(unknown)}",
    ]
    first = -32768
    if unknown[3] or dry[3]:
        lines += [f"{first} {_parts(unknown)}", f"{quantity.undetect - 1} {_parts(unknown)}"]
        first = quantity.undetect
    lines += [f"{first} {_parts(dry)}", f"{classes[0].first - 1} {_parts(dry)}"]
    for one in classes:
        lines += [f"{stored} {_parts(one.rgba)}" for stored in sorted({one.first, one.last})]
    return "\n".join(lines) + "\n"


def _parts(rgba: Rgba) -> str:
    return " ".join(map(str, rgba if rgba[3] else (0, 0, 0, 0)))


def _packing(quantity: Quantity) -> str:
    unit = f"{quantity.unit} x {quantity.scale}"
    return f"{unit} + {quantity.minus}" if quantity.minus else unit


def _below(one: ColourClass, quantity: Quantity) -> float:
    return _physical(one.first - 0.5, quantity)


def _above(one: ColourClass, quantity: Quantity) -> float:
    return _physical(one.last + 0.5, quantity)


def _physical(stored: float, quantity: Quantity) -> float:
    return (stored - quantity.minus) / quantity.scale


def qgis_colour(rgb: Rgb | Rgba) -> str:
    """Return a colour as QGIS writes it outside colour ramps."""
    return ",".join(map(str, (*rgb, 255)[:4]))


def hex_colour(rgb: Rgb | Rgba) -> str:
    """Return a colour as ``#rrggbb``, without its alpha."""
    return "#{:02x}{:02x}{:02x}".format(*rgb)
