#!/usr/bin/env python3
"""Compares what a shared library exports with what the public headers declare.

    check_exports.py INCLUDE_DIR LIBRARY

Every function with LANEFUSE_API is exported, once for each declaration, and so is the symbol of
the version. Nothing else is: no Highway, no templates of std::, no typeinfo. And every function
that the headers only declare has LANEFUSE_API.
"""
import collections
import pathlib
import re
import subprocess
import sys


def statements(text):
    """(class or "", statement) of a header; the bodies of inline functions are left out."""
    text = re.sub(r"//[^\n]*|/\*.*?\*/", " ", text, flags=re.S)
    text = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", " ", text, flags=re.M)
    text = re.sub(r'extern "C"\s*\{', " ", text)
    text = re.sub(r"=\s*\{\}", " ", text)
    body = re.compile(r"(\)[^(){};]*?|\)\s*:[^;{}]*(?:\{[^{}]*\}[^;{}]*)*)\{[^{}]*\}")
    while body.search(text):  # innermost first
        inner = re.sub(r"\b(?:(?:if|for|while|switch)\s*\([^{}]*\)|else)\s*\{[^{}]*\}", ";", text)
        text = inner if inner != text else body.sub("BODY;", text)
    scopes = [""]
    for part in re.findall(r"[^{};]*[{};]?", text):
        head = " ".join(part[:-1].split())
        if part.endswith("{"):
            scope = re.search(r"^(?:typedef )?(?:class|struct)\b.*?(\w+)(?: :.*)?$", head)
            scopes.append(scope.group(1) if scope else "")
        elif part.endswith("}"):
            scopes = scopes[:-1] or [""]
        elif head:
            yield scopes[-1], head


def declared(include):
    names, unmarked = collections.Counter(), []
    for header in sorted((include / "lanefuse").glob("*.h")):
        for scope, statement in statements(header.read_text()):
            function = re.search(r"(\w+) ?\(.*\)(?: const)?$", statement)
            if not function or re.search(r"BODY$|^(?:using|typedef|return)\b|=|\(\*", statement):
                continue
            name = re.search(r"(\w+) ?\(", statement).group(1)
            if "LANEFUSE_API" not in statement:
                unmarked.append(f"{header.name}: {name} has no LANEFUSE_API")
            elif name.startswith("lanefuse_"):
                names[name] += 1
            else:
                names["::".join(["lanefuse"] + [scope] * bool(scope) + [name])] += 1
    version = (include / "lanefuse/version.h").read_text()
    major, minor = (re.search(rf"LANEFUSE_VERSION_{part} (\d+)", version).group(1)
                    for part in ("MAJOR", "MINOR"))
    names[f"lanefuse_abi_{major}_{minor}"] += 1
    return names, unmarked


def exported(library):
    names = collections.Counter()
    lines = subprocess.run(["nm", "-D", "--defined-only", "--demangle", library], check=True,
                           capture_output=True, text=True).stdout.splitlines()
    for line in lines:
        kind, symbol = re.match(r"\S+ (\w) (.*)", line).groups()
        # A weak or unique symbol is the trace of a template or of typeinfo, whatever its name.
        names[symbol.split("(")[0] if kind in "TRDB" else f"{kind} {symbol}"] += 1
    return names


def main(arguments):
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    wanted, errors = declared(pathlib.Path(arguments[0]))
    found = exported(arguments[1])
    errors += [f"declared, not exported: {name}" for name in (wanted - found).elements()]
    errors += [f"exported, not declared: {name}" for name in (found - wanted).elements()]
    for error in errors:
        print(f"exports: {error}")
    print(f"exports: {sum(wanted.values())} declared, {sum(found.values())} exported, "
          f"{len(errors)} errors")
    return 1 if errors or not found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
