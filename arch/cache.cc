#include "arch/cache.h"

#if defined(__unix__)
#include <unistd.h>
#endif

namespace lanefuse::arch {
namespace {

size_t Ask([[maybe_unused]] int name, size_t fallback) {
#if defined(_SC_LEVEL1_DCACHE_SIZE)
  const long bytes = sysconf(name);
  if (bytes > 0) return static_cast<size_t>(bytes);
#endif
  return fallback;
}

}  // namespace

const CacheBytes& Caches() {
#if defined(_SC_LEVEL1_DCACHE_SIZE)
  static const CacheBytes caches = {Ask(_SC_LEVEL1_DCACHE_SIZE, size_t{32} << 10),
                                    Ask(_SC_LEVEL2_CACHE_SIZE, size_t{512} << 10),
                                    Ask(_SC_LEVEL3_CACHE_SIZE, size_t{1} << 20)};
#else
  static const CacheBytes caches = {Ask(0, size_t{32} << 10), Ask(0, size_t{512} << 10),
                                    Ask(0, size_t{1} << 20)};
#endif
  return caches;
}

}  // namespace lanefuse::arch
