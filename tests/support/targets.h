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

// The same for those that promise equal bits (TargetHasSameBits), best first. Where the platform
// has none at all the test is skipped, and says so; where it should have one, that is a failure.
void ForEachSameBitsTarget(const std::function<void(std::string_view)>& fn);

// The same for those that fuse multiply and add (FusesMulAdd), best first: their sums are those of
// the models, bit for bit.
void ForEachFusingTarget(const std::function<void(std::string_view)>& fn);

// The supported targets that promise equal bits, best first.
std::vector<std::string_view> SameBitsTargets();

// Skips the test that calls it, with a sentence, where the platform has no target that promises
// equal bits (NEON of a 32-bit platform stands alone). False everywhere else.
bool SkipWithoutSameBits();

// False for NEON of a 32-bit platform, whose arithmetic is not IEEE's: subnormal inputs and results
// count as zero, and a quotient may be off by kDivisionRoundoffs roundings instead of one.
bool IsIeee(std::string_view name);

// False for SSE4, which rounds the product and the sum.
bool FusesMulAdd(std::string_view name);

// True where fused multiply-add is emulated (BASELINE, about 100 times slower): such a target gets
// smaller sweeps, with the same edges.
bool IsSlow(std::string_view name);

// A factor on the documented error bounds of sums: 1 where a product-sum rounds once, 2 where it
// rounds twice.
double BoundFactor(std::string_view name);

// The relative error of a quotient a / b, in units of 2^-24. Exact division has one. Where a is
// multiplied by a reciprocal r that was refined as r * (2 - b * r), both multiplications have one
// each, and the difference 3/2: if b * r is above 1 it errs by 1 and the rest is exact; below 1 it
// errs by 1/2, and the difference, above 1, by 1. (The square of the error before is far below.)
constexpr double kDivisionRoundoffs = 3.5;
double DivisionRoundoffs(std::string_view name);

// For results that depend on a comparison: `values`, or, on targets that are not IEEE, +0 for all
// below FLT_MIN. Some compilers compare there as IEEE does and some do not, so it is open whether a
// subnormal number is below 0 or above another. Both sides of a test go through it.
std::vector<float> WithoutSubnormals(std::string_view name, std::vector<float> values);

}  // namespace lanefuse::test

#endif  // LANEFUSE_TESTS_SUPPORT_TARGETS_H_
