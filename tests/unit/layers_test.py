"""Holds the shape of the repository: which room may include which, where a third party's headers
may be seen, and what lies at the top level. Standard library only:

    python3 tests/unit/layers_test.py
"""

import pathlib
import re
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Rooms by folder, lowest layer first. A room may include itself and any layer below its own, never
# its neighbours. What a room really links is in CMakeLists.txt, which is held to this order too.
LAYERS = [
    {"bridge/base"},
    {"bridge/record"},
    {"bridge/envelope"},
    {"bridge/keys"},
    {"bridge/checkpoint", "bridge/transform"},
    {"bridge/pipeline"},
    {"bridge/kafka", "config", "transforms"},
    {"bridge/app"},
]
RANK = {room: rank for rank, rooms in enumerate(LAYERS) for room in rooms}

# A third party's headers, and the only places that may include them. Each room's unit tests share
# its rights; bench/ measures the client library itself.
HOMES = {
    r"(librdkafka/)?rdkafka\w*\.h$": ["bridge/kafka/", "tests/unit/kafka/", "bench/"],
    r"openssl/": [
        "bridge/envelope/",
        "bridge/keys/",
        "bridge/base/secret.",
        "tests/unit/envelope/",
        "tests/unit/keys/",
        "tests/unit/base/secret",
        "bench/",
    ],
    r"lmdb\.h$": ["bridge/checkpoint/", "tests/unit/checkpoint/"],
    r"yaml-cpp/": ["config/", "tests/unit/config/"],
}

TOP_LEVEL = {"CMakeLists.txt", "bridge", "transforms", "config", "tests", "bench", "systemd", "README.md"}
ALSO_ALLOWED = {"CMakePresets.json", "LICENSE", "CHANGELOG.md"}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]')
ROOM_IN_CMAKE = re.compile(r"^\s*drawbridge_room\(\s*(\w+)\s+(\S+)([^)]*)\)", re.MULTILINE)


def room_of(path):
    """The room that a path from the top lies in, or None for tests, bench and third parties."""
    parts = path.split("/")
    if parts[0] == "bridge":
        return "/".join(parts[:2])
    if parts[0] in ("config", "transforms") and len(parts) > 1:
        return parts[0]
    return None


def sources(root):
    for top in ("bridge", "config", "transforms", "tests", "bench"):
        for path in sorted((root / top).rglob("*")):
            if path.suffix in (".h", ".cc", ".inc"):
                yield path


def links(root):
    """Room -> rooms it links, directly or through others, as CMakeLists.txt says."""
    text = re.sub(r"#.*", "", (root / "CMakeLists.txt").read_text(encoding="utf-8"))
    folders, direct = {}, {}
    for name, folder, rest in ROOM_IN_CMAKE.findall(text):
        folders[name] = folder
        direct[folder] = re.findall(r"\bdrawbridge_(\w+)", rest)
    closed = {}
    # CMakeLists.txt names a room before those that use it, so one pass is enough.
    for folder, names in direct.items():
        closed[folder] = set()
        for name in names:
            closed[folder] |= {folders[name]} | closed[folders[name]]
    return closed


def include_violations(root):
    linked = links(root)
    found = []
    for room, below in linked.items():
        if room not in RANK:
            found.append(f"CMakeLists.txt: {room} is not a room that tests/unit/layers_test.py knows")
            continue
        for other in sorted(below):
            if other in RANK and RANK[other] >= RANK[room]:
                found.append(f"CMakeLists.txt: {room} links upward or sideways to {other}")
    for path in sources(root):
        name = path.relative_to(root).as_posix()
        room = room_of(name)
        if name.startswith("bridge/") and (room not in RANK or name.count("/") < 2):
            found.append(f"{name}: is in no room")
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            quote, target = match.groups()
            where = f"{name}:{number}"
            for pattern, homes in HOMES.items():
                if re.match(pattern, target) and not name.startswith(tuple(homes)):
                    found.append(f"{where}: {target} may not be included here")
            target_room = room_of(target)
            if quote == '"' and target_room is None and not target.startswith(("tests/", "bench/")):
                found.append(f"{where}: \"{target}\" is not named from the top of the repository")
            if room is None or target_room == room:
                continue
            if target.startswith(("tests/", "bench/")):
                found.append(f"{where}: what ships may not include {target}")
            elif target_room is None:
                continue
            elif RANK.get(target_room, 99) >= RANK[room]:
                found.append(f"{where}: {target} is above {room} or beside it")
            elif target_room not in linked.get(room, ()):
                found.append(f"{where}: {room} does not link {target_room} in CMakeLists.txt")
    return found


def top_level_violations(names):
    names = set(names)
    found = [f"{name}: does not belong at the top level"
             for name in sorted(names - TOP_LEVEL - ALSO_ALLOWED) if not name.startswith(".")]
    return found + [f"{name}: is missing at the top level" for name in sorted(TOP_LEVEL - names)]


class Repository(unittest.TestCase):
    def test_includes_point_downward(self):
        self.assertEqual(include_violations(ROOT), [])

    def test_top_level(self):
        listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
        if listing.returncode != 0:
            self.skipTest("not a git checkout")
        names = {name.split("/")[0] for name in listing.stdout.decode().split("\0") if name}
        self.assertEqual(top_level_violations(names), [])


class PlantedViolations(unittest.TestCase):
    """The checks above, on trees with one thing wrong each."""

    CMAKE = (
        "drawbridge_room(base bridge/base fmt::fmt)\n"
        "drawbridge_room(record bridge/record drawbridge_base)\n"
        "drawbridge_room(kafka bridge/kafka\n    drawbridge_record)\n"
        "drawbridge_room(config config drawbridge_record)  # not drawbridge_kafka\n"
    )

    def violations(self, files, cmake=CMAKE):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / "CMakeLists.txt").write_text(cmake, encoding="utf-8")
            for name, text in files.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text, encoding="utf-8")
            return include_violations(root)

    def assert_caught(self, name, line, words):
        found = self.violations({name: f"// one\n{line}\n"})
        self.assertEqual(len(found), 1, found)
        self.assertIn(words, found[0])
        self.assertTrue(found[0].startswith(f"{name}:2: "), found[0])

    def test_a_clean_tree_is_clean(self):
        self.assertEqual(
            self.violations({
                "bridge/base/a.h": "#include <string>\n#include <fmt/format.h>\n",
                "bridge/base/secret.cc": "#include <openssl/crypto.h>\n",
                "bridge/kafka/b.cc": '#include "bridge/base/a.h"\n#include <librdkafka/rdkafka.h>\n',
                "config/c.cc": '#include <yaml-cpp/yaml.h>\n#include "bridge/record/r.h"\n',
                "tests/unit/kafka/d_test.cc": "#include <librdkafka/rdkafka_mock.h>\n",
            }),
            [],
        )

    def test_upward(self):
        self.assert_caught("bridge/base/a.h", '#include "bridge/record/r.h"', "above")

    def test_upward_in_angle_brackets(self):
        self.assert_caught("bridge/base/a.h", "#  include <bridge/record/r.h>", "above")

    def test_sideways(self):
        self.assert_caught("config/a.cc", '#include "bridge/kafka/k.h"', "beside")

    def test_downward_but_not_linked(self):
        self.assert_caught("bridge/kafka/a.cc", '#include "bridge/envelope/e.h"', "does not link")

    def test_unknown_room(self):
        self.assert_caught("bridge/base/a.cc", '#include "bridge/attic/e.h"', "above")

    def test_tests_in_what_ships(self):
        self.assert_caught("bridge/base/a.cc", '#include "tests/unit/fake.h"', "what ships")

    def test_not_named_from_the_top(self):
        self.assert_caught("bridge/base/a.cc", '#include "a.h"', "not named from the top")

    def test_third_parties_out_of_their_rooms(self):
        for name, header in [
            ("bridge/app/a.cc", "librdkafka/rdkafka.h"),
            ("bridge/pipeline/a.cc", "rdkafka.h"),
            ("tests/unit/app/a_test.cc", "librdkafka/rdkafka_mock.h"),
            ("bridge/base/bytes.cc", "openssl/evp.h"),
            ("bridge/transform/a.cc", "openssl/rand.h"),
            ("bridge/pipeline/a.h", "lmdb.h"),
            ("bridge/app/a.cc", "yaml-cpp/yaml.h"),
        ]:
            with self.subTest(header=header):
                self.assert_caught(name, f"#include <{header}>", "may not be included here")

    def test_link_upward_in_cmake(self):
        found = self.violations({}, self.CMAKE + "drawbridge_room(keys bridge/keys drawbridge_kafka)\n")
        self.assertIn("CMakeLists.txt: bridge/keys links upward or sideways to bridge/kafka", found)

    def test_file_outside_any_room(self):
        self.assertEqual(self.violations({"bridge/a.cc": ""}), ["bridge/a.cc: is in no room"])

    def test_top_level(self):
        right = TOP_LEVEL | {".ci", ".clang-tidy", "LICENSE"}
        self.assertEqual(top_level_violations(right), [])
        self.assertEqual(
            top_level_violations((right | {"scripts"}) - {"bench"}),
            ["scripts: does not belong at the top level", "bench: is missing at the top level"],
        )


if __name__ == "__main__":
    unittest.main()
