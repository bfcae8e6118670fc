"""Text files: separators, decimal signs, quotation marks and comments, and what gets a line instead."""

import gzip

import pytest

from ncvqvae import describe, load_series
from ncvqvae.data.series import to_tensors


def names_of(found):
    return [found.features["label"].names[label] for label in found["label"]]


@pytest.mark.parametrize(
    ("text", "expected", "told"),
    [
        ("label;t0;t1\nwalk;1,5;2,5\nrun;3;4\n", [[1.5, 2.5], [3, 4]], "separated by semicolons, with decimal commas"),
        ("label\tt0\tt1\nwalk\t1.5\t2.5\nrun\t3\t4\n", [[1.5, 2.5], [3, 4]], "separated by tabs"),
        ('label,t0,t1\nwalk,"1,5","2,5"\nrun,3,4\n', [[1.5, 2.5], [3, 4]], "with decimal commas"),
        ("\ufeff# logger 3\r\nlabel,t0,t1\r\n\r\nwalk,1.5,2.5\r\nrun,3,4\r\n", [[1.5, 2.5], [3, 4]], "by commas"),
        ("label,t0,t1,\nwalk,1.5,2.5,\nrun,3,4,\n", [[1.5, 2.5], [3, 4]], "separated by commas"),
        ('"label","acc\nt0","acc\nt1"\nwalk,1.5,2.5\nrun,3,4\n', [[1.5, 2.5], [3, 4]], "(acc t0 ... acc t1)"),
        ('"sep=;"\nlabel;t0;t1\nwalk;1,5;2,5\nrun;3;4\n', [[1.5, 2.5], [3, 4]], "separated by semicolons"),
        ("sep=\t\nlabel\tt0\tt1\nwalk\t1,5\t2,5\nrun\t3\t4\n", [[1.5, 2.5], [3, 4]], "by tabs, with decimal commas"),
        (
            "Label,T1,T0\nwalk,2.5,1.5\nrun,4,3\n",
            [[1.5, 2.5], [3, 4]],
            "(T0 ... T1), separated by commas, with decimal points",
        ),
        ("No.,t1,label,t0\n1,2.5,walk,1.5\n2,4,run,3\n", [[1.5, 2.5], [3, 4]], "without No.: it numbers the rows"),
        ("t1,label,t0,who\n2.5,walk,1.5,Ann\n4,run,3,Bob\n", [[1.5, 2.5], [3, 4]], "without who: it holds no numbers"),
        ("index,t1,label,t0\n0,2.5,walk,1.5\n1,4,run,3\n", [[1.5, 2.5], [3, 4]], "without index: it numbers the rows"),
    ],
)
def test_text_files_are_read_as_spreadsheets_and_loggers_write_them(text, expected, told, tmp_path):
    (tmp_path / "mine.CSV").write_bytes(text.encode())
    (tmp_path / "mine.csv.gz").write_bytes(gzip.compress(text.encode()))
    for name in ("mine.CSV", "mine.csv.gz"):
        found = load_series(tmp_path / name)
        assert to_tensors(found)[0][:, 0].tolist() == expected and names_of(found) == ["walk", "run"]
        assert told in describe(found)


def write(folder, text):
    (folder / "mine.csv").write_text(text)
    return folder / "mine.csv"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label,t0,t1\nwalk,1,2,\n", "row 1 of .* has 4 fields, the line of names 3"),
        ("label,t0,t1\nwalk,1,2\nrun,3\n", "row 2 of .* has 2 fields, the line of names 3"),
        ("0.5,0.5,0.7\n0.1,0.2,0.3\n", "is a series, not the names of the columns"),
        ("walk,1.5,2.5\nrun,3,4\n", "is a series, not the names of the columns"),
        ("label,t0,t1\na,1,2\nb,3,4\nc,5,x6\n", "row 3 of .* holds 'x6' in the column 't1'; expected a number"),
        ("label;t0;t1\na;1,5;2\nb;3.5;4\n", "decimal commas and decimal points, '1,5' and '3.5'"),
        ("label,t0,t0\na,1,2\n", "several columns of the name 't0'"),
        ("t0,t1,label,class\n1,2,a,b\n", "the label may be in the columns label, class: name one with --label-column"),
        ("label,t0,,t1\na,1,5,2\n", "column 3 of .* has no name, but holds 5"),
        (
            "Device: 3\nlabel,t0\na,1\n",
            "row 1 of .* has 2 fields, the line of names 1; .* lines before the names begin with #",
        ),
        ('label,t0,t1\na,"1,5",2.5\n', "decimal commas and decimal points, '1,5' and '2.5'"),
        ("time,value\n2020-01-01,1\nsoon,2\n2020-01-03,3\n", "row 2 .* holds 'soon', unlike the other times"),
        ("time,value\n2020-01-01,1\n,2\n", "row 2 has no time"),
        ("time,value\n2020-01-01,1\n2020-01-01,2\n", "two rows for time 2020-01-01; .* --id-column"),
    ],
)
def test_what_a_text_file_has_wrong_gets_one_line(text, message, tmp_path):
    with pytest.raises(ValueError, match=message) as caught:
        load_series(write(tmp_path, text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_letters_of_every_usual_encoding_are_read(encoding, tmp_path):
    (tmp_path / "mine.csv").write_bytes("label,t0,t1\nGehör,1,2\nLärm,3,4\n".encode(encoding))
    assert names_of(load_series(tmp_path / "mine.csv")) == ["Gehör", "Lärm"]


def test_the_name_of_a_class_may_have_several_lines(tmp_path):
    found = load_series(write(tmp_path, 'label,t0,t1\n"a\n\n#b",1,2\n"c",3,4\n'))
    assert names_of(found) == ["a\n\n#b", "c"] and "(a #b: 1, c: 1)" in describe(found)


def test_options_name_columns_in_capitals_or_not(tmp_path):
    file = write(tmp_path, "Activity,Rec,Clock,ACC\nrun,1,0,1.5\nrun,1,1,2.5\nwalk,2,0,3\nwalk,2,1,4\n")
    how = {"label_column": "activity", "time_column": "CLOCK", "value_columns": ["acc"]}
    found = load_series(file, **how)
    assert to_tensors(found)[0][:, 0].tolist() == [[1.5, 2.5], [3, 4]] and names_of(found) == ["run", "walk"]
    with pytest.raises(ValueError, match="--value-columns name a column twice; found ACC, ACC"):
        load_series(file, **how | {"value_columns": ["acc", "ACC"]})
