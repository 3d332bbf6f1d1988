"""The pictures of the README: made from what was printed, asking nobody, and in step with the code."""

from __future__ import annotations

import struct
import sys
import zlib
from pathlib import Path

import pytest
from tools import docs, page_png, tour_svg
from tools.tour_svg import Line, recorded, render

TAKEN = [
    Line("The mesh is up after 2.0 s.  ingress http://127.0.0.1:8080", 2.5),
    Line("", 0.0),
    Line("\x1b[32mok  \x1b[0m  request routing: all v1", 1.25),
    Line("\x1b[2m      saw 10 of v1, stars none\x1b[0m", 0.0),
    Line("\x1b[32mok  \x1b[0m  mutual TLS: STRICT", 0.5),
    Line("\x1b[2m      saw " + "a long story " * 9 + "\x1b[0m", 0.0),
    Line("\x1b[31m\x1b[1mFAIL\x1b[0m  mirroring: v1, copied to v3", 0.5),
]


def test_a_picture_shows_every_line_and_the_time_of_every_step() -> None:
    lines = docs.picture_lines(render("meltemi demo", TAKEN))
    assert lines[0] == "$ meltemi demo"
    assert lines[3] == "ok    request routing: all v1" + "1.2 s".rjust(51)
    assert max(map(len, lines)) <= tour_svg.WIDTH
    assert "".join(lines).count("a long story") == 9


def test_equal_lines_make_an_equal_picture_that_asks_nobody() -> None:
    made = render("meltemi demo", TAKEN)
    assert made == render("meltemi demo", TAKEN)
    hosts = made.replace("http://www.w3.org/2000/svg", "").replace("http://127.0.0.1:8080", "")
    assert "://" not in hosts
    assert "url(" not in hosts.replace("url(#", "")


def test_only_steps_that_went_well_count() -> None:
    assert docs.picture_steps(render("x", TAKEN)) == ["request routing: all v1", "mutual TLS: STRICT"]


def test_the_committed_picture_shows_the_tour_of_the_code() -> None:
    steps = docs.picture_steps((docs.ROOT / "docs" / "tour.svg").read_text(encoding="utf-8"))
    assert len(steps) > 10
    assert steps == docs.tour_steps()
    assert docs.stale_pictures() == []


def test_a_tour_that_changed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = docs.tour_steps()
    for other in ([*steps, "one more"], steps[1:], [*steps[1:], steps[0]]):
        monkeypatch.setattr(docs, "tour_steps", lambda other=other: other)
        assert [path.name for path in docs.stale_pictures()] == ["tour.svg"]


def test_a_picture_that_is_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docs, "ROOT", tmp_path)
    assert [path.name for path in docs.stale_pictures()] == ["tour.svg", "bookinfo.png"]


def test_what_a_command_prints_is_recorded_with_its_exit_code() -> None:
    code = "import sys; print('one'); print('two', sys.stdout.isatty()); sys.exit(3)"
    found, lines = recorded((sys.executable, "-c", code), {})
    assert found == 3
    assert [line.text for line in lines] == ["one", "two True"]


def test_a_smaller_picture_has_the_same_pixels() -> None:
    rows = (b"\0" + b"\x10\x20\x30" * 40) * 40
    head = struct.pack(">IIBBBBB", 40, 40, 8, 2, 0, 0, 0)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    loose = zlib.compress(rows, 0)
    png = b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", head),
            chunk(b"tEXt", b"Software\0x"),
            chunk(b"IDAT", loose[:1000]),
            chunk(b"IDAT", loose[1000:]),
            chunk(b"IEND", b""),
        )
    )
    made = page_png.smaller(png)
    assert made.startswith(png[:33])
    start = made.index(b"IDAT")
    (length,) = struct.unpack(">I", made[start - 4 : start])
    assert zlib.decompress(made[start + 4 : start + 4 + length]) == rows
    assert len(made) < len(png) // 10


def test_the_committed_page_is_wide_and_small() -> None:
    data = (docs.ROOT / "docs" / "bookinfo.png").read_bytes()
    assert struct.unpack(">II", data[16:24])[0] == page_png.SIZE[0]
    assert len(data) < 150_000
