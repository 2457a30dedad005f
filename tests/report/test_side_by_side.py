"""Studies that ask the same questions stand side by side, whichever of them are finished."""

import re
from dataclasses import replace

from iclab.report.blocks import Blocks
from iclab.studies.study import Answer, Question, Record, Verdict


def _record(name, **answers):
    return Record(name, f"Study {name}", {}, {}, answers)


def test_every_answer_stands_under_its_study_and_beside_its_question(tmp_path):
    questions = [Question(name, f"Is {name} $x^2$?", "", lambda tables: Answer(Verdict.MEASURED)) for name in "ab"]
    questions[1] = replace(questions[1], thresholds={"line": 0.25})
    first = _record("one", a=Answer(Verdict.CONFIRMED, 3), b=Answer(Verdict.IN_PART, 1, 1, 2))
    second = _record("two", b=Answer(Verdict.REFUTED, 0, 2))
    blocks = Blocks(tmp_path)
    page = blocks.place(blocks.side_by_side([("d = 5", "one.html", first), ("d = 20", "two.html", second)], questions))
    head, *rows = [re.findall(r"<t[hd].*?</t[hd]>", row) for row in re.findall(r"<tr>.*?</tr>", page, re.DOTALL)]
    assert ["Study one" in head[1], "one.html" in head[1], "d = 20" in head[2]] == [True] * 3
    cells = [[re.sub(r"<[^>]*>", " ", cell).split() for cell in row[1:]] for row in rows]
    assert cells == [
        [["confirmed", "3", "of", "3"], []],
        [["in", "part", "1", "of", "4,", "2", "undecided"], ["refuted", "0", "of", "2"]],
    ]
    assert all("<math" in row[0] for row in rows)
    # What a criterion compares with stands beside it, here and among the answers of one study.
    assert ["line: 0.25" in row[0] for row in rows] == [False, True]
    assert blocks.place(blocks.answers([(second, questions[1])])).count("line: 0.25") == 1
