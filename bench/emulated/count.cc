// lanefuse_count --list | --check | NAME ours|plain CALLS
//
// A call of a kernel, repeated, and next to nothing else: bench/emulated/count.py runs this in an
// emulator and counts instructions.
//   --list   each call: its name, what it is counted by, how many of them it has, and the least
//            number of instructions on the active target (0: not stated)
//   --check  compares each call's results with those of the plain loops
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "bench/emulated/calls.h"
#include "lanefuse/target.h"

namespace {

using lanefuse::bench::Call;

int List(const std::vector<Call>& calls) {
  for (const Call& call : calls) {
    std::printf("%s %s %zu %zu\n", call.name.c_str(), call.unit, call.work, call.least);
  }
  return 0;
}

int Check(std::vector<Call>& calls) {
  int status = 0;
  for (Call& call : calls) {
    call.ours();
    const std::vector<float> ours(call.output.begin(), call.output.end());
    std::fill(call.output.begin(), call.output.end(), 0.0f);
    call.plain();
    size_t wrong = 0;
    for (size_t i = 0; i < ours.size(); ++i) {
      // Sums of up to 576 products of numbers below 1: errors stay below 576 * 2^-24 * 24.
      if (!(std::abs(ours[i] - call.output[i]) <= 1e-3f)) ++wrong;
    }
    if (wrong != 0) {
      std::fprintf(stderr, "%s: %zu of %zu results differ\n", call.name.c_str(), wrong,
                   ours.size());
      status = 1;
    }
  }
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  if (lanefuse::ActiveTarget().empty()) {
    std::fprintf(stderr, "lanefuse_count: LANEFUSE_TARGET is not supported here\n");
    return 2;
  }
  if (argc == 2 && std::strcmp(argv[1], "--list") == 0) {
    return List(lanefuse::bench::Calls(""));
  }
  if (argc == 2 && std::strcmp(argv[1], "--check") == 0) {
    std::vector<Call> calls = lanefuse::bench::Calls("");
    return Check(calls);
  }
  if (argc == 4) {
    const std::vector<Call> calls = lanefuse::bench::Calls(argv[1]);
    const bool plain = std::strcmp(argv[2], "plain") == 0;
    const int count = std::atoi(argv[3]);
    if (calls.size() == 1 && count > 0 && (plain || std::strcmp(argv[2], "ours") == 0)) {
      for (int i = 0; i < count; ++i) plain ? calls[0].plain() : calls[0].ours();
      return 0;
    }
  }
  std::fprintf(stderr, "usage: lanefuse_count --list | --check | NAME ours|plain CALLS\n");
  return 2;
}
