"""Frames of KMA's API hub: which times there are, what the service lists, and which answer is a frame."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from hsrgeo.errors import (
    FrameError,
    FrameNameError,
    HeaderError,
    HubError,
    HubLimitError,
    NotGzipError,
    OptionsError,
    ServiceMessageError,
)
from hsrgeo.formats import gzipped
from hsrgeo.formats.composite import MAX_STORED_BYTES, decode, product_of
from hsrgeo.formats.names import FrameName, parse_name
from hsrgeo.formats.other import text_of
from hsrgeo.hub.answers import Answer
from hsrgeo.hub.client import Hub
from hsrgeo.model.rank import Rank, rank_of
from hsrgeo.model.times import EARLY_FRAME_STEP, FIVE_MINUTES_SINCE, FRAME_STEP, KST, on_step, time_label

PRODUCTS = ("HSR", "HSP", "CPP", "PPI", "CMX", "CMB", "CMC")
"""That the service has, as read in public material (``cmp=``)."""
FRAME_BYTES = 1_300_000
"""Of a frame, about: 1.0 to 1.7 MB."""
_FILE = "/api/typ04/url/rdr_cmp_file.php"
_LIST = "/api/typ01/url/rdr_cmp_file_list.php"
_MOST_LISTED = 10_000_000  # bytes
_NAME = re.compile(r"RDR_CMP_[A-Z0-9]{1,8}_[A-Z0-9]{1,8}_\d{12}\.bin\.gz", re.IGNORECASE | re.ASCII)
_SENT_NAME = re.compile(r'filename="?([\w.-]+)', re.ASCII)
_KIND = "PUB"
"""What the service sends, as read in public material; its own word in an answer goes before."""
_LATE = timedelta(minutes=15)  # after midnight: today's list may be empty yet


@dataclass(frozen=True, slots=True)
class Sent:
    """A frame that came, and that hsrgeo reads."""

    frame_name: FrameName
    """Product, kind and time."""
    data: bytes
    """The ``.bin.gz`` file."""
    rank: Rank

    @property
    def name(self) -> str:
        """The name of its file."""
        return file_name(self.frame_name)


def file_name(frame_name: FrameName) -> str:
    """Return the name of a frame's file."""
    return f"RDR_CMP_{frame_name.product}_{frame_name.kind}_{frame_name.time.astimezone(KST):%Y%m%d%H%M}.bin.gz"


def known_product(product: str) -> str:
    """Return a product's name as files have it.

    Raises:
        OptionsError: The service has no such product.
    """
    if (name := product.strip().upper()) not in PRODUCTS:
        raise OptionsError(f"product {product!r}: KMA's API hub has {', '.join(PRODUCTS)}")
    return name


def frame_times(start: datetime, end: datetime, every: timedelta | None = None) -> list[datetime]:
    """Return the times at which there may be a frame: each 5 minutes, each 10 before 16 September 2019.

    `end` is the first time no longer wanted; with `every` only times on whole steps after midnight KST count.

    Raises:
        OptionsError: A time without a zone, an end that is not after the start, or no time between them.
    """
    if start.tzinfo is None or end.tzinfo is None:
        raise OptionsError("start and end: give them a time zone, such as hsrgeo.KST")
    if end <= start:
        raise OptionsError(f"end {time_label(end)} is not after start {time_label(start)} (the end is exclusive)")
    first = start.astimezone(KST).replace(minute=0, second=0, microsecond=0)
    times, time = [], first
    while time < end:
        step = FRAME_STEP if time >= FIVE_MINUTES_SINCE else EARLY_FRAME_STEP
        if time >= start and (every is None or on_step(time, every)):
            times.append(time)
        time += step
    if not times:
        raise OptionsError(f"no frame is made from {time_label(start, end)} at these steps")
    return times


def ask_frame(hub: Hub, product: str, time: datetime) -> Sent | None:
    """Ask for a frame; None where the service says that it has none.

    The product is as `known_product` returns it, the time on a whole minute.

    Raises:
        HubError, HubLimitError, OptionsError: See `Hub.ask`.
        FrameError: What came is no sound frame of this product and time.
    """
    query = {"tm": f"{time.astimezone(KST):%Y%m%d%H%M}", "data": "bin", "cmp": product.lower()}
    answer, is_there = hub.ask(_FILE, query, most_bytes=MAX_STORED_BYTES)
    return _checked(hub, answer, product, time) if is_there else None


def _checked(hub: Hub, answer: Answer, product: str, time: datetime) -> Sent:
    data = answer.body
    asked = f"{product} of {time_label(time)} from KMA's API hub"
    if not data.startswith(gzipped.MAGIC):
        if text_of(data):
            raise ServiceMessageError("text in place of a file", "a composite", hub.shown(answer.text), asked)
        raise NotGzipError("not gzip", f"first bytes {gzipped.MAGIC.hex(' ')}", data[:2].hex(" "), asked)
    if gzipped.peek(data, 2) == gzipped.MAGIC:  # packed once more on the way, whatever was asked for
        data = gzipped.gunzip(data, MAX_STORED_BYTES)[0]
    frame_name = FrameName(product, _kind(answer, product, time), time)
    return Sent(frame_name, data, check_frame(data, frame_name, asked))


def check_frame(data: bytes, frame_name: FrameName, source: str) -> Rank:
    """Return the rank of a frame, once hsrgeo's own reader has accepted its file as what it is called.

    Raises:
        FrameError: They are no sound frame of this product and time.
    """
    name = file_name(frame_name)
    try:
        frame = decode(data, name)
    except ServiceMessageError as error:  # within gzip; its text is nobody's business
        raise ServiceMessageError(error.problem, error.expected, "a packed text", source) from None
    except FrameError as error:
        raise error.at(source, None) from None
    found = product_of(frame.header)
    if (found == _RAIN) != (frame_name.product == _RAIN):  # the data code tells, ptype does not
        raise HeaderError(
            "another product", frame_name.product, f"{found} (data code {frame.header.data_codes[0]})", source
        )
    return rank_of(frame.header.station_count, frame.header.created, frame.crc32)


_RAIN = "HSP"


def _kind(answer: Answer, product: str, time: datetime) -> str:
    """Return the kind that the answer's own file name tells, where it is one of this frame."""
    sent = _SENT_NAME.search(answer.headers.get("content-disposition", ""))
    try:
        frame_name = parse_name(sent[1]) if sent else None
    except FrameNameError:
        frame_name = None
    return frame_name.kind if frame_name and (frame_name.product, frame_name.time) == (product, time) else _KIND


def ask_list(hub: Hub, product: str, day: date) -> list[FrameName]:
    """Ask which frames the service lists for a day of Korea, in order.

    A time may be listed before its frame is there, and under another kind than that of the file.

    Raises:
        HubError, HubLimitError, OptionsError: See `Hub.ask`.
    """
    query = {"cmp": product.lower(), "tm": f"{day:%Y%m%d}"}
    answer, _is_there = hub.ask(_LIST, query, most_bytes=_MOST_LISTED)
    listed = {
        frame_name
        for frame_name in names_in_list(answer.text)
        if frame_name.time.date() == day and frame_name.product == product
    }
    return sorted(listed, key=lambda frame_name: (frame_name.time, frame_name.kind))


def names_in_list(text: str) -> Iterator[FrameName]:
    """Yield the frames that a list names; cut lines and dates that do not exist are passed over."""
    for match in _NAME.finditer(text):
        try:
            yield parse_name(match[0])
        except FrameNameError:
            continue


def latest_times(hub: Hub, product: str, count: int = 4) -> list[datetime]:
    """Return the newest times that the service lists, the newest first: its clock counts, not this machine's.

    Raises:
        HubError: Neither today nor, early in the day, yesterday lists any.
        HubLimitError, OptionsError: See `Hub.ask`.
    """
    now = datetime.now(UTC).astimezone(KST)
    days = [now.date()]
    if now - now.replace(hour=0, minute=0, second=0, microsecond=0) < _LATE:
        days.append(now.date() - timedelta(days=1))
    listed: set[datetime] = set()
    problem = HubError(f"KMA's API hub lists no {product} of today; choose times, such as --last 1h")
    for day in days:
        try:
            listed |= {frame_name.time for frame_name in ask_list(hub, product, day)}
        except HubLimitError:
            raise
        except HubError as error:
            problem = error
    if not listed:
        raise problem
    return sorted(listed, reverse=True)[:count]
