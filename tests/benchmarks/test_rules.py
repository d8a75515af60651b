"""The rules of sampling are judged alike."""

import json

from benchmarks import rules


def test_it_runs(check_command):
    record = rules.measure(quick=True)
    assert json.loads(json.dumps(record)) == record
    assert record["stories"] == 2 * rules.HUNDREDS
    assert record["the village"]["possible"] == 100
    for name, path in rules.PATHS.items():
        assert [each["rule"] for each in record["paths"][name]] == path
    check_command(rules, "rules", record)


def test_different_phrases():
    # a b c d, b c d a, c d a b, d a b c; then a b c d and b c d e
    assert rules.different_phrases(["a b c d a b c", "a b c d e"]) == 5 / 6
