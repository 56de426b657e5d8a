// What a target can do, as constexpr facts. Kernels ask these; they never compare HWY_TARGET.
// Per-target header: include it after hwy/foreach_target.h. It holds no functions, so it needs no
// target attributes (clang warns where they apply to nothing).
#if defined(LANEFUSE_ARCH_FEATURES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_ARCH_FEATURES_INL_H_
#undef LANEFUSE_ARCH_FEATURES_INL_H_
#else
#define LANEFUSE_ARCH_FEATURES_INL_H_
#endif

#include "hwy/highway.h"

// Before a function that several objects share: GCC would give each a copy of its own, which takes
// the parameters apart, 125 KB of tiles twice. On Arm the copies are few, and smaller.
#undef LANEFUSE_ONE_COPY
#if HWY_COMPILER_GCC_ACTUAL && HWY_ARCH_X86
#define LANEFUSE_ONE_COPY __attribute__((noipa))
#else
#define LANEFUSE_ONE_COPY
#endif

// As if a vector had been computed, so that it is in a register.
#undef LANEFUSE_IN_REGISTER
#if HWY_COMPILER_GCC_ACTUAL && HWY_ARCH_X86
#define LANEFUSE_IN_REGISTER(v) asm("" : "+v"((v).raw))
#else
#define LANEFUSE_IN_REGISTER(v) (void)(v)
#endif

namespace lanefuse::HWY_NAMESPACE {

// True where MulAdd rounds once in hardware: AVX2 and up, every Arm target, RVV.
constexpr bool kHasFma = HWY_NATIVE_FMA != 0;

// True where MulAdd rounds twice, and must be replaced to keep the bits: BASELINE, whatever it is
// made of.
constexpr bool kEmulateFma =
    HWY_TARGET == HWY_SSE2 || HWY_TARGET == HWY_EMU128 || HWY_TARGET == HWY_SCALAR;

// Whether vectors of doubles do it, instead of std::fma for each lane: vectors that are emulated
// themselves would gain nothing. A macro, because HWY_SCALAR has no halves of a vector.
#undef LANEFUSE_FMA_BY_DOUBLES
#define LANEFUSE_FMA_BY_DOUBLES (HWY_TARGET == HWY_SSE2)

// False where arithmetic is not IEEE's: NEON of Armv7 takes subnormal inputs and results as zero,
// and divides by way of a reciprocal that is refined three times (target.h has the bounds).
constexpr bool kIeee = !HWY_ARCH_ARM_V7 || kEmulateFma;

// True where every result equals, bit for bit, that of all other such targets (DESIGN section 4).
// SSE4 has neither the instruction nor the time to emulate it, so it rounds twice and says so.
constexpr bool kSameBits = (kHasFma || kEmulateFma) && kIeee;

// True where Max(a, b) and Min(a, b) return b when either is NaN or both are zero, as the SSE and
// AVX instructions do: then Max(lo, v) is exactly "v < lo ? lo : v".
constexpr bool kMinMaxReturnSecond =
    HWY_ARCH_X86 && HWY_TARGET != HWY_EMU128 && HWY_TARGET != HWY_SCALAR;

// False where the number of lanes is known only at run time (SVE, RVV).
constexpr bool kConstexprLanes = HWY_HAVE_SCALABLE == 0;

// True where small code is worth more than the last percent of a rare case: boards, whose caches
// and flash are small, and the targets that are slow in any case. Rare cases are then one loop on
// sums in L1 instead of code of their own in every tile, and tiles have fewer heights.
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2
constexpr bool kSmallCode = false;
#else
constexpr bool kSmallCode = true;
#endif

// True where vectors have four lanes and a multiply-add takes any lane of a vector as the factor of
// all: four inputs are loaded at once, and none is broadcast.
#if HWY_TARGET_IS_NEON && HWY_ARCH_ARM_A64
constexpr bool kLaneFactors = true;
#else
constexpr bool kLaneFactors = false;
#endif

// True where a multiply-add takes a float in memory as the factor of all lanes.
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
constexpr bool kBroadcastOperands = true;
#else
constexpr bool kBroadcastOperands = false;
#endif

// True where a load of a few lanes is one instruction that leaves the memory of the others alone.
// AVX2 has one, too, but whether it does is up to the processor.
#if HWY_ARCH_X86 && HWY_TARGET > HWY_AVX3
constexpr bool kMaskedLoads = false;
#else
constexpr bool kMaskedLoads = true;
#endif

// True where a full tile needs registers for what is loaded ahead of its use: no multiply-add reads
// memory, and many cores start instructions in the order of the program.
constexpr bool kLoadsAhead = HWY_ARCH_ARM_A64 != 0;

// Vector registers that a kernel may fill with accumulators and operands.
#if HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM_A64 || HWY_TARGET == HWY_RVV
constexpr size_t kVectorRegisters = 32;
#else
constexpr size_t kVectorRegisters = 16;
#endif

}  // namespace lanefuse::HWY_NAMESPACE

#endif  // LANEFUSE_ARCH_FEATURES_INL_H_
