#!/usr/bin/env python3
"""Where the bytes of a program or of the library are.

    sizes.py [--limit BYTES] [--nm NM] liblanefuse.a     each family on each instruction set
    sizes.py [--limit BYTES] PROGRAM.map                 each library in a linker's map (-Wl,-Map=)

Exits with 1 where there is more than --limit; in a map the C library's share does not count.
"""
import argparse
import collections
import os
import re
import subprocess
import sys

# The C library, and what it and the compiler put around a program.
C_LIBRARY = re.compile(r"^(libc|libm|libpthread|libdl)\.(a|so.*)$|^crt\w*\.o$")


def archive(path, nm):
    """{(family, target): bytes} of an archive's symbols; what two objects share counts once."""
    sizes, seen = collections.Counter(), set()
    folders = {}
    for root, _, files in os.walk(os.path.join(os.path.dirname(__file__), "..", "src")):
        folders.update({name + ".o": os.path.basename(root) for name in files})
    listing = subprocess.run([nm, "-A", "-S", "--defined-only", path], check=True, text=True,
                             stdout=subprocess.PIPE).stdout
    for line in listing.splitlines():
        match = re.match(r".*?:([^:]+):\s*[0-9a-f]+ ([0-9a-f]+) (\w) (\S+)$", line)
        if not match:
            continue  # without a size
        member, size, kind, symbol = match.groups()
        if kind in "bBC" or (kind in "VWuv" and symbol in seen):
            continue
        seen.add(symbol)
        target = "all"
        # A mangled name has its length in front: 8lanefuse6N_AVX2...
        match = re.search(r"8lanefuse(\d+)(N_\w+)", symbol)
        if match:
            target = match.group(2)[2:int(match.group(1))]
        sizes[folders.get(member, "arch"), target] += int(size, 16)
    return sizes


def link_map(path):
    """{library or object: bytes} of what a linker's map says is in the program."""
    sizes, section = collections.Counter(), None
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            alone = re.match(r"^ (\.\S+)\s*$", line)
            if alone:
                section = alone.group(1)
                continue
            match = re.match(r"^ (\.\S+)?\s+0x([0-9a-f]+)\s+0x([0-9a-f]+)\s+(\S.*)$", line)
            if match:
                name = match.group(1) or section
                kept = int(match.group(2), 16) != 0
                loaded = name and not re.match(r"\.(debug|comment|note|bss|tbss)", name)
                origin = re.search(r"([^/]+\.(?:a|o))(?:\(|$)", match.group(4))
                if kept and loaded and origin:
                    sizes[origin.group(1)] += int(match.group(3), 16)
            section = None
    return sizes


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("file")
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--nm", default="nm")
    args = parser.parse_args()
    if args.file.endswith(".map"):
        sizes = link_map(args.file)
        counted = sum(size for name, size in sizes.items() if not C_LIBRARY.match(name))
        for name, size in sizes.most_common():
            print(f"{size:9d}  {name}{'  (not counted)' if C_LIBRARY.match(name) else ''}")
        what = "without the C library"
    else:
        sizes = archive(args.file, args.nm)
        targets = sorted({target for _, target in sizes})
        print(f"{'bytes':14s}" + "".join(f"{target:>18s}" for target in targets))
        for family in sorted({family for family, _ in sizes}):
            print(f"{family:14s}" + "".join(f"{sizes[family, t]:18d}" for t in targets))
        counted, what = sum(sizes.values()), "in all"
    if counted == 0:
        sys.exit(f"{args.file}: nothing was found")
    print(f"{counted:9d}  {what}" + (f", at most {args.limit}" if args.limit else ""))
    if args.limit and counted > args.limit:
        sys.exit(f"{args.file}: {counted - args.limit} bytes too many")


if __name__ == "__main__":
    main()
