#include "arch/target.h"

#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "hwy/highway.h"
#include "lanefuse/target.h"
#if HWY_ARCH_ARM_A64 && HWY_OS_LINUX
#include <sys/auxv.h>
#endif
#if HWY_ARCH_X86 && defined(__GNUC__)
#include <cpuid.h>
#endif

namespace lanefuse {
namespace {

// Some of our names are the code of another one on a CPU that can do more: the same for kernels of
// float, and kernels that have a use for the extra instructions ask by name. Highway's own NEON
// with the dot product wants bfloat16 as well, which a Cortex-A55 or A76 lacks; and its SVE2 and
// AVX3_DL have nothing for float that SVE and AVX3 do not have: the same code would be there twice.
#if HWY_ARCH_X86
bool CpuHasVnni() { return (hwy::SupportedTargets() & HWY_AVX3_DL) != 0; }
#elif HWY_ARCH_ARM_A64 && HWY_OS_LINUX
bool CpuHasDotProduct() { return (getauxval(AT_HWCAP) & (1ul << 20)) != 0; }  // HWCAP_ASIMDDP
bool CpuHasSve2() { return (getauxval(AT_HWCAP2) & (1ul << 1)) != 0; }        // HWCAP2_SVE2
#elif HWY_ARCH_ARM_A64
#ifdef __ARM_FEATURE_DOTPROD
bool CpuHasDotProduct() { return true; }
#else
bool CpuHasDotProduct() { return false; }
#endif
bool CpuHasSve2() { return false; }
#endif

constexpr int64_t kNeon = HWY_NEON | HWY_NEON_WITHOUT_AES;

struct Entry {
  std::string_view name;
  int64_t bits;  // Highway's targets behind the name
  bool same_bits;
  bool (*cpu_has)() = nullptr;  // what the CPU must have beyond Highway's target
};

// Best first, as Highway numbers them.
constexpr Entry kEntries[] = {
#if HWY_ARCH_X86
    {"AVX512_VNNI", HWY_AVX3, true, CpuHasVnni},
#endif
    {"AVX512", HWY_AVX3, true},
    {"AVX2", HWY_AVX2, true},
    {"SSE4", HWY_SSE4, false},
#if HWY_ARCH_ARM_A64
    {"SVE2", HWY_SVE, true, CpuHasSve2},
    {"SVE", HWY_SVE, true},
    {"NEON_DOTPROD", kNeon, true, CpuHasDotProduct},
    {"NEON", kNeon, true},
#else
    {"NEON", kNeon, false},  // Armv7: its division is not exact
#endif
    {"RVV", HWY_RVV, true},
    {"BASELINE", HWY_SSE2 | HWY_EMU128 | HWY_SCALAR, true},
};

// Highway does not always report the scalar targets, which every CPU runs.
int64_t SupportedBits() {
  return (hwy::SupportedTargets() & HWY_TARGETS) | (HWY_TARGETS & (HWY_EMU128 | HWY_SCALAR));
}

bool IsBuilt(const Entry& entry) { return (entry.bits & HWY_TARGETS) != 0; }
bool IsSupported(const Entry& entry) {
  return (entry.bits & SupportedBits()) != 0 && (entry.cpu_has == nullptr || entry.cpu_has());
}

// A short list of entries and their names, without allocation.
struct List {
  explicit List(bool (*belongs)(const Entry&)) {
    for (const Entry& entry : kEntries) {
      if (!belongs(entry)) continue;
      entries[size] = &entry;
      names[size++] = entry.name;
    }
  }
  std::array<const Entry*, std::size(kEntries)> entries;
  std::array<std::string_view, std::size(kEntries)> names;
  size_t size = 0;
};

const List& Supported() {
  static const List list(IsSupported);
  return list;
}

constexpr int kWrongName = 1;

// The index of the best of these targets in dispatch tables.
int IndexOf([[maybe_unused]] int64_t bits) {
#if HWY_TARGETS & (HWY_TARGETS - 1)
  hwy::ChosenTarget chosen;
  chosen.Update(bits);
  return static_cast<int>(chosen.GetIndex());
#else
  return 0;  // Tables of a single target have a single entry.
#endif
}

// What active_code holds for an entry: its index in dispatch tables plus 2, and its own above that.
int CodeOf(const Entry& entry) {
  const int number = static_cast<int>(&entry - kEntries) << arch::kIndexBits;
  return number + IndexOf(entry.bits & SupportedBits()) + 2;
}

// The code of the supported target with this name, of the best one without a name, or kWrongName.
int CodeOf(std::string_view name) {
  for (size_t i = 0; i < Supported().size; ++i) {
    if (name.empty() || name == Supported().names[i]) return CodeOf(*Supported().entries[i]);
  }
  return kWrongName;
}

// "... is not one of A, B, C (built in and supported by this CPU)", in static memory.
struct Sentence {
  char text[256];
  explicit Sentence(const char* subject) {
    size_t at = 0;
    const auto append = [&](std::string_view piece) {
      const size_t length =
          piece.size() < sizeof(text) - 1 - at ? piece.size() : sizeof(text) - 1 - at;
      std::memcpy(text + at, piece.data(), length);
      at += length;
    };
    append(subject);
    append(" is not one of ");
    for (size_t i = 0; i < Supported().size; ++i) {
      append(i == 0 ? "" : ", ");
      append(Supported().names[i]);
    }
    append(" (built in and supported by this CPU)");
    text[at] = '\0';
  }
};

// Whether units of eight lanes take two turns for a vector of sixteen.
bool TakesTwoTurns() {
#if HWY_ARCH_X86 && defined(__GNUC__)
  static const bool zen4 = [] {
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (__get_cpuid(0, &a, &b, &c, &d) == 0) return false;
    if (b != signature_AMD_ebx || c != signature_AMD_ecx || d != signature_AMD_edx) return false;
    if (__get_cpuid(1, &a, &b, &c, &d) == 0) return false;
    return (a >> 8 & 0xf) + (a >> 20 & 0xff) == 0x19;  // Zen 3, which has no AVX-512, and Zen 4
  }();
  return zen4;
#else
  return false;
#endif
}

}  // namespace

namespace arch {

std::atomic<int> active_code{0};

int DecideTarget() {
  const char* name = std::getenv("LANEFUSE_TARGET");
  const int code = CodeOf(name == nullptr ? std::string_view() : std::string_view(name));
  // A LimitTarget on another thread that came first stays.
  int expected = 0;
  return active_code.compare_exchange_strong(expected, code) ? code : expected;
}

int NarrowIndex(int index) {
  constexpr int64_t kBoth = HWY_AVX3 | HWY_AVX2;
  if ((HWY_TARGETS & kBoth) != kBoth) return index;
  static const int wide = IndexOf(HWY_AVX3), narrow = IndexOf(HWY_AVX2);
  return index == wide ? narrow : index;
}

int IndexForOutputs(int index, size_t outputs) {
  // Up to 56 of 64 lanes. Behind that the taller tiles of 32 registers are worth more than an empty
  // half.
  const size_t rest = outputs % 16;
  const bool half_empty = rest != 0 && rest <= 8 && outputs <= 56;
  return half_empty && TakesTwoTurns() ? NarrowIndex(index) : index;
}

Status UnsupportedTarget() {
  static const Sentence sentence("the environment variable LANEFUSE_TARGET");
  return {StatusCode::kUnsupportedTarget, sentence.text};
}

std::string_view NameOf(int64_t bit) {
  for (const Entry& entry : kEntries) {
    if ((entry.bits & bit) && entry.cpu_has == nullptr) return entry.name;
  }
  return {};
}

}  // namespace arch

std::span<const std::string_view> SupportedTargets() {
  return {Supported().names.data(), Supported().size};
}

std::span<const std::string_view> BuiltTargets() {
  static const List list(IsBuilt);
  return {list.names.data(), list.size};
}

std::string_view ActiveTarget() {
  if (arch::ActiveIndex() < 0) return {};
  return kEntries[arch::active_code.load(std::memory_order_relaxed) >> arch::kIndexBits].name;
}

Status LimitTarget(std::string_view name) {
  const int code = CodeOf(name);
  if (code == kWrongName) {
    static const Sentence sentence("LimitTarget: name");
    return {StatusCode::kUnsupportedTarget, sentence.text};
  }
  arch::active_code.store(code);
  return {};
}

bool TargetHasSameBits(std::string_view name) {
  for (const Entry& entry : kEntries) {
    if (entry.name == name) return entry.same_bits;
  }
  return false;
}

}  // namespace lanefuse
