#include "bench/onednn/chain.h"

#include <cstring>
#include <functional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "bench/onednn/onednn.h"
#include "bench/support/arena.h"

#ifdef LANEFUSE_HAVE_ONEDNN
#include "bench/onednn/internal.h"
#endif

namespace lanefuse::bench::onednn {

#ifdef LANEFUSE_HAVE_ONEDNN

using dnnl::algorithm;
using dnnl::memory;

namespace {

enum class Layout { kEachItsOwn, kFollow, kPlain };
constexpr const char* kLayoutNames[] = {"each its own", "each follows", "plain"};

memory::dim AsDim(size_t n) { return static_cast<memory::dim>(n); }

}  // namespace

// One way of running the network.
class Chain::Impl {
 public:
  Impl(Layout layout, const Dims& input) : layout_(layout) {
    input_ = memory(PlainActivations(input), Engine());
    std::memset(input_.get_data_handle(), 0, input_.get_desc().get_size());
    tensors_.push_back({input_, input});
  }

  // False with a reason where oneDNN cannot do this layer.
  bool Add(const ChainLayer& layer, std::string& why);
  // The last layer's output in plain layout.
  void Finish() {
    current_ = tensors_.back().data;
    dims_ = tensors_.back().dims;
    Join(PlainActivations(dims_));
    output_ = current_;
  }

  // Of all that lies between the input and the output, where memory is used again.
  size_t ActivationBytes() const;
  std::unique_ptr<Layer::Impl> AsLayer(std::string choice);

  void Run() {
    for (auto& [primitive, args] : steps_) primitive.execute(Stream(), args);
    Stream().wait();
  }

  memory& input() { return input_; }
  const memory& output() const { return output_; }
  Layout layout() const { return layout_; }
  size_t reorders() const { return reorders_; }

 private:
  // Layouts to ask for: of a layer's input with these dimensions, and of its output.
  Desc Source(const Dims& dims) const {
    switch (layout_) {
      case Layout::kEachItsOwn:
        return Any(dims);
      case Layout::kFollow:
        return current_.get_desc();
      case Layout::kPlain:
        break;
    }
    return PlainActivations(dims);
  }
  Desc Destination(const Dims& dims) const {
    if (residual_) return residual_.get_desc();
    return layout_ == Layout::kPlain ? PlainActivations(dims) : Any(dims);
  }

  // Reorders the current activations where their layout is not `wanted`.
  void Join(const Desc& wanted) {
    if (current_.get_desc() == wanted) return;
    const memory joined(wanted, Engine());
    steps_.emplace_back(dnnl::reorder(current_, joined),
                        Args{{DNNL_ARG_FROM, current_}, {DNNL_ARG_TO, joined}});
    ++reorders_;
    current_ = joined;
  }

  // The primitive of `descriptor` behind the current activations.
  template <class Primitive, class Descriptor>
  void Append(const Descriptor& descriptor, Args args, const Dims& dims) {
    Join(descriptor.src_desc());
    const memory destination = residual_ ? residual_ : memory(descriptor.dst_desc(), Engine());
    args.emplace(DNNL_ARG_SRC, current_);
    args.emplace(DNNL_ARG_DST, destination);
    steps_.emplace_back(Primitive(descriptor), std::move(args));
    current_ = destination;
    dims_ = dims;
  }

  template <class Primitive, class Descriptor>
  bool AppendWeighted(const Descriptor& descriptor, PostOps post, const Desc& from,
                      const Desc& bias, const ChainLayer& layer, const Dims& dims) {
    if (!descriptor) return false;
    post.args.emplace(DNNL_ARG_WEIGHTS,
                      Reordered(from, layer.weights.data(), descriptor.weights_desc()));
    if (!layer.bias.empty()) {
      post.args.emplace(DNNL_ARG_BIAS, Reordered(bias, layer.bias.data(), bias));
    }
    Append<Primitive>(descriptor, std::move(post.args), dims);
    return true;
  }

  bool AddConvolution(const ChainLayer& layer, const PostOps& post);
  bool AddPool(const ChainLayer& layer, const PostOps& post);
  bool AddConnected(const ChainLayer& layer, const PostOps& post);
  bool AddSoftmax(const PostOps& post);

  struct Tensor {
    memory data;
    Dims dims;
  };

  Layout layout_;
  memory input_, output_;
  std::vector<Tensor> tensors_;
  memory current_;  // what the next step reads, of dimensions dims_
  Dims dims_;
  memory residual_;  // what it adds its output to, or empty
  std::vector<std::pair<dnnl::primitive, Args>> steps_;
  size_t reorders_ = 0;
};

bool Chain::Impl::AddConvolution(const ChainLayer& layer, const PostOps& post) {
  const Conv2dShape& s = layer.convolution;
  const ImageView<const float> x(nullptr, static_cast<size_t>(dims_[0]),
                                 static_cast<size_t>(dims_[2]), static_cast<size_t>(dims_[3]),
                                 static_cast<size_t>(dims_[1]));
  const Dims dims = OutputDims(x, s);
  const Desc bias = layer.bias.empty() ? Desc() : Plain({AsDim(s.outputs)});
  const auto descriptor = compat::MakeConvolution(
      Engine(), Source(dims_), Any(ConvolutionWeightDims(s)), bias, Destination(dims),
      {AsDim(s.stride_h), AsDim(s.stride_w)}, {AsDim(s.dilation_h - 1), AsDim(s.dilation_w - 1)},
      {AsDim(s.padding.top), AsDim(s.padding.left)},
      {AsDim(s.padding.bottom), AsDim(s.padding.right)}, post.attr);
  return AppendWeighted<dnnl::convolution_forward>(descriptor, post, ConvolutionWeightsPlain(s),
                                                   bias, layer, dims);
}

bool Chain::Impl::AddPool(const ChainLayer& layer, const PostOps& post) {
  const Pool2dShape& s = layer.pool;
  const auto extent = [&](size_t i, size_t before, size_t after, size_t kernel, size_t stride) {
    return AsDim(OutputSize(static_cast<size_t>(dims_[i]), before, after, kernel, stride));
  };
  const Dims dims = {dims_[0], dims_[1],
                     extent(2, s.padding.top, s.padding.bottom, s.kernel_h, s.stride_h),
                     extent(3, s.padding.left, s.padding.right, s.kernel_w, s.stride_w)};
  const algorithm kind = layer.kind == ChainLayer::kMaxPool ? algorithm::pooling_max
                         : s.count_padding                  ? algorithm::pooling_avg_include_padding
                                           : algorithm::pooling_avg_exclude_padding;
  // A pooling has no layout of its own to prefer: it takes what there is.
  const auto descriptor = compat::MakePooling(
      Engine(), kind, current_.get_desc(), Destination(dims),
      {AsDim(s.stride_h), AsDim(s.stride_w)}, {AsDim(s.kernel_h), AsDim(s.kernel_w)},
      {AsDim(s.padding.top), AsDim(s.padding.left)},
      {AsDim(s.padding.bottom), AsDim(s.padding.right)}, post.attr);
  if (!descriptor) return false;
  Append<compat::Pooling>(descriptor, post.args, dims);
  return true;
}

bool Chain::Impl::AddConnected(const ChainLayer& layer, const PostOps& post) {
  const Dims dims = {dims_[0], AsDim(layer.outputs)};
  Dims weight_dims = dims_;
  weight_dims[0] = dims[1];
  // Rows of the weights run over the pixels and then the channels, like NHWC.
  const Desc from = PlainActivations(weight_dims);
  const Desc bias = layer.bias.empty() ? Desc() : Plain({dims[1]});
  const auto descriptor = compat::MakeInnerProduct(Engine(), Source(dims_), Any(weight_dims), bias,
                                                   Destination(dims), post.attr);
  return AppendWeighted<dnnl::inner_product_forward>(descriptor, post, from, bias, layer, dims);
}

bool Chain::Impl::AddSoftmax(const PostOps& post) {
  // Over the channels of whatever layout there is.
  const auto descriptor = compat::MakeSoftmax(Engine(), algorithm::softmax_accurate,
                                              current_.get_desc(), current_.get_desc(), post.attr);
  if (!descriptor) return false;
  Append<compat::Softmax>(descriptor, post.args, dims_);
  return true;
}

bool Chain::Impl::Add(const ChainLayer& layer, std::string& why) {
  std::vector<Operation> operations;
  Epilogue epilogue;
  epilogue.Act(layer.activation);
  if (!Translate(epilogue.steps(), operations, why)) return false;
  const bool sum = layer.add != ChainLayer::kNothing;
  if (sum) operations.insert(operations.begin(), Operation{.operand = {}});
  // No operand but that of the sum, so the layout of the output does not matter here.
  const PostOps post = MakePostOps(operations, Plain({1, 1}), sum);
  const Tensor& from =
      layer.input == ChainLayer::kPrevious ? tensors_.back() : tensors_[layer.input];
  current_ = from.data;
  dims_ = from.dims;
  residual_ = sum ? tensors_[layer.add].data : memory();
  why = "oneDNN has no implementation of a layer of the chain";
  const bool added = [&] {
    switch (layer.kind) {
      case ChainLayer::kConvolution:
        return AddConvolution(layer, post);
      case ChainLayer::kMaxPool:
      case ChainLayer::kAveragePool:
        return AddPool(layer, post);
      case ChainLayer::kConnected:
        return AddConnected(layer, post);
      case ChainLayer::kSoftmax:
        return AddSoftmax(post);
    }
    return false;
  }();
  tensors_.push_back({current_, dims_});
  return added;
}

size_t Chain::Impl::ActivationBytes() const {
  std::vector<Lifetime> buffers;
  std::unordered_map<const void*, size_t> known;
  for (size_t step = 0; step < steps_.size(); ++step) {
    for (const int which : {DNNL_ARG_SRC, DNNL_ARG_DST}) {  // also a reorder's FROM and TO
      const auto& args = steps_[step].second;
      const auto found = args.find(which);
      if (found == args.end()) continue;
      const memory& data = found->second;
      const void* const handle = data.get_data_handle();
      if (handle == input_.get_data_handle() || handle == output_.get_data_handle()) continue;
      const auto [entry, fresh] = known.emplace(handle, buffers.size());
      if (fresh) buffers.push_back({data.get_desc().get_size(), step, step});
      buffers[entry->second].last = step;
    }
  }
  return PlaceBuffers(buffers);
}

std::unique_ptr<Layer::Impl> Chain::Impl::AsLayer(std::string choice) {
  auto layer = std::make_unique<Layer::Impl>();
  layer->activation_bytes = ActivationBytes();
  layer->calls = std::move(steps_);
  layer->destination = output_;
  layer->dims = dims_;
  layer->choice = std::move(choice);
  return layer;
}

Chain::Chain(size_t images, size_t height, size_t width, size_t channels,
             std::span<const ChainLayer> layers) {
  const Dims input = {AsDim(images), AsDim(channels), AsDim(height), AsDim(width)};
  std::vector<std::unique_ptr<Impl>> ways;
  for (const Layout layout : {Layout::kEachItsOwn, Layout::kFollow, Layout::kPlain}) {
    auto way = std::make_unique<Impl>(layout, input);
    bool complete = true;
    for (const ChainLayer& layer : layers) complete = complete && way->Add(layer, error_);
    if (!complete) continue;
    way->Finish();
    ways.push_back(std::move(way));
  }
  if (ways.empty()) return;
  error_.clear();
  std::vector<std::function<void()>> runs;
  for (const auto& way : ways) runs.emplace_back([&w = *way] { w.Run(); });
  impl_ = std::move(ways[Fastest(runs)]);
}

std::string Chain::choice() const {
  if (!ready()) return {};
  std::string text = kLayoutNames[static_cast<int>(impl_->layout())];
  text += ", ";
  text += std::to_string(impl_->reorders());
  text += " reorders";
  return text;
}

size_t Chain::input_size() const { return impl_->input().get_desc().get_size() / sizeof(float); }
size_t Chain::output_size() const { return impl_->output().get_desc().get_size() / sizeof(float); }

void Chain::SetInput(std::span<const float> x) {
  std::memcpy(impl_->input().get_data_handle(), x.data(), x.size_bytes());
}

void Chain::Run() { impl_->Run(); }

void Chain::Output(std::span<float> y) const {
  std::memcpy(y.data(), impl_->output().get_data_handle(), y.size_bytes());
}

Layer Chain::AsLayer() && {
  if (!ready()) return Layer::Failed(error_);
  Layer layer(impl_->AsLayer(choice()));
  impl_.reset();
  return layer;
}

#else  // no oneDNN

class Chain::Impl {};

Chain::Chain(size_t, size_t, size_t, size_t, std::span<const ChainLayer>) : error_(Version()) {}
std::string Chain::choice() const { return {}; }
size_t Chain::input_size() const { return 0; }
size_t Chain::output_size() const { return 0; }
void Chain::SetInput(std::span<const float>) {}
void Chain::Run() {}
void Chain::Output(std::span<float>) const {}
Layer Chain::AsLayer() && { return Layer::Failed(error_); }

#endif  // LANEFUSE_HAVE_ONEDNN

Chain::Chain(Chain&&) noexcept = default;
Chain& Chain::operator=(Chain&&) noexcept = default;
Chain::~Chain() = default;
bool Chain::ready() const { return impl_ != nullptr; }

}  // namespace lanefuse::bench::onednn
