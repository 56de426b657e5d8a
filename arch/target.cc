#include "arch/target.h"

#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "hwy/highway.h"
#include "lanefuse/target.h"

namespace lanefuse {
namespace {

struct Entry {
  std::string_view name;
  int64_t bits;  // Highway's targets behind the name
  bool same_bits;
};

// Best first, as Highway numbers them.
constexpr Entry kEntries[] = {
    {"AVX512_VNNI", HWY_AVX3_DL, true},
    {"AVX512", HWY_AVX3, true},
    {"AVX2", HWY_AVX2, true},
    {"SSE4", HWY_SSE4, false},
    {"SVE2", HWY_SVE2 | HWY_SVE2_128, true},
    {"SVE", HWY_SVE | HWY_SVE_256, true},
    {"NEON_DOTPROD", HWY_NEON_BF16, true},
#if HWY_ARCH_ARM_V7
    {"NEON", HWY_NEON | HWY_NEON_WITHOUT_AES, false},  // its division is not exact
#else
    {"NEON", HWY_NEON | HWY_NEON_WITHOUT_AES, true},
#endif
    {"RVV", HWY_RVV, true},
    {"BASELINE", HWY_SSE2 | HWY_EMU128 | HWY_SCALAR, true},
};

// A short list of names without allocation.
struct NameList {
  std::array<std::string_view, std::size(kEntries)> names;
  size_t size = 0;
};

NameList Names(int64_t bits) {
  NameList list;
  for (const Entry& entry : kEntries) {
    if (entry.bits & bits) list.names[list.size++] = entry.name;
  }
  return list;
}

// Highway does not always report the scalar targets, which every CPU runs.
int64_t SupportedBits() {
  return (hwy::SupportedTargets() & HWY_TARGETS) | (HWY_TARGETS & (HWY_EMU128 | HWY_SCALAR));
}

const NameList& Supported() {
  static const NameList list = Names(SupportedBits());
  return list;
}

// The code (see active_code) of the best supported target among `bits`, or 1 if there is none.
int CodeOf(int64_t bits) {
  bits &= SupportedBits();
  if (bits == 0) return 1;
#if HWY_TARGETS & (HWY_TARGETS - 1)
  hwy::ChosenTarget chosen;
  chosen.Update(bits);
  return static_cast<int>(chosen.GetIndex()) + 2;
#else
  return 2;  // Tables of a single target have a single entry.
#endif
}

// 0 where no entry has this name.
int64_t BitsOf(std::string_view name) {
  if (name.empty()) return ~int64_t{0};
  for (const Entry& entry : kEntries) {
    if (entry.name == name) return entry.bits;
  }
  return 0;
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

}  // namespace

namespace arch {

std::atomic<int> active_code{0};

int DecideTarget() {
  const char* name = std::getenv("LANEFUSE_TARGET");
  const int code = CodeOf(BitsOf(name == nullptr ? std::string_view() : std::string_view(name)));
  // A LimitTarget on another thread that came first stays.
  int expected = 0;
  return active_code.compare_exchange_strong(expected, code) ? code : expected;
}

Status UnsupportedTarget() {
  static const Sentence sentence("the environment variable LANEFUSE_TARGET");
  return {StatusCode::kUnsupportedTarget, sentence.text};
}

std::string_view NameOf(int64_t bit) {
  const NameList names = Names(bit);
  return names.size == 0 ? std::string_view() : names.names[0];
}

}  // namespace arch

std::span<const std::string_view> SupportedTargets() {
  return {Supported().names.data(), Supported().size};
}

std::span<const std::string_view> BuiltTargets() {
  static const NameList list = Names(HWY_TARGETS);
  return {list.names.data(), list.size};
}

std::string_view ActiveTarget() {
  const int index = arch::ActiveIndex();
  if (index < 0) return {};
  for (const Entry& entry : kEntries) {
    if ((entry.bits & SupportedBits()) && CodeOf(entry.bits) == index + 2) return entry.name;
  }
  return {};
}

Status LimitTarget(std::string_view name) {
  const int code = CodeOf(BitsOf(name));
  if (code == 1) {
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
