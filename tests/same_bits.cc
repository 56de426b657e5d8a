// lanefuse_same_bits [--golden FILE] [--thorough N]
//
// Runs every kernel over fixed calls on each instruction set that this CPU has and prints a digest
// of all results for each kernel: the same on every CPU. With --golden, compares them with FILE's
// lines and fails where one differs. --thorough N makes N times as many calls (other digests).
//
// A board is checked with this one program and tests/golden/digests.txt.
#include <gtest/gtest.h>

#include <bit>
#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include "lanefuse/target.h"
#include "tests/support/calls.h"
#include "tests/support/random.h"

namespace lanefuse::test {
namespace {

constexpr size_t kCalls = 300;  // of each kernel

// FNV-1a (Fowler, Noll, Vo) over words of 32 bits.
class Digest {
 public:
  void Add(uint32_t word) { state_ = (state_ ^ word) * 0x100000001B3u; }
  void Add(float value) {
    // The sign and payload of a NaN are the CPU's own affair.
    Add(std::isnan(value) ? 0x7FC00000u : std::bit_cast<uint32_t>(value));
  }
  uint64_t value() const { return state_; }

 private:
  uint64_t state_ = 0xCBF29CE484222325u;
};

struct Result {
  uint64_t digest = 0;
  size_t values = 0;
};

// The digest of one kernel on the active target: results, and the packed weights in `packed`.
Result Run(const NamedCallKind& kind, size_t calls, Result& packed) {
  Digest results, weights;
  Result result;
  for (size_t i = 0; i < calls; ++i) {
    Random random((static_cast<uint64_t>(kind.kind) << 32) + i);
    const Configuration call = RandomConfiguration(kind.kind, random);
    const Placement placement = RandomPlacement(random);
    for (const float value : call.run(placement, {.threads = 1 + i % 3})) {
      results.Add(value);
      ++result.values;
    }
    for (const std::byte byte : call.packed) weights.Add(std::to_integer<uint32_t>(byte));
    packed.values += call.packed.size();
  }
  packed.digest = weights.value();
  result.digest = results.value();
  return result;
}

// The lines `kernel digest` of a file; a comment starts with '#'.
bool ReadGolden(const char* path, std::map<std::string, uint64_t>& golden) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string kernel, digest;
    if (!(words >> kernel >> digest) || kernel[0] == '#') continue;
    golden[kernel] = std::strtoull(digest.c_str(), nullptr, 16);
  }
  return !golden.empty();
}

int Main(int argc, char** argv) {
  std::map<std::string, uint64_t> golden;
  size_t calls = kCalls;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--golden") == 0 && i + 1 < argc) {
      if (!ReadGolden(argv[++i], golden)) {
        std::fprintf(stderr, "%s holds no digests\n", argv[i]);
        return 2;
      }
    } else if (std::strcmp(argv[i], "--thorough") == 0 && i + 1 < argc) {
      calls *= std::strtoull(argv[++i], nullptr, 10);
    } else {
      std::fprintf(stderr, "usage: lanefuse_same_bits [--golden FILE] [--thorough N]\n");
      return 2;
    }
  }
  size_t compared = 0, differing = 0;
  const bool from_file = !golden.empty();
  for (const std::string_view target : SupportedTargets()) {
    if (!TargetHasSameBits(target)) {
      std::printf("%-12s is not among the targets that promise equal bits\n", target.data());
      continue;
    }
    if (!LimitTarget(target).ok() || ActiveTarget() != target) {
      std::fprintf(stderr, "%s cannot be chosen\n", target.data());
      return 1;
    }
    const auto report = [&](const std::string& kernel, const Result& result) {
      // Without a file, the first target is the measure.
      const auto [line, is_new] = golden.try_emplace(kernel, result.digest);
      const bool unknown = from_file && is_new;
      const bool differs = unknown || line->second != result.digest;
      if (!is_new || unknown) ++compared;
      if (differs) ++differing;
      std::printf("%-12s %-24s %016" PRIx64 " %9zu%s\n", target.data(), kernel.c_str(),
                  result.digest, result.values,
                  unknown   ? "  IS NOT IN THE FILE"
                  : differs ? "  DIFFERS"
                            : "");
    };
    for (const NamedCallKind& kind : kCallKinds) {
      Result packed;
      report(kind.name, Run(kind, calls, packed));
      if (packed.values != 0) report(std::string(kind.name) + "/packed", packed);
    }
  }
  std::printf("digests compared: %zu, differing: %zu\n", compared, differing);
  return differing == 0 && !testing::Test::HasFailure() ? 0 : 1;
}

}  // namespace
}  // namespace lanefuse::test

int main(int argc, char** argv) {
  unsetenv("LANEFUSE_TEST_SEED");  // the calls are fixed
  testing::InitGoogleTest(&argc, argv);
  return lanefuse::test::Main(argc, argv);
}
