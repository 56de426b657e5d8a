#include "tests/support/alloc_trap.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>

#include "src/common/partition.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define LANEFUSE_TEST_SANITIZER_HOOKS 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LANEFUSE_TEST_SANITIZER_HOOKS 1
#endif

#if defined(LANEFUSE_TEST_SANITIZER_HOOKS)
// Declared here: not every GCC installs sanitizer/allocator_interface.h.
extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*malloc_hook)(const volatile void*,
                                                                             size_t),
                                                         void (*free_hook)(const volatile void*));
#endif

namespace lanefuse::test {
namespace {

std::atomic<int> g_active{0};
std::atomic<size_t> g_count{0};

// Runs inside the allocator: touches the two counters and nothing else.
[[maybe_unused]] void CountAllocation() {
  if (g_active.load(std::memory_order_relaxed) != 0) ++g_count;
}

}  // namespace

NoAllocScope::NoAllocScope() : before_(g_count.load()) { ++g_active; }
NoAllocScope::~NoAllocScope() { --g_active; }
size_t NoAllocScope::count() const { return g_count.load() - before_; }

size_t AllocationsOfOpenMp() {
  const auto region = [] {
    RunParts(
        {.threads = 2}, 2, [](void*, size_t) {}, nullptr);
  };
  region();  // makes the threads, one of which may still be starting
  size_t least = static_cast<size_t>(-1);
  for (int i = 0; i < 3; ++i) {
    const NoAllocScope scope;
    region();
    least = std::min(least, scope.count());
  }
  return least;
}

#if defined(LANEFUSE_TEST_SANITIZER_HOOKS)

// A sanitizer's allocator replaces malloc itself and offers hooks, which see operator new too.
bool AllocTrapWorks() {
  static const bool installed = __sanitizer_install_malloc_and_free_hooks(
                                    [](const volatile void*, size_t) { CountAllocation(); },
                                    [](const volatile void*) {}) != 0;
  return installed;
}

#elif defined(__GLIBC__) && !defined(LANEFUSE_TEST_STATIC)

bool AllocTrapWorks() { return true; }

#else

bool AllocTrapWorks() { return false; }

#endif

}  // namespace lanefuse::test

#if !defined(LANEFUSE_TEST_SANITIZER_HOOKS) && defined(__GLIBC__) && !defined(LANEFUSE_TEST_STATIC)

// The executable's definitions come before those of the C library, for every shared object in the
// process too (operator new calls this malloc). A statically linked executable cannot have both:
// it defines LANEFUSE_TEST_STATIC. glibc promises these entry points to replacement allocators.
extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* old, size_t size);
void* __libc_memalign(size_t alignment, size_t size);

void* malloc(size_t size) noexcept {
  lanefuse::test::CountAllocation();
  return __libc_malloc(size);
}
void* calloc(size_t count, size_t size) noexcept {
  lanefuse::test::CountAllocation();
  return __libc_calloc(count, size);
}
void* realloc(void* old, size_t size) noexcept {
  lanefuse::test::CountAllocation();
  return __libc_realloc(old, size);
}
void* memalign(size_t alignment, size_t size) noexcept {
  lanefuse::test::CountAllocation();
  return __libc_memalign(alignment, size);
}
void* aligned_alloc(size_t alignment, size_t size) noexcept {
  lanefuse::test::CountAllocation();
  return __libc_memalign(alignment, size);
}
int posix_memalign(void** result, size_t alignment, size_t size) noexcept {
  lanefuse::test::CountAllocation();
  if (alignment % sizeof(void*) != 0 || (alignment & (alignment - 1)) != 0 || alignment == 0) {
    return EINVAL;
  }
  void* memory = __libc_memalign(alignment, size);
  if (memory == nullptr) return ENOMEM;
  *result = memory;
  return 0;
}
}  // extern "C"

#endif
