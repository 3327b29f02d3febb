"""Rewards of teacher and student (GASP, arXiv 2603.15957; AZR, arXiv 2505.03335)."""

from gasp_rl.config import BandConfig, StudentConfig, TeacherConfig
from gasp_rl.types import Outcome, PassRate, Rejection


def learnability(p: float, a: float, b: float) -> float:
    """R(p; a, b) = [(p/a) ((1-p)/(1-a))^((1-a)/a)]^b: 1 at p = a, 0 at p = 0 and p = 1.

    Generalised learnability of GASP (arXiv 2603.15957).

    Example::

        learnability(0.5, 0.5, 5)   # 1.0, the lemma reward [4p(1-p)]^5 at its peak
        learnability(0.2, 0.1, 1)   # 0.6929, the lift reward 10p((1-p)/0.9)^9
    """
    if not 0 <= p <= 1:
        raise ValueError(f"pass rate {p} is outside [0, 1]")
    return float(((p / a) * ((1 - p) / (1 - a)) ** ((1 - a) / a)) ** b)


def band_rejection(pass_rate: PassRate, band: BandConfig) -> Rejection | None:
    """The rejection of a pass rate outside its band, or None inside it, bounds included."""
    # compared as counts: 3/10 must not fall out of [0.3, 0.7] by rounding
    slack = 1e-9 * pass_rate.total
    if pass_rate.correct < band.low * pass_rate.total - slack:
        return Rejection.TOO_HARD
    if pass_rate.correct > band.high * pass_rate.total + slack:
        return Rejection.TOO_EASY
    return None


def teacher_reward(
    rejection: Rejection | None,
    pass_rate: PassRate | None,
    band: BandConfig,
    config: TeacherConfig,
) -> float:
    """Reward of one proposal: learnability when accepted, else the penalty of its rejection."""
    if rejection is Rejection.UNPARSABLE:
        return config.reward_malformed
    if rejection is not None:
        return config.reward_outside
    if pass_rate is None:
        raise ValueError("an accepted proposal must have been probed")
    return learnability(pass_rate.value, band.peak, band.sharpness)


def student_reward(outcome: Outcome, config: StudentConfig) -> float:
    """Reward of one attempt: pass, fail or format error."""
    match outcome:
        case Outcome.RIGHT:
            return config.reward_right
        case Outcome.WRONG:
            return config.reward_wrong
        case Outcome.MALFORMED:
            return config.reward_malformed
