"""A small budget of mutated inputs through every door, and proof that the fuzzer finds what it looks for.

The budget here is fixed; by hand it is larger: `python -m tests.fuzz --inputs 1000000`.
"""

from __future__ import annotations

import os
import random
import time
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hsrgeo.formats import composite, gzipped
from hsrgeo.formats.header import parse_header
from hsrgeo.sources import archives
from hsrgeo.sources.found import Found, Tally
from hsrgeo.sources.select import Selection
from tests.fuzz import run as fuzz
from tests.fuzz.targets import Target, clear_sandbox, require

SEED = 1
BUDGET = {
    "header": 4000, "gzip": 1000, "frame": 100, "tar": 500, "extract": 200, "names": 4000, "times": 2000,
    "templates": 1000, "boxes": 200, "regions": 700, "gauges": 700, "basins": 100, "options": 400, "manifest": 300,
    "catalogs": 300,
    "volume": 60,
}  # fmt: skip

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="watches its processes through /proc")


@pytest.fixture(autouse=True)
def no_sandbox_left() -> object:
    yield
    clear_sandbox()


@pytest.mark.slow
@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_hostile_inputs_are_read_or_refused(name: str) -> None:
    if name == "basins":
        pytest.importorskip("pyogrio")
    fuzz.TARGETS[name].warm_up(SEED)  # imports are no part of the time that an input may take
    tally = fuzz.try_inputs(fuzz.TARGETS[name], SEED, range(BUDGET[name]))
    assert tally.findings == []
    assert tally.inputs == BUDGET[name]
    assert tally.accepted > 0  # not every input is nonsense
    if name != "manifest":  # of which every damage heals
        assert tally.accepted < tally.inputs  # nor is every damage overlooked


def test_an_input_follows_from_its_number() -> None:
    for target in fuzz.TARGETS.values():
        first = [fuzz.make_input(target, SEED, number) for number in range(5)]
        assert first == [fuzz.make_input(target, SEED, number) for number in range(5)]
        assert len({*first, fuzz.make_input(target, SEED + 1, 0)}) > 3


# -- what is wrong is found -------------------------------------------------------------------------------------------


def findings(name: str, count: int) -> list[str]:
    return [problem for _number, problem in fuzz.try_inputs(fuzz.TARGETS[name], SEED, range(count)).findings]


def test_a_reader_without_a_check_of_the_crc_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def unchecked(data: bytes, limit: int) -> tuple[bytes, str]:
        return zlib.decompressobj(-15).decompress(data[10:-8], limit), ""

    monkeypatch.setattr(gzipped, "gunzip", unchecked)
    assert any("other bytes" in problem for problem in findings("gzip", 300))


def test_a_header_with_two_fields_changed_round_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def swapped(data: bytes) -> object:
        return parse_header(data[:18] + data[19:20] + data[18:19] + data[20:])  # map_code and map_etc

    monkeypatch.setattr("tests.fuzz.bytes_targets.parse_header", swapped)
    assert any("map_code" in problem for problem in findings("header", 100))


def test_pixels_that_lie_upside_down_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = composite.Unpacked.block
    monkeypatch.setattr(composite.Unpacked, "block", lambda self, number: right(self, number)[::-1])
    assert any("other pixels" in problem for problem in findings("frame", 30))


def test_a_member_that_is_cut_short_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(path: Path, selection: Selection, tally: Tally) -> Iterator[Found]:
        for found in archives.frames_in_archive(path, selection, tally):
            yield replace(found, data=found.data[:-1]) if found.data else found

    monkeypatch.setattr("tests.fuzz.bytes_targets.frames_in_archive", cut)
    assert any("is not in the archive" in problem for problem in findings("tar", 200))


class Decoy(Target):
    """A door with a fault at one input."""

    name = "decoy"
    share = 1

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def make(self, chance: random.Random) -> bytes:
        return bytes([chance.randrange(256)])

    def warm_up(self, seed: int) -> None:
        pass

    def check(self, data: bytes) -> bool:
        if data[0] < 40:
            match self.fault:
                case "hang":
                    time.sleep(60)
                case "spin":
                    while True:
                        pass
                case "memory":
                    bytearray(2 * fuzz.BOUND_BYTES)
                case "end":
                    os._exit(3)
                case "accepts":
                    require(data[0] > 40, "it is too small")
                case "error":
                    raise KeyError("a bug")
        return True


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("hang", "HangError: more than 2 s ("),
        ("spin", "HangError: more than 0.5 s of the processor ("),
        ("memory", "MemoryError"),
        ("end", "the process ended with 3"),
        ("accepts", "Wrong: it is too small"),
        ("error", "KeyError: 'a bug'"),
    ],
)
def test_a_fault_of_each_kind_is_found_and_kept(
    tmp_path: Path, fault: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    decoy = Decoy(fault)
    monkeypatch.setitem(fuzz.TARGETS, "decoy", decoy)
    monkeypatch.setattr(fuzz, "LIMIT_S", 0.5)
    monkeypatch.setattr(fuzz, "WAIT_S", 2)
    inputs, seed = 12, 3  # of which one is below 40
    if fault in ("memory", "end"):  # these need a process of their own
        tally = fuzz.run(["decoy"], inputs, seed, 1, tmp_path / "found")["decoy"]
        kept = sorted((tmp_path / "found").iterdir())
        assert len(kept) == len(tally.findings)
        assert kept[0].read_bytes()[0] < 40
        assert f"FOUND {tmp_path / 'found' / 'decoy-3-'}" in capsys.readouterr().out
    else:
        tally = fuzz.try_inputs(decoy, seed, range(inputs))
    bad = [number for number in range(inputs) if fuzz.make_input(decoy, seed, number)[0] < 40]
    assert len(bad) == 1
    assert [number for number, _problem in tally.findings] == bad
    assert all(problem.startswith(message) for _number, problem in tally.findings)
    assert (tally.inputs, tally.accepted) == (inputs, inputs - len(bad))


@pytest.mark.slow
def test_the_exit_status_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fuzz.TARGETS, "decoy", Decoy("error"))
    asked = ["--seed", "3", "--inputs", "12", "--findings", str(tmp_path / "found"), "--target", "decoy"]
    assert fuzz.main(asked) == 1
    assert [path.name for path in (tmp_path / "found").iterdir()] == ["decoy-3-9"]
    monkeypatch.setattr(fuzz, "run", lambda *_asked: {"decoy": fuzz.Tally(inputs=12)})
    assert fuzz.main(asked) == 0
