from __future__ import annotations

from leadglass.policy.memo import MAX_REMEMBERED, Memo


def test_memo_recalls_what_it_was_given() -> None:
    memo: Memo[str, int] = Memo()
    assert memo.recall("a") is None
    assert memo.remember("a", 1) == 1
    assert memo.recall("a") == 1


def test_memo_never_holds_more_than_its_bound() -> None:
    memo: Memo[int, int] = Memo()
    for number in range(MAX_REMEMBERED + 10):
        memo.remember(number, number)
        assert len(memo._answers) <= MAX_REMEMBERED
    assert memo.recall(MAX_REMEMBERED + 9) == MAX_REMEMBERED + 9
