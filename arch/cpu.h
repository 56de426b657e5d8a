// What the system calls this CPU.
#ifndef LANEFUSE_ARCH_CPU_H_
#define LANEFUSE_ARCH_CPU_H_

#include <string>

namespace lanefuse::arch {

// The model's name; on boards without one the board's name, or implementer and part of the core;
// "unknown" where the system says nothing.
std::string CpuModel();

}  // namespace lanefuse::arch

#endif  // LANEFUSE_ARCH_CPU_H_
