"""AZR as its public code is, and AZR mended: ten switches, one table.

The facts are read from LeapLabTHU/Absolute-Zero-Reasoner, `master` at a82124e and branch `paper` at
41ed983. In every mode model text runs in the sandbox alone: AZR evaluates it in the trainer's own
process, and that is not repeated.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Compat:
    """What the modes of `azr.compat` do differently.

    greedy_estimates:   1. pass rates are estimated at temperature 0, so they are 0 or 1.
    calls_in_process:   2. "deterministic" means that two calls in one process agree, and only an
                        error whose name says "error" is one: the others leave an empty gold output.
    gold_characters:    3. longer gold outputs are cut in their middle; None: never.
    any_gold:           4. an output that is no literal is gold too, which no deduction can match.
    pasted_answers:     5. answers are pasted into a program that judges them, which they can forge.
    evaluated_answers:  6. an answer to a deduction is an expression that is evaluated.
    banned_imports:     7. a proposal is refused for the imports on a list alone, not for its names.
    previous_step:      8. the solver gets tasks up to the previous step, and estimates are thrown
                        away.
    unlearnable_reward: 9. reward of a valid task that is always or never solved (equation 4 of the
                        paper says 0), and `invalid_reward` of a program that is not valid.
    novelty:            10. whether near-duplicates are refused.
    """

    greedy_estimates: bool
    calls_in_process: bool
    gold_characters: int | None
    any_gold: bool
    pasted_answers: bool
    evaluated_answers: bool
    banned_imports: bool
    previous_step: bool
    unlearnable_reward: float
    invalid_reward: float
    novelty: bool


_PAPER = Compat(
    greedy_estimates=False,
    calls_in_process=True,
    gold_characters=400,
    any_gold=True,
    pasted_answers=True,
    evaluated_answers=True,
    banned_imports=True,
    previous_step=True,
    unlearnable_reward=-0.5,
    invalid_reward=-1.0,
    novelty=False,
)

COMPAT: Mapping[str, Compat] = {
    "azr-paper": _PAPER,
    "azr-master": replace(_PAPER, greedy_estimates=True),
    "fixed": Compat(
        greedy_estimates=False,
        calls_in_process=False,
        gold_characters=None,
        any_gold=False,
        pasted_answers=False,
        evaluated_answers=False,
        banned_imports=False,
        previous_step=False,
        unlearnable_reward=0.0,
        invalid_reward=-0.5,
        novelty=True,
    ),
}
"""The switches of each mode of `azr.compat`."""
