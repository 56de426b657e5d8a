// Softmax over rows: classifiers (one row of 12 or 1000), attention (many rows of 128),
// vocabularies.
#include "lanefuse/softmax.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "bench/support/buffer.h"
#include "bench/support/suite.h"
#include "bench/support/text.h"
#include "lanefuse/elementwise.h"

namespace lanefuse::bench {
namespace {

enum class Kind { kPlain, kLog, kMasked };  // kMasked: softmax(x / 8 + mask), as in attention

class SoftmaxProblem {
 public:
  SoftmaxProblem(size_t rows, size_t cols, Kind kind)
      : rows_(rows),
        cols_(cols),
        kind_(kind),
        x_(Random(rows * cols, 1)),
        mask_(kind == Kind::kMasked ? Random(cols, 2) : FloatBuffer()),
        y_(rows * cols) {
    // [-8, 8): the largest of 1000 scores of a classifier is about that far from the mean.
    for (float& x : x_.span()) x *= 8.0f;
    options_.log = kind == Kind::kLog;
    if (kind == Kind::kMasked) {
      options_.scale = kScale;
      options_.mask = {mask_.data(), 1, cols};
    }
  }

  Status Fused() { return Softmax(x(), options_, y(), Threads()); }
  Status Unfused() {
    const Epilogue scale = Epilogue().Scale(kScale), mask = Epilogue().Bias(mask_.span());
    if (Status status = Apply(x(), scale, y(), Threads()); !status.ok()) return status;
    if (Status status = Apply(y(), mask, y(), Threads()); !status.ok()) return status;
    return Softmax(y(), {}, y(), Threads());
  }
  size_t steps() const { return kind_ == Kind::kMasked ? 2 : 0; }
  onednn::Layer Onednn() const {
    Epilogue before;
    if (kind_ == Kind::kMasked) before.Scale(kScale).Bias(mask_.span());
    return onednn::SoftmaxRows(x(), before, options_.log);
  }
  std::span<const float> output() const { return y_.span(); }

  Estimate Reference(size_t i) const {
    const size_t row = i / cols_;
    std::vector<double> z(cols_);
    for (size_t c = 0; c < cols_; ++c) {
      z[c] = static_cast<double>(x_.data()[row * cols_ + c]) * static_cast<double>(options_.scale);
      if (kind_ == Kind::kMasked) z[c] += static_cast<double>(mask_.data()[c]);
    }
    const double max = *std::max_element(z.begin(), z.end());
    double sum = 0.0;
    for (const double value : z) sum += std::exp(value - max);
    const double value = z[i % cols_] - max;
    // Twice the bound that lanefuse/softmax.h states, and what oneDNN's own exp and log may add.
    const double relative = 2.0 * (static_cast<double>(cols_) / 64.0 + 16.0) * kEpsilon + 2e-6;
    const double result = kind_ == Kind::kLog ? value - std::log(sum) : std::exp(value) / sum;
    return {result, relative * (kind_ == Kind::kLog ? std::max(1.0, std::abs(result)) : result)};
  }
  // The limit is that of memory: one read, one write.
  Work work() const { return {0.0, 8.0 * static_cast<double>(rows_ * cols_)}; }

 private:
  static constexpr float kScale = 0.125f;  // 1 / sqrt(64), heads of 64 values

  MatView<const float> x() const { return {x_.data(), rows_, cols_}; }
  MatView<float> y() { return {y_.data(), rows_, cols_}; }

  size_t rows_, cols_;
  Kind kind_;
  FloatBuffer x_, mask_, y_;
  SoftmaxOptions options_;
};

void AddShape(Suite& suite, const char* name, Kind kind, size_t rows, size_t cols) {
  suite.Add<SoftmaxProblem>("softmax", name, Text("r", rows, "_c", cols), rows, cols, kind);
}

void AddSoftmax(Suite& suite) {
  for (const size_t cols : {1, 2, 12, 16, 64, 100, 128, 512, 1000, 1024, 4096, 10000, 32000}) {
    AddShape(suite, "none", Kind::kPlain, 1, cols);
  }
  AddShape(suite, "none", Kind::kPlain, 8, 64);
  AddShape(suite, "none", Kind::kPlain, 64, 12);
  AddShape(suite, "none", Kind::kPlain, 64, 1000);
  AddShape(suite, "none", Kind::kPlain, 1536, 128);
  AddShape(suite, "none", Kind::kPlain, 128, 512);
  for (const size_t cols : {12, 1000, 32000}) AddShape(suite, "log", Kind::kLog, 1, cols);
  AddShape(suite, "log", Kind::kLog, 64, 1000);
  AddShape(suite, "scale_mask", Kind::kMasked, 1, 1024);
  AddShape(suite, "scale_mask", Kind::kMasked, 64, 1000);
  AddShape(suite, "scale_mask", Kind::kMasked, 1536, 128);
}
[[maybe_unused]] const bool kAdded = Suite::AddFamily(AddSoftmax);

}  // namespace
}  // namespace lanefuse::bench
