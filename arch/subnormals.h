// For tests that compute in scalar code what the vectors should give.
#ifndef LANEFUSE_ARCH_SUBNORMALS_H_
#define LANEFUSE_ARCH_SUBNORMALS_H_

namespace lanefuse::arch {

// While it lives, scalar arithmetic of this thread treats subnormal numbers as the platform's
// vectors do. Only NEON of Armv7 differs: it has them as zeros of their sign, inputs and results,
// and the scalar unit does so too where bit 24 (FZ) of its control register is set.
class SubnormalsLikeVectors {
 public:
#if defined(__arm__) && defined(__ARM_NEON)
  SubnormalsLikeVectors() : before_(__builtin_arm_get_fpscr()) { Set(before_ | 1u << 24); }
  ~SubnormalsLikeVectors() { Set(before_); }

 private:
  // What is computed from memory stays on its side of the change.
  static void Set(unsigned mode) {
    asm volatile("" ::: "memory");
    __builtin_arm_set_fpscr(mode);
    asm volatile("" ::: "memory");
  }
  unsigned before_;

 public:
#else
  SubnormalsLikeVectors() {}
  ~SubnormalsLikeVectors() {}
#endif
  SubnormalsLikeVectors(const SubnormalsLikeVectors&) = delete;
  SubnormalsLikeVectors& operator=(const SubnormalsLikeVectors&) = delete;
};

}  // namespace lanefuse::arch

#endif  // LANEFUSE_ARCH_SUBNORMALS_H_
