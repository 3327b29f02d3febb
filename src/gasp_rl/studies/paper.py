"""The GASP paper's own figures, to stand beside a study's (arXiv 2603.15957, LCB v5 and greedy)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperRow:
    """Percent with Qwen2.5-Coder-7B, mean and standard deviation of three seeds where there are.

    by_pass_1, by_pass_20: pass@1 / pass@20 on LiveCodeBench v5 at the checkpoint chosen by the one or
                           by the other.
    goalposts, union:      of 146, by each seed and by any.
    greedy:                pass@1 on LiveCodeBench v5 / HumanEval+ / MBPP+; empty where not given.
    """

    by_pass_1: str
    by_pass_20: str
    goalposts: str
    union: str
    greedy: str = ""


PAPER: dict[str, PaperRow] = {
    "base": PaperRow(
        by_pass_1="13.55 / 29.68",
        by_pass_20="13.55 / 29.68",
        goalposts="0",
        union="0",
        greedy="13.89 / 79.88 / 69.58",
    ),
    "azr": PaperRow(
        by_pass_1="17.49 / 31.15",
        by_pass_20="17.49 / 31.15",
        goalposts="0",
        union="0",
        greedy="17.13 / 83.54 / 69.58",
    ),
    "rlvr": PaperRow(
        by_pass_1="20.35 +- 0.75 / 30.84 +- 1.83",
        by_pass_20="18.91 +- 1.40 / 33.10 +- 0.12",
        goalposts="0",
        union="0",
        greedy="18.21 +- 1.41 / 78.66 +- 1.61 / 69.31 +- 0.95",
    ),
    "gasp": PaperRow(
        by_pass_1="19.10 +- 0.92 / 33.63 +- 0.35",
        by_pass_20="18.26 +- 0.68 / 33.69 +- 0.28",
        goalposts="6/3/3",
        union="11",
        greedy="19.75 +- 2.33 / 79.67 +- 0.35 / 70.63 +- 0.70",
    ),
    "gasp-rlvr": PaperRow(
        by_pass_1="20.55 +- 0.26 / 34.25 +- 0.45",
        by_pass_20="19.93 +- 0.88 / 34.46 +- 0.34",
        goalposts="9/2/3",
        union="10",
        greedy="20.52 +- 3.60 / 80.49 +- 1.61 / 71.60 +- 1.00",
    ),
    "no-io": PaperRow(
        by_pass_1="19.36 +- 1.35 / 33.31 +- 1.34",
        by_pass_20="18.94 +- 1.69 / 33.47 +- 1.14",
        goalposts="2/2/2",
        union="4",
    ),
    "no-novelty": PaperRow(
        by_pass_1="17.97 +- 0.79 / 32.72 +- 1.81",
        by_pass_20="17.64 +- 1.33 / 33.03 +- 1.50",
        goalposts="5/8/5",
        union="14",
    ),
    "one-step-medium": PaperRow(
        by_pass_1="17.10 +- 0.33 / 31.41 +- 0.03",
        by_pass_20="15.73 +- 1.61 / 32.36 +- 0.03",
        goalposts="6/4/4",
        union="11",
    ),
    "one-step-hard": PaperRow(
        by_pass_1="17.76 +- 1.14 / 32.20 +- 0.91",
        by_pass_20="17.13 +- 0.68 / 33.37 +- 0.12",
        goalposts="0/1/1",
        union="2",
    ),
}
"""By the names that the shipped studies give to these systems."""
