#ifndef LANEFUSE_BENCH_SUPPORT_CLOCK_H_
#define LANEFUSE_BENCH_SUPPORT_CLOCK_H_

#include <cstddef>
#include <ctime>

namespace lanefuse::bench {

// Seconds on the clock of everything that is measured. That of one thread is its processor time,
// which leaves out what other processes take from it; several threads wait for each other, so only
// the time on the wall is theirs.
inline double Now(size_t threads) {
  timespec time;
  clock_gettime(threads > 1 ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

}  // namespace lanefuse::bench

#endif  // LANEFUSE_BENCH_SUPPORT_CLOCK_H_
