#ifdef LANEFUSE_HAVE_ONEDNN
#include "bench/onednn/onednn.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <utility>
#include <vector>

#include "bench/onednn/internal.h"
#ifdef _OPENMP
#include <omp.h>
#endif

namespace lanefuse::bench::onednn {

using dnnl::algorithm;
using dnnl::memory;

namespace {

using Impls = std::vector<std::unique_ptr<Layer::Impl>>;

// A first Bias is oneDNN's own; the other steps are operations.
struct Split {
  std::span<const float> bias{};
  std::vector<Operation> operations;
};

bool SplitBias(const Epilogue& epilogue, Split& split, std::string& why) {
  std::span<const Step> steps = epilogue.steps();
  if (!steps.empty() && steps[0].kind == StepKind::kBias) {
    split.bias = {steps[0].data, steps[0].size};
    steps = steps.subspan(1);
  }
  return Translate(steps, split.operations, why);
}

template <class Descriptor>
bool IsReference(const Descriptor& descriptor) {
  return std::string_view(descriptor.impl_info_str()).starts_with("ref");
}

// The primitive of `descriptor` with its output and the operands of its post-ops.
template <class Primitive, class Descriptor>
std::unique_ptr<Layer::Impl> Build(const Descriptor& descriptor, const Dims& dims, PostOps post,
                                   const Operation* sum, std::string choice) {
  auto impl = std::make_unique<Layer::Impl>();
  impl->destination = memory(descriptor.dst_desc(), Engine());
  impl->calls.emplace_back(Primitive(descriptor), std::move(post.args));
  impl->calls[0].second.emplace(DNNL_ARG_DST, impl->destination);
  impl->dims = dims;
  impl->reference = IsReference(descriptor);
  impl->choice = std::move(choice);
  if (sum != nullptr) {
    impl->residual = Reordered(PlainActivations(dims), sum->operand.data(), descriptor.dst_desc());
    Reorder(impl->residual, impl->destination);
  }
  return impl;
}

Layer KeepFastest(Impls impls, const char* why) {
  if (impls.empty()) return Layer::Failed(why);
  std::vector<std::function<void()>> runs;
  for (const auto& impl : impls) runs.emplace_back([&i = *impl] { i.Run(); });
  return Layer(std::move(impls[Fastest(runs)]));
}

// Which of the two wins depends on shape, version and instruction set (with 2.6.3 and AVX-512 each
// was the faster for about half of the shapes), so both are timed; choice() says which it was.
Layer Connected(MatView<const float> x, MatView<const float> w, const Epilogue& epilogue,
                bool plain) {
  Split split;
  std::string why;
  if (!SplitBias(epilogue, split, why)) return Layer::Failed(why);
  const auto m = static_cast<memory::dim>(x.rows), k = static_cast<memory::dim>(x.cols),
             n = static_cast<memory::dim>(w.rows);
  const Desc src = Plain({m, k}), dst = Plain({m, n});
  const std::vector<float> inputs = Dense(x), weights = Dense(w);
  const memory source = Reordered(src, inputs.data(), src);
  const bool has_bias = !split.bias.empty();
  Impls impls;
  const auto add = [&](auto impl, const Desc& bias, const Desc& from, const Desc& to) {
    Args& args = impl->calls[0].second;
    args.emplace(DNNL_ARG_SRC, source);
    args.emplace(DNNL_ARG_WEIGHTS, Reordered(from, weights.data(), to));
    if (has_bias) args.emplace(DNNL_ARG_BIAS, Reordered(bias, split.bias.data(), bias));
    impls.push_back(std::move(impl));
  };
  for (const bool sum : {false, true}) {
    if (sum && !FirstIsAdd(split.operations)) continue;
    const PostOps post = MakePostOps(split.operations, dst, sum);
    const Operation* first = sum ? split.operations.data() : nullptr;
    {
      const Desc from = Plain({n, k}), bias = has_bias ? Plain({n}) : Desc();
      const auto d =
          compat::MakeInnerProduct(Engine(), src, plain ? from : Any({n, k}), bias, dst, post.attr);
      if (d) {
        add(Build<dnnl::inner_product_forward>(d, {m, n}, post, first, "inner_product"), bias, from,
            d.weights_desc());
      }
    }
    {
      const Desc from({k, n}, memory::data_type::f32, Dims{1, k});  // w transposed
      const Desc bias = has_bias ? Plain({1, n}) : Desc();
      const auto d =
          compat::MakeMatmul(Engine(), src, plain ? from : Any({k, n}), bias, dst, post.attr);
      if (d) {
        add(Build<dnnl::matmul>(d, {m, n}, post, first, "matmul"), bias, from, d.weights_desc());
      }
    }
  }
  return KeepFastest(std::move(impls), "oneDNN has no implementation of this layer");
}

}  // namespace

bool Available() { return true; }

std::string Version() {
  const dnnl_version_t* v = dnnl_version();
  return "oneDNN " + std::to_string(v->major) + "." + std::to_string(v->minor) + "." +
         std::to_string(v->patch);
}

bool LimitIsa(std::string_view target) {
  dnnl::cpu_isa isa;
  if (target == "AVX512_VNNI") {
    isa = dnnl::cpu_isa::avx512_core_vnni;
  } else if (target == "AVX512") {
    isa = dnnl::cpu_isa::avx512_core;
  } else if (target == "AVX2") {
    isa = dnnl::cpu_isa::avx2;
  } else if (target == "SSE4") {
    isa = dnnl::cpu_isa::sse41;
  } else {
    // oneDNN cannot be capped on other architectures; below SSE4.1 it has plain C++ only.
    return target != "BASELINE";
  }
  return dnnl::set_max_cpu_isa(isa) == dnnl::status::success;
}

void SetThreads(size_t threads) {
#ifdef _OPENMP
  omp_set_num_threads(static_cast<int>(threads));
#else
  (void)threads;  // bench/run sets OMP_NUM_THREADS
#endif
}

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

std::string Layer::choice() const {
  if (!ready()) return {};
  return impl_->choice + (impl_->reference ? ", reference code" : "");
}

size_t Layer::activation_bytes() const { return ready() ? impl_->activation_bytes : 0; }

void Layer::Run() { impl_->Run(); }

void Layer::Output(std::span<float> y) {
  if (impl_->residual) Reorder(impl_->residual, impl_->destination);
  impl_->Run();
  memory plain(PlainActivations(impl_->dims), Engine());
  Reorder(impl_->destination, plain);
  std::memcpy(y.data(), plain.get_data_handle(), y.size_bytes());
}

Layer FullyConnected(MatView<const float> x, MatView<const float> w, const Epilogue& epilogue) {
  return Connected(x, w, epilogue, false);
}

Layer FullyConnectedPlain(MatView<const float> x, MatView<const float> w,
                          const Epilogue& epilogue) {
  return Connected(x, w, epilogue, true);
}

Layer Convolution(ImageView<const float> x, const Conv2dShape& shape,
                  std::span<const float> weights, const Epilogue& epilogue) {
  Split split;
  std::string why;
  if (!SplitBias(epilogue, split, why)) return Layer::Failed(why);
  const auto as_dim = [](size_t n) { return static_cast<memory::dim>(n); };
  const Dims source_dims = {as_dim(x.images), as_dim(x.channels), as_dim(x.height),
                            as_dim(x.width)};
  const Dims dims = OutputDims(x, shape), weight_dims = ConvolutionWeightDims(shape);
  const Dims strides = {as_dim(shape.stride_h), as_dim(shape.stride_w)};
  const Dims dilates = {as_dim(shape.dilation_h - 1), as_dim(shape.dilation_w - 1)};
  const Dims left = {as_dim(shape.padding.top), as_dim(shape.padding.left)};
  const Dims right = {as_dim(shape.padding.bottom), as_dim(shape.padding.right)};
  const bool has_bias = !split.bias.empty();
  const Desc bias = has_bias ? Plain({as_dim(shape.outputs)}) : Desc();
  const std::vector<float> inputs = Dense(x);
  const auto describe = [&](const Desc& src, const Desc& dst, const PostOps& post) {
    return compat::MakeConvolution(Engine(), src, Any(weight_dims), bias, dst, strides, dilates,
                                   left, right, post.attr);
  };
  Impls impls;
  for (const bool any : {false, true}) {
    for (const bool sum : {false, true}) {
      if (sum && !FirstIsAdd(split.operations)) continue;
      const Desc src = any ? Any(source_dims) : Nhwc(source_dims);
      Desc dst = any ? Any(dims) : Nhwc(dims);
      if (any && NeedsLayout(split.operations, sum)) {
        // An operand of the output's shape must be described before oneDNN has chosen: take what it
        // chooses without.
        const auto first = describe(src, dst, {});
        if (!first) continue;
        dst = first.dst_desc();
      }
      const PostOps post = MakePostOps(split.operations, dst, sum);
      const auto d = describe(src, dst, post);
      if (!d) continue;
      if (any && d.src_desc() == Nhwc(source_dims) && d.dst_desc() == Nhwc(dims)) continue;
      auto impl = Build<dnnl::convolution_forward>(
          d, dims, post, sum ? split.operations.data() : nullptr,
          std::string(any ? "any " : "nhwc ") + (sum ? "sum " : "") + d.impl_info_str());
      Args& args = impl->calls[0].second;
      args.emplace(DNNL_ARG_SRC, Reordered(Nhwc(source_dims), inputs.data(), d.src_desc()));
      args.emplace(DNNL_ARG_WEIGHTS,
                   Reordered(ConvolutionWeightsPlain(shape), weights.data(), d.weights_desc()));
      if (has_bias) args.emplace(DNNL_ARG_BIAS, Reordered(bias, split.bias.data(), bias));
      impls.push_back(std::move(impl));
    }
  }
  return KeepFastest(std::move(impls), "oneDNN has no implementation of this convolution");
}

Layer Pool(ImageView<const float> x, const Pool2dShape& shape, bool max, const Epilogue& epilogue) {
  std::vector<Operation> operations;
  std::string why;
  if (!Translate(epilogue.steps(), operations, why)) return Layer::Failed(why);
  Conv2dShape geometry{.outputs = x.channels,
                       .channels = x.channels,
                       .kernel_h = shape.kernel_h,
                       .kernel_w = shape.kernel_w,
                       .stride_h = shape.stride_h,
                       .stride_w = shape.stride_w,
                       .padding = shape.padding};
  const auto as_dim = [](size_t n) { return static_cast<memory::dim>(n); };
  const Dims source_dims = {as_dim(x.images), as_dim(x.channels), as_dim(x.height),
                            as_dim(x.width)};
  const Dims dims = OutputDims(x, geometry);
  const algorithm kind = max                   ? algorithm::pooling_max
                         : shape.count_padding ? algorithm::pooling_avg_include_padding
                                               : algorithm::pooling_avg_exclude_padding;
  const std::vector<float> inputs = Dense(x);
  Impls impls;
  using Tag = memory::format_tag;
  for (const Tag tag : {Tag::nhwc, Tag::nChw16c, Tag::nChw8c}) {
    const Desc src(source_dims, memory::data_type::f32, tag);
    const Desc dst(dims, memory::data_type::f32, tag);
    const PostOps post = MakePostOps(operations, dst, false);
    const auto d = compat::MakePooling(
        Engine(), kind, src, dst, {as_dim(shape.stride_h), as_dim(shape.stride_w)},
        {as_dim(shape.kernel_h), as_dim(shape.kernel_w)},
        {as_dim(shape.padding.top), as_dim(shape.padding.left)},
        {as_dim(shape.padding.bottom), as_dim(shape.padding.right)}, post.attr);
    if (!d) continue;
    auto impl =
        Build<compat::Pooling>(d, dims, post, nullptr, tag == Tag::nhwc ? "nhwc" : "blocked");
    impl->calls[0].second.emplace(DNNL_ARG_SRC, Reordered(Nhwc(source_dims), inputs.data(), src));
    impls.push_back(std::move(impl));
  }
  return KeepFastest(std::move(impls), "oneDNN has no implementation of this pooling");
}

namespace {

// Appends the calls that apply `operations` (at least one) to `from`: as few as oneDNN can do. Each
// takes as many of the following operations for its post-ops as it accepts; 3.x, for one, has no
// eltwise behind an eltwise.
bool AppendElementwise(std::span<const Operation> operations, memory from, Layer::Impl& impl) {
  const Desc data = from.get_desc();
  while (!operations.empty()) {
    const Operation& first = operations[0];
    const Desc operand = first.per_channel ? Plain({1, impl.dims[1]}) : data;
    dnnl::primitive primitive;
    Args args;
    size_t taken = operations.size();
    for (; taken > 0 && !primitive; --taken) {
      const PostOps post = MakePostOps(operations.subspan(1, taken - 1), data, false);
      args = post.args;
      if (first.eltwise) {
        const auto d =
            compat::MakeEltwise(Engine(), first.kind, data, first.alpha, first.beta, post.attr);
        if (d) {
          primitive = dnnl::eltwise_forward(d);
          impl.reference |= IsReference(d);
        }
      } else {
        const auto d = compat::MakeBinary(Engine(), first.kind, data, operand, post.attr);
        if (d) {
          primitive = dnnl::binary(d);
          impl.reference |= IsReference(d);
        }
      }
    }
    if (!primitive) return false;
    args.emplace(DNNL_ARG_SRC, from);  // the same number as DNNL_ARG_SRC_0
    if (!first.eltwise) {
      args.emplace(DNNL_ARG_SRC_1, Reordered(operand, first.operand.data(), operand));
    }
    args.emplace(DNNL_ARG_DST, impl.destination);
    impl.calls.emplace_back(primitive, std::move(args));
    operations = operations.subspan(taken + 1);  // the loop has counted one down
    from = impl.destination;
  }
  return true;
}

}  // namespace

Layer SoftmaxRows(MatView<const float> x, const Epilogue& before, bool log) {
  std::vector<Operation> operations;
  std::string why;
  if (!Translate(before.steps(), operations, why)) return Layer::Failed(why);
  const Dims dims = {static_cast<memory::dim>(x.rows), static_cast<memory::dim>(x.cols)};
  const Desc data = Plain(dims);
  const auto d =
      compat::MakeSoftmax(Engine(), log ? algorithm::softmax_log : algorithm::softmax_accurate,
                          data, data, dnnl::primitive_attr());
  if (!d) return Layer::Failed("oneDNN has no implementation of this softmax");
  auto impl = Build<compat::Softmax>(d, dims, {}, nullptr, "softmax");
  const memory source = Reordered(data, Dense(x).data(), data);
  if (!AppendElementwise(operations, source, *impl)) {
    return Layer::Failed("oneDNN has no primitive for a step before the softmax");
  }
  // The softmax was built first and runs last, in place behind other steps.
  impl->calls[0].second.emplace(DNNL_ARG_SRC, operations.empty() ? source : impl->destination);
  std::rotate(impl->calls.begin(), impl->calls.begin() + 1, impl->calls.end());
  return Layer(std::move(impl));
}

Layer Elementwise(MatView<const float> x, const Epilogue& epilogue) {
  std::vector<Operation> operations;
  std::string why;
  if (!Translate(epilogue.steps(), operations, why)) return Layer::Failed(why);
  if (operations.empty()) return Layer::Failed("nothing to do");
  auto impl = std::make_unique<Layer::Impl>();
  impl->dims = {static_cast<memory::dim>(x.rows), static_cast<memory::dim>(x.cols)};
  const Desc data = Plain(impl->dims);
  impl->destination = memory(data, Engine());
  if (!AppendElementwise(operations, Reordered(data, Dense(x).data(), data), *impl)) {
    return Layer::Failed("oneDNN has no primitive for one of these steps");
  }
  impl->choice = operations[0].eltwise ? "eltwise" : "binary";
  if (impl->calls.size() > 1) impl->choice += ", " + std::to_string(impl->calls.size()) + " calls";
  return Layer(std::move(impl));
}

}  // namespace lanefuse::bench::onednn
#endif  // LANEFUSE_HAVE_ONEDNN
