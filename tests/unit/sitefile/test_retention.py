from __future__ import annotations

import pytest

from leadglass.sitefile.finding import FileInvalid
from leadglass.sitefile.retention import RetentionRule, RetentionSettings
from leadglass.sitefile.settings import read_settings

HEAD = 'version = 1\nname = "N"\nae = ["N"]\n[retention.rules]\n'


def test_without_a_rule_nothing_goes() -> None:
    head = 'version = 1\nname = "N"\nae = ["N"]\n'
    assert read_settings(head, path="").retention == RetentionSettings(30, ())


def test_rules_are_read_in_the_order_of_the_file() -> None:
    text = HEAD + (
        'old = { older_than_days = 3653, action = "bin", not_label = ["keep", "legal"] }\n'
        'us = { older_than_days = 30, modality = "US", label = "night", action = "bin" }\n'
        'all = { older_than_days = 9999, action = "bin" }\n'
    )
    rules = read_settings(text, path="").retention.rules
    assert rules == (
        RetentionRule("old", 3653, not_labels=("keep", "legal")),
        RetentionRule("us", 30, ("US",), ("night",)),
        RetentionRule("all", 9999),
    )
    assert [rule.takes_every_study for rule in rules] == [False, False, True]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ('action = "bin"', '5:1: error: retention.rules.x has no "older_than_days"'),
        ("older_than_days = 9", '5:1: error: retention.rules.x has no "action"'),
        ('older_than_days = 0, action = "bin"', '5:25: error: "older_than_days" must be from 1 to 36500'),
        ('older_than_days = 9, action = "erase"', '5:37: error: "action" has unknown "erase"'),
        ('older_than_days = 9, action = "bin", modality = []', '5:55: error: "modality" is empty'),
        ('older_than_days = 9, action = "bin", modality = ["ct"]', '5:56: error: "ct" is no modality'),
        ('older_than_days = 9, action = "bin", label = "a b"', '5:52: error: "a b" is no label'),
        ('older_than_days = 9, action = "bin", labels = "a"', '5:44: error: unknown key "labels"'),
    ],
)
def test_each_mistake_is_named_with_its_place(rule: str, message: str) -> None:
    with pytest.raises(FileInvalid) as caught:
        read_settings(f"{HEAD}x = {{ {rule} }}\n", path="")
    (found,) = (str(each).removeprefix(":") for each in caught.value.findings)
    assert found.startswith(message)
