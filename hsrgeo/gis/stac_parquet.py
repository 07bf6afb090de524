"""STAC items as one GeoParquet file: for months, whose items would be tens of thousands of small files.

Written with pyarrow alone: the library stac-geoparquet brings geopandas, pandas and psutil along to make the same
columns; the tests read with it.

References:
    STAC GeoParquet specification 1.1.0, whose schema has its version as 1.0.0; GeoParquet 1.1.0.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any

from hsrgeo.gis.stac import ASSETS, Json
from hsrgeo.sources.arrow import pyarrow_modules

_GROUP_ROWS = 4096
# ^ items that are packed together; a search by time skips groups, and memory is bounded by this
_TOP = ("type", "id", "collection", "stac_version", "stac_extensions", "links", "assets")
_TIMES = ("datetime", "start_datetime", "end_datetime")
_BBOX = ("xmin", "ymin", "xmax", "ymax")


def items_parquet(items: Iterable[Json], collection: Callable[[], Json]) -> bytes:
    """Return a STAC GeoParquet file; the same items give the same bytes.

    PROJJSON is left out: it has no fixed columns, and the WKT beside it says the same. `collection` gives
    that of the items, when all were seen; it is kept in the file.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    pa, parquet = pyarrow_modules("for a catalogue as Parquet", "stac")
    schema = _schema(pa)
    packed = io.BytesIO()
    # Without Arrow's own copy of the schema, which would hide from pyarrow what is said of the file at its end.
    with parquet.ParquetWriter(packed, schema, compression="zstd", store_schema=False) as writer:
        for group in _groups(map(_row, items)):
            array = pa.array(group, pa.struct(list(schema)))
            writer.write_batch(pa.RecordBatch.from_struct_array(array))
        record = collection()
        stac = {"version": "1.0.0", "collections": {record["id"]: record}}
        writer.add_key_value_metadata(
            {
                "geo": json.dumps(_geo(record["extent"]["spatial"]["bbox"][0])),
                "stac-geoparquet": json.dumps(stac, ensure_ascii=False),
            }
        )
    return packed.getvalue()


def _groups(rows: Iterator[Json]) -> Iterator[list[Json]]:
    while group := list(islice(rows, _GROUP_ROWS)):
        yield group


def _geo(bounds: list[float]) -> Json:
    geometry = {
        "encoding": "WKB",
        "geometry_types": ["Polygon"],
        "orientation": "counterclockwise",
        "edges": "planar",
        "bbox": bounds,
        "covering": {"bbox": {side: ["bbox", side] for side in _BBOX}},
    }
    return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": geometry}}


def _row(item: Json) -> Json:
    """Return an item as the columns have it: properties at the top, times as times, the outline as WKB."""
    row: Json = {name: value for name, value in item.items() if name in _TOP} | item["properties"]
    for name in _TIMES:
        row[name] = datetime.fromisoformat(row[name])
    (ring,) = item["geometry"]["coordinates"]
    numbers = [number for point in ring for number in point]
    row["geometry"] = struct.pack(f"<BIII{len(numbers)}d", 1, _POLYGON, 1, len(ring), *numbers)
    row["bbox"] = dict(zip(_BBOX, item["bbox"], strict=True))
    return row


_POLYGON = 3  # OGC 06-103r4, 8.2: well-known binary


def _schema(pa: Any) -> Any:  # noqa: ANN401 - pyarrow has no types
    """Return the columns, the same for every folder, so that several files can be read as one."""
    text, number, count = pa.string(), pa.float64(), pa.int64()
    texts = pa.list_(text)
    time = pa.timestamp("ms", "UTC")
    link = pa.struct([(name, text) for name in ("rel", "href", "type")])
    statistics = [(name, number) for name in ("minimum", "maximum", "mean", "stddev")]
    band = pa.struct(
        [
            *[(name, text) for name in ("name", "data_type", "unit")],
            ("nodata", count),
            ("raster:scale", number),
            ("raster:offset", number),
            ("raster:sampling", text),
            ("raster:spatial_resolution", number),
            ("statistics", pa.struct([*statistics, ("count", count)])),
        ]
    )
    plain = [("href", text), ("title", text), ("type", text), ("roles", texts)]
    size = [("file:size", count), ("file:checksum", text)]
    bands = {".tif": [("bands", pa.list_(band))]}
    assets = [(key, pa.struct([*plain, *bands.get(suffix, []), *size])) for suffix, (key, _same) in ASSETS.items()]
    return pa.schema(
        [
            ("id", text),
            ("collection", text),
            ("datetime", time),
            ("start_datetime", time),
            ("end_datetime", time),
            ("title", text),
            *[
                (f"hsrgeo:{name}", text)
                for name in ("product", "kind", "region", "quantity", "values", "rain_law", "resampling")
            ],
            *[(f"hsrgeo:{name}", text) for name in ("bias_source", "bias_factor", "period", "method")],
            *[(f"hsrgeo:{name}", count) for name in ("frames_used", "frames_expected")],
            ("hsrgeo:undetect", count),
            ("hsrgeo:synthetic", pa.bool_()),
            ("hsrgeo:stations", texts),
            ("hsrgeo:station_count", count),
            *[(f"hsrgeo:{name}", text) for name in ("source", "source_crc32", "source_created", "grid")],
            *[(f"hsrgeo:count_{name}", count) for name in ("nodata", "undetect", "echo", "value", "blend", "capped")],
            ("hsrgeo:observed_percent", number),
            ("hsrgeo:maximum", number),
            ("proj:code", text),
            ("proj:wkt2", text),
            ("proj:bbox", pa.list_(number)),
            ("proj:shape", pa.list_(count)),
            ("proj:transform", pa.list_(number)),
            ("assets", pa.struct(assets)),
            ("links", pa.list_(link)),
            ("type", text),  # optional in the specification, but pystac takes no item without
            ("stac_version", text),
            ("stac_extensions", texts),
            ("bbox", pa.struct([(side, number) for side in _BBOX])),
            ("geometry", pa.binary()),
        ]
    )
