// Random calls of every kernel: shapes, strides, options, epilogues and data that nobody chose, the
// same on every machine.
//
//   Random random(number);
//   const Configuration c = RandomConfiguration(CallKind::kLinear, random);
//   std::vector<float> y = c.run(RandomPlacement(random), {.threads = 2});
#ifndef LANEFUSE_TESTS_SUPPORT_CALLS_H_
#define LANEFUSE_TESTS_SUPPORT_CALLS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "lanefuse/parallel.h"
#include "tests/support/guarded.h"
#include "tests/support/random.h"

namespace lanefuse::test {

#define LANEFUSE_CALL_KINDS(X) \
  X(Dot)                       \
  X(Gemv)                      \
  X(Linear)                    \
  X(Conv2dDense)               \
  X(Conv2dDepthwise)           \
  X(Conv2dGrouped)             \
  X(MaxPool2d)                 \
  X(AveragePool2d)             \
  X(GlobalAveragePool)         \
  X(Softmax)                   \
  X(Apply)                     \
  X(SeparableConv2d)           \
  X(InvertedResidual)          \
  X(LinearGroup)               \
  X(Conv2dManyGroups)          \
  X(Conv2dLargeDepthwise)

enum class CallKind : uint8_t {
#define LANEFUSE_ENUM(name) k##name,
  LANEFUSE_CALL_KINDS(LANEFUSE_ENUM)
#undef LANEFUSE_ENUM
};

struct NamedCallKind {
  const char* name;
  CallKind kind;
};
inline constexpr NamedCallKind kCallKinds[] = {
#define LANEFUSE_NAME(name) {#name, CallKind::k##name},
    LANEFUSE_CALL_KINDS(LANEFUSE_NAME)
#undef LANEFUSE_NAME
};

// Where the views of one call lie.
struct Placement {
  Guard guard = Guard::kAtEnd;
  size_t offset = 0;
  size_t pixel_gap = 0, row_gap = 0;
};

Placement RandomPlacement(Random& random);

// A call with its data: runs it with the views placed as told and returns the whole output.
struct Configuration {
  std::string name;
  std::function<std::vector<float>(const Placement&, const Parallel&)> run;
  std::vector<std::byte> packed{};  // the weights as they were packed, where the call has any
};

Configuration RandomConfiguration(CallKind kind, Random& random);

}  // namespace lanefuse::test

#endif  // LANEFUSE_TESTS_SUPPORT_CALLS_H_
