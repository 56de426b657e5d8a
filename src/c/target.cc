// Statuses and targets for C.
#include "lanefuse/target.h"

#include <string_view>

#include "lanefuse/c.h"
#include "src/c/convert.h"

namespace lanefuse {
namespace {

// Names of targets are string literals (arch/target.cc), so each ends with a NUL.
const char* NameAt(std::span<const std::string_view> names, size_t i) {
  return i < names.size() ? names[i].data() : nullptr;
}

std::string_view TextOf(const char* name) {
  return name == nullptr ? std::string_view() : std::string_view(name);
}

}  // namespace
}  // namespace lanefuse

// At global scope: a definition inside the namespace would not be the one that c.h exports.
using lanefuse::NameAt;
using lanefuse::TextOf;

size_t lanefuse_status_format(lanefuse_status status, char* buffer, size_t size) {
  // A status that a caller made: {0} has no text.
  const lanefuse::Status valid(lanefuse::StatusCode::kInvalidArgument,
                               status.text == nullptr ? "" : status.text, status.numbers[0],
                               status.numbers[1]);
  const std::span<char> out(buffer, buffer == nullptr ? 0 : size);
  return (status.layer == 0 ? valid : valid.OfLayer(status.layer - size_t{1})).Format(out);
}

const char* lanefuse_supported_target(size_t i) { return NameAt(lanefuse::SupportedTargets(), i); }

const char* lanefuse_built_target(size_t i) { return NameAt(lanefuse::BuiltTargets(), i); }

const char* lanefuse_active_target(void) {
  const std::string_view name = lanefuse::ActiveTarget();
  return name.empty() ? "" : name.data();
}

lanefuse_status lanefuse_limit_target(const char* name) {
  return lanefuse::ToC(lanefuse::LimitTarget(TextOf(name)));
}

bool lanefuse_target_has_same_bits(const char* name) {
  return lanefuse::TargetHasSameBits(TextOf(name));
}
