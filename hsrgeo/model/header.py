"""The header of a composite, every field of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

PRODUCTS_BY_PTYPE: dict[int, str] = {
    0: "PPI", 1: "CPP", 2: "CMX", 3: "ETOP", 4: "EBASE", 5: "HSR", 6: "HCI", 7: "VIL", 8: "WIND", 9: "LNG",
    10: "PCP", 15: "NUM",
}  # fmt: skip
"""``ptype`` as the product a file name would carry (KMA composite format, section 1)."""

SYNTHETIC_MARK = b"SYNTHETIC"
"""Start of the field ``etc`` in frames made by `hsrgeo simulate`; KMA leaves that field empty."""
NOT_KMA_MARK = b"NOTKMA"
"""End of the same field in frames that hsrgeo made from KMA's, after `SYNTHETIC_MARK` where those were synthetic."""


@dataclass(frozen=True, slots=True)
class Station:
    """A radar that took part in a composite."""

    code: str
    """Up to six letters, such as KWK."""
    time: datetime | None
    """Observation time, or None where it is not filled in."""
    created: datetime | None
    """Creation time, or None where it is not filled in."""


@dataclass(frozen=True, slots=True)
class Header:
    """The first 1,024 bytes of a composite.

    References:
        KMA composite format, section 1, "Header".
    """

    version: int
    """1."""
    ptype: int
    """5 for HSR."""
    time: datetime
    """Observation time ``tm``. A second of 60 occurs; it is read as 59, so that the minute stays."""
    created: datetime | None
    """Creation time ``tm_in``, or None where it is not filled in."""
    station_count: int
    """Radars used, ``num_stn``."""
    map_code: int
    """1 for the HB grids."""
    map_etc: int
    nx: int
    """Columns."""
    ny: int
    """Rows."""
    nz: int
    """Levels."""
    dxy: int
    """Cell size in metres."""
    dz: int
    """Level distance in metres."""
    z_min: int
    """Lowest level in metres."""
    num_data: int
    """Blocks that the header claims; the length of the file decides."""
    data_codes: tuple[int, ...]
    """Code of each of up to 16 blocks."""
    etc: bytes
    """15 bytes, empty in KMA's files."""
    stations: tuple[Station, ...]
    """The first `station_count` entries of the station list."""

    @property
    def synthetic(self) -> bool:
        """Whether the frame was made up by `hsrgeo simulate`."""
        return self.etc.startswith(SYNTHETIC_MARK)

    @property
    def not_kma(self) -> bool:
        """Whether somebody made the values from others, so that they are no product of KMA's."""
        return self.etc.rstrip(b"\0").endswith(NOT_KMA_MARK)
