// Runs a network with the library, in one of three ways.
#ifndef LANEFUSE_BENCH_NETS_ENGINE_H_
#define LANEFUSE_BENCH_NETS_ENGINE_H_

#include <cstddef>
#include <functional>
#include <vector>

#include "bench/nets/network.h"
#include "bench/support/arena.h"
#include "bench/support/buffer.h"
#include "lanefuse/conv.h"
#include "lanefuse/linear.h"
#include "lanefuse/status.h"

namespace lanefuse::bench {

// The weights of a network, packed.
class PackedNetwork {
 public:
  PackedNetwork(const Network& network, bool with_bias);
  const Status& status() const { return status_; }  // the first error
  const PackedConv2d& convolution(size_t layer) const { return convolutions_[layer]; }
  const PackedLinear& connected(size_t layer) const { return connected_[layer]; }

 private:
  std::vector<PackedConv2d> convolutions_;  // for each layer, empty where it is something else
  std::vector<PackedLinear> connected_;
  std::vector<FloatBuffer> bytes_;
  Status status_;
};

enum class Way {
  kBlocks,   // depthwise and pointwise convolutions as one call, in front of them another one
  kLayers,   // one call a layer: bias, residual and activation in its epilogue
  kUnfused,  // the kernel, then a pass over its output for each of these
};

// Keeps pointers to the network, the weights (without bias where the way is kUnfused), the input
// and the output. What lies between them is in one arena; see PlaceBuffers.
class Engine {
 public:
  Engine(const Network& network, const PackedNetwork& weights, Way way, const float* input,
         float* output);
  Engine(const Engine&) = delete;

  Status Run() {
    for (const std::function<Status()>& call : calls_) {
      if (Status status = call(); !status.ok()) return status;
    }
    return {};
  }
  // Of the arena: all activations but the input and the output, and the blocks' scratch.
  size_t activation_bytes() const { return arena_.size() * sizeof(float); }
  bool has_blocks() const { return blocks_ != 0; }

 private:
  // Layers [first, first + count) run as one.
  struct Group {
    size_t first, count;
    size_t last() const { return first + count - 1; }
  };

  std::vector<Group> Groups(bool blocks) const;
  void Build(const std::vector<Group>& groups);
  void AddGroup(const Group& group, float* scratch, size_t scratch_size);
  void AddUnfused(size_t layer);
  void AddKernel(size_t layer, const Epilogue& epilogue);

  bool IsPointwise(size_t layer) const;
  bool IsDepthwise(size_t layer) const;
  bool FeedsOnlyNext(size_t layer) const;
  size_t LastReader(size_t tensor) const;  // the layer, or the number of layers where it is output
  size_t ScratchOf(const Group& group) const;

  ImageView<const float> Image(size_t tensor) const;
  ImageView<float> OutputImage(size_t layer) const;
  MatView<float> OutputRows(size_t layer) const;
  Epilogue EpilogueOf(size_t layer) const;

  const Network& network_;
  const PackedNetwork& weights_;
  const Way way_;
  std::vector<float*> tensors_;  // null where a block keeps it to itself
  FloatBuffer arena_;
  std::vector<std::function<Status()>> calls_;
  size_t blocks_ = 0;
};

}  // namespace lanefuse::bench

#endif  // LANEFUSE_BENCH_NETS_ENGINE_H_
