"""The GASP paper's own figures, to stand beside a study's (arXiv 2603.15957, table of LCB v5)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperRow:
    """Percent on LiveCodeBench v5 with Qwen2.5-Coder-7B, at the checkpoint chosen by pass@20."""

    pass_at_1: str
    pass_at_20: str
    goalposts: str
    union: str


PAPER: dict[str, PaperRow] = {
    "base": PaperRow(pass_at_1="13.55", pass_at_20="29.68", goalposts="0", union="0"),
    "azr": PaperRow(pass_at_1="17.49", pass_at_20="31.15", goalposts="0", union="0"),
    "rlvr": PaperRow(
        pass_at_1="18.91 +- 1.40", pass_at_20="33.10 +- 0.12", goalposts="0", union="0"
    ),
    "gasp": PaperRow(
        pass_at_1="18.26 +- 0.68", pass_at_20="33.69 +- 0.28", goalposts="6/3/3", union="11"
    ),
    "gasp-rlvr": PaperRow(
        pass_at_1="19.93 +- 0.88", pass_at_20="34.46 +- 0.34", goalposts="9/2/3", union="10"
    ),
    "no-io": PaperRow(
        pass_at_1="18.94 +- 1.69", pass_at_20="33.47 +- 1.14", goalposts="2/2/2", union="4"
    ),
    "no-novelty": PaperRow(
        pass_at_1="17.64 +- 1.33", pass_at_20="33.03 +- 1.50", goalposts="5/8/5", union="14"
    ),
    "one-step-medium": PaperRow(
        pass_at_1="15.73 +- 1.61", pass_at_20="32.36 +- 0.03", goalposts="6/4/4", union="11"
    ),
    "one-step-hard": PaperRow(
        pass_at_1="17.13 +- 0.68", pass_at_20="33.37 +- 0.12", goalposts="0/1/1", union="2"
    ),
}
"""By the names that the shipped studies give to these systems."""
