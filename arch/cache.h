// Sizes of the data caches that one core sees.
#ifndef LANEFUSE_ARCH_CACHE_H_
#define LANEFUSE_ARCH_CACHE_H_

#include <cstddef>

namespace lanefuse::arch {

struct CacheBytes {
  size_t l1, l2, l3;
};

// Read from the system once. Where it does not tell (containers, many Arm boards), 32 KiB, 512 KiB
// and 1 MiB: what a Cortex-A55 or A72 cluster has, so that a plan never overestimates.
const CacheBytes& Caches();

}  // namespace lanefuse::arch

#endif  // LANEFUSE_ARCH_CACHE_H_
