#!/usr/bin/env python3
"""Checks the rules of the source tree that a script can check.

    check_layout.py [SOURCE_DIR]    prints each violation as `path:line: rule: text`, exits 1 if any
    check_layout.py --self-test     proves on a small tree that each rule finds its violation

Rules
  target        HWY_TARGET, HWY_NATIVE_*, HWY_ARCH_*, compilers' CPU macros and the names of
                instruction sets and cores appear in code in arch/ alone. tests/, bench/ and
                examples/ may name targets in strings; tests/ may use HWY_TARGET, not compare it.
  include-path  HWY_TARGET_INCLUDE is the file's own path.
  guard         The guard's name is derived from the path; -inl.h files have the toggle guard.
  public        include/ is flat, has no Highway and includes nothing that is not installed.
  kernel        lanefuse_add_kernel(F K) has its five files, and each src/F/*.cc is registered.
  inl           A header that is not -inl.h includes no -inl.h.
  region        Between HWY_BEFORE_NAMESPACE and HWY_AFTER_NAMESPACE there is no #include, and
                each lambda has HWY_ATTR.
  text          Sources have <= 400 lines and <= 100 columns; no tabs, no trailing blanks, a last
                newline, and no to-do but with its issue's number: TODO(#12).
  top-level     Nothing but the known entries is at the top of the tree.
"""
import fnmatch
import pathlib
import re
import sys
import tempfile

FOLDERS = ("src", "include", "arch", "tests", "bench", "toolchains", "examples", ".ci", "cmake")
FILES = ("CMakeLists.txt", "CMakePresets.json", "README.md", "LICENSE", ".clang-format",
         ".gitignore", ".git")
CPP = (".h", ".cc", ".c", ".cpp", ".hpp")
PLAIN_TEXT = ("README.md", "CMakePresets.json", ".clang-format", ".gitignore")
MAX_LINES = 400
MAX_COLUMNS = 100

# A macro of the compiler or of Highway that tells the CPU.
CPU_MACRO = re.compile(
    r"\b(?:HWY_(?:NATIVE|ARCH)_\w+"
    r"|__(?:AVX|SSE|SSSE|FMA|F16C|BMI|AES|VAES|ARM|aarch64|arm|x86_64|i[3-6]86|amd64|riscv|VSX|"
    r"ALTIVEC|POWER|powerpc|ppc|wasm|s390|loongarch|mips)\w*"
    r"|_M_(?:X64|IX86|AMD64|ARM\w*)|_mm\d*_\w+)")
# Words inside identifiers (and, in include/ and src/, inside strings): kAvx2Tile has k, avx2, tile.
CPU_WORD = re.compile(
    r"(?:avx\d*|sse\d*|ssse3|fma[34]|vnni|amx|neon|asimd|dotprod|i8mm|sve\d*|sme\d*|rvv|vsx|emu128"
    r"|x86|amd64|aarch64|armv[789]|riscv|wasm|cortex|neoverse|graviton|zen\d?|znver\d|haswell"
    r"|broadwell|skylake|icelake|alderlake|goldmont|tremont|gracemont|silvermont|a5[357]|a7[2-8])")
HWY_TARGET_COMPARED = re.compile(
    r"HWY_TARGET\s*(?:[=!]=|[<>&|^])|(?:[=!<>]=|[<>|^]|(?<=\s)&)\s*HWY_TARGET\b"
    r"|switch\s*\(\s*HWY_TARGET\b|^[ \t]*#[ \t]*(?:el)?if\b[^\n]*\bHWY_TARGET\b", re.M)
UNNUMBERED = re.compile(r"\bTO[D]O\b(?!\(#\d+\))")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"]', re.M)
TOKEN = re.compile(
    r'//(?:\\\n|[^\n])*|/\*.*?\*/|R"(?P<d>[^\s()\\]*)\(.*?\)(?P=d)"'
    r"|\"(?:\\.|[^\"\\\n])*\"|(?<![0-9a-zA-Z_])'(?:\\.|[^'\\\n])*'", re.S)


def blank(text):
    """The same number of characters and lines, with nothing in them."""
    return re.sub(r"[^\n]", " ", text)


class Source:
    """A C++ file: its text, the text without comments, and without strings too."""

    def __init__(self, path, text):
        self.path, self.text = path, text
        self.code = TOKEN.sub(lambda m: blank(m.group()) if m.group().startswith(("//", "/*"))
                              else m.group(), text)
        self.bare = TOKEN.sub(lambda m: blank(m.group()), text)
        self.includes = [(m.start(), m.group(2)) for m in INCLUDE.finditer(self.code)]

    def line(self, position):
        return self.text.count("\n", 0, position) + 1


def words(text):
    """(position, word) of the parts of each identifier: kAvx2Tile gives k, Avx2, Tile."""
    for m in re.finditer(r"[A-Z]+(?![a-z])\d*|[A-Z]?[a-z]+\d*", text):
        yield m.start(), m.group()


def balanced(code, start):
    """The position after the bracket that closes the one at `start`; the end if none does."""
    pairs = {"(": ")", "[": "]", "{": "}", "<": ">"}
    opening, closing, depth = code[start], pairs[code[start]], 0
    for i in range(start, len(code)):
        depth += (code[i] == opening) - (code[i] == closing)
        if depth == 0:
            return i + 1
    return len(code)


def lambdas(code, begin, end):
    """(position, text between its parameters and its body) of each lambda in code[begin:end]."""
    for m in re.finditer(r"\[", code[begin:end]):
        start = begin + m.start()
        before = code[:start].rstrip()
        word = re.search(r"\w+$", before)
        if code.startswith("[[", start) or before.endswith(("[", ")", "]")):
            continue
        if word and word.group() not in ("return", "co_return", "co_yield", "throw", "else"):
            continue  # an array or a subscript
        at = balanced(code, start)
        for bracket in "<(":
            gap = re.match(r"\s*", code[at:]).end()
            if code[at + gap : at + gap + 1] == bracket:
                at = balanced(code, at + gap)
        head = re.match(r"(?:[^{;=:]|::)*\{", code[at:])
        if head:  # else a structured binding
            yield start, head.group()


class Checker:
    def __init__(self, root):
        self.root, self.found = root, []

    def report(self, path, line, rule, text):
        self.found.append((str(path), line, rule, text))

    def run(self):
        self.ignored = [".git"]
        if (self.root / ".gitignore").is_file():
            lines = (self.root / ".gitignore").read_text().splitlines()
            self.ignored += [s.strip("/") for s in lines if s and s[0] != "#"]
        for entry in sorted(self.root.iterdir()):
            if self.skipped(entry):
                continue
            if entry.name not in (FOLDERS if entry.is_dir() else FILES):
                self.report(entry.name, 1, "top-level", "not one of the known entries")
            for path in self.files(entry):
                self.check_file(path.relative_to(self.root).as_posix(), path)
        self.check_kernels()
        return sorted(self.found)

    def skipped(self, path):
        return any(fnmatch.fnmatch(path.name, pattern) for pattern in self.ignored)

    def files(self, entry):
        if self.skipped(entry) or entry.is_symlink():
            return
        if entry.is_dir():
            for child in sorted(entry.iterdir()):
                yield from self.files(child)
        else:
            yield entry

    def check_file(self, path, file):
        data = file.read_bytes()
        is_source = (path.endswith(CPP + (".py", ".cmake", ".in", ".sh")) or data[:2] == b"#!"
                     or file.name == "CMakeLists.txt")
        if not is_source and path not in PLAIN_TEXT and not path.endswith(".md"):
            return
        text = data.decode("utf-8", errors="replace")
        self.check_text(path, text, is_source)
        if path.endswith(CPP):
            source = Source(path, text)
            self.check_target(source)
            self.check_includes(source)
            self.check_guard(source)
            self.check_regions(source)

    def check_text(self, path, text, is_source):
        lines = text.split("\n")
        if text and lines.pop():
            self.report(path, len(lines) + 1, "text", "no newline at the end of the file")
        if is_source and len(lines) > MAX_LINES:
            self.report(path, MAX_LINES + 1, "text", f"{len(lines)} lines, at most {MAX_LINES}")
        for number, line in enumerate(lines, 1):
            if is_source and len(line) > MAX_COLUMNS:
                self.report(path, number, "text", f"{len(line)} columns, at most {MAX_COLUMNS}")
            if "\t" in line:
                self.report(path, number, "text", "tab")
            if line != line.rstrip():
                self.report(path, number, "text", "trailing blank")
            if UNNUMBERED.search(line):
                self.report(path, number, "text", "to-do without an issue number")

    def check_target(self, source):
        folder = source.path.split("/")[0]
        if folder == "arch":
            return
        hits = [(m.start(), m.group()) for m in CPU_MACRO.finditer(source.bare)]
        if folder == "tests":
            compared = HWY_TARGET_COMPARED.finditer(source.bare)
            hits += [(m.start(), "HWY_TARGET compared") for m in compared]
        else:
            hits += [(m.start(), m.group()) for m in re.finditer(r"\bHWY_TARGET\b", source.bare)]
        # An include's name is no string: it may say arch/x86.h, and <immintrin.h> is found below.
        text = source.code if folder in ("include", "src") else source.bare
        text = INCLUDE.sub(lambda m: blank(m.group()), text)
        if source.path.startswith("bench/onednn/"):  # the adapter must say oneDNN's own names
            text = re.sub(r"\bcpu_isa::\w+", lambda m: blank(m.group()), text)
        taken = [(at, at + len(name)) for at, name in hits]
        for at, word in words(text):
            if CPU_WORD.fullmatch(word.lower()) and not any(a <= at < b for a, b in taken):
                hits.append((at, word))
        for at, name in source.includes:
            if re.fullmatch(r"(?:\w*intrin|arm_\w+|riscv_vector|altivec|wasm_simd128)\.h", name):
                hits.append((at, f"<{name}>"))
        for at, name in hits:
            self.report(source.path, source.line(at), "target", f"{name} outside arch/")

    def check_includes(self, source):
        path, is_inl = source.path, source.path.endswith("-inl.h")
        define = re.compile(r'^#\s*define\s+HWY_TARGET_INCLUDE\s+(?:"([^"]*)")?', re.M)
        names = list(define.finditer(source.code))
        for m in names:
            if m.group(1) != path:
                text = f'HWY_TARGET_INCLUDE is "{m.group(1)}"'
                self.report(path, source.line(m.start()), "include-path", text)
        for at, name in source.includes:
            line = source.line(at)
            if name == "hwy/foreach_target.h" and not any(m.start() < at for m in names):
                self.report(path, line, "include-path", "HWY_TARGET_INCLUDE is not defined above")
            if path.endswith(".h") and not is_inl and name.endswith("-inl.h"):
                self.report(path, line, "inl", f"{name} included by a plain header")
            if path.startswith("include/") and re.match("(src|arch|tests|bench)/", name):
                self.report(path, line, "public", f"{name} is not installed")
        if path.startswith("include/"):
            if not re.fullmatch(r"include/lanefuse/[a-z0-9_]+\.h", path):
                self.report(path, 1, "public", "not of the form include/lanefuse/name.h")
            for m in re.finditer(r"\bHWY_\w+|\bhwy\b", source.code):
                self.report(path, source.line(m.start()), "public", f"{m.group()}: no Highway here")

    def check_guard(self, source):
        path = source.path
        if not path.endswith((".h", ".hpp")):
            return
        short = path.removeprefix("include/lanefuse/")
        name = "LANEFUSE_" + re.sub(r"\W", "_", short).upper() + "_"
        if path.endswith("-inl.h"):
            wanted = (rf"#if defined\({name}\) == defined\(HWY_TARGET_TOGGLE\)\n#ifdef {name}\n"
                      rf"#undef {name}\n#else\n#define {name}\n#endif\n")
        else:
            wanted = rf"#ifndef {name}\n#define {name}\n"
        directives = "".join(re.sub(r"\s+", " ", s).strip() + "\n" for s in
                             source.bare.split("\n") if s.lstrip().startswith("#"))
        if not re.match(wanted, directives):
            first = re.search(r"^\s*#", source.bare, re.M)
            line = source.line(first.end()) if first else 1
            self.report(path, line, "guard", f"the file does not start with the guard {name}")

    def check_regions(self, source):
        begin = 0
        opening = re.compile(r"^\s*HWY_BEFORE_NAMESPACE\(\);?", re.M)
        while m := opening.search(source.bare, begin):
            begin = m.end()
            closing = re.compile(r"^\s*HWY_AFTER_NAMESPACE\(\)", re.M).search(source.bare, begin)
            if not closing:
                line = source.line(m.end())
                self.report(source.path, line, "region", "HWY_AFTER_NAMESPACE is missing")
            end = closing.start() if closing else len(source.bare)
            for at, name in source.includes:
                if begin <= at < end:
                    self.report(source.path, source.line(at), "region", f"#include of {name}")
            for at, head in lambdas(source.bare, begin, end):
                if "HWY_ATTR" not in head:
                    self.report(source.path, source.line(at), "region", "lambda without HWY_ATTR")

    def check_kernels(self):
        cmake = self.root / "CMakeLists.txt"
        text = re.sub(r"#[^\n]*", lambda m: blank(m.group()), cmake.read_text()
                      if cmake.is_file() else "")
        known = set()
        for m in re.finditer(r"\blanefuse_add_(kernel|sources)\s*\(([^)]*)\)", text):
            line, arguments = text.count("\n", 0, m.start()) + 1, m.group(2).split()
            if m.group(1) == "kernel":
                family, kernel = (arguments + ["", ""])[:2]
                wanted = [f"src/{family}/{kernel}.cc", f"include/lanefuse/{family}.h",
                          f"tests/{family}/{kernel}_test.cc", f"bench/{family}/{kernel}_bench.cc",
                          f"tests/reference/{family}_ref.h"]
            else:
                wanted = [re.sub(r"^\$\{\w+\}/", "", a) for a in arguments]
            known.update(wanted)
            for path in wanted:
                if not (self.root / path).is_file():
                    self.report("CMakeLists.txt", line, "kernel", f"{path} is missing")
        for file in sorted((self.root / "src").rglob("*.cc")):
            path = file.relative_to(self.root).as_posix()
            if path not in known and path.split("/")[1] not in ("common", "epilogue", "info"):
                self.report(path, 1, "kernel", "neither lanefuse_add_kernel nor _sources names it")


def violations(tree):
    """`path:line: rule` of each violation in a tree that is given as {path: text}."""
    with tempfile.TemporaryDirectory() as folder:
        for path, text in tree.items():
            file = pathlib.Path(folder, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        found = Checker(pathlib.Path(folder)).run()
        return sorted({f"{path}:{line}: {rule}" for path, line, rule, _ in found})


def self_test():
    from check_layout_cases import CASES, TREE
    failures = 0
    untouched = violations(TREE)
    if untouched:
        print(f"self-test: the correct tree has violations: {untouched}")
        failures += 1
    for path, old, new, expected in CASES:
        tree = dict(TREE)
        if old is None:
            tree[path] = tree.get(path, "") + new
        elif old == "":
            del tree[path]
        else:
            assert old in tree[path], (path, old)
            tree[path] = tree[path].replace(old, new)
        found = violations(tree)
        if found != [expected]:
            print(f"self-test: {path}, {old!r} -> {new!r}: expected {expected}, found {found}")
            failures += 1
    print(f"self-test: {len(CASES) + 1} trees, {failures} failures")
    return 1 if failures else 0


def main(arguments):
    if arguments[:1] == ["--self-test"]:
        return self_test()
    root = pathlib.Path(arguments[0] if arguments else pathlib.Path(__file__).parent.parent)
    found = Checker(root).run()
    for path, line, rule, text in found:
        print(f"{path}:{line}: {rule}: {text}")
    print(f"layout: {len(found)} violations")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
