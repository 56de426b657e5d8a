// The calls whose instructions are counted.
#ifndef LANEFUSE_BENCH_EMULATED_CALLS_H_
#define LANEFUSE_BENCH_EMULATED_CALLS_H_

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace lanefuse::bench {

struct Call {
  std::string name;
  const char* unit;            // "multiply-add" or "element"
  size_t work;                 // how many of them
  size_t least;                // instructions that no program with these tiles does without; or 0
  std::function<void()> ours;  // both leave their results in `output`
  std::function<void()> plain;
  std::span<float> output;
};

// The call with this name, or all of them for an empty name. They live as long as the process.
std::vector<Call> Calls(const std::string& name);

}  // namespace lanefuse::bench

#endif  // LANEFUSE_BENCH_EMULATED_CALLS_H_
