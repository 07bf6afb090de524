"""KMA radar composites in, analysis-ready geodata out.

Three lines do the main job::

    import hsrgeo

    frame = hsrgeo.open_frame("RDR_CMP_HSR_PUB_202206091115.bin.gz")
    frame.crop(bbox=(126.7, 37.4, 127.2, 37.7)).clean().to_cog("seoul.tif")

The main entry points are `open_frame`, `iter_frames`, `export` with `ExportOptions`, `open` for arrays, and `grids`.
Everything that can go wrong is a subclass of `HsrGeoError`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hsrgeo.cube.opening import open as open  # noqa: A004 - as in xarray and rasterio; exported, but not by ``*``
    from hsrgeo.engine.accumulate.sum_options import AccumulateOptions
    from hsrgeo.engine.accumulate.sum_run import accumulate
    from hsrgeo.engine.cells.objects import ObjectsOptions, find_objects
    from hsrgeo.engine.cells.sample import SampleOptions, sample
    from hsrgeo.engine.compose import compose
    from hsrgeo.engine.cube.cube_options import CubeOptions
    from hsrgeo.engine.cube.cube_run import make_cube
    from hsrgeo.engine.events import EventsOptions, EventTable, events
    from hsrgeo.engine.export.export_run import Export, export
    from hsrgeo.engine.export_options import ExportOptions
    from hsrgeo.engine.fetch import Fetch, Fetched, FetchOptions, fetch
    from hsrgeo.engine.fetch_gauges import fetch_readings, fetch_stations
    from hsrgeo.engine.gauges.bias import GaugeBias, gauge_bias
    from hsrgeo.engine.gauges.field import GaugeField, gauge_fields
    from hsrgeo.engine.gauges.gauge_options import GaugeBiasOptions, GaugeFieldOptions
    from hsrgeo.engine.gauges.merge import GaugeMerge, gauge_merge
    from hsrgeo.engine.gauges.merge_options import GaugeMergeOptions
    from hsrgeo.engine.gauges.polygons import ThiessenPolygons, thiessen_polygons
    from hsrgeo.engine.plot import PlotSeriesOptions, PlotSumOptions, plot_series, plot_sum
    from hsrgeo.engine.qgis import write_project
    from hsrgeo.engine.regions import Region
    from hsrgeo.engine.render import Rendered, RenderOptions, render
    from hsrgeo.engine.series.periods import series_by_period
    from hsrgeo.engine.series.series_options import SeriesOptions
    from hsrgeo.engine.series.series_run import series
    from hsrgeo.engine.sites import SitesReport, site_offset
    from hsrgeo.engine.split import SplitOptions, split
    from hsrgeo.engine.stac import write_catalog
    from hsrgeo.engine.stats.stats_options import StatsOptions
    from hsrgeo.engine.stats.stats_run import stats
    from hsrgeo.engine.verify.verify_run import verify
    from hsrgeo.engine.view.written import save_view, view, write_view
    from hsrgeo.engine.vrt import write_raw_vrts, write_stacks
    from hsrgeo.errors import (
        ArchiveError,
        ChecksumError,
        ClippedWarning,
        ClusterError,
        DeflateStreamError,
        EmptyFileError,
        FrameError,
        FrameFormatError,
        FrameNameError,
        FrameReadError,
        GridError,
        HeaderError,
        HsrGeoError,
        HsrGeoWarning,
        HubError,
        HubLimitError,
        LengthError,
        LockError,
        ManifestError,
        MissingExtraError,
        NoRoomError,
        NotGzipError,
        OldHeaderError,
        OptionsError,
        OutputError,
        OutputExistsError,
        ProjectionError,
        ReadbackError,
        ServiceMessageError,
        SourceError,
        TimeFieldError,
        TooLargeError,
        TrailingDataError,
        TruncatedError,
        UnknownGridError,
        WindowError,
        WriteError,
    )
    from hsrgeo.model.frame import Frame
    from hsrgeo.model.grid import Grid
    from hsrgeo.model.grid_catalog import grids
    from hsrgeo.model.times import KST, parse_step, parse_time
    from hsrgeo.model.window import BBox, Window
    from hsrgeo.outputs.frame_table import read_manifest
    from hsrgeo.outputs.outcome import Outcome
    from hsrgeo.products.arrays import frame
    from hsrgeo.products.rain import Law, rain_frame
    from hsrgeo.products.warp import Target, as_target, warp_frame
    from hsrgeo.reading import iter_frames, open_frame
    from hsrgeo.sources.gauge_rules import ReadingRules

__version__ = "0.2.0"

_HOMES = {
    "AccumulateOptions": "hsrgeo.engine.accumulate.sum_options",
    "BBox": "hsrgeo.model.window",
    "CubeOptions": "hsrgeo.engine.cube.cube_options",
    "EventTable": "hsrgeo.engine.events",
    "EventsOptions": "hsrgeo.engine.events",
    "Export": "hsrgeo.engine.export.export_run",
    "ExportOptions": "hsrgeo.engine.export_options",
    "Fetch": "hsrgeo.engine.fetch",
    "FetchOptions": "hsrgeo.engine.fetch",
    "Fetched": "hsrgeo.engine.fetch",
    "Frame": "hsrgeo.model.frame",
    "GaugeBias": "hsrgeo.engine.gauges.bias",
    "GaugeBiasOptions": "hsrgeo.engine.gauges.gauge_options",
    "GaugeField": "hsrgeo.engine.gauges.field",
    "GaugeFieldOptions": "hsrgeo.engine.gauges.gauge_options",
    "GaugeMerge": "hsrgeo.engine.gauges.merge",
    "GaugeMergeOptions": "hsrgeo.engine.gauges.merge_options",
    "Grid": "hsrgeo.model.grid",
    "KST": "hsrgeo.model.times",
    "Law": "hsrgeo.products.rain",
    "ObjectsOptions": "hsrgeo.engine.cells.objects",
    "Outcome": "hsrgeo.outputs.outcome",
    "PlotSeriesOptions": "hsrgeo.engine.plot",
    "PlotSumOptions": "hsrgeo.engine.plot",
    "ReadingRules": "hsrgeo.sources.gauge_rules",
    "Region": "hsrgeo.engine.regions",
    "RenderOptions": "hsrgeo.engine.render",
    "Rendered": "hsrgeo.engine.render",
    "SampleOptions": "hsrgeo.engine.cells.sample",
    "SeriesOptions": "hsrgeo.engine.series.series_options",
    "SitesReport": "hsrgeo.engine.sites",
    "SplitOptions": "hsrgeo.engine.split",
    "StatsOptions": "hsrgeo.engine.stats.stats_options",
    "Target": "hsrgeo.products.warp",
    "ThiessenPolygons": "hsrgeo.engine.gauges.polygons",
    "Window": "hsrgeo.model.window",
    "accumulate": "hsrgeo.engine.accumulate.sum_run",
    "as_target": "hsrgeo.products.warp",
    "compose": "hsrgeo.engine.compose",
    "events": "hsrgeo.engine.events",
    "export": "hsrgeo.engine.export.export_run",
    "fetch": "hsrgeo.engine.fetch",
    "fetch_readings": "hsrgeo.engine.fetch_gauges",
    "fetch_stations": "hsrgeo.engine.fetch_gauges",
    "find_objects": "hsrgeo.engine.cells.objects",
    "frame": "hsrgeo.products.arrays",
    "gauge_bias": "hsrgeo.engine.gauges.bias",
    "gauge_fields": "hsrgeo.engine.gauges.field",
    "gauge_merge": "hsrgeo.engine.gauges.merge",
    "grids": "hsrgeo.model.grid_catalog",
    "iter_frames": "hsrgeo.reading",
    "make_cube": "hsrgeo.engine.cube.cube_run",
    "open": "hsrgeo.cube.opening",
    "open_frame": "hsrgeo.reading",
    "parse_step": "hsrgeo.model.times",
    "parse_time": "hsrgeo.model.times",
    "plot_series": "hsrgeo.engine.plot",
    "plot_sum": "hsrgeo.engine.plot",
    "rain_frame": "hsrgeo.products.rain",
    "read_manifest": "hsrgeo.outputs.frame_table",
    "render": "hsrgeo.engine.render",
    "sample": "hsrgeo.engine.cells.sample",
    "save_view": "hsrgeo.engine.view.written",
    "series": "hsrgeo.engine.series.series_run",
    "series_by_period": "hsrgeo.engine.series.periods",
    "site_offset": "hsrgeo.engine.sites",
    "split": "hsrgeo.engine.split",
    "stats": "hsrgeo.engine.stats.stats_run",
    "thiessen_polygons": "hsrgeo.engine.gauges.polygons",
    "verify": "hsrgeo.engine.verify.verify_run",
    "warp_frame": "hsrgeo.products.warp",
    "write_catalog": "hsrgeo.engine.stac",
    "write_project": "hsrgeo.engine.qgis",
    "view": "hsrgeo.engine.view.written",
    "write_raw_vrts": "hsrgeo.engine.vrt",
    "write_stacks": "hsrgeo.engine.vrt",
    "write_view": "hsrgeo.engine.view.written",
}
# ^ imported when first used: `hsrgeo --help` and a script that only reads need no joblib and no GDAL.
# What is not named here is an error, of hsrgeo.errors.

__all__ = [  # without `open`: `from hsrgeo import *` leaves Python's own alone
    "KST",
    "AccumulateOptions",
    "ArchiveError",
    "BBox",
    "ChecksumError",
    "ClippedWarning",
    "ClusterError",
    "CubeOptions",
    "DeflateStreamError",
    "EmptyFileError",
    "EventTable",
    "EventsOptions",
    "Export",
    "ExportOptions",
    "Fetch",
    "FetchOptions",
    "Fetched",
    "Frame",
    "FrameError",
    "FrameFormatError",
    "FrameNameError",
    "FrameReadError",
    "GaugeBias",
    "GaugeBiasOptions",
    "GaugeField",
    "GaugeFieldOptions",
    "GaugeMerge",
    "GaugeMergeOptions",
    "Grid",
    "GridError",
    "HeaderError",
    "HsrGeoError",
    "HsrGeoWarning",
    "HubError",
    "HubLimitError",
    "Law",
    "LengthError",
    "LockError",
    "ManifestError",
    "MissingExtraError",
    "NoRoomError",
    "NotGzipError",
    "ObjectsOptions",
    "OldHeaderError",
    "OptionsError",
    "Outcome",
    "OutputError",
    "OutputExistsError",
    "PlotSeriesOptions",
    "PlotSumOptions",
    "ProjectionError",
    "ReadbackError",
    "ReadingRules",
    "Region",
    "RenderOptions",
    "Rendered",
    "SampleOptions",
    "SeriesOptions",
    "ServiceMessageError",
    "SitesReport",
    "SourceError",
    "SplitOptions",
    "StatsOptions",
    "Target",
    "ThiessenPolygons",
    "TimeFieldError",
    "TooLargeError",
    "TrailingDataError",
    "TruncatedError",
    "UnknownGridError",
    "Window",
    "WindowError",
    "WriteError",
    "__version__",
    "accumulate",
    "as_target",
    "compose",
    "events",
    "export",
    "fetch",
    "fetch_readings",
    "fetch_stations",
    "find_objects",
    "frame",
    "gauge_bias",
    "gauge_fields",
    "gauge_merge",
    "grids",
    "iter_frames",
    "make_cube",
    "open_frame",
    "parse_step",
    "parse_time",
    "plot_series",
    "plot_sum",
    "rain_frame",
    "read_manifest",
    "render",
    "sample",
    "save_view",
    "series",
    "series_by_period",
    "site_offset",
    "split",
    "stats",
    "thiessen_polygons",
    "verify",
    "view",
    "warp_frame",
    "write_catalog",
    "write_project",
    "write_raw_vrts",
    "write_stacks",
    "write_view",
]


def __getattr__(name: str) -> object:
    if name not in __all__ and name not in _HOMES:
        raise AttributeError(f"module 'hsrgeo' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES.get(name, "hsrgeo.errors")), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "open"])
