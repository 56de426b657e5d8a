// Who runs the parts of a call.
#ifndef LANEFUSE_PARALLEL_H_
#define LANEFUSE_PARALLEL_H_

#include <cstddef>

namespace lanefuse {

// Parallel{}                        OpenMP with its own number of threads (serial without OpenMP)
// Parallel{.threads = 1}            the calling thread alone
// Parallel{.threads = 4, .run = F, .context = pool}   the caller's pool, in up to 4 parts
//
// The results do not depend on any of it. Work below a measured threshold stays on the calling
// thread; no thread is created other than by OpenMP, and none outlives a call other than OpenMP's.
// LLVM's OpenMP allocates memory whenever it wakes its threads, GNU's when it makes them.
struct Parallel {
  // Runs part(argument, i) for every i in [0, parts), in any order, on any threads, and returns
  // when all are done.
  using Run = void (*)(void* context, size_t parts, void (*part)(void* argument, size_t i),
                       void* argument);

  size_t threads = 0;  // the most parts to use; 0: as many as OpenMP would (not with `run`)
  Run run = nullptr;
  void* context = nullptr;
};

}  // namespace lanefuse

#endif  // LANEFUSE_PARALLEL_H_
