"""A task kind of your own: repair. The student sees a wrong program and pairs, and mends it.

Run it: python examples/new_kind.py (a scripted policy; no weights are loaded)
"""

from dataclasses import dataclass, replace

from gasp_rl.engines.protocol import Engine, SamplingParams
from gasp_rl.engines.scripted import ScriptedEngine
from gasp_rl.roles.prompts import load_prompts
from gasp_rl.roles.student import Attempt, Student, pass_rate
from gasp_rl.sandbox import Check, Job, Sandbox
from gasp_rl.tasks import Induction
from gasp_rl.tasks.answers import last_block
from gasp_rl.tasks.judge import Judge
from gasp_rl.types import Example, TaskKey, content_key

TEMPLATE = "This is wrong:\n```python\n$program\n```\nIt should give\n$examples\nMend it.\n"


@dataclass(frozen=True, slots=True)
class Repair:
    """An induction task and a wrong answer to it, for instance one of the student's own."""

    task: Induction
    wrong: str
    kind: str = "repair"

    @property
    def key(self) -> TaskKey:
        return content_key(self.kind, self.task.key, self.wrong)

    def seen(self) -> dict[str, str | tuple[Example, ...]]:
        """What the template's fields stand for: never the right program, never a hidden pair."""
        return {"program": self.wrong, "examples": self.task.shown}

    @staticmethod
    def parse(completion: str) -> str | None:
        return last_block(completion, "python")

    def job(self, answer: str) -> Job:
        pairs = self.task.shown + self.task.hidden
        return Check(answer, tuple(p.input for p in pairs), tuple(p.output.encode() for p in pairs))


def attempt(repair: Repair, engine: Engine, sandbox: Sandbox, n: int) -> list[Attempt]:
    prompts = load_prompts()
    prompts = replace(prompts, student_templates={**prompts.student_templates, "repair": TEMPLATE})
    student = Student(engine, prompts, Judge(sandbox))
    return student.attempt([repair], n, SamplingParams(max_tokens=200))[0]


if __name__ == "__main__":
    pairs = (Example("[3, 1, 2]", "[1, 2, 3]"), Example("[2, 1]", "[1, 2]"))
    task = Induction("def f(x):\n    return sorted(x)", "Sort x.", pairs[:1], pairs[1:])
    policy = ScriptedEngine(lambda prompt, i, draw: "```python\ndef f(x): return sorted(x)\n```")
    with Sandbox() as box:
        print(pass_rate(attempt(Repair(task, "def f(x): return x"), policy, box, 4)))
