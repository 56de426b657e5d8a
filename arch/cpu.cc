#include "arch/cpu.h"

#include <fstream>
#include <string_view>

namespace lanefuse::arch {
namespace {

// The value of the first line `key : value` of /proc/cpuinfo.
std::string FromCpuinfo(std::string_view key) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos || !line.starts_with(key)) continue;
    if (line.find_first_not_of(" \t", key.size()) != colon) continue;  // a longer key
    const size_t begin = line.find_first_not_of(" \t", colon + 1);
    if (begin != std::string::npos) return line.substr(begin);
  }
  return {};
}

}  // namespace

std::string CpuModel() {
  for (const char* key : {"model name", "cpu model", "uarch"}) {
    if (std::string model = FromCpuinfo(key); !model.empty()) return model;
  }
  std::string board;  // ends with a NUL
  std::ifstream file("/sys/firmware/devicetree/base/model");
  if (std::getline(file, board, '\0') && !board.empty()) return board;
  const std::string part = FromCpuinfo("CPU part");
  if (!part.empty()) return "implementer " + FromCpuinfo("CPU implementer") + ", part " + part;
  return "unknown";
}

}  // namespace lanefuse::arch
