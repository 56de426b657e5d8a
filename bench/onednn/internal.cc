#ifdef LANEFUSE_HAVE_ONEDNN
#include "bench/onednn/internal.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

namespace lanefuse::bench::onednn {

using dnnl::algorithm;
using dnnl::memory;

const dnnl::engine& Engine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

dnnl::stream& Stream() {
  static dnnl::stream stream(Engine());
  return stream;
}

Desc Plain(const Dims& dims) {
  Dims strides(dims.size(), 1);
  for (size_t i = dims.size() - 1; i > 0; --i) strides[i - 1] = strides[i] * dims[i];
  return {dims, memory::data_type::f32, strides};
}

Desc Nhwc(const Dims& dims) { return {dims, memory::data_type::f32, memory::format_tag::nhwc}; }

Desc Any(const Dims& dims) { return {dims, memory::data_type::f32, memory::format_tag::any}; }

Desc PlainActivations(const Dims& dims) { return dims.size() == 4 ? Nhwc(dims) : Plain(dims); }

Dims ConvolutionWeightDims(const Conv2dShape& s) {
  const auto o = static_cast<memory::dim>(s.outputs), i = static_cast<memory::dim>(s.channels),
             h = static_cast<memory::dim>(s.kernel_h), w = static_cast<memory::dim>(s.kernel_w),
             g = static_cast<memory::dim>(s.groups);
  if (g == 1) return {o, i, h, w};
  return {g, o / g, i / g, h, w};
}

Desc ConvolutionWeightsPlain(const Conv2dShape& s) {
  const Dims dims = ConvolutionWeightDims(s);
  const size_t grouped = dims.size() - 4;  // 1 where the groups come first
  const memory::dim i = dims[grouped + 1], h = dims[grouped + 2], w = dims[grouped + 3];
  Dims strides = {h * w * i, 1, w * i, i};
  if (grouped) strides.insert(strides.begin(), dims[1] * h * w * i);
  return {dims, memory::data_type::f32, strides};
}

size_t OutputSize(size_t in, size_t before, size_t after, size_t extent, size_t stride) {
  return (in + before + after - extent) / stride + 1;
}

Dims OutputDims(ImageView<const float> x, const Conv2dShape& s) {
  const size_t h = OutputSize(x.height, s.padding.top, s.padding.bottom,
                              s.dilation_h * (s.kernel_h - 1) + 1, s.stride_h);
  const size_t w = OutputSize(x.width, s.padding.left, s.padding.right,
                              s.dilation_w * (s.kernel_w - 1) + 1, s.stride_w);
  return {static_cast<memory::dim>(x.images), static_cast<memory::dim>(s.outputs),
          static_cast<memory::dim>(h), static_cast<memory::dim>(w)};
}

std::vector<float> Dense(MatView<const float> x) {
  std::vector<float> dense;
  dense.reserve(x.rows * x.cols);
  for (size_t r = 0; r < x.rows; ++r) {
    dense.insert(dense.end(), x.data + r * x.stride, x.data + r * x.stride + x.cols);
  }
  return dense;
}

std::vector<float> Dense(ImageView<const float> x) {
  std::vector<float> dense;
  dense.reserve(x.images * x.height * x.width * x.channels);
  for (size_t n = 0; n < x.images; ++n) {
    for (size_t h = 0; h < x.height; ++h) {
      for (size_t w = 0; w < x.width; ++w) {
        const float* pixel = x.data + n * x.image_stride + h * x.row_stride + w * x.pixel_stride;
        dense.insert(dense.end(), pixel, pixel + x.channels);
      }
    }
  }
  return dense;
}

void Reorder(memory from, memory to) {
  dnnl::reorder(from, to).execute(Stream(), from, to);
  Stream().wait();
}

memory Reordered(const Desc& from, const float* data, const Desc& to) {
  memory source(from, Engine());
  std::memcpy(source.get_data_handle(), data, from.get_size());
  if (from == to) return source;
  memory target(to, Engine());
  Reorder(source, target);
  return target;
}

namespace {

Operation Eltwise(algorithm kind, float alpha = 0.0f, float beta = 0.0f) {
  return {.kind = kind, .alpha = alpha, .beta = beta, .operand = {}};
}

Operation ByChannel(algorithm kind, const float* data, size_t size) {
  return {.kind = kind, .eltwise = false, .per_channel = true, .operand = {data, data + size}};
}

Operation WithOperand(algorithm kind, const Step& step) {
  ImageView<const float> view(step.data, step.images, step.height, step.width, step.channels);
  view.pixel_stride = step.pixel_stride;
  view.row_stride = step.row_stride;
  view.image_stride = step.image_stride;
  return {.kind = kind, .eltwise = false, .operand = Dense(view)};
}

bool TranslateActivation(const Step& step, std::vector<Operation>& out) {
  switch (step.act) {
    case ActivationKind::kIdentity:
      return true;
    case ActivationKind::kRelu:
      out.push_back(Eltwise(algorithm::eltwise_relu));
      return true;
    case ActivationKind::kRelu6:
      out.push_back(Eltwise(algorithm::eltwise_clip, 0.0f, 6.0f));
      return true;
    case ActivationKind::kLeakyRelu:
      out.push_back(Eltwise(algorithm::eltwise_relu, step.lo));
      return true;
    case ActivationKind::kElu:
      out.push_back(Eltwise(algorithm::eltwise_elu, step.lo));
      return true;
    case ActivationKind::kSigmoid:
      out.push_back(Eltwise(algorithm::eltwise_logistic));
      return true;
    case ActivationKind::kTanh:
      out.push_back(Eltwise(algorithm::eltwise_tanh));
      return true;
    case ActivationKind::kSilu:
      out.push_back(Eltwise(algorithm::eltwise_swish, 1.0f));
      return true;
    case ActivationKind::kHardSigmoid:
#if LANEFUSE_ONEDNN_AT_LEAST(2, 7)
      out.push_back(Eltwise(algorithm::eltwise_hardsigmoid, 1.0f / 6.0f, 0.5f));
#else
      out.push_back(Eltwise(algorithm::eltwise_linear, 1.0f / 6.0f, 0.5f));
      out.push_back(Eltwise(algorithm::eltwise_clip, 0.0f, 1.0f));
#endif
      return true;
    case ActivationKind::kHardSwish:
      out.push_back(compat::kHasHardSigmoid
                        ? Eltwise(algorithm::eltwise_hardswish, 1.0f / 6.0f, 0.5f)
                        : Eltwise(algorithm::eltwise_hardswish));
      return true;
    case ActivationKind::kGeluErf:
      out.push_back(Eltwise(algorithm::eltwise_gelu_erf));
      return true;
    case ActivationKind::kGeluTanh:
      out.push_back(Eltwise(algorithm::eltwise_gelu_tanh));
      return true;
    case ActivationKind::kMish:
      out.push_back(Eltwise(algorithm::eltwise_mish));
      return true;
    case ActivationKind::kExp:
      out.push_back(Eltwise(algorithm::eltwise_exp));
      return true;
    default:
      return false;
  }
}

}  // namespace

bool Translate(std::span<const Step> steps, std::vector<Operation>& out, std::string& why) {
  for (const Step& step : steps) {
    switch (step.kind) {
      case StepKind::kBias:
        out.push_back(ByChannel(algorithm::binary_add, step.data, step.size));
        break;
      case StepKind::kAffine:
        out.push_back(ByChannel(algorithm::binary_mul, step.data, step.size));
        out.push_back(ByChannel(algorithm::binary_add, step.shift, step.shift_size));
        break;
      case StepKind::kScale:
        out.push_back(Eltwise(algorithm::eltwise_linear, step.lo));
        break;
      case StepKind::kScaleChannels:
        out.push_back(ByChannel(algorithm::binary_mul, step.data, step.size));
        break;
      case StepKind::kAdd:
        out.push_back(WithOperand(algorithm::binary_add, step));
        break;
      case StepKind::kMul:
        out.push_back(WithOperand(algorithm::binary_mul, step));
        break;
      case StepKind::kClamp:
        out.push_back(Eltwise(algorithm::eltwise_clip, step.lo, step.hi));
        break;
      case StepKind::kAct:
        if (!TranslateActivation(step, out)) {
          why = "oneDNN has no eltwise operation for this activation";
          return false;
        }
        break;
    }
  }
  return true;
}

bool FirstIsAdd(std::span<const Operation> operations) {
  return !operations.empty() && !operations[0].eltwise && !operations[0].per_channel &&
         operations[0].kind == algorithm::binary_add;
}

bool NeedsLayout(std::span<const Operation> operations, bool sum) {
  return std::any_of(operations.begin() + (sum ? 1 : 0), operations.end(),
                     [](const Operation& o) { return !o.eltwise && !o.per_channel; });
}

PostOps MakePostOps(std::span<const Operation> operations, const Desc& dst, bool sum) {
#if LANEFUSE_ONEDNN_AT_LEAST(3, 0)
  const Dims dims = dst.get_dims();
#else
  const Dims dims = dst.dims();
#endif
  PostOps result;
  dnnl::post_ops ops;
  for (size_t i = 0; i < operations.size(); ++i) {
    const Operation& operation = operations[i];
    if (i == 0 && sum) {
      ops.append_sum();
    } else if (operation.eltwise) {
      compat::AppendEltwise(ops, operation.kind, operation.alpha, operation.beta);
    } else {
      Dims operand_dims = dims;
      if (operation.per_channel) {
        operand_dims.assign(dims.size(), 1);
        operand_dims[1] = dims[1];
      }
      const Desc from = PlainActivations(operand_dims);
      const Desc to = operation.per_channel ? from : dst;
      ops.append_binary(operation.kind, to);
      result.args.emplace(DNNL_ARG_ATTR_MULTIPLE_POST_OP(static_cast<int>(i)) | DNNL_ARG_SRC_1,
                          Reordered(from, operation.operand.data(), to));
    }
  }
  result.attr.set_post_ops(ops);
  return result;
}

size_t Fastest(std::span<const std::function<void()>> candidates) {
  using Clock = std::chrono::steady_clock;
  if (candidates.size() < 2) return 0;
  // 5 turns of about 1 ms each: enough to tell 10 % apart where the machine is quiet, and what is
  // closer than that matters little.
  const auto seconds = [&](size_t i, size_t calls) {
    const auto start = Clock::now();
    for (size_t n = 0; n < calls; ++n) candidates[i]();
    return std::chrono::duration<double>(Clock::now() - start).count() / static_cast<double>(calls);
  };
  std::vector<double> best(candidates.size(), 1e30);
  std::vector<size_t> calls(candidates.size(), 1);
  for (size_t i = 0; i < candidates.size(); ++i) {
    candidates[i]();  // warms up
    const double once = std::min({seconds(i, 1), seconds(i, 1), seconds(i, 1)});
    calls[i] = static_cast<size_t>(std::clamp(1e-3 / once, 1.0, 2000.0));
  }
  for (int turn = 0; turn < 5; ++turn) {
    for (size_t i = 0; i < candidates.size(); ++i)
      best[i] = std::min(best[i], seconds(i, calls[i]));
  }
  return static_cast<size_t>(std::min_element(best.begin(), best.end()) - best.begin());
}

}  // namespace lanefuse::bench::onednn
#endif  // LANEFUSE_HAVE_ONEDNN
