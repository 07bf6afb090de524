"""Manifest lines read by one expression: what JSON says of them, or nothing, whatever somebody made of the line."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hsrgeo
from hsrgeo.formats.names import FrameName
from hsrgeo.model.quantity import Statistics
from hsrgeo.model.times import KST
from hsrgeo.outputs.names import MANIFEST
from hsrgeo.outputs.outcome import Outcome, Output, from_json, to_json
from hsrgeo.outputs.usual_lines import entry_of, usual_entry, usual_outcome

USUAL = Outcome(
    "archive/RDR_레이더_202206.tar.gz",
    "09/RDR_CMP_HSR_PUB_202206090615.bin.gz",
    FrameName("HSR", "PUB", datetime(2022, 6, 9, 6, 15, tzinfo=KST)),
    "ok",
    (Output("a/202206/09/202206090615.tif", 9296, 0x6DE6A838), Output("a/202206/09/202206090615.png", 92, 3)),
    seconds=0.3796,
    stations=10,
    created="2022-06-08T21:21:36Z",
    crc32=0x77715F58,
    stamp="409571-c43dd134-585f717782acca00",
    statistics={
        "a": Statistics("dBZ", 0, 1953, 3943, -99.59, 3.2582, 23.49, 18.8533),
        "b": Statistics("dBZ", 5, 0, 0, None, None, None, None),
    },
)
DRY = Outcome("f.bin.gz", None, USUAL.frame_name, "dry", crc32=1, stamp="1-2-3")


def line_of(outcome: Outcome) -> bytes:
    return json.dumps(to_json(outcome), ensure_ascii=False).encode() + b"\n"


@pytest.mark.parametrize("outcome", [USUAL, DRY])
def test_a_usual_line(outcome: Outcome) -> None:
    assert usual_outcome(line_of(outcome)) == outcome
    assert usual_entry(line_of(outcome)) == entry_of(outcome)


def test_what_an_export_writes_is_usual(tmp_path: Path) -> None:
    frames = Path(__file__).parents[2] / "examples" / "frames"
    for _ in hsrgeo.export(frames, tmp_path, bbox=(126.7, 37.4, 127.2, 37.7), jobs=1):
        pass
    for line in (tmp_path / MANIFEST).read_bytes().splitlines(keepends=True):
        assert usual_outcome(line) == from_json(json.loads(line))


@pytest.mark.parametrize(
    ("instead", "of"),
    [
        (b'"member": 7', b'"member": "09/RDR_CMP_HSR_PUB_202206090615.bin.gz"'),
        (b'"path": "/etc', b'"path": "a'),
        (b'"path": "../a', b'"path": "a'),
        (b'"path": "."', b'"path": "a/202206/09/202206090615.png"'),
        (b"2022-02-30T06:15", b"2022-06-09T06:15"),
        (b"2022-06-31T21:21:36Z", b"2022-06-08T21:21:36Z"),
        (b'"bytes": -1', b'"bytes": 92'),
        (b'"stations": true', b'"stations": 10'),
        (b'"status": "skip"', b'"status": "ok"'),
        (b'"unit": 3', b'"unit": "dBZ"'),
        (b'"mean": 1e10', b'"mean": 3.2582'),
        (b'"bytes": 092', b'"bytes": 92'),
        (b"}, ]", b"}]"),
        (b"\xff", b"09/RDR"),
        (b"\\u000a", b"09/RDR"),
        (b"", b"\n"),
    ],
)
def test_any_other_line_is_not(instead: bytes, of: bytes) -> None:
    line = line_of(USUAL)
    assert line.count(of) >= 1
    assert usual_outcome(line.replace(of, instead, 1)) is None
    assert usual_entry(line.replace(of, instead, 1)) is None


@pytest.mark.slow
@given(
    st.integers(0, len(line_of(USUAL))),
    st.integers(0, 12),
    st.text("0123456789abcdefZT:-+./\\\"'{}[], \n\t\x00\x7f\u2028가null", max_size=4)
    | st.sampled_from(["..", "/", "null"]),
)
def test_a_changed_line_says_what_json_says_or_nothing(at: int, length: int, instead: str) -> None:
    line = line_of(USUAL)
    line = line[:at] + instead.encode() + line[at + length :]
    outcome = usual_outcome(line)
    entry = usual_entry(line)
    assert (entry is None) == (outcome is None)
    if outcome is not None:
        assert outcome == from_json(json.loads(line.decode("utf-8-sig")))
        assert entry == entry_of(outcome)
