"""What lies beside an export in a bucket, as GDAL and pystac see it there: catalogue and stack."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import hsrgeo
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.engine.regions import Region
from hsrgeo.engine.vrt import make_stacks
from hsrgeo.errors import ManifestError, OptionsError
from hsrgeo.model.window import BBox
from hsrgeo.sources import connections
from hsrgeo.sources.remote import RemotePath
from tests.conftest import TIME, frame_name
from tests.faults import STEP
from tests.qgis import needs_qgis, qgis
from tests.s3 import s3_server

pytest.importorskip("obstore")
pytest.importorskip("moto.server", reason="moto is not installed")
pystac = pytest.importorskip("pystac")

URL = "s3://products/out"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, make_file: Callable[..., bytes]) -> Path:
    """Give a folder with frames and an export of them, of two regions."""
    folder = tmp_path_factory.mktemp("here")
    (folder / "frames").mkdir()
    for number in range(3):
        time = TIME + number * STEP
        (folder / "frames" / frame_name(time)).write_bytes(make_file(time=time))
    export(folder / "frames", folder / "out")
    return folder


def export(frames: Path, out: Any) -> None:
    regions = [Region("seoul", BBox(126.7, 37.4, 127.2, 37.7)), Region("busan", BBox(128.9, 35.0, 129.3, 35.3))]
    hsrgeo.export(frames, out, ExportOptions(regions=regions, formats=("cog",), jobs=1)).run()


@pytest.fixture(scope="module")
def address(here: Path) -> Iterator[str]:
    """Give the address of a server with the same export in a bucket, and let hsrgeo use it."""
    with s3_server("products") as address, pytest.MonkeyPatch.context() as context:
        for name, value in (("ACCESS_KEY_ID", "k"), ("SECRET_ACCESS_KEY", "s"), ("REGION", "us-east-1")):
            context.setenv(f"AWS_{name}", value)
        context.setenv("AWS_ENDPOINT_URL", address)
        connections._connected.cache_clear()
        export(here / "frames", URL)
        yield address
    connections._connected.cache_clear()


def gdal_of(address: str) -> dict[str, str]:
    """Return the variables that lead GDAL to a server."""
    return {"AWS_S3_ENDPOINT": address.removeprefix("http://"), "AWS_HTTPS": "NO", "AWS_VIRTUAL_HOSTING": "FALSE"}


def objects(start: str) -> dict[str, bytes]:
    return {path.key: path.read_bytes() for path in RemotePath(URL).below() if path.name.startswith(start)}


@pytest.mark.slow
def test_the_stack_is_that_of_a_disk_and_gdal_reads_it(here: Path, address: str) -> None:
    paths = hsrgeo.write_stacks(URL)
    local = hsrgeo.write_stacks(here / "out")
    assert [str(path) for path in paths] == [f"{URL}/{name}/stack.vrt" for name in ("seoul", "busan")]
    assert [path.read_bytes() for path in paths] == [path.read_bytes() for path in local]
    assert len(objects("stack.qml")) == 2
    if shutil.which("gdalinfo") is None:
        pytest.skip("gdalinfo is not installed")
    seen = [
        json.loads(
            subprocess.run(
                ["gdalinfo", "-json", "-checksum", str(path)],
                env={**os.environ, **gdal_of(address)},
                capture_output=True,
                check=True,
            ).stdout
        )
        for path in ("/vsis3/products/out/busan/stack.vrt", here / "out" / "busan" / "stack.vrt")
    ]
    there, beside = ([band["checksum"] for band in one["bands"]] for one in seen)
    assert len(there) == 3
    assert there == beside
    assert seen[0]["cornerCoordinates"] == seen[1]["cornerCoordinates"]


@pytest.mark.slow
@pytest.mark.usefixtures("address")
def test_the_catalogue_leads_to_every_cog(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert str(hsrgeo.write_catalog(URL)) == f"{URL}/collection.json"
    hsrgeo.write_catalog(here / "out")
    assert (RemotePath(URL) / "collection.json").read_bytes() == (here / "out" / "collection.json").read_bytes()
    reader = pystac.StacIO.default()
    monkeypatch.setattr(reader, "read_text_from_href", lambda href: RemotePath(href).read_bytes().decode())
    collection = pystac.Collection.from_file(f"{URL}/collection.json", stac_io=reader)
    items = list(collection.get_items())
    assert len(items) == 6
    hrefs = [item.assets["data"].get_absolute_href() for item in items]
    assert all(href.startswith(f"{URL}/") and RemotePath(href).read_bytes()[:2] == b"II" for href in hrefs)
    stray = RemotePath(f"{URL}/items/HSR-20200101T0000Z.json")
    stray.write_bytes(b"{}")  # of an earlier export
    hsrgeo.write_catalog(URL)
    assert not stray.is_file()
    hsrgeo.write_catalog(URL, items="parquet")
    assert not objects("HSR-")
    assert objects("items.parquet")


@pytest.mark.usefixtures("address")
def test_what_is_not_in_the_bucket_is_told() -> None:
    lost = next(path for path in RemotePath(URL).below() if path.suffix == ".tif")
    data = lost.read_bytes()
    lost.unlink()
    try:
        assert make_stacks(RemotePath(URL)).contents.missing == (lost.key.removeprefix("out/"),)
    finally:
        lost.write_bytes(data)
    with pytest.raises(ManifestError, match=r"in a bucket it must be the OUT of an export"):
        hsrgeo.write_catalog("s3://products/nothing")
    with pytest.raises(OptionsError, match=r"QGIS opens no project in a bucket: give --project NAME\.qgz"):
        hsrgeo.write_project(URL)
    with pytest.raises(OptionsError, match=r"expected a name that ends in \.qgz"):
        hsrgeo.write_project(URL, project="p.zip")
    with pytest.raises(OptionsError, match=r"s3://products/p\.qgz: a QGIS project works with files on this machine"):
        hsrgeo.write_project(URL, project="s3://products/p.qgz")


@pytest.mark.usefixtures("address")
def test_an_export_in_a_bucket_is_not_drawn_nor_taken_for_frames(tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match=rf"^{URL}: the output of an export can be read on this machine only; copy"):
        hsrgeo.render(URL, tmp_path / "a.gif")


@pytest.mark.usefixtures("address")
def test_a_bucket_that_does_not_exist(here: Path) -> None:
    with pytest.raises(
        ManifestError, match=r"^s3://none/out: there is no such bucket: make it first, or check its name"
    ):
        export(here / "frames", "s3://none/out")


OPENED = """
p = QgsProject.instance()
assert p.read(args[0])
layers = [node.layer() for node in p.layerTreeRoot().findLayers()]
rasters = [l for l in layers if l.type() == QgsMapLayerType.RasterLayer]
def cells(l):
    block = l.dataProvider().block(1, l.extent(), l.width(), l.height())
    return bytes(block.data()).hex()
answer = {l.source()[-60:].partition("out/")[2]: [l.isValid(), l.source().startswith(args[1]),
          l.temporalProperties().fixedTemporalRange().begin().toUTC().toString(Qt.ISODate), cells(l)] for l in rasters}
"""


@pytest.mark.slow
@needs_qgis
def test_qgis_opens_a_project_of_a_bucket(here: Path, address: str, tmp_path: Path) -> None:
    path = hsrgeo.write_project(URL, project=tmp_path / "products.qgz")
    assert path == tmp_path / "products.qgz"
    local = hsrgeo.write_project(here / "out")
    keys = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
    there = qgis(OPENED, tmp_path, str(path), "/vsis3/products/out/", variables={**keys, **gdal_of(address)})
    beside = qgis(OPENED, tmp_path, str(local), str(here / "out"))
    assert len(there) == 6  # three frames of two regions
    assert there == beside  # valid, from where it should be, its time, and every cell
    assert all(valid and from_there for valid, from_there, _time, _cells in there.values())
