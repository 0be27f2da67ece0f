"""The plan of a run: which faults, with which parameters, in which order; all of it from the seed.

Every kind comes once before any comes twice. A kind that this machine cannot run is left out
without changing the rest of the plan, so that a seed means the same elsewhere.
"""

import dataclasses
import random

from faults import FAULTS

OVERLAPPING = 0.2  # of the faults: the next one does not wait until the copy has caught up
KILLED_IN = 0.2    # of the faults that allow it: kill -9 of a bridge in the middle


@dataclasses.dataclass(frozen=True)
class Shape:
    """What parameters are drawn from."""

    target_nodes: int
    source_nodes: int
    instances: int
    shards: int
    pipelines: tuple


@dataclasses.dataclass(frozen=True)
class Step:
    number: int
    kind: str
    parameters: dict
    hold: float    # seconds between breaking and mending
    pause: float   # seconds before it
    settle: bool   # wait afterwards until the copy has caught up
    kill: int | None  # this instance is killed and started again in the middle

    @property
    def repeats(self):
        return FAULTS[self.kind].repeats or self.kill is not None

    def fault(self):
        return FAULTS[self.kind](**self.parameters)

    def __str__(self):
        words = [f"{name}={value}" for name, value in self.parameters.items()]
        return " ".join([self.kind, *words, f"hold={self.hold}"]
                        + [f"kill-9={self.kill}"] * (self.kill is not None)
                        + ["overlaps"] * (not self.settle))


def unavailable(capabilities, kinds=FAULTS):
    """{kind: what it lacks} of those that cannot run here."""
    lacking = {kind: [need for need in FAULTS[kind].needs if need not in capabilities]
               for kind in kinds}
    return {kind: ", ".join(needs) for kind, needs in lacking.items() if needs}


def draw(seed, count, shape, capabilities, kinds=None):
    """`count` steps. kinds: only these."""
    order = random.Random(f"order {seed}")
    wanted = sorted(kinds or FAULTS)
    missing = unavailable(capabilities, wanted)
    if len(missing) == len(wanted):
        raise ValueError("none of the faults can run here")
    steps, drawn, queue = [], 0, []
    while len(steps) < count:
        if not queue:
            queue = list(wanted)
            order.shuffle(queue)
        kind = queue.pop()
        drawn += 1
        if kind in missing:
            continue
        rng = random.Random(f"step {seed} {drawn}")
        fault = FAULTS[kind]
        parameters = fault.draw(rng, shape)
        hold, pause = round(rng.uniform(*fault.hold), 2), round(rng.uniform(0.1, 0.8), 2)
        settle = rng.random() >= OVERLAPPING
        kill = rng.randrange(shape.instances) if rng.random() < KILLED_IN else None
        steps.append(Step(len(steps) + 1, kind, parameters, hold, pause, settle,
                          kill if fault.killable else None))
    last = dataclasses.replace(steps[-1], settle=True)
    return [*steps[:-1], last]
