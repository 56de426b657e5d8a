// The one main of all tests: gtest's, with the seed before and the totals after.
//
//   lanefuse_tests --probe
//
// makes one call instead, and one from C, and prints their status and the active target:
// tests/target_test.cc starts it as a child with LANEFUSE_TARGET set, which the library reads once,
// at its first call.
#include <gtest/gtest.h>

#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <string>

#include "lanefuse/c.h"
#include "lanefuse/dot.h"
#include "lanefuse/target.h"
#include "tests/support/bits.h"
#include "tests/support/random.h"
#include "tests/support/wrong_calls.h"

namespace lanefuse::test {
namespace {

class Totals : public testing::EmptyTestEventListener {
  void OnTestProgramStart(const testing::UnitTest&) override {
    std::printf("seed: %" PRIu64 " (LANEFUSE_TEST_SEED)\ntargets:", TestSeed());
    for (const std::string_view name : SupportedTargets()) {
      std::printf(" %.*s", static_cast<int>(name.size()), name.data());
    }
    std::printf("\n");
  }
  void OnTestProgramEnd(const testing::UnitTest&) override {
    const BitCounts counts = GetBitCounts();
    std::printf("bit comparisons: %" PRIu64 ", differing: %" PRIu64 "\n", counts.comparisons,
                counts.differing);
    if (WrongCallCount() != 0) std::printf("wrong calls: %zu\n", WrongCallCount());
  }
};

int Probe() {
  const float a[] = {1.0f, 2.0f}, b[] = {3.0f, 4.0f};
  float out = -1.0f;
  const Status status = Dot(a, b, Identity(), out);
  std::printf("code %d\nout %g\nactive %s\nmessage %s\n", static_cast<int>(status.code()),
              static_cast<double>(out), std::string(ActiveTarget()).c_str(),
              status.message().c_str());
#if defined(LANEFUSE_TEST_C_INTERFACE)  // not there without every family
  const lanefuse_status from_c =
      lanefuse_dot({a, 2}, {b, 2}, lanefuse_make_activation(LANEFUSE_ACT_IDENTITY, 0.0f), &out);
  std::printf("c_code %d\nc_active %s\n", from_c.code, lanefuse_active_target());
#endif
  return 0;
}

}  // namespace
}  // namespace lanefuse::test

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "--probe") == 0) return lanefuse::test::Probe();
  testing::InitGoogleTest(&argc, argv);
  testing::UnitTest::GetInstance()->listeners().Append(new lanefuse::test::Totals);
  return RUN_ALL_TESTS();
}
