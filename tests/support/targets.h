// Runs a test body on every instruction set that is built in and that this CPU can run.
//
//   ForEachTarget([](std::string_view target) {
//     const size_t longest = IsSlow(target) ? 70 : 200;
//     ...
//   });
//
// Each body runs with LimitTarget(target) in force, under a SCOPED_TRACE with the target's name,
// after a check that ActiveTarget() is that very target: dispatch that falls back silently fails
// the test. The limit is lifted at the end.
#ifndef LANEFUSE_TESTS_SUPPORT_TARGETS_H_
#define LANEFUSE_TESTS_SUPPORT_TARGETS_H_

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace lanefuse::test {

// Runs `fn` on every supported target, best first; stops at a fatal failure.
void ForEachTarget(const std::function<void(std::string_view)>& fn);

// The same for those that promise equal bits (TargetHasSameBits), best first.
void ForEachSameBitsTarget(const std::function<void(std::string_view)>& fn);

// The supported targets that promise equal bits, best first.
std::vector<std::string_view> SameBitsTargets();

// True where fused multiply-add is emulated (BASELINE, about 100 times slower): such a target gets
// smaller sweeps, with the same edges.
bool IsSlow(std::string_view name);

// A factor on the documented error bounds: 1 where a product-sum rounds once, 2 where it rounds
// twice (TargetHasSameBits is false).
double BoundFactor(std::string_view name);

}  // namespace lanefuse::test

#endif  // LANEFUSE_TESTS_SUPPORT_TARGETS_H_
