"""The trees on which check_layout.py --self-test proves each of its rules.

TREE has no violation. Each of CASES changes one file of it, which must be reported with the place
and the rule that the case names, and nothing else.
"""


def toggle_guard(name):
    return (f"#if defined({name}) == defined(HWY_TARGET_TOGGLE)\n#ifdef {name}\n#undef {name}\n"
            f"#else\n#define {name}\n#endif\n")


TREE = {
    "CMakeLists.txt": "# lanefuse_add_kernel(no such)\nfunction(lanefuse_add_kernel f k)\n"
                      "endfunction()\nlanefuse_add_sources(src/dot/plan.cc)\n"
                      "lanefuse_add_kernel(dot dot)\n",
    ".gitignore": "build*/\n",
    "arch/facts-inl.h": toggle_guard("LANEFUSE_ARCH_FACTS_INL_H_")
                        + "#if HWY_TARGET == HWY_AVX2\n#endif\n#endif\n",
    "bench/dot/dot_bench.cc": 'const char* name = "AVX2";\n',
    "build/junk.cc": "\t#if HWY_TARGET\n",
    "include/lanefuse/dot.h": "// Runs on AVX2 (hwy).\n#ifndef LANEFUSE_DOT_H_\n"
                              "#define LANEFUSE_DOT_H_\n"
                              "#include <span>\nint Sum(int a, int n);\n#endif\n",
    "src/common/ops-inl.h": toggle_guard("LANEFUSE_SRC_COMMON_OPS_INL_H_") + "#endif\n",
    "src/common/view.h": "#ifndef LANEFUSE_SRC_COMMON_VIEW_H_\n"
                         "#define LANEFUSE_SRC_COMMON_VIEW_H_\n#endif\n",
    "src/common/status.cc": "int separated = 1'000'000;  // __AVX2__\n",
    "bench/onednn/isa.cc": "auto isa = dnnl::cpu_isa::avx2;\n",
    "src/dot/plan.cc": 'const char* text = "// TODO(#12)";\n',
    "src/dot/dot.cc": """#include "lanefuse/dot.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "src/dot/dot.cc"
#include "hwy/foreach_target.h"
#include "src/common/ops-inl.h"
HWY_BEFORE_NAMESPACE();
void Run(int* p, int n) {
  auto f = [p, n](int i) HWY_ATTR -> int { return p[i] + n; };
  auto [a, b] = Pair{p[0], p[n]};
  for (const auto& [c, d] : pairs) { f(c + d); }
  if (a < b) [[likely]] { f(a); }
}
HWY_AFTER_NAMESPACE();
auto g = [](int i) { return i; };
""",
    "tests/reference/dot_ref.h": "#ifndef LANEFUSE_TESTS_REFERENCE_DOT_REF_H_\n"
                                 "#define LANEFUSE_TESTS_REFERENCE_DOT_REF_H_\n#endif\n",
    "tests/dot/dot_test.cc": 'const char* name = "NEON";\nlong Ran() { return HWY_TARGET; }\n',
}
KERNEL = "src/dot/dot.cc"
PUBLIC = "include/lanefuse/dot.h"
TEST = "tests/dot/dot_test.cc"
VIEW = "src/common/view.h"

# File, what to replace (None: append; empty: remove the file), by what, expected place and rule.
CASES = [
    (KERNEL, None, "#if HWY_TARGET == HWY_X\n#endif\n", f"{KERNEL}:15: target"),
    (KERNEL, None, "int t = HWY_TARGET;\n", f"{KERNEL}:15: target"),
    (KERNEL, None, "#ifdef HWY_NATIVE_FMA\n#endif\n", f"{KERNEL}:15: target"),
    (KERNEL, None, "bool a = HWY_ARCH_X86;\n", f"{KERNEL}:15: target"),
    (KERNEL, None, "#ifdef __AVX512F__\n#endif\n", f"{KERNEL}:15: target"),
    (KERNEL, None, "void LoadAvx2Tile();\n", f"{KERNEL}:15: target"),
    (KERNEL, None, "const int kCortexTile = 4;\n", f"{KERNEL}:15: target"),
    (KERNEL, None, 'auto s = "needs neon";\n', f"{KERNEL}:15: target"),
    (KERNEL, None, "#include <immintrin.h>\n", f"{KERNEL}:15: target"),
    ("bench/dot/dot_bench.cc", None, "long t = HWY_TARGET;\n",
     "bench/dot/dot_bench.cc:2: target"),
    (TEST, None, "bool b = HWY_TARGET == 4;\n", f"{TEST}:3: target"),
    (TEST, None, "bool b = 4 <= HWY_TARGET;\n", f"{TEST}:3: target"),
    (TEST, None, "#if HWY_TARGET\n#endif\n", f"{TEST}:3: target"),
    (TEST, None, "long b = HWY_AVX3;\n", f"{TEST}:3: target"),
    (KERNEL, '"src/dot/dot.cc"', '"src/dot/copied.cc"', f"{KERNEL}:3: include-path"),
    (KERNEL, "#define HWY_TARGET_INCLUDE", "#define OTHER", f"{KERNEL}:4: include-path"),
    ("src/common/ops-inl.h", "OPS", "OPPS", "src/common/ops-inl.h:1: guard"),
    ("src/common/ops-inl.h", "#else", "", "src/common/ops-inl.h:1: guard"),
    (VIEW, "_VIEW", "_VIEWS", f"{VIEW}:1: guard"),
    (VIEW, "#ifndef", "#pragma once\n#ifndef", f"{VIEW}:1: guard"),
    (PUBLIC, "LANEFUSE_", "LANEFUSE_LANEFUSE_", f"{PUBLIC}:2: guard"),
    (PUBLIC, "<span>", '"hwy/base.h"', f"{PUBLIC}:4: public"),
    (PUBLIC, "int Sum", "HWY_API int Sum", f"{PUBLIC}:5: public"),
    (PUBLIC, "<span>", '"src/common/view.h"', f"{PUBLIC}:4: public"),
    ("include/lanefuse/deep/x.cc", None, "int i;\n", "include/lanefuse/deep/x.cc:1: public"),
    (PUBLIC, "", "", "CMakeLists.txt:5: kernel"),
    (KERNEL, "", "", "CMakeLists.txt:5: kernel"),
    ("src/dot/plan.cc", "", "", "CMakeLists.txt:4: kernel"),
    (TEST, "", "", "CMakeLists.txt:5: kernel"),
    ("bench/dot/dot_bench.cc", "", "", "CMakeLists.txt:5: kernel"),
    ("tests/reference/dot_ref.h", "", "", "CMakeLists.txt:5: kernel"),
    ("src/dot/pack.cc", None, "int i;\n", "src/dot/pack.cc:1: kernel"),
    (VIEW, "\n#endif", '\n#include "src/common/ops-inl.h"\n#endif',
     f"{VIEW}:3: inl"),
    (KERNEL, "void Run", "#include <cmath>\nvoid Run", f"{KERNEL}:7: region"),
    (KERNEL, " HWY_ATTR -> int", " -> int", f"{KERNEL}:8: region"),
    (KERNEL, "auto [a", "return [&] { f(n); };\n  auto [a", f"{KERNEL}:9: region"),
    (KERNEL, "HWY_AFTER_NAMESPACE();\nauto g = [](int i)", "auto g = [](int i) HWY_ATTR",
     f"{KERNEL}:6: region"),
    (KERNEL, None, "//\n" * 387, f"{KERNEL}:401: text"),
    (KERNEL, None, "// " + "x" * 98 + "\n", f"{KERNEL}:15: text"),
    (KERNEL, None, "\tint i;\n", f"{KERNEL}:15: text"),
    (KERNEL, None, "int i; \n", f"{KERNEL}:15: text"),
    (KERNEL, None, "int i;", f"{KERNEL}:15: text"),
    ("bench/onednn/cap.cc", None, "int i = kAvx2;\n", "bench/onednn/cap.cc:1: target"),
    (KERNEL, None, "// TO" "DO: more\n", f"{KERNEL}:15: text"),
    ("notes.md", None, "Notes\n", "notes.md:1: top-level"),
    ("scripts/run.py", None, "run = 1\n", "scripts:1: top-level"),
]
