"""What fresh samples decide beyond the paper: how ladders go on, and which goalposts are in play.

Nothing is trained on these samples; they count as student rollouts like any other probe.
"""

from collections.abc import Sequence

from gasp_rl.config import Config
from gasp_rl.curriculum.lineage import Buffers, Node
from gasp_rl.curriculum.renewal import Renewal
from gasp_rl.engines.protocol import SamplingParams
from gasp_rl.methods.journal import Journal
from gasp_rl.rng import rng, seed_for
from gasp_rl.roles.student import Student, pass_rate
from gasp_rl.store.records import TRAINED, GoalpostAttempt, Purpose
from gasp_rl.tasks import Question, Task, TrainingQuestion
from gasp_rl.types import PassRate, Stage

RENEWAL = "renewal"
"""Name of renewal's tests among the samples of goalposts."""


class FreshSamples:
    """Tests of lifts and goalposts. What it remembers is rebuilt from the tests in the store."""

    def __init__(
        self,
        config: Config,
        student: Student,
        buffers: Buffers,
        guides: Sequence[Question],
    ) -> None:
        """guides: what lemmas are asked for: the goalposts, or easy questions in the control
        without guidance."""
        self.config = config
        self.student = student
        self.buffers = buffers
        self.goalposts = Renewal(config.renewal, guides)
        self.solutions: dict[str, str] = {}
        """The first right answer that the policy gave to each goalpost."""

    def recall(self, attempts: Sequence[GoalpostAttempt]) -> None:
        """Be where the tests and trials of earlier steps left it.

        attempts: all that the store holds. Those of a measurement of the run came after its steps and
        are passed over: a run that was measured goes on like one that was not.
        """
        tests = [a for a in attempts if a.policy == RENEWAL]
        self.goalposts.replay((a.step, a.goalpost, PassRate(a.correct, a.total)) for a in tests)
        self.note_solutions(attempts)

    def note_solutions(self, attempts: Sequence[GoalpostAttempt]) -> None:
        """Keep the first right answers that the run's own trials found."""
        for attempt in attempts:
            if attempt.policy == TRAINED and attempt.solution is not None:
                self.solutions.setdefault(attempt.goalpost, attempt.solution)

    def renewed_goalposts(self, step: int, journal: Journal) -> Sequence[Question]:
        """Renewal: solved goalposts retire and others take their place; all of them without it."""
        settings = self.config.renewal
        self.note_solutions(journal.goalpost_attempts)
        if settings.every and step % settings.every == 0:
            tested = self.goalposts.tested()
            with journal.phase(RENEWAL):
                ids = [q.id for q in tested]
                rates = self._rates(tested, ids, settings.samples, step, RENEWAL, journal)
            journal.goalposts_tested(RENEWAL, rates, self.config.probe.temperature)
            self.goalposts.observe(rates)
        if settings.every:
            journal.metrics["renewal/retired"] = float(len(self.goalposts.retired))
            journal.metrics["renewal/reserve"] = float(len(self.goalposts.reserve))
        return self.goalposts.active

    def retired_questions(self, step: int) -> list[TrainingQuestion]:
        """Some of the goalposts that became questions of the student's."""
        retired = self.goalposts.retired
        order = rng(self.config.seed, step, "solver/retired").permutation(len(retired))
        return [retired[int(i)] for i in order[: self.config.renewal.tasks]]

    def mastered_lifts(self, step: int, journal: Journal) -> list[Node]:
        """Ladder: lifts, highest towards their goalposts, that the student now solves often."""
        settings = self.config.teacher
        if settings.lifts == 1:
            return []
        frontier = self.buffers.frontier(settings.lifts)
        order = rng(self.config.seed, step, "ladder").permutation(len(frontier))
        drawn = [frontier[int(i)] for i in order[: settings.goalposts_per_round]]
        with journal.phase(Stage.LIFT):
            tasks, ids = [n.task for n in drawn], [n.id for n in drawn]
            rates = self._rates(tasks, ids, self.config.probe.n, step, "ladder", journal)
        mastered = [n for n in drawn if rates[n.id].value >= settings.mastery]
        journal.metrics["ladder/tried"] = float(len(drawn))
        journal.metrics["ladder/mastered"] = float(len(mastered))
        journal.metrics["ladder/rung"] = float(self.buffers.highest_rung())
        return mastered

    def _rates(
        self,
        items: Sequence[Task | Question],
        ids: Sequence[str],
        n: int,
        step: int,
        purpose: str,
        journal: Journal,
    ) -> dict[str, PassRate]:
        """Pass rates by id."""
        params = SamplingParams(
            max_tokens=self.config.student.sampling.max_tokens,
            temperature=self.config.probe.temperature,
            seed=seed_for(self.config.seed, step, f"{purpose}/probe"),
        )
        groups = self.student.attempt(items, n, params)
        journal.attempts(Purpose.PROBE, items, ids, groups)
        return {id: pass_rate(group) for id, group in zip(ids, groups, strict=True)}
