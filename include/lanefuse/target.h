// The instruction sets: which are built in, which this CPU runs, which is in use.
#ifndef LANEFUSE_TARGET_H_
#define LANEFUSE_TARGET_H_

#include <cstddef>
#include <span>
#include <string_view>

#include "lanefuse/export.h"
#include "lanefuse/status.h"

namespace lanefuse {

// Names are the field's: BASELINE, SSE4, AVX2, AVX512, AVX512_VNNI; NEON, NEON_DOTPROD, SVE, SVE2.

// The targets that are built in and that this CPU can run, best first. The memory is static.
LANEFUSE_API std::span<const std::string_view> SupportedTargets();

// The targets that are built in, best first, whether or not this CPU can run them.
LANEFUSE_API std::span<const std::string_view> BuiltTargets();

// The target that calls use now. Empty where LANEFUSE_TARGET names none of SupportedTargets(); then
// every call returns kUnsupportedTarget until LimitTarget chooses one. A call with little to fill
// the vectors of AVX512 may run AVX2's code, which has the same bits.
LANEFUSE_API std::string_view ActiveTarget();

// Uses `name` from the next call on; an empty name lifts the limit. It overrides the environment
// variable LANEFUSE_TARGET, which is read once, at the first call. An unknown or unsupported
// name is an error that lists the valid ones and changes nothing. Calls that are under way on other
// threads finish on the target that they began with.
LANEFUSE_API Status LimitTarget(std::string_view name);

// True where `name` keeps the promise of equal bits (every target but SSE4 and Armv7).
//
// Accuracy of the two: SSE4 rounds a product before it is added, which doubles the bounds of sums.
// NEON of Armv7 takes numbers below 2^-126 as zero, as input, on the way and as result (though a
// comparison may see them), and a quotient errs by 3.5 * 2^-24 of its value: average pools have
// one, so have sigmoid, tanh, SiLU, GELU and Mish, and ELU two.
LANEFUSE_API bool TargetHasSameBits(std::string_view name);

}  // namespace lanefuse

#endif  // LANEFUSE_TARGET_H_
