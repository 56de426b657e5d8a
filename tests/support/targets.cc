#include "tests/support/targets.h"

#include <gtest/gtest.h>

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
  ASSERT_FALSE(SameBitsTargets().empty()) << "no target would be tested";
  ForEachTarget([&](std::string_view name) {
    if (TargetHasSameBits(name)) fn(name);
  });
}

std::vector<std::string_view> SameBitsTargets() {
  std::vector<std::string_view> names;
  for (const std::string_view name : SupportedTargets()) {
    if (TargetHasSameBits(name)) names.push_back(name);
  }
  return names;
}

bool IsSlow(std::string_view name) { return name == "BASELINE"; }

double BoundFactor(std::string_view name) { return TargetHasSameBits(name) ? 1.0 : 2.0; }

}  // namespace lanefuse::test
