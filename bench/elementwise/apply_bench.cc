// Activations and chains on their own.
#include <cctype>
#include <string>

#include "bench/support/buffer.h"
#include "bench/support/epilogues.h"
#include "bench/support/suite.h"
#include "bench/support/text.h"
#include "lanefuse/activation.h"
#include "lanefuse/elementwise.h"

namespace lanefuse::bench {
namespace {

class ApplyProblem {
 public:
  ApplyProblem(size_t rows, size_t cols, const std::string& epilogue)
      : rows_(rows),
        cols_(cols),
        x_(Random(rows * cols, 1)),
        y_(rows * cols),
        chain_(epilogue, rows, cols) {
    // [-6, 6): every branch of every activation.
    for (float& x : x_.span()) x *= 6.0f;
  }

  Status Fused() { return Apply(x(), chain_.fused(), {y_.data(), rows_, cols_}, Threads()); }
  Status Unfused() { return chain_.ApplyOneByOne(x_.data(), y_.data(), Threads()); }
  size_t steps() const { return chain_.steps() - 1; }  // the first has nothing to fuse with
  onednn::Layer Onednn() const { return onednn::Elementwise(x(), chain_.fused()); }
  std::span<const float> output() const { return y_.span(); }
  Estimate Reference(size_t i) const {
    return Through(chain_.fused(), {0, 0, i / cols_, i % cols_},
                   {static_cast<double>(x_.data()[i]), 0.0});
  }
  Work work() const {
    return {0.0, 8.0 * static_cast<double>(rows_ * cols_) + chain_.operand_bytes()};
  }

 private:
  MatView<const float> x() const { return {x_.data(), rows_, cols_}; }

  size_t rows_, cols_;
  FloatBuffer x_, y_;
  EpilogueChain chain_;
};

void AddShape(Suite& suite, const std::string& epilogue, size_t rows, size_t cols) {
  suite.Add<ApplyProblem>("apply", epilogue, Text("r", rows, "_c", cols), rows, cols, epilogue);
}

std::string LowerCase(std::string name) {
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return name;
}

void AddApply(Suite& suite) {
  // A row of a small network, and the hidden layer of a transformer of 128 tokens.
#define LANEFUSE_BENCH_ACTIVATION(name, NAME) \
  AddShape(suite, LowerCase(#name), 1, 1024); \
  AddShape(suite, LowerCase(#name), 128, 3072);
  LANEFUSE_ACTIVATIONS(LANEFUSE_BENCH_ACTIVATION)
#undef LANEFUSE_BENCH_ACTIVATION
  for (const char* epilogue : {"relu", "geluerf", "silu"}) {
    AddShape(suite, epilogue, 1, 16);
    AddShape(suite, epilogue, 1, 128);
    AddShape(suite, epilogue, 1, 16384);
  }
  for (const char* epilogue : {"bias_relu", "add_relu", "bias_add_relu", "affine_hardswish",
                               "silu_mul", "bias_geluerf", "scale_clamp"}) {
    AddShape(suite, epilogue, 1, 768);
    AddShape(suite, epilogue, 128, 768);
  }
}
[[maybe_unused]] const bool kAdded = Suite::AddFamily(AddApply);

}  // namespace
}  // namespace lanefuse::bench
