// For the test that the compiler keeps a product and a sum apart (-ffp-contract=off).
#ifndef LANEFUSE_ARCH_CONTRACTION_H_
#define LANEFUSE_ARCH_CONTRACTION_H_

// Lets the compiler use the instruction that it must not use, where the baseline lacks it.
#if defined(__x86_64__)
#define LANEFUSE_MAY_FUSE __attribute__((target("fma"), noinline))
#else
#define LANEFUSE_MAY_FUSE __attribute__((noinline))
#endif

namespace lanefuse::arch {

// Whether this CPU can run a function with LANEFUSE_MAY_FUSE.
inline bool CanFuse() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("fma");
#else
  return true;
#endif
}

}  // namespace lanefuse::arch

#endif  // LANEFUSE_ARCH_CONTRACTION_H_
