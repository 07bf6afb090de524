"""An output folder of `hsrgeo export`, as a source: which COG shows which time and region."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

from hsrgeo.errors import HsrGeoError, OptionsError, ReadbackError
from hsrgeo.formats.names import FrameName
from hsrgeo.outputs.catalogs import catalog_frames, is_catalog
from hsrgeo.outputs.kept_recipe import recipe_of
from hsrgeo.outputs.manifest_lines import latest_lines
from hsrgeo.outputs.outcome import Outcome, Output
from hsrgeo.outputs.recipe import Recipe
from hsrgeo.sources.found import Tally
from hsrgeo.sources.remote import Place
from hsrgeo.sources.select import Selection
from hsrgeo.writers.environment import output_below


@dataclass(frozen=True, slots=True)
class Exported:
    """A COG that the manifest lists, or a frame that could not be exported."""

    path: Path
    frame_name: FrameName | None
    label: str
    error: HsrGeoError | None = None


class Written:
    """What `hsrgeo export` wrote into a folder, on this machine or in a bucket; nothing is changed in it.

    Args:
        out: The folder, see `hsrgeo.outputs.journal.is_output`.
    """

    def __init__(self, out: Place) -> None:
        self.out = out

    @cached_property
    def recipe(self) -> Recipe:
        """What the outputs were made with.

        Raises:
            ManifestError: There are no options, or they are damaged.
        """
        return recipe_of(self.out)

    @property
    def regions(self) -> list[str]:
        """Names of the regions, in order; one that is empty where the folder has a single area."""
        return [cut.region for cut in self.recipe.cuts]

    def refuse_without_cogs(self) -> None:
        """Refuse a folder of other formats, such as PNG, which do not separate nodata from no echo.

        Raises:
            OptionsError: It is one.
            ManifestError: See `recipe`.
        """
        formats = self.recipe.formats
        if "cog" not in formats:
            odim = " (in Python hsrgeo.open reads a list of ODIM files)" if "odim" in formats else ""
            raise OptionsError(
                f"{self.out}: has {' and '.join(formats)} only, and only COGs are read: export the frames to another "
                f"folder, hsrgeo export SOURCE --format cog --out FOLDER{odim}"
            )

    def lines(self) -> list[Outcome]:
        """Return the latest line of each frame, by time.

        Raises:
            ManifestError: The manifest is damaged.
        """
        lines = latest_lines(self.out)
        return sorted(lines, key=lambda line: (line.frame_name.time.timestamp() if line.frame_name else 0, line.label))

    def files(self) -> dict[str, Output]:
        """Return every file that the manifest lists, by path.

        Raises:
            ManifestError: The manifest is damaged.
        """
        return {output.path: output for line in self.lines() if line.status == "ok" for output in line.outputs}

    def cog(self, frame_name: FrameName, region: str) -> str:
        """Return the path below the folder of the COG that shows a region of a frame."""
        return f"{self.recipe.stem(frame_name, region)}.tif"


class OutputFolder(Written):
    """A folder on this machine that `hsrgeo export` wrote."""

    def __init__(self, out: Path) -> None:
        super().__init__(out)
        self._folder = out

    def frames(
        self,
        selection: Selection,
        region: str = "",
        tally: Tally | None = None,
        times: set[datetime] | None = None,
    ) -> Iterator[Exported]:
        """Yield the wanted frames, by time, and those that could not be exported; see `exported_frames`."""
        self.refuse_without_cogs()
        regions = self.regions
        if region and region not in regions:
            raise OptionsError(
                f"region {region!r}: {self._folder} has {', '.join(filter(None, regions)) or 'no regions'}"
            )
        if not region and len(regions) > 1:
            raise several_regions(self._folder, regions)
        for line in _of_written_products(self.lines()):
            if times is not None and line.frame_name is not None and selection.wants_product(line.frame_name):
                times.add(line.frame_name.time)
            if line.frame_name is not None and not selection.wants(line.frame_name):
                if tally is not None and line.status in ("ok", "failed"):
                    tally.leave_out(line.frame_name)
                continue
            if line.status == "failed":
                yield Exported(self._folder, line.frame_name, line.label, line.error or HsrGeoError(line.label))
            elif line.status == "ok" and line.frame_name is not None:
                yield from self._exported(self.cog(line.frame_name, region or regions[0]), line, line.frame_name)

    def _exported(self, cog: str, line: Outcome, frame_name: FrameName) -> Iterator[Exported]:
        if self.recipe.min_wet and all(output.path != cog for output in line.outputs):
            return  # the region is dry
        try:
            yield Exported(output_below(self._folder, cog), frame_name, line.label)
        except ReadbackError as error:
            yield Exported(self._folder / cog, frame_name, line.label, error)


def exported_frames(
    source: Path,
    selection: Selection,
    region: str = "",
    tally: Tally | None = None,
    times: set[datetime] | None = None,
) -> Iterator[Exported]:
    """Yield the wanted frames of an export, by time, and those that it could not export.

    Args:
        source: The folder, or a STAC catalogue of it, which lists no frame that could not be exported.
        selection: Which frames are wanted.
        region: Name of one of its regions; empty where it has only one.
        tally: Counts the others.
        times: Takes in every time that the export has of the product, wanted or not, see `export_step`.

    Raises:
        ManifestError: It has no options, or a damaged manifest.
        OptionsError: It has several regions, not the one asked for, or no COGs.
        SourceError: The catalogue is damaged.
        MissingExtraError: The catalogue is a table, and pyarrow is not installed.
    """
    listed = _cataloged if is_catalog(source) else lambda source, *wanted: OutputFolder(source).frames(*wanted)
    return listed(source, selection, region, tally, times)


def _cataloged(
    source: Path, selection: Selection, region: str, tally: Tally | None, times: set[datetime] | None
) -> Iterator[Exported]:
    frames = [one for one in catalog_frames(source) if not region or one.region == region]
    regions = sorted({one.region for one in frames})
    if len(regions) > 1:
        raise several_regions(source, regions)
    if region and not frames:
        raise OptionsError(f"region {region!r}: {source} has none of that name")
    for one in frames:
        frame_name = FrameName(one.product, "", one.time)
        if times is not None and selection.wants_product(frame_name):
            times.add(one.time)
        if selection.wants(frame_name):
            yield Exported(one.path, frame_name, str(one.path))
        elif tally is not None:
            tally.leave_out(frame_name)


def several_regions(source: Path, regions: Sequence[str]) -> OptionsError:
    """Return the error of a folder with several regions: one must be chosen."""
    return OptionsError(f"{source} has several regions: choose one with --region, of {', '.join(regions)}")


def _of_written_products(lines: list[Outcome]) -> list[Outcome]:
    """Return the lines without the failed frames of products that have no output."""
    written = {line.frame_name.product for line in lines if line.status == "ok" and line.frame_name}
    if not written:
        return lines
    return [line for line in lines if line.frame_name is None or line.frame_name.product in written]
