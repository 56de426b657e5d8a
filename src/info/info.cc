// lanefuse-info: what the library found on this machine, for people and (--json) for programs.
#ifdef _OPENMP
#include <omp.h>
#endif

#include <algorithm>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "arch/cache.h"
#include "arch/cpu.h"
#include "arch/target.h"
#include "arch/tiles.h"
#include "lanefuse/target.h"
#include "lanefuse/version.h"

namespace lanefuse {
namespace {

constexpr std::string_view kUsage =
    "usage: lanefuse-info [--json | --version | --help]\n"
    "\n"
    "Prints the version, the CPU and its caches, the instruction sets that are built in, that "
    "this\n"
    "CPU supports and that is active (LANEFUSE_TARGET), and the register tiles of each kernel.\n";

std::string Version() {
  return std::to_string(LANEFUSE_VERSION_MAJOR) + "." + std::to_string(LANEFUSE_VERSION_MINOR) +
         "." + std::to_string(LANEFUSE_VERSION_PATCH);
}

struct Threads {
  const char* kind;
  int most;
};

Threads GetThreads() {
#ifdef _OPENMP
  return {"OpenMP", omp_get_max_threads()};
#else
  return {"serial", 1};
#endif
}

bool Supported(std::string_view name) {
  const auto names = SupportedTargets();
  return std::find(names.begin(), names.end(), name) != names.end();
}

// LANEFUSE_BUILT_FAMILIES separates the names by blanks.
bool Built(std::string_view family) {
  constexpr std::string_view kAll = " " LANEFUSE_BUILT_FAMILIES " ";
  for (size_t at = 0; (at = kAll.find(family, at)) != kAll.npos; ++at) {
    if (kAll[at - 1] == ' ' && kAll[at + family.size()] == ' ') return true;
  }
  return false;
}

std::string TilesText(const arch::TargetTiles& target) {
  std::string text;
  for (const arch::Tile& tile : target.tiles) {
    if (tile.family == nullptr || !Built(tile.family)) continue;
    char line[128];
    std::snprintf(line, sizeof(line), "    %-12s %-18s %zu x %zu%s\n", tile.family, tile.use,
                  tile.rows, tile.vectors, tile.chains == 1 ? "" : ", four chains");
    text += line;
  }
  return text;
}

void Print() {
  const arch::CacheBytes& cache = arch::Caches();
  const Threads threads = GetThreads();
  std::printf("lanefuse  %s\ncpu       %s\ncaches    L1 %zu KiB, L2 %zu KiB, L3 %zu KiB\n",
              Version().c_str(), arch::CpuModel().c_str(), cache.l1 >> 10, cache.l2 >> 10,
              cache.l3 >> 10);
  std::printf("threads   %s, at most %d\nfamilies  %s\n\n", threads.kind, threads.most,
              LANEFUSE_BUILT_FAMILIES);
  const std::string_view active = ActiveTarget();
  if (active.empty()) {
    std::printf("No target is active: %s\n\n", arch::UnsupportedTarget().message().c_str());
  }
  std::printf("targets        supported  active  same bits\n");
  for (const std::string_view name : BuiltTargets()) {
    std::printf("  %-12.*s %-10s %-7s %s\n", static_cast<int>(name.size()), name.data(),
                Supported(name) ? "yes" : "no", name == active ? "yes" : "",
                TargetHasSameBits(name) ? "yes" : "no");
  }
  std::printf("\nregister tiles, rows x vectors\n");
  for (const arch::TargetTiles& target : arch::AllTiles()) {
    const std::string_view name = arch::NameOf(target.bits);
    std::printf("  %.*s (%zu registers", static_cast<int>(name.size()), name.data(),
                target.registers);
    if (target.lanes == 0) {
      std::printf(" of a size that only a CPU with them tells)\n");
    } else {
      std::printf(" of %zu floats)\n%s", target.lanes, TilesText(target).c_str());
    }
  }
}

std::string Quoted(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return quoted + '"';
}

const char* Bool(bool value) { return value ? "true" : "false"; }

// "[" items, separated by commas "]".
std::string List(const std::vector<std::string>& items) {
  std::string text = "[";
  for (const std::string& item : items) {
    text += text.size() == 1 ? "\n    " : ",\n    ";
    text += item;
  }
  return text + "]";
}

void PrintJson() {
  std::vector<std::string> targets, tiles;
  const std::string_view active = ActiveTarget();
  for (const std::string_view name : BuiltTargets()) {
    targets.push_back("{\"name\": " + Quoted(name) + ", \"supported\": " + Bool(Supported(name)) +
                      ", \"active\": " + Bool(name == active) +
                      ", \"same_bits\": " + Bool(TargetHasSameBits(name)) + "}");
  }
  for (const arch::TargetTiles& target : arch::AllTiles()) {
    for (const arch::Tile& tile : target.tiles) {
      if (tile.family == nullptr || !Built(tile.family)) continue;
      tiles.push_back("{\"target\": " + Quoted(arch::NameOf(target.bits)) +
                      ", \"lanes\": " + std::to_string(target.lanes) +
                      ", \"registers\": " + std::to_string(target.registers) +
                      ", \"family\": " + Quoted(tile.family) + ", \"use\": " + Quoted(tile.use) +
                      ", \"rows\": " + std::to_string(tile.rows) +
                      ", \"vectors\": " + std::to_string(tile.vectors) +
                      ", \"chains\": " + std::to_string(tile.chains) + "}");
    }
  }
  const arch::CacheBytes& cache = arch::Caches();
  const Threads threads = GetThreads();
  std::printf("{\n  \"version\": %s,\n  \"cpu\": %s,\n", Quoted(Version()).c_str(),
              Quoted(arch::CpuModel()).c_str());
  std::printf("  \"caches\": {\"l1\": %zu, \"l2\": %zu, \"l3\": %zu},\n", cache.l1, cache.l2,
              cache.l3);
  std::printf("  \"threads\": {\"kind\": \"%s\", \"most\": %d},\n", threads.kind, threads.most);
  std::printf("  \"targets\": %s,\n  \"tiles\": %s\n}\n", List(targets).c_str(),
              List(tiles).c_str());
}

}  // namespace
}  // namespace lanefuse

int main(int argc, char** argv) {
  using namespace lanefuse;
  const std::string_view option = argc > 1 ? argv[1] : "";
  if (argc == 1) {
    Print();
  } else if (argc == 2 && option == "--json") {
    PrintJson();
  } else if (argc == 2 && option == "--version") {
    std::printf("lanefuse-info %s\n", Version().c_str());
  } else if (argc == 2 && (option == "--help" || option == "-h")) {
    std::fwrite(kUsage.data(), 1, kUsage.size(), stdout);
  } else {
    std::fwrite(kUsage.data(), 1, kUsage.size(), stderr);
    return 2;
  }
  return std::fflush(stdout) == 0 ? 0 : 1;
}
