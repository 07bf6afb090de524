"""QGIS projects: every frame a layer with its time, styled and grouped, so that the animation plays at once.

The coast lies above, and the map tells the time. QGIS's own clock is UTC: names and the map tell KST.

Written for QGIS 3.22 and newer. Extents, projections and styles are said here, so that QGIS need not work them out: a
layer costs what opening its file costs, 3 ms.

References:
    QGIS 3.22, QgsProject, QgsRasterLayerTemporalProperties, QgsProjectTimeSettings, QgsTemporalControllerWidget,
    QgsDecorationTitle.
"""

from __future__ import annotations

import hashlib
import io
import math
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from pathlib import PurePosixPath
from xml.sax.saxutils import escape, quoteattr

import pyproj

from hsrgeo.gis.styles import qgis_colour
from hsrgeo.model.epsg import code_of
from hsrgeo.model.times import FRAME_STEP, KST, time_label, utc_text
from hsrgeo.products.palettes import Rgb

MARK = b"hsrgeo"
"""Comment of the zip file; QGIS drops it when it saves, so that a project that somebody worked on is known."""

_SECOND = timedelta(seconds=1)
_OFF, _ANIMATED = 0, 1  # QgsTemporalNavigationObject.NavigationOff, Animated
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
    """Times, and paths below the project's folder, with forward slashes, or GDAL's ``/vsi...``; in order of time."""
    lacking: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Frames summed and frames expected, by path, of sums that lack some: names of layers tell them."""
    length: timedelta | None = None
    """How long each is shown; None is the smallest time between two of all series."""
    rights: str = ""
    """Of the data; empty where they are not known."""
    shown: bool = True
    """Whether its group is switched on."""
    reload_s: int = 0
    """Of files that are replaced: seconds after which QGIS reads them again, and no time is said; 0 for frames."""


@dataclass(frozen=True, slots=True)
class Beside:
    """What a project shows beside the frames."""

    coast: str = ""
    """Path of a file of lines below the project's folder, with the property ``kind``; empty for none."""
    credit: str = ""
    """Where the coast is from."""
    mark: str = ""
    """Before the time on the map."""


def project_bytes(title: str, series: Sequence[Series], beside: Beside | None = None) -> bytes:
    """Return a ``.qgz`` file; the same input gives the same bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        entry = zipfile.ZipInfo("hsrgeo.qgs", _ZIP_TIME)
        entry.compress_type = zipfile.ZIP_DEFLATED
        entry.create_system = 3  # Unix, on every system
        entry.external_attr = 0o644 << 16
        archive.writestr(entry, project_xml(title, series, beside or Beside()).encode())
        archive.comment = MARK
    return packed.getvalue()


def is_own(data: bytes) -> bool:
    """Tell whether a ``.qgz`` file is as `project_bytes` made it: QGIS has not saved it since."""
    return data.endswith(len(MARK).to_bytes(2, "little") + MARK)


def project_xml(title: str, series: Sequence[Series], beside: Beside) -> str:
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
    if beside.coast:
        layers = f"{_coast_xml(beside)}\n{layers}"
    rights = dict.fromkeys(one.rights for one in series if one.rights)
    minutes = step / timedelta(minutes=1)
    has_times = not any(one.reload_s for one in series)
    label = _time_text(beside.mark, periods=bool(lengths)) if has_times else beside.mark
    return f"""\
<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<qgis version="3.22.0" projectname={quoteattr(title)}>
<homePath path=""/>
<title>{escape(title)}</title>
<projectCrs>{crs[0]}</projectCrs>
<layer-tree-group>
<customproperties/>
{_tree_xml(series, beside.coast)}
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
<NavigationMode type="int">{_ANIMATED if has_times else _OFF}</NavigationMode>
</TemporalControllerWidget>
<TitleLabel>
<Enabled type="bool">{str(bool(label)).lower()}</Enabled>
<Label type="QString">{escape(label)}</Label>
<Placement type="int">{_TOP_LEFT}</Placement>
<BackgroundColor type="QString">{_PAPER}</BackgroundColor>
</TitleLabel>
</properties>
<projectMetadata>
<title>{escape(title)}</title>
<abstract>{escape(chr(10).join((*rights, _CLOCK if has_times else _RELOADED)))}</abstract>
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


def _time_text(mark: str, *, periods: bool) -> str:
    """Return what the map says of the time that it shows: text with an expression of QGIS."""
    start, end = (f"@map_{edge}_time" for edge in ("start", "end"))
    korean = _DATE.format(f"{start} + {_TO_KST}")
    if periods:
        korean += f" || ' - ' || {_DATE.format(f'{end} + {_TO_KST}')}"
    times = f"{korean} || ' KST (' || {_DATE.format(start)} || ' UTC)'"
    return f"{mark} [% coalesce({times}, 'the clock is off: the uppermost layer') %]".strip()


_DATE = "format_date({}, 'yyyy-MM-dd HH:mm')"
_TO_KST = "to_interval('9 hours')"
_CLOCK = "QGIS's temporal controller shows UTC. Names of layers and the time on the map are KST, which is UTC + 9 h."
_RELOADED = "QGIS 3.34 and newer reads the layer again by itself; in an older one press F5."
_PAPER = "255,255,255,210"
_TOP_LEFT = 1  # QgsDecorationItem.Placement


def _tree_xml(series: Sequence[Series], coast: str) -> str:
    """Return the groups: of each series, then its days (KST), then its frames; open as far as the first frame."""
    lines: list[str] = []
    opened: tuple[str, ...] = ()
    if coast:
        lines.append(_leaf(_layer_id(coast), _COAST_NAME, coast, "ogr", expanded=False))
    first = series[0].frames[0][1]
    for one in series:
        shared = next((n for n, (a, b) in enumerate(zip(opened, one.groups, strict=False)) if a != b), len(one.groups))
        shared = min(shared, len(opened))
        lines += ["</layer-tree-group>"] * (len(opened) - shared)
        lines += [
            _group_start(name, expanded=one is series[0], shown=one.shown or name is not one.groups[-1])
            for name in one.groups[shared:]
        ]
        opened = one.groups
        for day, frames in groupby(one.frames, key=lambda frame: f"{frame[0].astimezone(KST):%Y-%m-%d}"):
            listed = list(frames)
            leaves = [
                _leaf(_layer_id(path), _layer_name(one, time, path), path, "gdal", expanded=path == first)
                for time, path in listed
            ]
            if not one.reload_s:
                leaves = [_group_start(day, expanded=listed[0][1] == first), *leaves, "</layer-tree-group>"]
            lines += leaves
    lines += ["</layer-tree-group>"] * len(opened)
    return "\n".join(lines)


def _group_start(name: str, *, expanded: bool, shown: bool = True) -> str:
    checked = "Qt::Checked" if shown else "Qt::Unchecked"
    return f'<layer-tree-group name={quoteattr(name)} checked="{checked}" expanded="{expanded:d}"><customproperties/>'


def _leaf(layer: str, name: str, path: str, provider: str, *, expanded: bool) -> str:
    return (
        f'<layer-tree-layer id="{layer}" name="{name}" source={quoteattr(_source(path))} providerKey="{provider}" '
        f'checked="Qt::Checked" expanded="{expanded:d}"><customproperties/></layer-tree-layer>'
    )


def _source(path: str) -> str:
    return path if path.startswith("/vsi") else f"./{path}"


def _layer_name(one: Series, time: datetime, path: str) -> str:
    start = time.astimezone(KST)
    if one.reload_s:
        return PurePosixPath(path).stem  # latest
    if one.length is None:
        return time_label(start)  # QGIS's own clock shows UTC
    end = start + one.length
    lacks = " ({} of {} frames)".format(*one.lacking[path]) if path in one.lacking else ""
    return f"{start:%Y-%m-%d %H:%M} - {end:{'%H:%M' if end.date() == start.date() else '%Y-%m-%d %H:%M'}} KST{lacks}"


def _layer_id(path: str) -> str:
    # The same in every project made of the folder: layouts and themes refer to it.
    return "frame_" + hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:24]


def _layer_xml(one: Series, crs_xml: str, time: datetime, path: str, step: timedelta) -> str:
    # A second inside at both ends. QGIS takes both for part of the range, and 3.22 also the end of what is asked for:
    # 06:05 <= t < 06:10 would show the frames of 06:00 and 06:10 too (qgis/QGIS#53079).
    start, end = utc_text(time + _SECOND), utc_text(time + step - _SECOND)
    has_time = not one.reload_s
    # The words are those of QGIS 3.34, QgsMapLayer::readLayerXml.
    again = "" if has_time else f' autoRefreshMode="ReloadData" autoRefreshTime="{1000 * one.reload_s}"'
    return f"""\
<maplayer type="raster" styleCategories="AllStyleCategories" hasScaleBasedVisibilityFlag="0"{again}>
<extent>{_corners(one.bounds)}</extent>
<id>{_layer_id(path)}</id>
<datasource>{escape(_source(path))}</datasource>
<layername>{_layer_name(one, time, path)}</layername>
<attribution>{escape(one.rights)}</attribution>
<srs>{crs_xml}</srs>
<resourceMetadata><type>dataset</type><rights>{escape(one.rights)}</rights></resourceMetadata>
<provider>gdal</provider>
<noData><noDataList bandNo="1" useSrcNoData="1"/></noData>
<map-layer-style-manager current="default"><map-layer-style name="default"/></map-layer-style-manager>
<flags><Identifiable>1</Identifiable><Removable>1</Removable><Searchable>1</Searchable></flags>
<temporal enabled="{has_time:d}" mode="0" fetchMode="0">\
<fixedRange><start>{start}</start><end>{end}</end></fixedRange></temporal>
{one.pipe}
<blendMode>0</blendMode>
</maplayer>"""


def _coast_xml(beside: Beside) -> str:
    """Return the layer of the coast: thin lines above everything, without a time."""
    return f"""\
<maplayer type="vector" geometry="Line" wkbType="LineString" styleCategories="AllStyleCategories" \
hasScaleBasedVisibilityFlag="0">
<id>{_layer_id(beside.coast)}</id>
<datasource>{escape("./" + beside.coast)}</datasource>
<layername>{_COAST_NAME}</layername>
<attribution>{escape(beside.credit)}</attribution>
<srs>{_crs_xml(pyproj.CRS.from_epsg(4326).to_wkt())}</srs>
<provider encoding="UTF-8">ogr</provider>
<flags><Identifiable>0</Identifiable><Removable>1</Removable><Searchable>1</Searchable></flags>
<renderer-v2 type="singleSymbol" enableorderby="0" forceraster="0">
<symbols><symbol type="line" name="0" alpha="1" clip_to_extent="1" force_rhr="0">
<layer class="SimpleLine" enabled="1" pass="0" locked="0">
<prop k="line_color" v="{qgis_colour(_COAST)}"/><prop k="line_style" v="solid"/><prop k="line_width" v="0.25"/>
<prop k="line_width_unit" v="MM"/><prop k="joinstyle" v="round"/><prop k="capstyle" v="round"/>
</layer>
</symbol></symbols>
</renderer-v2>
<blendMode>0</blendMode>
</maplayer>"""


_COAST_NAME = "coast and borders"
_COAST: Rgb = (58, 58, 58)


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
