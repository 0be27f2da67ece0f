"""Adds up JUnit files: prints `PASSED FAILED SKIPPED` for the files and folders named.

Reads what ctest, GoogleTest and pytest write. A test program that dies leaves no file of its own:
ctest's file, given with --ctest, then counts for it.

    count.py [--ctest ctest.xml] FILE_OR_FOLDER...
"""

import pathlib
import sys
import xml.etree.ElementTree as ElementTree


def outcomes(path):
    """Yields (suite or test name, outcome) for every test case in one file."""
    for case in ElementTree.parse(path).iter("testcase"):
        children = {child.tag for child in case}
        status = case.get("status", "")
        if children & {"failure", "error"} or status == "fail":
            outcome = "failed"
        elif (
            "skipped" in children
            or case.get("result") in ("skipped", "suppressed")
            or status in ("notrun", "disabled")
        ):
            outcome = "skipped"
        else:
            outcome = "passed"
        yield case.get("name", ""), outcome


def count(paths, ctest=None):
    totals = {"passed": 0, "failed": 0, "skipped": 0}
    for path in paths:
        for _, outcome in outcomes(path):
            totals[outcome] += 1
    if ctest is not None:
        # A program counts by itself only where it has no file, or where ctest saw it fail (a leak
        # report or a crash after the last test) although each of its cases passed.
        by_program = {path.stem.removesuffix("_test"): path for path in paths}
        for name, outcome in outcomes(ctest):
            own = by_program.get(name)
            if own is None:
                totals[outcome] += 1
            elif outcome == "failed" and all(o != "failed" for _, o in outcomes(own)):
                totals["failed"] += 1
    return totals


def main(arguments):
    ctest = None
    if arguments[:1] == ["--ctest"]:
        ctest = pathlib.Path(arguments[1])
        arguments = arguments[2:]
        if not ctest.exists():
            ctest = None
    paths = []
    for argument in map(pathlib.Path, arguments):
        if argument.is_dir():
            paths.extend(sorted(argument.glob("*.xml")))
        elif argument.exists():
            paths.append(argument)
    totals = count(paths, ctest)
    print(totals["passed"], totals["failed"], totals["skipped"])


if __name__ == "__main__":
    main(sys.argv[1:])
