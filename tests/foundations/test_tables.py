"""Tables from files: the numbers as they stand there, or a sentence."""

import numpy as np
import pandas as pd
import pytest

from iclab.foundations import InvalidInputError
from iclab.foundations.tables import as_csv, read_arrays, read_numbers

GOOD = pd.DataFrame({"a": [1.0, -2.5e-3], "b": [3.0, 4.0], "c": [0.1, 1e300]})


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("columns", [None, ["a", "c"], ["c", "a"]])
def test_columns_are_read_to_the_last_bit_with_and_without_a_byte_order_mark(tmp_path, mark, columns):
    path = tmp_path / "data.csv"
    path.write_bytes(mark + GOOD.to_csv(index=False).encode())
    found = read_numbers(path, header=True, columns=columns)
    np.testing.assert_array_equal(found.values, GOOD[columns or ["a", "b", "c"]].to_numpy())
    GOOD.to_parquet(tmp_path / "data.parquet")
    np.testing.assert_array_equal(
        read_numbers(tmp_path / "data.parquet", header=True, columns=columns).values, found.values
    )


def test_a_column_of_words_is_left_out_and_named(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("name,a\nx,1\ny,2\n")
    found = read_numbers(path, header=True)
    assert (found.names, found.left_out) == (["a"], ("name",))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (",a,b\n0,1,2\n1,3,4\n", "column 1 has none"),  # an index
        ("Unnamed: 0,a\n0,1\n1,3\n", "column 1 has none"),  # one that pandas has read and written again
        ("a,b\n1,2\nx,4\n", "'x' stands in line 3, column a"),  # one stray word
        ("a,b\n1,2,3\n4,5,6\n", "must have 2 cells; line 2 has 3"),  # rows longer than their header
        ("a,b\n1,2\n3\n", "line 3 has 1"),
        ("a,b\n1,2\n,4\n", "nothing stands in line 3"),
        ("a,b\n1,2\nnan,4\n", "'nan'"),
        ("a,b\n1,2\n1e999,4\n", "1e999"),
        ("a,b\n1,2\n1_000,4\n", "1_000"),
        ("a,a\n1,2\n3,4\n", "name of its own"),
        ("1,2\n3,4\n", "must name the columns"),
        ("a;b\n1;2\n3;4\n", "column of numbers"),
        ("day\n2020-01-01\n2020-01-02\n", "column of numbers"),
        ("", "empty"),
        ('a,b\n1,"2\n', "CSV"),
        ("a,b\n1,1e-400\n", "1e-400"),
        # Signs that Unicode takes for ends of lines, or for spaces: a row is what the file ends by a line feed.
        ("a,b\n1,2\x0b3,4\n", "must have 2 cells; line 2 has 3"),
        ("a,b\n1,2\x851,2\n", "must have 2 cells; line 2 has 3"),
        ("a,b\x1c1,2\n", "empty"),
        ("a,b\n1,2\n3\u2028,4\n", "stands in line 3, column a"),
        ("a,b\n1,2\n3\xa0,4\n", "stands in line 3, column a"),
    ],
)
def test_what_breaks_the_rule_is_named(tmp_path, text, sentence):
    (tmp_path / "data.csv").write_text(text)
    with pytest.raises(InvalidInputError, match=sentence):
        read_numbers(tmp_path / "data.csv", header=True)


@pytest.mark.parametrize(
    "array",
    [
        np.array(["2001-01-01"], "M8[D]"),
        np.array([1 + 1j]),
        np.array([True, False]),
        np.array(["1"]),
        np.zeros((2, 2, 2)),
        np.array([np.nan]),
    ],
)
def test_arrays_of_anything_but_finite_numbers_are_refused(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(InvalidInputError):
        read_numbers(tmp_path / "a.npy", header=False)


def test_arrays_without_a_number_or_beyond_double_precision_are_refused(tmp_path):
    for empty in (np.array([]), np.ones((0, 3))):
        np.save(tmp_path / "empty.npy", empty)
        with pytest.raises(InvalidInputError, match="must hold numbers"):
            read_numbers(tmp_path / "empty.npy", header=False)
    pd.DataFrame().to_parquet(tmp_path / "empty.parquet")
    with pytest.raises(InvalidInputError, match="at least one column"):
        read_numbers(tmp_path / "empty.parquet", header=True)
    if np.finfo(np.longdouble).max > np.finfo(np.float64).max:
        np.save(tmp_path / "long.npy", np.array([1e308], np.longdouble) * 10)
        with pytest.raises(InvalidInputError, match="finite"):
            read_numbers(tmp_path / "long.npy", header=False)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_as_systems_end_them(tmp_path, end):
    (tmp_path / "data.csv").write_bytes(end.join(["a,b", "1,2", "3,4", ""]).encode())
    np.testing.assert_array_equal(read_numbers(tmp_path / "data.csv", header=True).values, [[1, 2], [3, 4]])


def test_a_header_that_promises_more_than_the_file_holds_is_refused(tmp_path):
    with open(tmp_path / "a.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (10**13,)})
        file.write(b"0" * 80)
    with pytest.raises(InvalidInputError):
        read_numbers(tmp_path / "a.npy", header=False)
    np.savez_compressed(tmp_path / "bomb.npz", u=np.zeros((1 << 25) + 1))
    with pytest.raises(InvalidInputError, match="at most 256 MiB"):
        read_arrays(tmp_path / "bomb.npz")


@pytest.mark.parametrize("word", ["=cmd()", "+1+cmd", "-x", "@sum", " =1"])
def test_no_cell_is_a_formula(word):
    text = as_csv(pd.DataFrame({"predictor": [word, "a\x1b[31mb"], "mean": [1.0, -2.0]}))
    assert f"'{word}" in text
    assert "\x1b" not in text
    assert "-2.0" in text
