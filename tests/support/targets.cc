#include "tests/support/targets.h"

#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>

#include "lanefuse/target.h"

namespace lanefuse::test {

void ForEachTarget(const std::function<void(std::string_view)>& fn) {
  ASSERT_FALSE(SupportedTargets().empty()) << "no target would be tested";
  // Lifts the limit at the end, however the body ends.
  struct Lift {
    ~Lift() { EXPECT_TRUE(LimitTarget("").ok()); }
  } const lift;
  for (const std::string_view name : SupportedTargets()) {
    SCOPED_TRACE("target " + std::string(name));
    const Status status = LimitTarget(name);
    ASSERT_TRUE(status.ok()) << status.message();
    ASSERT_EQ(ActiveTarget(), name) << "another target than the requested one would run";
    fn(name);
    // A body that changes the limit itself would have tested something else.
    ASSERT_EQ(ActiveTarget(), name);
    if (testing::Test::HasFatalFailure()) return;
  }
}

void ForEachSameBitsTarget(const std::function<void(std::string_view)>& fn) {
  if (SkipWithoutSameBits()) return;
  ASSERT_FALSE(SameBitsTargets().empty()) << "no target would be tested";
  ForEachTarget([&](std::string_view name) {
    if (TargetHasSameBits(name)) fn(name);
  });
}

void ForEachFusingTarget(const std::function<void(std::string_view)>& fn) {
  size_t tested = 0;
  ForEachTarget([&](std::string_view name) {
    if (!FusesMulAdd(name)) return;
    ++tested;
    fn(name);
  });
  ASSERT_NE(tested, 0u) << "no target would be tested";
}

std::vector<std::string_view> SameBitsTargets() {
  std::vector<std::string_view> names;
  for (const std::string_view name : SupportedTargets()) {
    if (TargetHasSameBits(name)) names.push_back(name);
  }
  return names;
}

bool SkipWithoutSameBits() {
  for (const std::string_view name : BuiltTargets()) {
    if (IsIeee(name)) return false;
  }
  // Once is enough, however often a test comes here.
  const auto skip = [] {
    GTEST_SKIP() << "no target of this platform promises equal bits: NEON of 32 bits is not IEEE";
  };
  if (!testing::Test::IsSkipped()) skip();
  return true;
}

bool IsIeee(std::string_view name) { return name != "NEON" || sizeof(void*) != 4; }

bool FusesMulAdd(std::string_view name) { return name != "SSE4"; }

bool IsSlow(std::string_view name) { return name == "BASELINE"; }

double BoundFactor(std::string_view name) { return FusesMulAdd(name) ? 1.0 : 2.0; }

double DivisionRoundoffs(std::string_view name) { return IsIeee(name) ? 1.0 : kDivisionRoundoffs; }

std::vector<float> WithoutSubnormals(std::string_view name, std::vector<float> values) {
  if (IsIeee(name)) return values;
  for (float& v : values) {
    if (std::fabs(v) < FLT_MIN) v = 0.0f;
  }
  return values;
}

}  // namespace lanefuse::test
