// Counts what is allocated while a scope lives, on every thread: operator new, malloc, calloc,
// realloc and the aligned forms.
//
//   {
//     const NoAllocScope no_alloc;
//     status = Linear(...);          // nothing else: gtest's own macros may allocate
//     allocations = no_alloc.count();
//   }
//   EXPECT_EQ(allocations, 0u);
//
// or, shorter, EXPECT_NO_ALLOC(status = Linear(...)). Call once before: OpenMP makes its threads
// at the first call. Where the trap cannot work (AllocTrapWorks() is false) the macro skips the
// test visibly.
#ifndef LANEFUSE_TESTS_SUPPORT_ALLOC_TRAP_H_
#define LANEFUSE_TESTS_SUPPORT_ALLOC_TRAP_H_

#include <chrono>
#include <cstddef>
#include <thread>

namespace lanefuse::test {

// False in a build whose allocator cannot be watched (neither glibc nor a sanitizer's).
bool AllocTrapWorks();

class NoAllocScope {
 public:
  NoAllocScope();
  ~NoAllocScope();
  NoAllocScope(const NoAllocScope&) = delete;
  NoAllocScope& operator=(const NoAllocScope&) = delete;

  // Allocations since the scope began.
  size_t count() const;

 private:
  size_t before_ = 0;
};

// What OpenMP's runtime allocates for two threads that do nothing: none of GNU's, some blocks of
// LLVM's, every time.
size_t AllocationsOfOpenMp();

// A call that allocates does so each time; a thread that the call before has made may still be
// starting, which allocates once. So a call that is clean at one of a few attempts is clean. On
// OpenMP's threads, clean is what OpenMP allocates by itself.
#define EXPECT_NO_ALLOC(statement)                                                          \
  do {                                                                                      \
    if (!::lanefuse::test::AllocTrapWorks()) GTEST_SKIP() << "allocations are not watched"; \
    const size_t openmp = ::lanefuse::test::AllocationsOfOpenMp();                          \
    size_t allocations = 1;                                                                 \
    for (int attempt = 0; allocations != 0 && attempt < 5; ++attempt) {                     \
      if (attempt != 0) std::this_thread::sleep_for(std::chrono::milliseconds(50));         \
      const ::lanefuse::test::NoAllocScope no_alloc;                                        \
      statement;                                                                            \
      allocations = no_alloc.count();                                                       \
      if (allocations == openmp) allocations = 0;                                           \
    }                                                                                       \
    EXPECT_EQ(allocations, 0u) << #statement;                                               \
  } while (false)

}  // namespace lanefuse::test

#endif  // LANEFUSE_TESTS_SUPPORT_ALLOC_TRAP_H_
