"""QGIS projects: every frame a layer with its time, styled and grouped, so that the animation plays at once.

Written for QGIS 3.22 and newer. Extents, projections and styles are said here, so that QGIS need not work them out: a
layer costs what opening its file costs, 3 ms.

References:
    QGIS 3.22, QgsProject, QgsRasterLayerTemporalProperties, QgsProjectTimeSettings, QgsTemporalControllerWidget.
"""

from __future__ import annotations

import hashlib
import io
import math
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from xml.sax.saxutils import escape, quoteattr

import pyproj

from hsrgeo.model.codes import code_of
from hsrgeo.model.quantity import Quantity
from hsrgeo.model.times import FRAME_STEP, KST, utc_text
from hsrgeo.writers.tags import LICENCE

MARK = b"hsrgeo"
"""Comment of the zip file; QGIS drops it when it saves, so that a project that somebody worked on is known."""

_SECOND = timedelta(seconds=1)
_ANIMATED = 1  # QgsTemporalNavigationObject.Animated
_FRAMES_PER_S = 4
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the first that a zip file can say: no time of writing, same input, same bytes
_MARGIN = 0.02  # of the width, around everything


@dataclass(frozen=True, slots=True)
class Series:
    """Layers of one place and one style."""

    groups: tuple[str, ...]
    """Names of the groups around the days in the layer tree, outermost first; empty for none."""
    wkt: str
    """The CRS as WKT."""
    bounds: tuple[float, float, float, float]
    """Left, bottom, right, top in units of the CRS."""
    pipe: str
    """How it is drawn: QGIS's ``<pipe>`` element."""
    frames: Sequence[tuple[datetime, str]]
    """Times and paths below the project's folder, with forward slashes, in order of time."""
    length: timedelta | None = None
    """How long each is shown; None is the smallest time between two of all series."""


def project_bytes(title: str, series: Sequence[Series]) -> bytes:
    """Return a ``.qgz`` file; the same input gives the same bytes.

    Args:
        title: Of the project.
        series: At least one, with at least one frame each.
    """
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        entry = zipfile.ZipInfo("hsrgeo.qgs", _ZIP_TIME)
        entry.compress_type = zipfile.ZIP_DEFLATED
        entry.create_system = 3  # Unix, on every system
        entry.external_attr = 0o644 << 16
        archive.writestr(entry, project_xml(title, series).encode())
        archive.comment = MARK
    return packed.getvalue()


def is_own(data: bytes) -> bool:
    """Tell whether a ``.qgz`` file is as `project_bytes` made it: QGIS has not saved it since."""
    return data.endswith(len(MARK).to_bytes(2, "little") + MARK)


def project_xml(title: str, series: Sequence[Series]) -> str:
    """Return the project itself (``.qgs``), see `project_bytes`."""
    times = sorted({time for one in series for time, _path in one.frames})
    lengths = [one.length for one in series if one.length is not None]
    step = min(lengths) if lengths else smallest_gap(times)
    last = max(one.frames[-1][0] + (one.length or step) for one in series)
    span = (
        utc_text(times[0]),
        utc_text(last - _SECOND),
    )  # a whole step ends in an empty one in some versions
    crs = [_crs_xml(one.wkt) for one in series]
    extent = _extent(series)
    layers = "\n".join(
        _layer_xml(one, crs_xml, time, path, one.length or step)
        for one, crs_xml in zip(series, crs, strict=True)
        for time, path in one.frames
    )
    minutes = step / timedelta(minutes=1)
    return f"""\
<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<qgis version="3.22.0" projectname={quoteattr(title)}>
<homePath path=""/>
<title>{escape(title)}</title>
<projectCrs>{crs[0]}</projectCrs>
<layer-tree-group>
<customproperties/>
{_tree_xml(series)}
</layer-tree-group>
<mapcanvas name="theMapCanvas" annotationsVisible="1">
<extent>{_corners(extent)}</extent>
<rotation>0</rotation>
<destinationsrs>{crs[0]}</destinationsrs>
<rendermaptile>0</rendermaptile>
</mapcanvas>
<projectlayers>
{layers}
</projectlayers>
<properties>
<Paths><Absolute type="bool">false</Absolute></Paths>
<SpatialRefSys><ProjectionsEnabled type="int">1</ProjectionsEnabled></SpatialRefSys>
<TemporalControllerWidget>
<StartDateTime type="QString">{span[0]}</StartDateTime>
<EndDateTime type="QString">{span[1]}</EndDateTime>
<NavigationMode type="int">{_ANIMATED}</NavigationMode>
</TemporalControllerWidget>
</properties>
<projectMetadata>
<title>{escape(title)}</title>
<abstract>{escape(LICENCE)}</abstract>
</projectMetadata>
<ProjectViewSettings UseProjectScales="0">
<DefaultViewExtent xmin="{extent[0]:.10g}" ymin="{extent[1]:.10g}" xmax="{extent[2]:.10g}" ymax="{extent[3]:.10g}">\
{crs[0]}</DefaultViewExtent>
</ProjectViewSettings>
<ProjectTimeSettings timeStep="{minutes:g}" timeStepUnit="min" frameRate="{_FRAMES_PER_S}" cumulativeTemporalRange="0">
<TemporalRange><start>{span[0]}</start><end>{span[1]}</end></TemporalRange>
</ProjectTimeSettings>
</qgis>
"""


def smallest_gap(times: Sequence[datetime]) -> timedelta:
    """Return the least time between two of several times in order; five minutes where there is one only."""
    return min((later - earlier for earlier, later in pairwise(times)), default=FRAME_STEP)


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


def _tree_xml(series: Sequence[Series]) -> str:
    """Return the groups, shut: of each series, then its days (KST), then its frames."""
    lines: list[str] = []
    opened: tuple[str, ...] = ()
    for one in series:
        shared = next((n for n, (a, b) in enumerate(zip(opened, one.groups, strict=False)) if a != b), len(one.groups))
        shared = min(shared, len(opened))
        lines += ["</layer-tree-group>"] * (len(opened) - shared)
        lines += [_group_start(name) for name in one.groups[shared:]]
        opened = one.groups
        for day, frames in groupby(one.frames, key=lambda frame: f"{frame[0].astimezone(KST):%Y-%m-%d}"):
            lines.append(_group_start(day))
            lines += [
                f'<layer-tree-layer id="{_layer_id(path)}" name="{_layer_name(time)}" source={quoteattr("./" + path)} '
                'providerKey="gdal" checked="Qt::Checked" expanded="0"><customproperties/></layer-tree-layer>'
                for time, path in frames
            ]
            lines.append("</layer-tree-group>")
    lines += ["</layer-tree-group>"] * len(opened)
    return "\n".join(lines)


def _group_start(name: str) -> str:
    return f'<layer-tree-group name={quoteattr(name)} checked="Qt::Checked" expanded="0"><customproperties/>'


def _layer_name(time: datetime) -> str:
    return f"{time.astimezone(KST):%Y-%m-%d %H:%M} KST"  # QGIS's own clock shows UTC


def _layer_id(path: str) -> str:
    # The same in every project made of the folder: layouts and themes refer to it.
    return "frame_" + hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:24]


def _layer_xml(one: Series, crs_xml: str, time: datetime, path: str, step: timedelta) -> str:
    # A second inside at both ends. QGIS takes both for part of the range, and 3.22 also the end of what is asked for:
    # 06:05 <= t < 06:10 would show the frames of 06:00 and 06:10 too (qgis/QGIS#53079).
    start, end = utc_text(time + _SECOND), utc_text(time + step - _SECOND)
    return f"""\
<maplayer type="raster" styleCategories="AllStyleCategories" hasScaleBasedVisibilityFlag="0">
<extent>{_corners(one.bounds)}</extent>
<id>{_layer_id(path)}</id>
<datasource>{escape("./" + path)}</datasource>
<layername>{_layer_name(time)}</layername>
<attribution>Korea Meteorological Administration</attribution>
<srs>{crs_xml}</srs>
<resourceMetadata><type>dataset</type><rights>{escape(LICENCE)}</rights></resourceMetadata>
<provider>gdal</provider>
<noData><noDataList bandNo="1" useSrcNoData="1"/></noData>
<map-layer-style-manager current="default"><map-layer-style name="default"/></map-layer-style-manager>
<flags><Identifiable>1</Identifiable><Removable>1</Removable><Searchable>1</Searchable></flags>
<temporal enabled="1" mode="0" fetchMode="0"><fixedRange><start>{start}</start><end>{end}</end></fixedRange></temporal>
{one.pipe}
<blendMode>0</blendMode>
</maplayer>"""


def _crs_xml(wkt: str) -> str:
    crs = pyproj.CRS.from_wkt(wkt)
    code = code_of(crs) or ""
    return (
        f"<spatialrefsys><wkt>{escape(wkt)}</wkt><srsid>0</srsid><srid>0</srid><authid>{escape(code)}</authid>"
        f"<description>{escape(crs.name)}</description>"
        f"<geographicflag>{str(crs.is_geographic).lower()}</geographicflag></spatialrefsys>"
    )


def _extent(series: Sequence[Series]) -> tuple[float, float, float, float]:
    """Return what holds every layer, in the first one's CRS, and a little more."""
    every = list(_projected_bounds(series))
    left, bottom = (min(bounds[side] for bounds in every) for side in (0, 1))
    right, top = (max(bounds[side] for bounds in every) for side in (2, 3))
    margin = _MARGIN * (right - left)
    return left - margin, bottom - margin, right + margin, top + margin


def _projected_bounds(series: Sequence[Series]) -> Iterator[tuple[float, float, float, float]]:
    for one in series:
        if one.wkt == series[0].wkt:
            yield one.bounds
            continue
        moved = pyproj.Transformer.from_crs(one.wkt, series[0].wkt, always_xy=True).transform_bounds(*one.bounds)
        if all(map(math.isfinite, moved)):
            yield moved


def _corners(bounds: tuple[float, float, float, float]) -> str:
    left, bottom, right, top = bounds
    return f"<xmin>{left:.12g}</xmin><ymin>{bottom:.12g}</ymin><xmax>{right:.12g}</xmax><ymax>{top:.12g}</ymax>"
