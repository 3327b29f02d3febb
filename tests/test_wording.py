from gasp_rl.wording import counted


def test_one_is_singular_and_none_is_plural() -> None:
    assert [counted(n, "question") for n in (0, 1, 2)] == [
        "0 questions",
        "1 question",
        "2 questions",
    ]
