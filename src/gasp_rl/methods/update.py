"""One update of the one policy from rewarded completions of either role."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gasp_rl.config import Config, StudentConfig
from gasp_rl.curriculum.proposals import Proposal
from gasp_rl.curriculum.rewards import student_reward
from gasp_rl.engines.protocol import Completion, Engine, Row
from gasp_rl.roles.student import Attempt
from gasp_rl.types import Metrics, Tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Experience:
    """A rewarded completion. `id` is that of its record in the run's store; `temperature` is what
    it was sampled at, so that the trainer tempers its log-probabilities alike.
    """

    id: str
    prompt: Tokens
    completion: Completion
    reward: float
    temperature: float = 1.0


def student_experiences(
    ids: Sequence[str], attempts: Sequence[Attempt], temperature: float, config: StudentConfig
) -> list[Experience]:
    """Attempts with their rewards; `ids` are those of their records."""
    return [
        Experience(
            id=i,
            prompt=a.prompt_tokens,
            completion=a.completion,
            reward=student_reward(a.judgement.outcome, config),
            temperature=temperature,
        )
        for i, a in zip(ids, attempts, strict=True)
    ]


def teacher_experiences(
    ids: Sequence[str], proposals: Sequence[Proposal], engine: Engine, temperature: float
) -> list[Experience]:
    """Proposals with their rewards; `ids` are those of their records."""
    return [
        Experience(
            id=i,
            prompt=engine.tokenizer.encode_prompt(p.request.prompt),
            completion=p.completion,
            reward=p.reward,
            temperature=temperature,
        )
        for i, p in zip(ids, proposals, strict=True)
    ]


def learns_from_probes_of(proposal: Proposal, config: StudentConfig) -> bool:
    """Whether `student.learn_from_probes` takes a proposal's probes."""
    match config.learn_from_probes:
        case "none":
            return False
        case "accepted":
            return proposal.accepted
        case "valid":
            return bool(proposal.probes)


def update(
    engine: Engine, experiences: Sequence[Experience], advantages: np.ndarray, config: Config
) -> Metrics:
    """One optimiser step; every token of a completion carries the completion's advantage.

    Rows with advantage 0 push nowhere, but count in the token mean as AZR's do.
    """
    rows = [
        Row(
            prompt=e.prompt,
            tokens_T=e.completion.tokens_T,
            logprobs_T=e.completion.logprobs_T,
            advantages_T=(float(advantage),) * len(e.completion.tokens_T),
            temperature=e.temperature,
        )
        for e, advantage in zip(experiences, advantages, strict=True)
    ]
    if not any(advantages):
        return {"train/skipped_updates": 1.0}
    metrics = engine.forward_backward(rows, config.loss)
    metrics |= engine.optim_step(config.optim)
    engine.publish()
    return {**metrics, "train/rows": float(len(rows))}
