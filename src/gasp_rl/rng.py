"""Random generators made from (seed, step, purpose): no global state, nothing to save on resume."""

import hashlib

import numpy as np


def seed_for(seed: int, step: int, purpose: str) -> int:
    """A 64-bit seed that depends on all three, so that moving code changes no other draw."""
    digest = hashlib.blake2b(f"{seed}/{step}/{purpose}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def rng(seed: int, step: int, purpose: str) -> np.random.Generator:
    """A fresh generator for one purpose at one step.

    Example::

        axis = rng(config.seed, step, "lemma/axis").choice(axes)
    """
    return np.random.Generator(np.random.Philox(seed_for(seed, step, purpose)))
