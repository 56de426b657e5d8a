// Whole networks: blocks fused, layers fused, unfused, and a chain of oneDNN's primitives.
#include <algorithm>
#include <cmath>
#include <vector>

#include "bench/nets/engine.h"
#include "bench/nets/network.h"
#include "bench/support/buffer.h"
#include "bench/support/suite.h"

namespace lanefuse::bench {
namespace {

class NetProblem {
 public:
  explicit NetProblem(Network (*make)(bool values))
      : network_(make(true)),
        with_bias_(network_, true),
        without_bias_(network_, false),
        x_(Random(network_.shape(0).size(), 99)),
        y_(network_.output().size()),
        expected_(y_.size()),
        blocks_(network_, with_bias_, Way::kBlocks, x_.data(), y_.data()),
        layers_(network_, with_bias_, Way::kLayers, x_.data(), y_.data()),
        unfused_(network_, without_bias_, Way::kUnfused, x_.data(), y_.data()) {
    if (Unfused().ok()) std::copy_n(y_.data(), y_.size(), expected_.data());
    for (const float value : expected_.span()) {
      largest_ = std::max(largest_, std::abs(static_cast<double>(value)));
    }
  }

  Status Fused() { return Run(blocks_); }
  bool has_layers() const { return blocks_.has_blocks(); }
  Status Layers() { return Run(layers_); }
  Status Unfused() { return Run(unfused_); }
  size_t steps() const { return network_.layers().size(); }
  onednn::Layer Onednn() const {
    const Shape& s = network_.shape(0);
    onednn::Chain chain(1, s.height, s.width, s.channels, network_.layers());
    if (chain.ready()) chain.SetInput(x_.span());
    return std::move(chain).AsLayer();
  }
  std::span<const float> output() const { return y_.span(); }

  // The bits of the unfused layers, each of which conv/, linear/ and softmax/ compare with double
  // precision. oneDNN adds in another order: the errors of all layers, relative to the largest
  // output. Nothing equals outputs that are all 0: such a network would show nothing.
  Estimate Reference(size_t i) const {
    if (largest_ == 0.0) return {std::nan(""), 0.0};
    return {static_cast<double>(expected_.span()[i]), 1e-4 * largest_};
  }

  Work work() const {
    return {2.0 * network_.multiply_adds(),
            4.0 * (network_.weights() + static_cast<double>(x_.size() + y_.size()))};
  }
  size_t activation_bytes(Implementation which) const {
    return which == kUnfused  ? unfused_.activation_bytes()
           : which == kLayers ? layers_.activation_bytes()
                              : blocks_.activation_bytes();
  }

 private:
  Status Run(Engine& engine) {
    for (const PackedNetwork* weights : {&with_bias_, &without_bias_}) {
      if (!weights->status().ok()) return weights->status();
    }
    return engine.Run();
  }

  Network network_;
  PackedNetwork with_bias_, without_bias_;
  FloatBuffer x_, y_, expected_;
  Engine blocks_, layers_, unfused_;
  double largest_ = 0.0;
};

void AddNets(Suite& suite) {
  for (const NamedNetwork& net : kNetworks)
    suite.Add<NetProblem>("net", "fused", net.name, net.make);
}
[[maybe_unused]] const bool kAdded = Suite::AddFamily(AddNets);

}  // namespace
}  // namespace lanefuse::bench
