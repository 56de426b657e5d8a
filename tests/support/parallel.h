// Callers' thread pools, and every way to run a call.
//
//   ForEachParallel([&](const Parallel& parallel, const std::string& name) { ... });
//
// runs the body with OpenMP, with a pool of threads and with a pool that runs the parts backwards
// on the calling thread, each with 1..8 threads, under a SCOPED_TRACE with the name. Neither pool
// allocates during a run.
#ifndef LANEFUSE_TESTS_SUPPORT_PARALLEL_H_
#define LANEFUSE_TESTS_SUPPORT_PARALLEL_H_

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "lanefuse/parallel.h"

namespace lanefuse::test {

// What the functions below saw, to prove that they were called at all.
struct PoolCounts {
  size_t runs = 0;
  size_t parts = 0;       // the sum over all runs
  size_t most_parts = 0;  // of one run
};

// A few threads that take parts one by one, in no particular order.
class ThreadPool {
 public:
  explicit ThreadPool(size_t threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  Parallel WithThreads(size_t threads) {
    return {.threads = threads, .run = &ThreadPool::Run, .context = this};
  }
  const PoolCounts& counts() const { return counts_; }

 private:
  static void Run(void* context, size_t parts, void (*part)(void*, size_t), void* argument);
  void Work();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::thread> workers_;
  void (*part_)(void*, size_t) = nullptr;
  void* argument_ = nullptr;
  size_t next_ = 0;  // the first part that nobody took
  size_t parts_ = 0;
  size_t running_ = 0;  // parts that were taken and are not done
  bool stop_ = false;
  PoolCounts counts_;
};

// Runs the parts from the last to the first on the calling thread: an order that no thread would
// choose, and one that shows parts which lean on each other.
class ReversePool {
 public:
  Parallel WithThreads(size_t threads) {
    return {.threads = threads, .run = &ReversePool::Run, .context = this};
  }
  const PoolCounts& counts() const { return counts_; }

 private:
  static void Run(void* context, size_t parts, void (*part)(void*, size_t), void* argument);
  PoolCounts counts_;
};

void ForEachParallel(const std::function<void(const Parallel&, const std::string&)>& fn);

}  // namespace lanefuse::test

#endif  // LANEFUSE_TESTS_SUPPORT_PARALLEL_H_
