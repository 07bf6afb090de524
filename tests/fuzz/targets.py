"""The doors: for each, how a hostile input is made, and what must hold whatever it is.

A check returns whether the input was accepted. It raises `Wrong` where something was accepted that must not be, or
refused that is sound; anything else that escapes it is a finding too, whatever it is.
"""

from __future__ import annotations

import math
import os
import random
import shutil
import tempfile
import warnings
from abc import ABC, abstractmethod
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from hsrgeo.engine.export_options import ExportOptions
from hsrgeo.errors import HsrGeoError, OptionsError
from hsrgeo.formats.names import basename, claims_frame, parse_name, repeated, unrepeated
from hsrgeo.model.times import parse_step, parse_time
from hsrgeo.products.rain import parse_law
from tests.fuzz.mutate import twist_text

SANDBOX = "sandbox"


class Wrong(Exception):  # noqa: N818 - it is a verdict
    """A wrong input was accepted, or a sound one refused."""


class Target(ABC):
    """One door."""

    name: str
    share: float
    """Of all inputs, in hundredths; cheap doors have more."""

    @abstractmethod
    def make(self, chance: random.Random) -> bytes:
        """Return an input."""

    @abstractmethod
    def check(self, data: bytes) -> bool:
        """Put an input through the door, and return whether it was accepted."""

    def warm_up(self, seed: int) -> None:
        """Load what is loaded once: it is not what an input takes."""
        for number in range(20):
            with suppress(Exception), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.check(self.make(random.Random(f"{seed}/{number}")))  # noqa: S311 - as any other input


def require(holds: object, what: str) -> None:
    """Raise `Wrong` where something does not hold."""
    if not holds:
        raise Wrong(what)


@cache
def sandbox() -> Path:
    """Return a folder of this process, in memory where there is such a place, that is removed at its end."""
    shared = Path("/dev/shm")  # noqa: S108 - nothing is expected there
    usable = shared.is_dir() and os.access(shared, os.W_OK)
    return Path(tempfile.mkdtemp(prefix="hsrgeo-fuzz-", dir=shared if usable else None))


def clear_sandbox() -> None:
    """Remove the sandbox, where one was made."""
    if sandbox.cache_info().currsize:
        shutil.rmtree(sandbox(), ignore_errors=True)
        sandbox.cache_clear()


class Names(Target):
    """File names of frames."""

    name = "names"
    share = 12
    _samples = (
        "RDR_CMP_HSR_PUB_202206091115.bin.gz",
        "RDR_HSR_202206/09/RDR_CMP_HSR_PUB_202206091115.bin.gz#2",
        "C:\\data\\rdr_cmp_cpp_qcd_201402281200.BIN",
        "/a/b/../RDR_CMP_HSP_EXT_999912312359.bin",
    )

    def make(self, chance: random.Random) -> bytes:
        return twist_text(chance, chance.choice(self._samples)).encode("utf-8", "surrogatepass")

    def check(self, data: bytes) -> bool:
        text = data.decode("utf-8", "surrogatepass")
        own = basename(text)
        require("/" not in own, "a name with a folder in it")
        require(unrepeated(repeated(own, 2)) == own, "a repeated name that is not undone")
        expected = _simple_name(own)
        try:
            frame_name = parse_name(text)
        except HsrGeoError:
            require(expected is None, f"{own!r} is a sound name and was refused")
            return False
        require((frame_name.product, frame_name.kind, frame_name.time) == expected, f"{own!r} was read as {frame_name}")
        require(claims_frame(text), "a frame's name that does not claim to be one")
        return True


def _simple_name(own: str) -> tuple[str, str, datetime] | None:
    upper = own.upper()
    stem = next((upper[: -len(end)] for end in (".BIN.GZ", ".BIN") if upper.endswith(end)), None)
    parts = (stem or "").split("_")
    letters = set("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
    if not own.isascii() or len(parts) != 5 or parts[:2] != ["RDR", "CMP"] or not all(set(p) <= letters for p in parts):
        return None
    _rdr, _cmp, product, kind, digits = parts
    if not product or not kind or len(digits) != 12 or not set(digits) <= set("0123456789"):
        return None
    try:
        fields = (digits[:4], digits[4:6], digits[6:8], digits[8:10], digits[10:])
        time = datetime(*map(int, fields), tzinfo=UTC) - timedelta(hours=9)  # type: ignore[misc, arg-type]
    except (ValueError, OverflowError):
        return None
    return product, kind, time


class Times(Target):
    """Times and steps that a user typed, and the Z-R law that a tag tells."""

    name = "times"
    share = 8
    _samples = (
        "2022-06-09 11:15", "202206091115", "2022-06", "2022-06-09T02:15:00.5Z", "2022-W23-4", "20220609T1115+0900",
        "10min", "1 h", "24h", "1d", "Z = 200 R^1.6", "Z = 2e2 R^1.6",
    )  # fmt: skip

    def make(self, chance: random.Random) -> bytes:
        return twist_text(chance, chance.choice(self._samples)).encode("utf-8", "surrogatepass")

    def check(self, data: bytes) -> bool:
        text = data.decode("utf-8", "surrogatepass")
        accepted = False
        try:
            time = parse_time(text)
            require(time.utcoffset() is not None, "a time without a zone")
            time.astimezone(UTC)
            accepted = True
        except OptionsError:
            pass
        try:
            step = parse_step(text)
            require(step > timedelta(0) and not timedelta(days=1) % step, f"a step of {step}")
            accepted = True
        except OptionsError:
            pass
        if (law := parse_law(text)) is not None:
            require(0 < law.a < math.inf and 0 < law.b < math.inf, f"the law {law}")
            accepted = True
        return accepted


class Templates(Target):
    """The template of output paths (`--name`)."""

    name = "templates"
    share = 6
    _samples = (
        "{time:%Y%m/%d/%Y%m%d%H%M}", "{product}/{utc:%Y/%j/%H%M}", "{kind}_{region}_{time}", "{time:%Y}{{}}",
        "{time:%s%N%E}", "a/{utc:%Y}/../b",
    )  # fmt: skip

    def make(self, chance: random.Random) -> bytes:
        return twist_text(chance, chance.choice(self._samples)).encode("utf-8", "surrogatepass")

    def check(self, data: bytes) -> bool:
        text = data.decode("utf-8", "surrogatepass")
        try:
            recipe = ExportOptions(name=text, jobs=1).recipe
        except OptionsError:
            return False
        frame_name = parse_name("RDR_CMP_HSR_PUB_202212312355.bin.gz")
        stem = recipe.stem(frame_name, "")
        path = os.path.normpath(os.path.join("/out", stem))  # noqa: PTH118 - the oracle is not pathlib
        require(path.startswith("/out/"), f"a path outside OUT: {stem!r}")
        require(all(part not in ("", ".", "..") for part in stem.split("/")), f"an odd path: {stem!r}")
        return True


class Boxes(Target):
    """Areas as a script gives them, and what a grid makes of them."""

    name = "boxes"
    share = 3

    def make(self, chance: random.Random) -> bytes:
        near = chance.choice(((126.7, 37.4, 127.2, 37.7), (-180, -90, 180, 90), (118, 30, 134, 44), (131, 43, 140, 90)))
        edges = [str(edge + chance.choice((0, 0, chance.uniform(-1, 1), chance.uniform(-99, 99)))) for edge in near]
        if chance.random() < 0.5:
            edges[chance.randrange(4)] = chance.choice(
                ("nan", "inf", "-0.0", "1e-300", "90", "-90", "180", "x", "9e99")
            )
        return " ".join(edges[: chance.choice((4, 4, 4, 3))]).encode()

    def check(self, data: bytes) -> bool:
        from hsrgeo.model.grid_catalog import grids  # noqa: PLC0415 - the catalogue is read once
        from hsrgeo.model.window import as_bbox  # noqa: PLC0415

        accepted = False
        try:
            box = as_bbox(data.decode().split())
            for grid in grids().values():
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    window = grid.window_for(box)
                grid.crop(window)  # raises where it does not fit
                accepted = True
        except HsrGeoError:
            pass
        return accepted
