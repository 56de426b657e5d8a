// onednn.h in a build without oneDNN: nothing is ready, and the error says what to install.
#ifndef LANEFUSE_HAVE_ONEDNN
#include <utility>

#include "bench/onednn/onednn.h"

namespace lanefuse::bench::onednn {

class Layer::Impl {};

bool Available() { return false; }
std::string Version() { return "oneDNN is not installed (Debian: libdnnl-dev)"; }
bool LimitIsa(std::string_view) { return false; }
void SetThreads(size_t) {}

Layer::Layer() = default;
Layer::Layer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Layer::Layer(Layer&&) noexcept = default;
Layer& Layer::operator=(Layer&&) noexcept = default;
Layer::~Layer() = default;
Layer Layer::Failed(std::string error) {
  Layer layer;
  layer.error_ = std::move(error);
  return layer;
}
std::string Layer::choice() const { return {}; }
size_t Layer::activation_bytes() const { return 0; }
void Layer::Run() {}
void Layer::Output(std::span<float>) {}

Layer FullyConnected(MatView<const float>, MatView<const float>, const Epilogue&) {
  return Layer::Failed(Version());
}
Layer FullyConnectedPlain(MatView<const float>, MatView<const float>, const Epilogue&) {
  return Layer::Failed(Version());
}
Layer Convolution(ImageView<const float>, const Conv2dShape&, std::span<const float>,
                  const Epilogue&) {
  return Layer::Failed(Version());
}
Layer Pool(ImageView<const float>, const Pool2dShape&, bool, const Epilogue&) {
  return Layer::Failed(Version());
}
Layer SoftmaxRows(MatView<const float>, const Epilogue&, bool) { return Layer::Failed(Version()); }
Layer Elementwise(MatView<const float>, const Epilogue&) { return Layer::Failed(Version()); }

}  // namespace lanefuse::bench::onednn
#endif  // !LANEFUSE_HAVE_ONEDNN
