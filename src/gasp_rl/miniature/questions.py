"""The miniature's real questions: an easy pool with a gap above it, and goalpost candidates.

Splits never share a question: content decides, and a question that was drawn once is not drawn
again. From depth 2 on they share no statement either; at depth 1 there are too few, so that nearly
every statement of a test is also one of training, with other pairs. Training questions keep the
gap; validation and test questions cover every depth, since they measure and never train. `common`
has easy questions without the families that goalposts are full of: as guides they show what a guide
is worth that has nothing of the goalposts.
"""

from collections.abc import Mapping

from gasp_rl.miniature.corpus import literal
from gasp_rl.miniature.world import MiniQuestion, World, draw_question, program
from gasp_rl.rng import rng
from gasp_rl.tasks import Form, Question
from gasp_rl.types import Example

COMMON = "common"

SIZES: Mapping[str, Mapping[str, int]] = {
    "train": {"easy": 500},
    "validation": {"every": 24},
    "test": {"every": 40},
    "candidates": {"hard": 160},
    COMMON: {"easy": 100},
}
"""Questions for each depth of a split."""

GIVEN, OPEN = "constants given", "a constant open"
"""Tags. No base model here infers an open constant: it guesses, and many samples hold a lucky guess."""

EVERY_DEPTH = tuple(range(1, 10))


def build_questions(world: World, seed: int = 0) -> dict[str, list[Question]]:
    """All splits of a world, by name; the same for the same world and seed."""
    depths = {"easy": world.pool_depths, "every": EVERY_DEPTH, "hard": world.goalpost_depths}
    seen: set[str] = set()
    splits: dict[str, list[Question]] = {}
    for split, sizes in SIZES.items():
        ((which, count),) = sizes.items()
        splits[split] = [
            question
            for depth in depths[which]
            for question in _draw(world, split, depth, count, seed, seen)
        ]
    return splits


def _draw(
    world: World, split: str, depth: int, count: int, seed: int, seen: set[str]
) -> list[Question]:
    random = rng(seed, depth, f"{world.name}/{split}")
    max_hidden = 1 if split == "candidates" else 2
    weights = world.common_weights() if split == COMMON else world.pool_weights()
    questions: list[Question] = []
    while len(questions) < count:
        drawn = draw_question(depth, weights, random, max_hidden)
        if drawn.statement in seen and depth > 1:
            continue  # two questions with one statement would differ in their inputs alone
        question = as_question(drawn, f"{split}-{depth}-{len(questions):03d}", world.name)
        if question.key in seen:
            continue
        seen |= {question.key, drawn.statement}
        questions.append(question)
    return questions


def as_question(question: MiniQuestion, id: str, source: str) -> Question:
    """A miniature question in the form that every real question has; `difficulty` is its depth."""
    pairs = tuple(Example(literal(x), literal(y)) for x, y in question.pairs())
    return Question(
        id=id,
        source=source,
        form=Form.FUNCTION,
        statement=question.statement,
        shown=pairs[: question.shown],
        hidden=pairs[question.shown :],
        difficulty=str(question.depth),
        tags=(OPEN if any(step.hidden for step in question.pipeline) else GIVEN,),
        reference=program(question.pipeline),
    )
