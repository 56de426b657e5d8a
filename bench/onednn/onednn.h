// The baseline: the same layers through oneDNN, each prepared once (weights in the layout that
// oneDNN prefers, post-ops instead of further passes, the faster of its alternatives) and then run
// as an application would run it. No type of oneDNN appears here; in a build without oneDNN every
// layer is "not ready" and error() says which package to install.
#ifndef LANEFUSE_BENCH_ONEDNN_ONEDNN_H_
#define LANEFUSE_BENCH_ONEDNN_ONEDNN_H_

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "lanefuse/conv.h"
#include "lanefuse/epilogue.h"
#include "lanefuse/view.h"

namespace lanefuse::bench::onednn {

// False in a build without oneDNN.
bool Available();

// "oneDNN 2.6.3", or what to install.
std::string Version();

// Caps oneDNN to the instruction set that Lanefuse calls `target`. Once per process, before any
// other call. False where oneDNN has nothing comparable (BASELINE) or refuses.
bool LimitIsa(std::string_view target);

// Threads of the calls that follow. Before the layers are prepared: oneDNN plans for them.
void SetThreads(size_t threads);

// One layer, prepared on copies of its operands.
class Layer {
 public:
  class Impl;

  Layer();
  explicit Layer(std::unique_ptr<Impl> impl);
  static Layer Failed(std::string error);
  Layer(Layer&&) noexcept;
  Layer& operator=(Layer&&) noexcept;
  ~Layer();

  bool ready() const { return impl_ != nullptr; }
  // Why it is not ready.
  const std::string& error() const { return error_; }
  // What was chosen: "inner_product", "conv nhwc", ...
  std::string choice() const;
  // Of a network: the bytes between its input and its output, as PlaceBuffers packs them.
  size_t activation_bytes() const;

  // One call: execute and wait.
  void Run();

  // Runs once more on fresh operands and copies the output in plain layout (row-major, NHWC).
  void Output(std::span<float> y);

 private:
  std::unique_ptr<Impl> impl_;
  std::string error_;
};

// x: M x K, w: N x K. The faster of inner_product and matmul, weights in format_tag::any.
// In `epilogue` a first Bias becomes oneDNN's bias, every other step a post-op.
Layer FullyConnected(MatView<const float> x, MatView<const float> w, const Epilogue& epilogue);

// The same with the weights as they are, row-major N x K: no reorder ahead of the call.
Layer FullyConnectedPlain(MatView<const float> x, MatView<const float> w, const Epilogue& epilogue);

// Weights dense OHWI. The faster of NHWC activations and format_tag::any (their reorders are not
// counted), and for a first Add of the faster of a sum and a binary post-op.
Layer Convolution(ImageView<const float> x, const Conv2dShape& shape,
                  std::span<const float> weights, const Epilogue& epilogue);

// The faster of NHWC and the blocked layout that follows a convolution in `any`.
Layer Pool(ImageView<const float> x, const Pool2dShape& shape, bool max, const Epilogue& epilogue);

// `before` is a scale or a mask, which oneDNN's softmax does not have: a call of its own.
Layer SoftmaxRows(MatView<const float> x, const Epilogue& before, bool log);

// The first step as a primitive, the others as its post-ops where oneDNN accepts them, otherwise
// as further calls.
Layer Elementwise(MatView<const float> x, const Epilogue& epilogue);

}  // namespace lanefuse::bench::onednn

#endif  // LANEFUSE_BENCH_ONEDNN_ONEDNN_H_
