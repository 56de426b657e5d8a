#!/usr/bin/env python3
"""Counts the instructions of kernel calls in an emulator: a measure where no board is at hand.

    bench/run --emulated aarch64 [--target TARGET[,TARGET...]] [--filter REGEX] [--json FILE]
                                 [--against FILE] [--check] [--build DIR]

--target   NEON (default), SVE, SVE2, or all. SVE and SVE2 at 128, 256 and 512 bits; SVE:256 is one.
--filter   regular expression on names such as linear/m16_k256_n256
--json     keeps the counts
--against  such a file, from an earlier build: prints the ratio, and fails where a call takes more
           than 2 % more instructions than it did
--check    counts a few calls only, and checks the counter: the same call gives the same count,
           twice the inputs give twice the count, and none is below the least that is possible
--build    an existing or new folder for toolchains/build (default build/aarch64-linux-gnu)

The method: qemu's user emulator translates one instruction at a time (-one-insn-per-tb, before
qemu 8.1 -singlestep) and writes a line for each that it executes (-d exec,nochain). The program
lanefuse_count makes a call once and twice; the difference of the lines is one call, for start and
packing are the same. No plugin, so the distribution's own qemu does. The counts are exact: the same
binary gives the same number on any machine, at any load.

They are not time. A CPU with several pipes runs a few of these instructions in each cycle, an
in-order one waits for loads, and no cache is emulated. What a count shows is that the compiler
spilled registers, or that a call took a slower path: compare it with itself, and with the least.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PLATFORMS = {"aarch64": ("aarch64-linux-gnu", "qemu-aarch64-static")}
# Any CPU does for NEON: it is decided by LANEFUSE_TARGET, and a count knows nothing of the core.
LENGTHS = (128, 256, 512)
TARGETS = {"NEON": {"": "max"},
           "SVE": {bits: f"max,sve-max-vq={bits // 128}" for bits in LENGTHS},
           "SVE2": {bits: f"max,sve-max-vq={bits // 128}" for bits in LENGTHS}}
CHECKED = ("dot/n1024", "linear/m1_k256_n256", "linear/m1_k512_n256", "softmax/r8_c64")
TOLERATED = 1.02


def fail(text):
    print(f"bench/run: {text}", file=sys.stderr)
    sys.exit(2)


def parse():
    parser = argparse.ArgumentParser(
        prog="bench/run", description=__doc__, formatter_class=argparse.RawTextHelpFormatter,
        usage=argparse.SUPPRESS)
    parser.add_argument("--emulated", choices=PLATFORMS, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--target", default="NEON", help=argparse.SUPPRESS)
    for option in ("--filter", "--json", "--against", "--build"):
        parser.add_argument(option, help=argparse.SUPPRESS)
    parser.add_argument("--check", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    try:
        re.compile(arguments.filter or "")
    except re.error as error:
        fail(f"--filter: {error}")
    return arguments


def chosen_targets(text):
    """(shown name, LANEFUSE_TARGET, qemu's CPU) of each target that was asked for."""
    every = [(f"{name}:{bits}".rstrip(":"), name, cpu)
             for name, lengths in TARGETS.items() for bits, cpu in lengths.items()]
    chosen = []
    for part in every if text == "all" else text.split(","):
        found = [part] if text == "all" else [e for e in every if part in (e[0], e[1])]
        if not found:
            fail(f"--target: {part} is not one of all, {', '.join(TARGETS)}, "
                 f"{', '.join(e[0] for e in every if ':' in e[0])}")
        chosen += found
    return chosen


class Emulator:
    """lanefuse_count, emulated for one CPU and target."""

    def __init__(self, qemu, program, triple, target, cpu):
        text = subprocess.run([qemu, "-h"], capture_output=True, text=True, check=False).stdout
        single = "-one-insn-per-tb" if "-one-insn-per-tb" in text else "-singlestep"
        self.trace = [qemu, single, "-d", "exec,nochain", program]
        self.plain = [qemu, program]
        self.environment = dict(os.environ, QEMU_CPU=cpu, LANEFUSE_TARGET=target,
                                QEMU_LD_PREFIX=os.environ.get("QEMU_LD_PREFIX", f"/usr/{triple}"))
        self.environment.pop("QEMU_LOG_FILENAME", None)

    def run(self, *arguments):
        result = subprocess.run([*self.plain, *arguments], env=self.environment, text=True,
                                capture_output=True, check=False)
        if result.returncode != 0:
            fail(f"lanefuse_count {' '.join(arguments)}: {result.stderr.strip()}")
        return result.stdout

    def lines(self, *arguments):
        """How many instructions a run takes, from its first to its last."""
        count, last = 0, b""
        with subprocess.Popen([*self.trace, *arguments], env=self.environment,
                              stderr=subprocess.PIPE) as process:
            while block := process.stderr.read(1 << 20):
                count += block.count(b"\n")
                last = block
        if process.returncode != 0 or not last.rstrip().rpartition(b"\n")[2].startswith(b"Trace "):
            fail(f"lanefuse_count {' '.join(arguments)}, emulated: no trace, status "
                 f"{process.returncode}: {last[-300:].decode(errors='replace')}")
        return count

    def call(self, name, which):
        return self.lines(name, which, "2") - self.lines(name, which, "1")

    def counts(self, names):
        """{(name, "ours" or "plain"): instructions of one call}"""
        jobs = [(name, which) for name in names for which in ("ours", "plain")]
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            return dict(zip(jobs, pool.map(lambda job: self.call(*job), jobs)))


def measure(emulator, shown, pattern):
    emulator.run("--check")  # a count of a wrong result says nothing
    calls = [line.split() for line in emulator.run("--list").splitlines()]
    calls = [call for call in calls if re.search(pattern, call[0])]
    counts = emulator.counts([call[0] for call in calls])
    return [{"name": name, "target": shown, "unit": unit, "work": int(work),
             "instructions": counts[name, "ours"], "plain": counts[name, "plain"],
             "least": int(least)} for name, unit, work, least in calls]


def show(rows, earlier):
    """One table; returns the names of the calls that take more instructions than earlier."""
    slower = []
    print(f"{rows[0]['target']}\n{'':28}{'instructions':>13}{'per unit':>10}{'least':>8}"
          f"{'/ least':>9}{'plain':>9}{'plain /':>9}{'  / earlier' if earlier else ''}")
    for row in rows:
        per = {key: row[key] / row["work"] for key in ("instructions", "least", "plain")}
        least = f"{per['least']:8.3f}{row['instructions'] / row['least']:9.2f}" \
            if row["least"] else f"{'':17}"
        before = earlier.get((row["target"], row["name"]))
        change = row["instructions"] / before if before else None
        print(f"{row['name']:28}{row['instructions']:13,}{per['instructions']:10.3f}{least}"
              f"{per['plain']:9.3f}{row['plain'] / row['instructions']:9.2f}"
              + (f"{change:11.3f}" if change else ""))
        if change and change > TOLERATED:
            slower.append(f"{row['target']} {row['name']}")
    print()
    return slower


def check(emulator, shown):
    """What must hold for any counter that counts."""
    rows = measure(emulator, shown, "^(" + "|".join(CHECKED) + ")$")
    count = {row["name"]: row["instructions"] for row in rows}
    wrong = []
    if len(rows) != len(CHECKED):
        wrong.append("calls are missing")
    else:
        for row in rows:
            if row["instructions"] < max(row["least"], 1):
                wrong.append(f"{row['name']}: {row['instructions']} are fewer than {row['least']}")
            if emulator.call(row["name"], "ours") != row["instructions"]:
                wrong.append(f"{row['name']}: not the same count twice")
        ratio = count["linear/m1_k512_n256"] / count["linear/m1_k256_n256"]
        if not 1.9 < ratio <= 2.0:  # some of a call does not depend on its inputs
            wrong.append(f"twice the inputs, {ratio:.3f} times the instructions")
    for text in wrong:
        print(f"{shown}: {text}", file=sys.stderr)
    print(f"{shown}: the counter {'is WRONG' if wrong else 'counts'}")
    return not wrong


def main():
    arguments = parse()
    triple, qemu = PLATFORMS[arguments.emulated]
    chosen = chosen_targets(arguments.target)
    earlier = {}
    if arguments.against:
        with open(arguments.against, encoding="utf-8") as file:
            earlier = {(row["target"], row["name"]): row["instructions"]
                       for row in json.load(file)["counts"]}
    build = pathlib.Path(arguments.build or ROOT / "build" / triple).absolute()
    made = subprocess.run([ROOT / "toolchains/build", triple, "--count", "--build", build],
                          stdout=subprocess.PIPE, check=False)
    if made.returncode != 0:
        fail("the build failed")
    rows, slower, fine = [], [], True
    for shown, target, cpu in chosen:
        emulator = Emulator(qemu, build / "lanefuse/lanefuse_count", triple, target, cpu)
        if arguments.check:
            fine = check(emulator, shown) and fine
            continue
        found = measure(emulator, shown, arguments.filter or "")
        if not found:
            fail(f"--filter: nothing matches {arguments.filter}")
        slower += show(found, earlier)
        rows += found
    if rows:
        print("Instructions of one call, also for each multiply-add (or element). least: multiply-"
              "adds and loads alone\n(bench/emulated/least.h). plain: loops of C++ as the compiler "
              "vectorises them (bench/emulated/plain.cc).")
    if arguments.json:
        version = subprocess.run([qemu, "--version"], capture_output=True, text=True, check=False)
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump({"emulator": version.stdout.splitlines()[0], "counts": rows}, file, indent=1)
    for name in slower:
        print(f"more instructions than in {arguments.against}: {name}", file=sys.stderr)
    return 0 if fine and not slower else 1


if __name__ == "__main__":
    sys.exit(main())
