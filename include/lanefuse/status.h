// The result of every fallible call: a code, and a sentence that names the argument.
#ifndef LANEFUSE_STATUS_H_
#define LANEFUSE_STATUS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "lanefuse/export.h"
#include "lanefuse/version.h"

namespace lanefuse {

enum class StatusCode : uint8_t {
  kOk,
  kInvalidArgument,    // a value that no call could accept: null data, a stride below the width
  kShapeMismatch,      // two arguments that do not fit each other
  kOverlap,            // an output that shares memory with an input where that is not allowed
  kBufferTooSmall,     // fewer bytes than the size function asked for
  kCorrupt,            // packed weights that are truncated, altered, or not packed weights
  kUnsupported,        // valid, but refused: the text says why and what to do instead
  kUnsupportedTarget,  // LANEFUSE_TARGET or LimitTarget names no target that this CPU can run
};

// 32 bytes, no allocation. `text` is static; each '#' in it stands for one of the two numbers.
class [[nodiscard]] Status {
 public:
  constexpr Status() = default;
  constexpr Status(StatusCode code, const char* text, int64_t first = 0, int64_t second = 0)
      : text_(text), numbers_{first, second}, code_(code) {}

  constexpr bool ok() const { return code_ == StatusCode::kOk; }
  constexpr StatusCode code() const { return code_; }

  // The same, said of one of several layers: "layer 2: " goes before the sentence.
  constexpr Status OfLayer(size_t layer) const {
    Status status = *this;
    if (!ok()) status.layer_ = static_cast<uint8_t>(layer < 255 ? layer + 1 : 255);
    return status;
  }

  // Writes the sentence with its numbers and a final NUL into `out`, cut where `out` ends.
  // Returns the length that the whole sentence has. Allocates nothing.
  LANEFUSE_API size_t Format(std::span<char> out) const;

  // The same as a string, for code that may allocate.
  std::string message() const {
    std::string text(Format({}), '\0');
    (void)Format({text.data(), text.size() + 1});
    return text;
  }

 private:
  const char* text_ = "ok";
  int64_t numbers_[2] = {0, 0};
  StatusCode code_ = StatusCode::kOk;
  uint8_t layer_ = 0;  // one more than its number; 0: of no layer
};

}  // namespace lanefuse

#endif  // LANEFUSE_STATUS_H_
