"""Pictures in colours with a place: what an export writes of them, what verify finds, and that the palette counts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rio_cogeo.cogeo import cog_validate

from hsrgeo.engine.export.export_run import export
from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.engine.regions import Region
from hsrgeo.engine.verify.verify_run import verify
from hsrgeo.errors import ManifestError, OptionsError
from hsrgeo.model.window import BBox
from hsrgeo.writers.rasters import Format
from tests.conftest import MakeFile, frame_name
from tests.gis.test_render import blank

WINDOW = (440, 700, 20, 16)


@pytest.fixture
def source(tmp_path: Path, make_file: MakeFile) -> Path:
    pixels = blank()
    pixels[:, :] = -25000
    pixels[712:, :] = -30000
    pixels[705:710, 445:450] = 3000
    path = tmp_path / frame_name()
    path.write_bytes(make_file(pixels, num_data=1))
    return path


@pytest.mark.parametrize("crs", [None, "EPSG:3857"])
def test_a_picture_has_kmas_colours_and_is_clear_where_dry(source: Path, tmp_path: Path, crs: str | None) -> None:
    out = tmp_path / "out"
    options = ExportOptions(window=WINDOW, formats=("cog", "rgba", "rgba-png", "rgba-webp"), crs=crs, jobs=1)
    assert [outcome.status for outcome in export(source, out, options)] == ["ok"]
    cog = next(path for path in out.rglob("*.tif") if ".rgba" not in path.name)
    with rasterio.open(cog) as dataset:
        stored, transform, projection = dataset.read(1), dataset.transform, dataset.crs
    # 30.00 dBZ is the first value of 30 to 32 dBZ in color_rdr_DZ.rgb; all else is dry or was not observed
    expected = np.where((stored == 3000)[..., None], np.array([250, 133, 133, 255]), 0).astype(np.uint8)
    assert (expected[..., 3] == 255).sum() >= 25
    for suffix in (".rgba.tif", ".rgba.png", ".rgba.webp"):
        path = cog.with_name(cog.stem + suffix)
        with rasterio.open(path) as dataset:
            np.testing.assert_array_equal(np.moveaxis(dataset.read(), 0, -1), expected)
            assert (dataset.transform, dataset.crs) == (transform, projection)
            assert [one.name for one in dataset.colorinterp] == ["red", "green", "blue", "alpha"]
    assert cog_validate(cog.with_name(cog.stem + ".rgba.tif"), quiet=True)[0]
    assert not list(verify(out, source, jobs=1))


@pytest.mark.parametrize("form", ["rgba", "rgba-png", "rgba-webp", "float32", "asc"])
def test_values_as_stored_are_not_of_what_has_no_codes(form: Format) -> None:
    with pytest.raises(OptionsError, match=f"{form} does not have the codes of the frames: not with values raw"):
        ExportOptions(formats=("cog", form), values="raw")


def test_a_webp_of_too_many_cells_says_what_to_do(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    # Four degrees at 37 N are 355 km: more than 17,000 cells of 20 m. The square has more cells, but shorter lines.
    row, square = Region("row", BBox(126, 37, 130, 37.01)), Region("square", BBox(127, 37, 127.7, 37.6))
    options = ExportOptions(regions=(square, row), formats="rgba-webp", crs="EPSG:5179", resolution=20, jobs=1)
    with pytest.raises(OptionsError, match="cells, and it can have 16,383 a side: take rgba-png or rgba"):
        export(source, out, options)
    assert not out.exists()


@pytest.mark.parametrize("form", ["rgba-png", "rgba-webp"])
def test_verify_finds_a_changed_picture_and_another_palette_is_another_recipe(
    source: Path, tmp_path: Path, form: Format
) -> None:
    out, own = tmp_path / "out", tmp_path / "own.txt"
    own.write_text("# ramp\nundetect 0 0 0 10\n-32 0 0 255\n30 9 8 7 0\n32 9 8 7 0\n96 255 0 0 128\n")
    options = ExportOptions(window=WINDOW, formats=form, palette=own, jobs=1)
    assert [outcome.status for outcome in export(source, out, options)] == ["ok"]
    assert [outcome.status for outcome in export(source, out, options)] == ["skipped"]
    assert not list(verify(out, source, jobs=1))
    with rasterio.open(next(out.rglob(f"*.rgba.{form[5:]}"))) as dataset:
        assert dataset.read()[:, 6, 6].tolist() == [9, 8, 7, 0]  # 30.00 dBZ: clear, and its colour is kept
    kept = json.loads((out / "options.json").read_text())["recipe"]["palette"]
    assert kept.splitlines()[0] == "undetect 0 0 0 10"
    with pytest.raises(ManifestError, match="was exported with other options"):
        list(export(source, out, ExportOptions(window=WINDOW, formats=form, palette="reflectivity", jobs=1)))
    picture = next(out.rglob(f"*.rgba.{form[5:]}"))
    other = tmp_path / "other"
    list(export(source, other, ExportOptions(window=WINDOW, formats=form, jobs=1)))
    picture.write_bytes(next(other.rglob(f"*.rgba.{form[5:]}")).read_bytes())
    assert any("pixels" in one.problem for one in verify(out, source, jobs=1))


def test_a_palette_is_for_pictures_and_for_their_unit(source: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match="palette is for formats rgba, rgba-png and rgba-webp"):
        ExportOptions(formats="cog", palette="rain")
    (outcome,) = export(source, tmp_path / "out", ExportOptions(formats="rgba", palette="height", jobs=1))
    assert outcome.status == "failed"
    assert "palette height is in m, and reflectivity is in dBZ" in str(outcome.error)
