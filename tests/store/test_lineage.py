"""Lineage as a property: whatever tree is committed, it reads back, and only sound trees are."""

from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_runs import GOALPOSTS, proposal, step_record

from gasp_rl.config import Config
from gasp_rl.errors import StoreError
from gasp_rl.store.records import ProposalRecord
from gasp_rl.store.run import RunStore
from gasp_rl.types import Rejection, Stage

ROOTS = [goalpost.id for goalpost in GOALPOSTS]
NUMBERS = count()

Tree = dict[str, tuple[str, str]]
"""Accepted node to its (parent, goalpost)."""


@st.composite
def forests(draw: st.DrawFn) -> tuple[list[list[ProposalRecord]], Tree]:
    """Steps of proposals, lifts growing on any accepted node, some proposals rejected."""
    accepted: Tree = {}
    steps = []
    for step in range(1, draw(st.integers(1, 4)) + 1):
        proposals = []
        for index in range(draw(st.integers(0, 5))):
            lift = bool(accepted) and draw(st.booleans())
            parent = draw(st.sampled_from(sorted(accepted) if lift else ROOTS))
            goalpost = accepted[parent][1] if lift else parent
            rejection = draw(st.sampled_from([None, None, Rejection.TOO_EASY]))
            record = proposal(
                step,
                index,
                Stage.LIFT if lift else Stage.LEMMA,
                parent=parent,
                goalpost=goalpost,
                rejection=rejection,
            )
            proposals.append(record)
            if rejection is None:
                accepted[record.id] = (parent, goalpost)
        steps.append(proposals)
    return steps, accepted


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(forests(), st.data())
def test_forests_read_back(
    tmp_path_factory: pytest.TempPathFactory,
    forest: tuple[list[list[ProposalRecord]], Tree],
    data: st.DataObject,
) -> None:
    steps, accepted = forest
    folder = tmp_path_factory.mktemp("lineage")
    with RunStore.create(Config(), folder / str(next(NUMBERS))) as store:
        store.add_goalposts(GOALPOSTS)
        for step, proposals in enumerate(steps, 1):
            store.commit_step(step_record(step, proposals))
        for node, (parent, goalpost) in accepted.items():
            chain = store.reader.lineage(node)
            assert chain[-1] == node
            assert accepted[chain[0]][0] == goalpost  # the first is a lemma of that goalpost
            assert chain[:-1] == ([] if parent == goalpost else store.reader.lineage(parent))
            assert store.reader.root_of(node) == goalpost
        assert [n.summary.id for n in store.reader.accepted()] == list(accepted)
        step = len(steps) + 1
        strangers = [*sorted({p.id for s in steps for p in s} - accepted.keys()), "0.lemma.0"]
        wrong = proposal(step, 0, Stage.LIFT, parent=data.draw(st.sampled_from(strangers)))
        with pytest.raises(StoreError, match="is not an accepted node"):
            store.commit_step(step_record(step, [wrong]))
        assert store.reader.last_step() == len(steps)
