"""What can be asked, and how an answer is judged.

`Induction`, `Deduction` and `Abduction` are the tasks of self-play, made from one program each;
`Question` is a real problem. The two are different types on purpose: a question cannot be trained
on unless a method wraps it as a `TrainingQuestion`.
"""

from gasp_rl.tasks.kinds import Abduction, Deduction, Induction, Task, retell
from gasp_rl.tasks.question import Form, Question, TrainingQuestion

__all__ = [
    "Abduction",
    "Deduction",
    "Form",
    "Induction",
    "Question",
    "Task",
    "TrainingQuestion",
    "retell",
]
