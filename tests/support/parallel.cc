#include "tests/support/parallel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "lanefuse/target.h"
#include "tests/support/targets.h"

namespace lanefuse::test {
namespace {

void Count(size_t parts, PoolCounts& counts) {
  ++counts.runs;
  counts.parts += parts;
  counts.most_parts = std::max(counts.most_parts, parts);
}

}  // namespace

ThreadPool::ThreadPool(size_t threads) {
  for (size_t i = 0; i < threads; ++i) workers_.emplace_back([this] { Work(); });
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::Work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stop_ || next_ < parts_; });
    if (stop_) return;
    const size_t i = next_++;
    ++running_;
    void (*const part)(void*, size_t) = part_;
    void* const argument = argument_;
    lock.unlock();
    part(argument, i);
    lock.lock();
    --running_;
    if (running_ == 0 && next_ == parts_) changed_.notify_all();
  }
}

void ThreadPool::Run(void* context, size_t parts, void (*part)(void*, size_t), void* argument) {
  auto* const pool = static_cast<ThreadPool*>(context);
  std::unique_lock lock(pool->mutex_);
  Count(parts, pool->counts_);
  pool->part_ = part;
  pool->argument_ = argument;
  pool->next_ = 0;
  pool->parts_ = parts;
  pool->changed_.notify_all();
  pool->changed_.wait(lock, [pool] { return pool->next_ == pool->parts_ && pool->running_ == 0; });
  pool->parts_ = pool->next_ = 0;
}

void ReversePool::Run(void* context, size_t parts, void (*part)(void*, size_t), void* argument) {
  Count(parts, static_cast<ReversePool*>(context)->counts_);
  for (size_t i = parts; i-- > 0;) part(argument, i);
}

void ForEachParallel(const std::function<void(const Parallel&, const std::string&)>& fn) {
  ThreadPool pool(3);
  ReversePool reverse;
  // How work is cut is the same for all targets.
  const bool slow = IsSlow(ActiveTarget());
  for (size_t threads = 1; threads <= 8; ++threads) {
    if (slow && threads != 2 && threads != 3 && threads != 8) continue;
    const std::pair<const char*, Parallel> ways[] = {
        {"OpenMP", {.threads = threads}},
        {"a pool", pool.WithThreads(threads)},
        {"parts backwards", reverse.WithThreads(threads)},
    };
    for (const auto& [way, parallel] : ways) {
      const std::string name = std::string(way) + ", " + std::to_string(threads) + " threads";
      SCOPED_TRACE(name);
      fn(parallel, name);
    }
  }
}

}  // namespace lanefuse::test
