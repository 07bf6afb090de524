"""What an answer of KMA's API hub means. It says most of what goes wrong in a text, some of it with the status 200."""

from __future__ import annotations

import email.utils
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Literal

from hsrgeo.formats import gzipped

Meaning = Literal["data", "missing", "too fast", "overload", "not applied", "used up", "wrong key", "other"]
"""``data`` is anything that may be what was asked for; ``overload`` may pass in a moment."""

_MISSING = ("# file not exist", "자료가 없음")
"""KMA composite format, section 5; the second of the service of single values."""
_TEXT_BYTES = 4096  # of an answer that may be a message
_MOST_UNPACKED = 1 << 26
_STATUS = re.compile(r"[1-5]\d\d")
_BUSY = (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT)
_REFUSALS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came for a question."""

    status: int
    """Of HTTP."""
    headers: Mapping[str, str]
    """With names in small letters."""
    body: bytes

    @property
    def text(self) -> str:
        """The body as text: UTF-8, or KMA's EUC-KR."""
        body = self.body
        if body.startswith(gzipped.MAGIC):  # packed on the way, whatever was asked for
            body = gzipped.peek(body, min(_MOST_UNPACKED, 64 * len(body)))
        try:
            return body.decode("utf-8-sig")
        except UnicodeDecodeError:
            return body.decode("cp949", "replace")

    @property
    def retry_after_s(self) -> float | None:
        """Seconds that the service wants to be left alone for (RFC 9110, section 10.2.3); None where it tells none."""
        seconds = self.headers.get("retry-after", "").strip()
        if seconds.isdecimal() and len(seconds) < len("1000000000"):
            return float(seconds)
        try:
            until = email.utils.parsedate_to_datetime(seconds)
            return max((until - datetime.now(UTC)).total_seconds(), 0.0)
        except (ValueError, TypeError, OverflowError):  # no date, or one without a zone
            return None


def meaning_of(answer: Answer) -> tuple[Meaning, str]:
    """Return what an answer means, and what the service says of it where it is a message."""
    start = "" if answer.body.startswith(gzipped.MAGIC) else Answer(0, {}, answer.body[:_TEXT_BYTES]).text.strip()
    status, message = _own_status(start) or (answer.status, start)
    if status == HTTPStatus.TOO_MANY_REQUESTS or (status in _BUSY and answer.retry_after_s is not None):
        return "too fast", message
    if status in _REFUSALS:
        if "활용신청" in message:
            return "not applied", message
        return ("used up" if "용량" in message or "횟수" in message else "wrong key"), message
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or (status == HTTPStatus.OK and not answer.body.strip()):
        return "overload", message
    if status != HTTPStatus.OK:
        return "other", message
    first = start.partition("\n")[0]  # further down a table may explain its codes in such words
    return ("missing" if any(mark in first for mark in _MISSING) else "data"), message


def _own_status(text: str) -> tuple[int, str] | None:
    """Return the status and the message of the service's JSON: ``{"result": {"status": 403, "message": "..."}}``."""
    if not text.startswith("{"):
        return None
    try:
        value = json.loads(text)
        result = value.get("result", value)
        status, message = str(result["status"]), str(result.get("message", ""))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return (int(status), message) if _STATUS.fullmatch(status) else None
