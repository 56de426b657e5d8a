// What the single layers (onednn.cc) and the chain of layers (chain.cc) share.
#ifndef LANEFUSE_BENCH_ONEDNN_INTERNAL_H_
#define LANEFUSE_BENCH_ONEDNN_INTERNAL_H_

#include <functional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "bench/onednn/compat.h"
#include "bench/onednn/onednn.h"
#include "lanefuse/conv.h"
#include "lanefuse/epilogue.h"
#include "lanefuse/view.h"

namespace lanefuse::bench::onednn {

using Dims = dnnl::memory::dims;
using Desc = dnnl::memory::desc;
using Args = std::unordered_map<int, dnnl::memory>;

const dnnl::engine& Engine();
dnnl::stream& Stream();

// Dense descriptors in the order of the dimensions (row-major), in NHWC, or left to oneDNN.
Desc Plain(const Dims& dims);
Desc Nhwc(const Dims& dims);  // dims as oneDNN wants them: N, C, H, W
Desc Any(const Dims& dims);
// Plain for two dimensions, Nhwc for four: the layout of a view's dense copy.
Desc PlainActivations(const Dims& dims);

// Weights of a convolution, dense OHWI in memory: (g,) o, i, h, w.
Dims ConvolutionWeightDims(const Conv2dShape& shape);
Desc ConvolutionWeightsPlain(const Conv2dShape& shape);
Dims OutputDims(ImageView<const float> x, const Conv2dShape& shape);
size_t OutputSize(size_t in, size_t before, size_t after, size_t extent, size_t stride);

// The elements of a view, without the gaps between rows or pixels.
std::vector<float> Dense(MatView<const float> x);
std::vector<float> Dense(ImageView<const float> x);

// Memory in layout `to` with a copy of `data`, which is in layout `from`.
dnnl::memory Reordered(const Desc& from, const float* data, const Desc& to);
// Copies `from` into `to`, whatever their layouts.
void Reorder(dnnl::memory from, dnnl::memory to);

// One operation of oneDNN that a step of an epilogue becomes.
struct Operation {
  dnnl::algorithm kind = dnnl::algorithm::undef;
  bool eltwise = true;  // otherwise binary, with an operand
  float alpha = 0.0f;
  float beta = 0.0f;
  bool per_channel = false;    // the operand has one value a channel
  std::vector<float> operand;  // dense
};

class Layer::Impl {
 public:
  void Run() {
    for (auto& [primitive, args] : calls) primitive.execute(Stream(), args);
    Stream().wait();
  }

  // One call but where oneDNN cannot fuse what was asked for.
  std::vector<std::pair<dnnl::primitive, Args>> calls;
  dnnl::memory destination;
  dnnl::memory
      residual;  // where the output is also an input (a sum), what it held before; else empty
  Dims dims;     // of the output
  std::string choice;
  bool reference = false;       // at least one call runs oneDNN's reference code
  size_t activation_bytes = 0;  // of a network: between its input and its output
};

// Turns steps into operations. False with a reason where oneDNN has no such operation.
bool Translate(std::span<const Step> steps, std::vector<Operation>& operations, std::string& why);

// A primitive's attributes and the operands of its post-ops for an output `dst`, whose layout must
// be known where an operand has the output's shape. With `sum`, an Add that comes first reads its
// operand from the output, which is where oneDNN wants it; see FirstIsAdd.
struct PostOps {
  dnnl::primitive_attr attr;
  Args args;
};
PostOps MakePostOps(std::span<const Operation> operations, const Desc& dst, bool sum);
bool FirstIsAdd(std::span<const Operation> operations);
bool NeedsLayout(std::span<const Operation> operations, bool sum);

// Index of the candidate with the shortest run, timed in turns so that a disturbance hits all.
size_t Fastest(std::span<const std::function<void()>> candidates);

}  // namespace lanefuse::bench::onednn

#endif  // LANEFUSE_BENCH_ONEDNN_INTERNAL_H_
