from __future__ import annotations

import re
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsrgeo.errors import FrameNameError
from hsrgeo.formats.names import FrameName, basename, claims_frame, parse_name
from hsrgeo.model.times import KST

EXPECTED = "expected RDR_CMP_<type>_<kind>_<YYYYMMDDHHMM>.bin.gz with a real date (KST)"
LETTERS = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=1, max_size=5)
TIMES = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31))  # noqa: DTZ001 - made aware by the test


@pytest.mark.parametrize(
    ("name", "product", "kind", "time"),
    [
        ("RDR_CMP_HSR_PUB_202206091115.bin.gz", "HSR", "PUB", datetime(2022, 6, 9, 11, 15, tzinfo=KST)),
        ("RDR_CMP_HSP_EXT_202301010000.bin", "HSP", "EXT", datetime(2023, 1, 1, 0, 0, tzinfo=KST)),
        ("RDR_CMP_CPP_QCD_201402282355.bin.gz", "CPP", "QCD", datetime(2014, 2, 28, 23, 55, tzinfo=KST)),
        ("rdr_cmp_hsr_kma_202402290000.BIN.GZ", "HSR", "KMA", datetime(2024, 2, 29, 0, 0, tzinfo=KST)),
        (
            "RDR_HSR_202206/09/RDR_CMP_HSR_PUB_202206091115.bin.gz",
            "HSR",
            "PUB",
            datetime(2022, 6, 9, 11, 15, tzinfo=KST),
        ),
        ("RDR_CMP_HSR_PUB_202206091115 (1).bin.gz", "HSR", "PUB", datetime(2022, 6, 9, 11, 15, tzinfo=KST)),
        ("RDR_CMP_HSR_PUB_202206091115.bin (2).gz", "HSR", "PUB", datetime(2022, 6, 9, 11, 15, tzinfo=KST)),
        ("RDR_CMP_HSR_PUB_202206091115.bin(1).gz", "HSR", "PUB", datetime(2022, 6, 9, 11, 15, tzinfo=KST)),
        ("D:\\radar\\RDR_CMP_HSR_PUB_202206091115.bin.gz", "HSR", "PUB", datetime(2022, 6, 9, 11, 15, tzinfo=KST)),
    ],
)
def test_parse_name(name: str, product: str, kind: str, time: datetime) -> None:
    frame_name = parse_name(name)
    assert frame_name == FrameName(product, kind, time)
    assert frame_name.time.utcoffset() == KST.utcoffset(None)


@given(LETTERS, LETTERS, TIMES, st.sampled_from([".bin", ".bin.gz"]))
def test_every_name_of_the_pattern_is_read(product: str, kind: str, time: datetime, suffix: str) -> None:
    digits = f"{time.year:04}{time.month:02}{time.day:02}{time.hour:02}{time.minute:02}"
    frame_name = parse_name(f"RDR_CMP_{product}_{kind}_{digits}{suffix}")
    assert frame_name == FrameName(product, kind, time.replace(second=0, microsecond=0, tzinfo=KST))


@pytest.mark.parametrize(
    "name",
    [
        "",
        "frame.bin.gz",
        "RDR_CMP_HSR_PUB_202206091115",
        "RDR_CMP_HSR_PUB_202206091115.bin.gz.part",
        "RDR_CMP_HSR_PUB_202206091115.tif",
        "RDR_CMP_HSR_PUB_20220609111.bin.gz",  # 11 digits
        "RDR_CMP_HSR_PUB_2022060911150.bin.gz",  # 13 digits
        "RDR_CMP_HSR_202206091115.bin.gz",  # no kind
        "RDR_CMP_HSR_PUB_X_202206091115.bin.gz",
        "RDR_CMP__PUB_202206091115.bin.gz",
        "RDR_PCP_HSR_KMA_M060_202206091115.bin.gz",  # an accumulation, with a head of its own
        "._RDR_CMP_HSR_PUB_202206091115.bin.gz",  # AppleDouble
        "RDR_CMP_HSR_PUB_202206091115.bin.gz\n",
        "RDR_CMP_HSR_PUB_202213091115.bin.gz",  # month 13
        "RDR_CMP_HSR_PUB_202200091115.bin.gz",
        "RDR_CMP_HSR_PUB_202206311115.bin.gz",  # 31 June
        "RDR_CMP_HSR_PUB_202302291115.bin.gz",  # no leap year
        "RDR_CMP_HSR_PUB_202206002315.bin.gz",
        "RDR_CMP_HSR_PUB_202206092400.bin.gz",
        "RDR_CMP_HSR_PUB_202206091160.bin.gz",
        "RDR_CMP_HSR_PUB_000006091115.bin.gz",  # year 0
        "RDR_CMP_HSR_PUB_000101010000.bin.gz",  # KST, so the year 0 in UTC: no such time
        "RDR_CMP_HSR_PUB_２０２２０６０９１１１５.bin.gz",  # noqa: RUF001 - digits, but not ASCII's
        "RDR_CMP_H\u017fR_PUB_202206091115.bin.gz",  # a long s, which is an S where case is ignored
    ],
)
def test_parse_name_refuses(name: str) -> None:
    with pytest.raises(FrameNameError, match=f"^{re.escape(f'file name: {EXPECTED}, found {name}')}$"):
        parse_name(name)


def test_the_folder_is_no_part_of_what_was_found() -> None:
    with pytest.raises(FrameNameError, match=r"found x\.bin$"):
        parse_name("RDR_CMP_HSR_PUB_202206091115.bin.gz/x.bin")


@pytest.mark.parametrize(
    ("name", "claims"),
    [
        ("RDR_CMP_HSR_PUB_202206091115.bin.gz", True),
        ("a/b/RDR_CMP_HSR_PUB_202206091115.bin", True),
        ("rdr_cmp_hsr_pub_202206091115.bin.gz", True),
        ("RDR_CMP_HSR_PUB_202213991115.bin.gz", True),  # a malformed date is a broken frame, not something else
        ("RDR_CMP_HSR_PUB_2022.bin.gz", True),
        ("RDR_CMP_new\nline.bin", True),
        ("RDR_CMP_HSR_PUB_202206091115.bin.gz.part", False),
        ("RDR_CMP_HSR_PUB_202206091115.tif", False),
        ("._RDR_CMP_HSR_PUB_202206091115.bin.gz", False),
        ("old_RDR_CMP_HSR_PUB_202206091115.bin.gz", False),
        ("RDR_PCP_HSR_KMA_M060_202206091115.bin.gz", False),
        ("RDR_CMP_HSR_PUB_202206091115.bin.gz/notes.txt", False),
        ("frame.bin.gz", False),
        ("", False),
    ],
)
def test_claims_frame(name: str, claims: bool) -> None:  # noqa: FBT001 - a column of the table
    assert claims_frame(name) is claims


@given(st.text("aZ09._ 한\n/\\"), st.text("aZ09._ 한\n", min_size=1), st.sampled_from("/\\"))
def test_basename_is_what_follows_the_last_separator(folder: str, own: str, separator: str) -> None:
    assert basename(f"{folder}{separator}{own}") == own
    assert basename(own) == own


@given(LETTERS, LETTERS, st.text("0123456789", min_size=12, max_size=12))
def test_what_is_read_is_claimed(product: str, kind: str, digits: str) -> None:
    name = f"RDR_CMP_{product}_{kind}_{digits}.bin.gz"
    assert claims_frame(name)
    try:
        time = datetime(*(int(digits[a:b]) for a, b in ((0, 4), (4, 6), (6, 8), (8, 10), (10, 12))))  # type: ignore[arg-type]  # noqa: DTZ001
    except ValueError:
        with pytest.raises(FrameNameError):
            parse_name(name)
    else:
        assert parse_name(name).time.replace(tzinfo=None) == time
