#include "src/common/partition.h"

#ifdef _OPENMP
#include <omp.h>
#endif

namespace lanefuse {

Status CheckParallel(const Parallel& parallel) {
  if (parallel.run != nullptr && parallel.threads == 0) {
    return {StatusCode::kInvalidArgument,
            "parallel.threads is 0, must say how many parts parallel.run may get"};
  }
  return {};
}

size_t PartsFor(const Parallel& parallel, size_t work, size_t minimum, size_t units) {
  size_t parts = work / minimum;
  if (parts > units) parts = units;
  if (parts <= 1 || parallel.threads == 1) return 1;
  size_t threads = parallel.threads;
  if (parallel.run == nullptr) {
#ifdef _OPENMP
    if (threads == 0) threads = static_cast<size_t>(omp_get_max_threads());
#else
    threads = 1;
#endif
  }
  return parts < threads ? parts : threads;
}

void RunParts(const Parallel& parallel, size_t parts, void (*part)(void* argument, size_t i),
              void* argument) {
  if (parallel.run != nullptr) {
    parallel.run(parallel.context, parts, part, argument);
    return;
  }
#ifdef _OPENMP
  // A loop, not one part for each thread: OpenMP may give fewer threads than asked for.
  const int count = static_cast<int>(parts);
#pragma omp parallel for schedule(static, 1) num_threads(count)
  for (int i = 0; i < count; ++i) part(argument, static_cast<size_t>(i));
#else
  for (size_t i = 0; i < parts; ++i) part(argument, i);
#endif
}

}  // namespace lanefuse
