// Convolutions that run as one call: what they are and how much of them runs at a time. No SIMD.
#ifndef LANEFUSE_SRC_CONV_BLOCK_ARGS_H_
#define LANEFUSE_SRC_CONV_BLOCK_ARGS_H_

#include <cstddef>

#include "lanefuse/conv.h"
#include "src/epilogue/chain.h"

namespace lanefuse {

// Floats of a cache line: the parts of scratch begin on one.
constexpr size_t kLineFloats = 64 / sizeof(float);

// What one convolution reads and writes. What lies between two of them has no data here.
struct Stage {
  Stage() = default;
  Stage(const PackedConv2d& weights, const Epilogue* steps) : w(&weights), epilogue(steps) {}

  const PackedConv2d* w = nullptr;
  const Epilogue* epilogue = nullptr;
  ImageView<const float> x;
  ImageView<float> y;
  Chain chain;
  bool flat = false;
};

// Up to three stages; where `expand` has no weights, `depthwise` reads the image.
struct Block {
  Block(const Stage& first, const Stage& second, const Stage& third)
      : expand(first), depthwise(second), pointwise(third) {}

  Stage expand, depthwise, pointwise;
  int target = 0;
  bool alone = true;  // one thread runs all bands

  // The plan: rows of the output in one band, and where its parts lie in the scratch of one thread.
  size_t band = 0;
  size_t expanded = 0;  // floats of the band between expand and depthwise
  size_t middle = 0;    // floats of that between depthwise and pointwise

  bool expands() const { return expand.w != nullptr; }
  const Stage& first() const { return expands() ? expand : depthwise; }
  size_t lines() const { return pointwise.y.images * pointwise.y.height; }
  size_t floats() const { return expanded + middle; }
};

// The views between the stages and their agreement with the weights; sizes alone. Without `y` the
// output has no data.
Status Connect(const ImageView<const float>& x, const ImageView<float>* y, Block& block);

// Chooses the band. False where one does not fit the address space.
bool PlanBand(Block& block);

// How many threads have work, and the scratch for so many, with room to align it; false where it
// does not fit the address space.
size_t PartsOf(const Block& block, const Parallel& parallel);
bool ScratchFloats(const Block& block, size_t parts, size_t& floats);

}  // namespace lanefuse

#endif  // LANEFUSE_SRC_CONV_BLOCK_ARGS_H_
