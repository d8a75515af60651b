"""Every table shows what the committed results hold: a line a row, and the ratios."""

import json

import pytest

from benchmarks import (
    dials,
    machine,
    parts,
    rules,
    shakespeare,
    speedrun,
    startup,
    sweep,
    throughput,
    training,
    variants,
    village,
)
from benchmarks.ladder import RUNGS


def committed(name):
    return json.loads((machine.RESULTS / f"{name}.json").read_text("utf-8"))


def lines_of(module, name, begins):
    """The committed results of a measurement, and the lines of their table that begin
    with these names.
    """
    record = committed(name)
    lines = module.table(record).splitlines()
    found = [[line for line in lines if line.startswith(f"{b}  ")] for b in begins]
    assert all(len(each) == 1 for each in found)
    return record, [line for (line,) in found]


def test_columns_are_aligned():
    rows = ("name", "s", "x"), ("a", "10.00", 2), ("longer", "3.50", 10)
    assert machine.aligned(*rows) == (
        "name        s   x\na       10.00   2\nlonger   3.50  10"
    )
    assert machine.aligned(("a", "b"), ("c", "")) == "a  b\nc"
    with pytest.raises(ValueError, match="shorter"):
        machine.aligned(("a", "b"), ("c",))


def test_a_spread_is_told():
    numbers = machine.spread([1000.0, 2.0, 3000.5])
    assert machine.ranged(numbers, 1) == "1,000.0 (2.0 to 3,000.5)"


def test_startup():
    record, lines = lines_of(startup, "startup", startup.IMPORTS)
    assert f"{record['seconds']['torch']['median']:.3f} (" in lines[1]
    added = startup.table(record).splitlines()[-1]
    assert f"{record['llmlib adds']['median']:.3f} (" in added


def test_shakespeare():
    record = committed("shakespeare")
    _, *lines = shakespeare.table(record).splitlines()
    for run, line in zip(record["runs"], lines, strict=True):
        assert line.startswith(f"{run['recipe']}, seed {run['seed']} ")
        assert line.endswith(f"{run['seconds']:.1f}  {run['loss']:.4f}")


def test_rules():
    record = committed("rules")
    heading, *lines, last = rules.table(record).splitlines()
    assert heading.split()[:2] == ["rule", "possible"]
    verdicts = [each for path in record["paths"].values() for each in path]
    for each, line in zip(verdicts, lines, strict=True):
        assert line.startswith(rules.named(each["rule"]))
        assert f" {each['possible']:.1f}% " in line
    assert last.startswith("the village ")
    assert rules.named({"top_k": 3, "min_p": 0.02}) == "top-k 3, min-p 0.02"


def test_sweep():
    losses = committed("sweep")["sweep"]["losses"]
    record, lines = lines_of(sweep, "sweep", losses)
    for line, loss in zip(lines, losses.values(), strict=True):
        assert line.endswith(f"{loss:.4f}")
    result = sweep.table(record).splitlines()[-1]
    assert f"{record['result']['seconds']:.2f}" in result
    assert f"best rate: {record['sweep']['best']}\n" in sweep.table(record)
    del record["result"]  # as after --quick
    assert sweep.table(record).endswith(f"best rate: {record['sweep']['best']}")


def test_speedrun():
    names = [rung.name for rung in RUNGS]
    record, lines = lines_of(speedrun, "speedrun", [speedrun.FIRST, *names])
    first = record["rungs"][0]["seconds"]
    for rung, line in zip(record["rungs"], lines, strict=True):
        assert f"{rung['steps']:,}" in line
        assert line.endswith(f" {first / rung['seconds']:.2f}")


def test_variants():
    record = committed("variants")
    lines = iter(variants.table(record).splitlines())
    for title, series in record["series"].items():
        assert next(lines).startswith(f"{title}, {series['steps']} steps  ")
        for name, losses in series["losses"].items():
            line = next(lines)
            assert line.startswith(f"{name}  ")
            assert line.endswith("  " + " ".join(f"{loss:.4f}" for loss in losses))
        assert next(lines, "") == ""
    assert record["series"].keys() == variants.SERIES.keys()


def test_training():
    record, lines = lines_of(training, "training", training.SECTIONS)
    for section, line in zip(record["sections"].values(), lines, strict=True):
        assert f" {section['times shorter']}  " in line
        reached = section["reached"]["baseline"]
        assert line.endswith(f" {reached} of {len(section['runs']['baseline'])}")


def test_throughput():
    shapes = [*throughput.SHAPES, "10.7 M, compiled"]
    record, lines = lines_of(throughput, "throughput", shapes)
    for step, line in zip(record["steps"].values(), lines, strict=True):
        assert machine.ranged(step["times faster"]) in line
        share = step["share of the bfloat16 peak"]
        assert line.split()[-2] == f"{100 * share:.1f}"
    table = throughput.table(record)
    assert "baseline, not compiled" in table
    points = [point for curve in record["growth"].values() for point in curve]
    assert all(machine.ranged(p["tokens a second"], 0) in table for p in points)
    headings = [line for line in table.splitlines() if "megabytes" in line]
    assert [line.split()[0] for line in headings] == list(throughput.GROWTH)


def test_village():
    record = committed("village")
    _, *lines = village.table(record).splitlines()
    together = {"percent_above": record["all"]}
    rows = [*record["runs"], *record["pairs"], together, *record["anywhere"]]
    for row, line in zip(rows, lines, strict=True):
        assert f"  {row['percent_above']:.2f}%" in line
    last = record["runs"][0]["ends"]["mean of all weights"]
    assert lines[0].endswith(f"{last:.2f}%")


def test_dials():
    record = committed("dials")
    _, *lines = dials.table(record).splitlines()
    small = record["small"]["no warm-up"]["0.003"]
    wanted = " ".join(f"{run['loss']:.2f}" for run in small)
    (line,) = (x for x in lines if x.startswith("no warm-up, 0.003  "))
    assert line.endswith(wanted)
    ends = [run["opening"] for run in record["rows"]["from anywhere"]]
    wanted = " ".join(f"{end:.2f}" for end in ends)
    (line,) = (x for x in lines if x.startswith("rows from anywhere, opening  "))
    assert line.endswith(wanted)


def test_parts():
    record = committed("parts")
    rotary = [run["beyond"] for run in record["positions"]["rotary"]]
    line = f"rotary, beyond      {sum(rotary) / 3:.3f}"
    assert line in parts.table(record)
    assert " ".join(f"{loss:.3f}" for loss in rotary) in parts.table(record)
