"""From goalposts to training tasks: proposals, their checks, rewards, novelty and lineage."""
