"""Mutations that know a little of what they damage: bytes, text, and values of JSON."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from typing import Any

NUMBERS = (0, 1, -1, 2, 7, 8, 15, 16, 48, 49, 59, 60, 61, 100, 127, 128, 255, 256, 1024, 2**15 - 1, 2**15, 2**16 - 1,
           2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53, 2**63 - 1, 2**63, 2**64, -(2**15), -(2**31),
           -(2**63))  # fmt: skip
"""Where counters turn over and tables end."""
TOKENS = (
    "", "..", "/", "\\", "../", "..\\", "C:", "\0", "\n", "\r\n", "\t", " ", ",", ";", '"', "'", "{", "}", "[", "]",
    "nan", "inf", "-inf", "1e309", "-1e309", "1e-400", "0x1", "1_0", "²", "٣", "\uff19", "-0", "+1", "9" * 400,
    "#2", "#0", "%", "%s", "{0}", "{time}", "{time!r}", "{utc:%", "{product:>99}", "{product:>9999999999}",
    "\ufeff", "\u202e", "\u0301", "한글",
    "İ", "ß", "\ud800", "\udcff", "😀", "a" * 300, "CON", "nul.txt", ".hidden", "name.", "~", "$HOME", "=1+1",
    "T24:00", "-00-00", "9999-12-31T23:59", "0001-01-01", "Z", "+99:99", "-23:59", "null", "true", "NaN", "Infinity",
)  # fmt: skip
VALUES: tuple[Callable[[], Any], ...] = (
    lambda: None, lambda: True, lambda: False, list, dict, str, lambda: 0, lambda: -1, lambda: 1.5, lambda: math.nan,
    lambda: math.inf, lambda: 10**400, lambda: 2**63, lambda: "text", lambda: "..", lambda: "\0", lambda: "\ud800",
    lambda: [None], lambda: {"": {}}, lambda: [[[[]]]], lambda: ["a", 1, None], lambda: "2022-06-09T11:15",
    lambda: "9999-12-31T23:59:59-23:59", lambda: "x" * 5000,
)  # fmt: skip
_DEEP = 5000


def flip_bytes(chance: random.Random, sample: bytes, *, most: int = 4, others: tuple[bytes, ...] = ()) -> bytes:
    """Return a sample with one to `most` mutations."""
    data = bytearray(sample)
    for _ in range(chance.randint(1, most)):
        _one_mutation(chance, data, others)
    return bytes(data)


def _one_mutation(chance: random.Random, data: bytearray, others: tuple[bytes, ...]) -> None:
    at = chance.randrange(len(data) + 1)
    length = min(chance.choice((1, 1, 2, 4, 8, 20, 64, 512)), len(data) - at)
    match chance.randrange(10):
        case 0 | 1 | 2 if at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        case 3 if at < len(data):
            data[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
        case 4:
            data[at : at + length] = chance.randbytes(length)
        case 5:
            del data[at : at + length]
        case 6:
            data[at:at] = bytes(data[at : at + length]) if chance.random() < 0.5 else chance.randbytes(length)
        case 7:
            width = chance.choice((1, 2, 4, 8))
            number = chance.choice(NUMBERS) & (1 << 8 * width) - 1
            data[at : at + width] = number.to_bytes(width, chance.choice(("little", "big")))
        case 8:
            del data[at:]
        case 9 if others:
            other = chance.choice(others)
            begin = chance.randrange(len(other) + 1)
            data[at:] = other[begin:]


def twist_text(chance: random.Random, sample: str, *, most: int = 4) -> str:
    """Return a text with one to `most` mutations; it may hold lone surrogates."""
    text = sample
    for _ in range(chance.randint(1, most)):
        at = chance.randrange(len(text) + 1)
        length = chance.choice((0, 1, 1, 2, 5, 20))
        piece: str = chance.choice(TOKENS)
        match chance.randrange(7):
            case 0:
                text = text[:at] + text[at + length :]
            case 1:
                text = text[:at] + piece + text[at + length :]
            case 2:
                text = text[:at] + chr(chance.choice((chance.randrange(128), chance.randrange(0x110000)))) + text[at:]
            case 3:
                text = text[:at] + text[at : at + length] * chance.choice((2, 3, 100)) + text[at + length :]
            case 4:
                text = text[:at] + str(chance.choice(NUMBERS)) + text[at + length :]
            case 5:
                text = text.swapcase() if chance.random() < 0.3 else text[::-1] if chance.random() < 0.1 else text[:at]
            case 6:
                digits = [place for place, letter in enumerate(text) if letter.isdigit()]
                if digits:
                    place = chance.choice(digits)
                    text = text[:place] + chance.choice("0123456789-.e") + text[place + 1 :]
    return text


def text_bytes(chance: random.Random, text: str) -> bytes:
    """Return a text as a file may hold it: nearly always UTF-8."""
    form = chance.choice(("utf-8",) * 12 + ("utf-8-sig", "cp949", "utf-16"))
    try:
        return text.encode(form, "surrogatepass" if form.startswith("utf") else "replace")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def twist_json(chance: random.Random, value: Any, *, most: int = 3) -> bytes:
    """Return JSON with one to `most` nodes changed, as bytes; now and then no JSON any more."""
    document = json.loads(json.dumps(value))
    for _ in range(chance.randint(1, most)):
        document = _twist_node(chance, document)
    text = json.dumps(document, ensure_ascii=chance.random() < 0.5)
    match chance.randrange(12):
        case 0:
            text = twist_text(chance, text, most=2)
        case 1:
            nested = "[" * _DEEP + "]" * _DEEP if chance.random() < 0.5 else '{"a":' * _DEEP + "1" + "}" * _DEEP
            text = text.replace(chance.choice(("null", "{}", "[]", "0", '""', "1")), nested, 1)
        case 2:
            return flip_bytes(chance, text.encode("utf-8", "surrogatepass"))
    return text_bytes(chance, text)


def _twist_node(chance: random.Random, document: Any) -> Any:
    nodes = [(None, None), *_nodes(document)]
    parent, key = chance.choice(nodes)
    if parent is None:
        return chance.choice(VALUES)() if chance.random() < 0.05 else document
    match chance.randrange(6):
        case 0:
            del parent[key]
        case 1 if isinstance(parent[key], str):
            parent[key] = twist_text(chance, parent[key], most=2)
        case 1 if isinstance(parent[key], (int, float)):
            parent[key] = chance.choice(NUMBERS)
        case 2 if isinstance(parent, list):
            parent.append(parent[key])
        case 3:
            _parent, _key = chance.choice(nodes[1:])
            parent[key] = json.loads(json.dumps(_parent[_key]))
        case _:
            parent[key] = chance.choice(VALUES)()
    return document


def _nodes(value: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    pending = [value]
    while pending:
        node = pending.pop()
        keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
        for key in keys:
            found.append((node, key))
            pending.append(node[key])
    return found
