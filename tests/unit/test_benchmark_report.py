"""The report of `make bench`: a row for each bar, judged, in the table and as JSON."""

import json
from pathlib import Path

import pytest

from benchmarks import bench
from benchmarks.bars import BARS
from benchmarks.bench import Bench

FIELDS = {"name", "measured", "peer", "ratio", "at_least", "stretch", "met"}


def test_each_bar_has_a_row(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "RESULTS", tmp_path)
    run = Bench()
    run.bar("bullmq", [900, 700, 800], [1000, 1000, 1000])
    run.bar("dbos", [100], [10])
    run.bar("priority", [0.2])
    run.bar("memory", [126], [105])

    rows = json.loads(run.report().read_text())["bars"]

    assert [row["name"] for row in rows] == [bar.name for bar in BARS.values()]
    assert all(row.keys() >= FIELDS for row in rows)
    found = {row["name"]: (row["ratio"], row["met"], row["stretch_met"]) for row in rows}
    assert found[BARS["bullmq"].name] == (0.8, True, False)
    assert found[BARS["dbos"].name] == (10, False, False)
    assert found[BARS["priority"].name] == (0.2, True, True)
    assert found[BARS["memory"].name] == (1.2, False, False)
    assert found[BARS["bulk"].name] == (None, None, None)
    printed = capsys.readouterr().out
    assert all(bar.name in printed for bar in BARS.values())
    assert "not run" in printed
