// Fully connected layers with packed weights: m rows, k inputs, n outputs.
#include "lanefuse/linear.h"

#include <algorithm>
#include <string>

#include "bench/linear/problem.h"
#include "bench/support/suite.h"

namespace lanefuse::bench {
namespace {

class PackedProblem : public LinearProblem {
 public:
  PackedProblem(size_t m, size_t k, size_t n, const std::string& epilogue)
      : LinearProblem(m, k, n, epilogue),
        bytes_(PackedLinear::Bytes(n, k) / sizeof(float)),
        packing_(PackedLinear::Pack(w(), {}, nullptr, bytes_.bytes(), packed_)) {}

  Status Fused() {
    if (!packing_.ok()) return packing_;
    return Linear(x(), packed_, chain().fused(), y(), Threads());
  }
  Status InPlace() {
    if (!packing_.ok()) return packing_;
    return Linear(x(), packed_, in_place(), y(), Threads());
  }
  Status Unfused() {
    const Status status = Linear(x(), packed_, Epilogue(), y(), Threads());
    return status.ok() ? chain().ApplyOneByOne(y().data, y().data, Threads()) : status;
  }
  onednn::Layer Onednn() const { return onednn::FullyConnected(x(), w(), chain().fused()); }

 private:
  FloatBuffer bytes_;
  PackedLinear packed_;
  Status packing_;
};

// Queries, keys and values: three layers with one input, n outputs in all. "Unfused" is a call for
// each; oneDNN has them as one layer.
class GroupProblem : public LinearProblem {
 public:
  GroupProblem(size_t m, size_t k, size_t n) : LinearProblem(m, k, n, "none") {
    for (size_t i = 0; i < kLayers; ++i) {
      const size_t outputs = n / kLayers;
      bytes_[i] = FloatBuffer(PackedLinear::Bytes(outputs, k) / sizeof(float));
      const Status status = PackedLinear::Pack({w().data + i * outputs * k, outputs, k}, {},
                                               nullptr, bytes_[i].bytes(), packed_[i]);
      if (!status.ok()) packing_ = status;
      layers_[i] = {&packed_[i], nullptr, {y().data + i * outputs, m, outputs, n}};
    }
  }

  Status Fused() { return packing_.ok() ? LinearGroup(x(), layers_, Threads()) : packing_; }
  Status Unfused() {
    for (const LinearLayer& layer : layers_) {
      const Status status = Linear(x(), *layer.weights, Epilogue(), layer.y, Threads());
      if (!status.ok()) return status;
    }
    return {};
  }
  size_t steps() const { return kLayers; }
  onednn::Layer Onednn() const { return onednn::FullyConnected(x(), w(), Epilogue()); }

 private:
  static constexpr size_t kLayers = 3;
  FloatBuffer bytes_[kLayers];
  PackedLinear packed_[kLayers];
  LinearLayer layers_[kLayers];
  Status packing_;
};

void AddShape(Suite& suite, const std::string& epilogue, size_t m, size_t k, size_t n) {
  suite.Add<PackedProblem>("linear", epilogue, LinearName(m, k, n), m, k, n, epilogue);
}

void AddLinear(Suite& suite) {
  // What a call costs before it does any work.
  AddShape(suite, "none", 1, 1, 1);
  AddShape(suite, "bias_relu", 1, 1, 1);

  // A few rows: what runs at the edge. Neither side is more than 16 times the other, but for the
  // classifiers with 12 and 1000 outputs.
  for (const size_t m : {1, 2, 4}) {
    for (const size_t k : {16, 32, 64, 128, 256, 512, 1024, 2048, 4096}) {
      for (const size_t n : {12, 16, 32, 64, 128, 256, 512, 1000, 1024, 2048, 4096}) {
        const bool even = std::max(k, n) <= 16 * std::min(k, n);
        const bool more_than_cache = k * n > 2048 * 2048 && m == 2;  // m = 1 and 4 tell the same
        if (even && !more_than_cache) AddShape(suite, "bias_relu", m, k, n);
      }
    }
  }
  for (const size_t m : {16, 128}) {
    for (const size_t k : {64, 256, 512, 1024, 4096}) {
      for (const size_t n : {12, 64, 256, 1000, 1024, 4096}) {
        if (m == 128 && k * n > 1024 * 1024) continue;  // 10 ms a call and more
        if (std::max(k, n) <= 64 * std::min(k, n)) AddShape(suite, "bias_relu", m, k, n);
      }
    }
  }

  // The shapes of the published comparison that the sweep does not have.
  AddShape(suite, "bias_relu", 1, 64, 12);
  AddShape(suite, "bias_relu", 1, 640, 128);
  AddShape(suite, "bias_relu", 1, 768, 3072);
  AddShape(suite, "bias_relu", 16, 768, 3072);
  AddShape(suite, "bias_relu", 128, 768, 768);
  AddShape(suite, "bias_relu", 512, 512, 512);

  // Around the edges of tiles and of panels, one side after the other and all three; and primes.
  for (const size_t edge : {15, 17, 31, 33, 63, 65, 127, 129, 509, 1021}) {
    if (edge > 16) AddShape(suite, "bias_relu", edge, 256, 256);
    AddShape(suite, "bias_relu", 64, edge, 256);
    AddShape(suite, "bias_relu", 64, 256, edge);
    if (edge > 16 && edge < 1000) AddShape(suite, "bias_relu", edge, edge, edge);
  }

  // Other chains: register epilogues, and those that run over the hot tile.
  for (const char* epilogue : {"none", "bias", "bias_clamp", "bias_add_relu", "affine_hardswish",
                               "bias_geluerf", "bias_gelutanh", "bias_silu_mul"}) {
    AddShape(suite, epilogue, 1, 256, 256);
    AddShape(suite, epilogue, 1, 768, 3072);
    AddShape(suite, epilogue, 4, 512, 512);
    AddShape(suite, epilogue, 16, 768, 3072);
    AddShape(suite, epilogue, 128, 768, 768);
  }

  for (const size_t m : {1, 16, 128}) {
    for (const size_t k : {64, 256, 768}) {
      suite.Add<GroupProblem>("linear_group", "none", LinearName(m, k, 3 * k), m, k, 3 * k);
    }
  }
}
[[maybe_unused]] const bool kAdded = Suite::AddFamily(AddLinear);

}  // namespace
}  // namespace lanefuse::bench
