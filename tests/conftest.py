"""What the tests share: composite files and archives made up byte by byte, without hsrgeo.

The header is packed here field by field at the offsets of the format's table (KMA composite format, section 1), so
that a slip in `hsrgeo.formats.header` cannot hide behind the same slip here.
"""

from __future__ import annotations

import gc
import gzip
import io
import os
import signal
import struct
import tarfile
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TypedDict, Unpack

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray

from hsrgeo.formats.composite import decode
from hsrgeo.model.frame import Frame
from hsrgeo.writers import disk

# The same examples in every run; HYPOTHESIS_PROFILE=explore looks for new ones, few is for the second run of a day.
settings.register_profile("ci", derandomize=True, deadline=None, database=None, print_blob=True)
settings.register_profile("few", settings.get_profile("ci"), max_examples=10)
settings.register_profile(
    "explore", deadline=None, database=None, max_examples=1000, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

# Whether there is a terminal, and how wide it is, is what a test says, not what the machine that runs it says.
for _name in ("FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "TERMINAL_WIDTH"):
    os.environ.pop(_name, None)

NX, NY = 1153, 1441
"""The small grid, kma-hb-1km: a frame of it is a quarter of a 500 m frame, and takes a quarter of the time."""
HEADER_BYTES = 1024
BLOCK_BYTES = NX * NY * 2
SEOUL_TIME = timezone(timedelta(hours=9))
TIME = datetime(2022, 6, 9, 11, 15, tzinfo=SEOUL_TIME)
"""Observation time of a made-up frame that says nothing else."""

Pixels = NDArray[np.int16]
TimeFields = tuple[int, int, int, int, int, int]
"""Year, month, day, hour, minute, second, possible or not."""
StationEntry = tuple[bytes, TimeFields, TimeFields]
"""Code, observation time, creation time."""


class HeaderFields(TypedDict, total=False):
    """What a test may set in a header; the rest is that of a sound HSR frame."""

    version: int
    ptype: int
    time: datetime
    tm_fields: TimeFields
    """In place of `time`, where it cannot be one."""
    tm_in_fields: TimeFields
    stations: Sequence[StationEntry]
    num_stn: int
    """In place of the number of `stations`."""
    map_code: int
    map_etc: int
    nx: int
    ny: int
    nz: int
    dxy: int
    dz: int
    z_min: int
    num_data: int
    data_codes: Sequence[int]
    etc: bytes


def time_fields(time: datetime) -> TimeFields:
    return time.year, time.month, time.day, time.hour, time.minute, time.second


def make_header(**fields: Unpack[HeaderFields]) -> bytes:
    """Return 1,024 bytes; offsets and types as in the table of the format."""
    time = fields.get("time", TIME)
    tm = fields.get("tm_fields", time_fields(time))
    tm_in = fields.get("tm_in_fields", time_fields(time + timedelta(minutes=6, seconds=42)))
    stations = fields.get("stations", [(code, tm, tm_in) for code in (b"KWK", b"GDK", b"BRI")])
    codes = fields.get("data_codes", (1, 2, 3))
    head = bytearray(HEADER_BYTES)
    struct.pack_into("<b", head, 0, fields.get("version", 1))
    struct.pack_into("<h", head, 1, fields.get("ptype", 5))
    _put_time(head, 3, tm)
    _put_time(head, 10, tm_in)
    struct.pack_into("<b", head, 17, fields.get("num_stn", len(stations)))
    struct.pack_into("<b", head, 18, fields.get("map_code", 1))
    struct.pack_into("<b", head, 19, fields.get("map_etc", 0))
    struct.pack_into("<h", head, 20, fields.get("nx", NX))
    struct.pack_into("<h", head, 22, fields.get("ny", NY))
    struct.pack_into("<h", head, 24, fields.get("nz", 1))
    struct.pack_into("<h", head, 26, fields.get("dxy", 1000))
    struct.pack_into("<h", head, 28, fields.get("dz", 0))
    struct.pack_into("<h", head, 30, fields.get("z_min", 0))
    struct.pack_into("<b", head, 32, fields.get("num_data", 3))
    for order, data_code in enumerate(codes):
        struct.pack_into("<b", head, 33 + order, data_code)
    struct.pack_into("15s", head, 49, fields.get("etc", b""))
    for order, (code, observed, created) in enumerate(stations):
        offset = 64 + 20 * order
        struct.pack_into("6s", head, offset, code)
        _put_time(head, offset + 6, observed)
        _put_time(head, offset + 13, created)
    return bytes(head)


def _put_time(head: bytearray, offset: int, fields: TimeFields) -> None:
    struct.pack_into("<h", head, offset, fields[0])
    for order, value in enumerate(fields[1:]):
        struct.pack_into("<b", head, offset + 2 + order, value)


def make_pixels() -> Pixels:
    """Return a north-up array of the small grid with every class in it, see `COUNTS`."""
    pixels = np.full((NY, NX), -30000, np.int16)
    pixels[100:1300, 100:1100] = -25000
    pixels[600:856, 400:656] = (np.arange(65536) % 6000 - 500).reshape(256, 256)  # -5.00 .. 54.99 dBZ
    pixels[150, 200:212] = -29687  # 1/16 of the way from -30000 to -25000: a blend, not observed
    pixels[151, 200:207] = -22187  # 9/16 of the way from -25000 to -20000: a blend, no echo
    pixels[152, 200:203] = -20000
    pixels[152, 203:205] = -20100
    return pixels


COUNTS = {
    "nodata": NX * NY - 1200 * 1000 + 12,
    "undetect": 1200 * 1000 - 256 * 256 - 12,
    "echo": 256 * 256,
    "blend": 12 + 7,
}
"""Cells of each class in `make_pixels`."""


class MakeFile:
    """Makes the bytes of a composite file, sound unless asked otherwise."""

    def __init__(self) -> None:
        self.pixels = make_pixels()
        self.pixels.flags.writeable = False

    def __call__(
        self, *blocks: Pixels, gz: bool = True, level: int = 1, name: str = "", **fields: Unpack[HeaderFields]
    ) -> bytes:
        """Return a ``.bin.gz`` file, or with ``gz=False`` a ``.bin`` file.

        Args:
            blocks: North-up arrays; none for one block of `make_pixels`. The first gives nx and ny.
            gz: Whether to pack it.
            level: zlib level.
            name: File name inside the gzip header; none where empty.
            fields: See `HeaderFields`.
        """
        layers = blocks or (self.pixels,)
        fields.setdefault("ny", layers[0].shape[0])
        fields.setdefault("nx", layers[0].shape[1])
        plain = make_header(**fields) + b"".join(layer[::-1].astype("<i2").tobytes() for layer in layers)
        return gzip_bytes(plain, level=level, name=name) if gz else plain


def gzip_bytes(plain: bytes, *, level: int = 1, name: str = "") -> bytes:
    packed = io.BytesIO()
    with gzip.GzipFile(name, "wb", level, packed, mtime=0) as stream:
        stream.write(plain)
    return packed.getvalue()


def hear_signals() -> None:
    """Let a process that is started be interrupted, also where the tests run with signals ignored, as under nohup."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)


def frame_name(time: datetime = TIME, product: str = "HSR", kind: str = "PUB", suffix: str = ".bin.gz") -> str:
    """Return the file name of a frame."""
    return f"RDR_CMP_{product}_{kind}_{time:%Y%m%d%H%M}{suffix}"


def make_tar(
    entries: Sequence[tuple[str | tarfile.TarInfo, bytes]], *, gz: bool = True, tar_format: int = tarfile.GNU_FORMAT
) -> bytes:
    """Return an archive of members in this order; a name stands for a regular file."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tar_format) as tar:
        for entry, data in entries:
            member = tarfile.TarInfo(entry) if isinstance(entry, str) else entry
            if member.isreg():
                member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return gzip_bytes(packed.getvalue()) if gz else packed.getvalue()


@pytest.fixture(scope="session")
def make_file() -> MakeFile:
    """Give the maker of composite files."""
    return MakeFile()


@pytest.fixture(scope="session")
def pixels(make_file: MakeFile) -> Pixels:
    """Give the north-up array of the default frame, read-only."""
    return make_file.pixels


@pytest.fixture(scope="session")
def frame_file(make_file: MakeFile) -> bytes:
    """Give the bytes of a sound ``.bin.gz`` frame: HSR, 2022-06-09 11:15 KST, 1 km grid, one block."""
    return make_file()


@pytest.fixture(scope="session")
def frame(frame_file: bytes) -> Frame:
    """Give this frame as stored: every class is in it."""
    return decode(frame_file, frame_name())


@pytest.fixture(scope="session")
def samples() -> Path:
    """Give the folder of rebuilt sample frames; they are not part of the project, and may be missing."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "samples"
    folder = Path(os.environ.get("HSRGEO_SAMPLES", beside))
    if not any(folder.glob("RDR_CMP_*.bin.gz")):
        pytest.skip(f"no sample frames in {folder}; HSRGEO_SAMPLES names another folder")
    return folder


@pytest.fixture(autouse=True, scope="session")
def the_disk_is_not_waited_for() -> Iterator[None]:
    """Flush nothing in this process: only a power cut would tell, and `tests/power.py` stands for one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _descriptor: None)
        patch.setattr(disk, "_syncfs", lambda: lambda _descriptor: 0)
        yield


@pytest.fixture(autouse=True)
def no_file_left_open(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fail a test that leaves a file open below the temporary folder.

    A file that is dropped without being closed fails on its own: warnings are errors, ResourceWarning among them.
    """
    base = str(tmp_path_factory.getbasetemp())
    before, running = _open_below(base), set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - running:
        if thread.name.startswith("hsrgeo-"):  # one that reads on for a moment would open files in the next test
            thread.join()
    if _open_below(base) - before:
        gc.collect()  # a suspended generator in a reference cycle closes its file here
    end = time.monotonic() + 10
    while (left := _open_below(base) - before) and time.monotonic() < end:
        time.sleep(0.02)  # where one chunk cannot be read, Dask's other threads read on for a moment
    assert not left, f"left open: {sorted(left)}"


def _open_below(folder: str) -> set[tuple[str, str]]:
    # Twice for each test: plain texts take a fifth of the time of paths.
    found = set()
    for descriptor in os.listdir(_TABLE) if os.path.isdir(_TABLE) else ():  # noqa: PTH112, PTH208
        try:
            target = os.readlink(f"{_TABLE}/{descriptor}")  # noqa: PTH115
        except OSError:
            continue  # the one that listed the table
        if target.startswith(folder):
            found.add((descriptor, target))
    return found


_TABLE = "/proc/self/fd"
