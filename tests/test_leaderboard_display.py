"""Names and numbers as a board shows them: safe file names, rounding, cells of a spreadsheet."""

import csv
import io
import re

import pytest

from harness.leaderboard import display, fields, tables


def test_a_spreadsheet_takes_no_cell_for_a_formula():
    rows = [fields.complete({"row": "=cmd|'/c calc'!A1", "failed": "-1"})]
    (line,) = csv.DictReader(io.StringIO(tables.to_csv({}, rows)))
    assert line["row"].startswith("'=")
    assert line["failed"] == "'-1"


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "", "..", "index", "nul\x00", "ü" * 300, "a b", ".hidden"])
def test_a_row_name_cannot_leave_its_folder(name):
    stem = display.file_stem(name)
    assert re.fullmatch(r"[A-Za-z0-9_+@][A-Za-z0-9._+@-]{0,95}", stem)
    assert stem != name


def test_different_names_have_different_files():
    names = ["a/b", "a-b", "a b", "a\\b", "sft+dpo", "sft-dpo", "é", "è"]
    assert len({display.file_stem(name) for name in names}) == len(names)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (display.rate(None), "–"),
        (display.rate(71.25), "71.2"),
        (display.interval(50, 50), ""),
        (display.signed(-3.14), "−3.1"),
        (display.duration(119), "119 s"),
        (display.duration(150), "2.5 min"),
        (display.duration(9000), "2.5 h"),
        (display.short(1e-4), "1e-4"),
        (display.short(2e-5), "2e-5"),
        (display.short(0.3), "0.3"),
        (display.p_value(0.0001), "< 0.001"),
    ],
)
def test_numbers_are_shown_as_people_write_them(shown, expected):
    assert shown == expected
