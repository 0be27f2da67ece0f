"""What a run found: sentences for people, and JSON with all that a replay needs."""

import dataclasses
import json
import statistics
import xml.etree.ElementTree as ElementTree


@dataclasses.dataclass
class Done:
    """One fault that was carried out. recovery: None where the next one overlapped."""

    step: int
    kind: str
    text: str
    at: float
    took: float
    recovery: float | None
    repeats: int
    handover: float | None = None  # seconds until the others had taken over


def quantiles(values):
    """(p50, p90, max)"""
    ordered = sorted(values)
    return (statistics.median(ordered), ordered[min(len(ordered) - 1, int(len(ordered) * 0.9))],
            ordered[-1])


def table(done, unavailable):
    """A line a kind: how often, recovery times, repeated records; then what could not run."""
    kinds = sorted({d.kind for d in done})
    lines = [f"{'fault':30} {'count':>5}  {'recovery p50':>12} {'p90':>6} {'max':>6}  "
             f"{'repeated':>8}"]
    for kind in kinds:
        of = [d for d in done if d.kind == kind]
        times = [d.recovery for d in of if d.recovery is not None]
        shown = "{:12.2f} {:6.2f} {:6.2f}".format(*quantiles(times)) if times else " " * 26
        lines.append(f"{kind:30} {len(of):5}  {shown}  {sum(d.repeats for d in of):8}")
    lines += [f"{kind:30}     -  not available: {why}" for kind, why in sorted(unavailable.items())]
    return "\n".join(lines)


def spread(values):
    """{count, p50, p90, max} of what is there."""
    there = [value for value in values if value is not None]
    p50, p90, most = quantiles(there) if there else (None, None, None)
    return {"count": len(there), "p50": p50, "p90": p90, "max": most}


def summary(done):
    """What a record of a run tells of its faults."""
    kinds = sorted({d.kind for d in done})
    return {"struck": len(done),
            "recovery": spread(d.recovery for d in done),
            "handover": spread(d.handover for d in done),
            "kinds": {kind: {"count": sum(d.kind == kind for d in done),
                             "recoveries": [round(d.recovery, 2) for d in done
                                            if d.kind == kind and d.recovery is not None],
                             "handovers": [round(d.handover, 2) for d in done
                                           if d.kind == kind and d.handover is not None],
                             "repeated": sum(d.repeats for d in done if d.kind == kind)}
                      for kind in kinds}}


def totals(verdicts):
    return {name: sum(getattr(v, name) for v in verdicts)
            for name in ("source", "copied", "dead", "lost", "holes", "doubled", "rewinds", "late")}


def write(path, **content):
    path.write_text(json.dumps(content, indent=1, default=str) + "\n", encoding="utf-8")


def write_junit(path, cases):
    """cases: [(name, "passed", "failed" or "skipped", text)]"""
    suite = ElementTree.Element("testsuite", name="fault", tests=str(len(cases)))
    for name, outcome, text in cases:
        case = ElementTree.SubElement(suite, "testcase", classname="fault", name=name)
        if outcome != "passed":
            tag = "failure" if outcome == "failed" else "skipped"
            ElementTree.SubElement(case, tag, message=text)
    ElementTree.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)
