#include "lanefuse/linear.h"

#include <algorithm>

#include "arch/cache.h"
#include "arch/target.h"
#include "src/common/check.h"
#include "src/common/packed_format.h"
#include "src/common/partition.h"
#include "src/epilogue/chain.h"
#include "src/linear/order.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "src/linear/linear.cc"
#include "hwy/foreach_target.h"
#include "src/linear/four_chains-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

// Rows [m0, m1) of outputs [n0, n1); n0 is a multiple of 16.
void LinearF32(const LinearArgs& args, size_t m0, size_t m1, size_t n0, size_t n1) {
  if (args.four_chains) return LinearFourChains(args, m0, m1, n0, n1);
  LinearOneChain(args, m0, m1, n0, n1);
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lanefuse {

HWY_EXPORT(LinearF32);

namespace {

using Kernel = decltype(&HWY_STATIC_DISPATCH(LinearF32));

// Of the panels and the bias behind them.
size_t WeightFloats(const PackedLinear& w) {
  return PaddedOutputs(w.outputs()) * (w.inputs() + (w.bias() ? 1 : 0));
}

// Everything is as it should be, seen in one look: what nearly every call passes.
bool LooksFine(const MatView<const float>& x, const PackedLinear& w, const MatView<float>& y,
               size_t weight_count, const Parallel& parallel) {
  size_t x_count, y_count;
  return w.panels() != nullptr && x.cols == w.inputs() && y.cols == w.outputs() &&
         y.rows == x.rows && x.data != nullptr && y.data != nullptr &&
         (x.rows == 1 || (x.stride >= x.cols && y.stride >= y.cols)) && SpanOf(x, x_count) &&
         SpanOf(MatView<const float>(y), y_count) &&
         (parallel.run == nullptr || parallel.threads != 0) &&
         !Meet(ExtentOf(y.data, y_count), ExtentOf(x.data, x_count)) &&
         !Meet(ExtentOf(y.data, y_count), ExtentOf(w.panels(), weight_count));
}

// Says what is wrong, if anything is.
Status Check(const MatView<const float>& x, const PackedLinear& w, const MatView<float>& y,
             size_t weight_count, const Parallel& parallel) {
  constexpr ViewTexts kX = {"x.data is null", "x.stride is #, must be at least x.cols, #",
                            "x does not fit the address space"};
  constexpr ViewTexts kY = {"y.data is null", "y.stride is #, must be at least y.cols, #",
                            "y does not fit the address space"};
  if (w.panels() == nullptr) {
    return {StatusCode::kInvalidArgument, "w is empty: Pack or View it first"};
  }
  if (x.cols != w.inputs()) {
    return {StatusCode::kShapeMismatch, "x.cols is #, the weights have # inputs",
            static_cast<int64_t>(x.cols), static_cast<int64_t>(w.inputs())};
  }
  if (y.cols != w.outputs()) {
    return {StatusCode::kShapeMismatch, "y.cols is #, the weights have # outputs",
            static_cast<int64_t>(y.cols), static_cast<int64_t>(w.outputs())};
  }
  if (y.rows != x.rows) {
    return {StatusCode::kShapeMismatch, "y.rows is #, x.rows is #", static_cast<int64_t>(y.rows),
            static_cast<int64_t>(x.rows)};
  }
  if (Status status = CheckView(x, kX); !status.ok()) return status;
  if (Status status = CheckView(MatView<const float>(y), kY); !status.ok()) return status;
  if (Status status = CheckParallel(parallel); !status.ok()) return status;
  if (MayOverlap(y, x)) return {StatusCode::kOverlap, "y overlaps x"};
  const MatView<const float> weights(w.panels(), 1, weight_count);
  if (MayOverlap(y, weights)) return {StatusCode::kOverlap, "y overlaps w"};
  return {};
}

// Checks a layer and fills in what its kernel takes; `args` keeps a pointer to `chain`.
HWY_INLINE Status Prepare(const MatView<const float>& x, const PackedLinear& w,
                          const Epilogue& epilogue, const MatView<float>& y,
                          const Parallel& parallel, int target, Chain& chain, LinearArgs& args) {
  const size_t weight_count = WeightFloats(w);
  if (!LooksFine(x, w, y, weight_count, parallel)) {
    if (Status status = Check(x, w, y, weight_count, parallel); !status.ok()) return status;
  }
  if (Status status = CompileChain(
          epilogue, w.bias(), [&] { return AsImage(y); }, true, target, chain);
      !status.ok()) {
    return status;
  }
  if (!chain.in_registers) SplitChain(chain, AsImage(y));
  args = {x.data,
          x.stride,
          y.rows,
          w.inputs(),
          w.panels(),
          w.outputs(),
          y.data,
          y.stride,
          &chain,
          UsesFourChains(w.outputs(), w.inputs()),
          arch::Caches().l2 * 3 / 4};
  return {};
}

size_t WorkOf(const LinearArgs& args) {
  size_t work;
  return MulAddSize(args.outputs * args.inputs, args.rows, 0, work) ? work : kMaxElements;
}

size_t PanelsOf(const LinearArgs& args) { return PaddedOutputs(args.outputs) / kPanelOutputs; }

// Rows [m0, m1) of outputs [n0, n1). Steps that do not run in registers follow while the outputs
// are in L2.
void RunRows(Kernel kernel, const LinearArgs& args, size_t m0, size_t m1, size_t n0, size_t n1) {
  if (args.chain->rest == 0) return kernel(args, m0, m1, n0, n1);
  constexpr size_t kLeast = 48;  // whole tiles, enough to read all weights again for
  const size_t room = arch::Caches().l2 / 4 / sizeof(float);
  const size_t rows =
      std::max(Quotient(Quotient(room, std::max(n1 - n0, size_t{1})), kLeast), size_t{1}) * kLeast;
  while (m0 < m1) {
    const size_t stop = m0 + std::min(rows, m1 - m0);
    kernel(args, m0, stop, n0, n1);
    RunRest(*args.chain, {.pixel = m0, .channel = n0}, stop - m0, n1 - n0,
            args.y + m0 * args.y_stride + n0, args.y_stride);
    m0 = stop;
  }
}

// Layers with the same rows. Their outputs, in whole panels, follow each other and are split, or
// the rows are: whichever there are more of to hand out.
struct LinearPart {
  Kernel kernel;
  std::span<const LinearArgs> layers;
  bool by_rows;
  void operator()(size_t begin, size_t end) const {
    size_t first = 0;  // of the layer's panels
    for (const LinearArgs& args : layers) {
      if (by_rows) {
        RunRows(kernel, args, begin, end, 0, args.outputs);
        continue;
      }
      const size_t last = first + PanelsOf(args);
      if (begin < last && first < end) {
        const size_t n = (std::max(begin, first) - first) * kPanelOutputs;
        RunRows(kernel, args, 0, args.rows, n,
                std::min((std::min(end, last) - first) * kPanelOutputs, args.outputs));
      }
      first = last;
    }
  }
};

// Inlined, a single layer costs what it would without the loops: 5 of 50 ns of the smallest call.
HWY_INLINE void RunLayers(std::span<const LinearArgs> layers, size_t rows, const Parallel& parallel,
                          int target) {
  size_t panels = 0, work = 0;
  for (const LinearArgs& args : layers) {
    panels += PanelsOf(args);
    work = std::min(work + WorkOf(args), kMaxElements);
  }
  if (rows == 0 || panels == 0) return;
  const bool by_rows = rows > panels;
  const LinearPart part{HWY_DISPATCH_TABLE(LinearF32)[target], layers, by_rows};
  ForEachPart(parallel, work, kMinMulAdds, by_rows ? rows : panels, part);
}

// What one layer writes is nothing that another one reads or writes.
Status CheckApart(std::span<const LinearLayer> layers, const Chain* chains) {
  for (size_t i = 0; i < layers.size(); ++i) {
    const MatView<const float> y = layers[i].y;
    size_t count;
    if (!SpanOf(y, count) || count == 0) continue;
    const Extent extent = ExtentOf(y.data, count);
    for (size_t j = 0; j < layers.size(); ++j) {
      if (j == i) continue;
      const PackedLinear& w = *layers[j].weights;
      const auto apart = [&](const char* text) {
        return Status(StatusCode::kOverlap, text, static_cast<int64_t>(j)).OfLayer(i);
      };
      if (MayOverlap(y, layers[j].y)) return apart("y overlaps y of layer #");
      if (Meet(extent, ExtentOf(w.panels(), WeightFloats(w)))) {
        return apart("y overlaps weights of layer #");
      }
      if (ChainReads(chains[j], AsImage(y))) return apart("y overlaps an operand of layer #");
    }
  }
  return {};
}

}  // namespace

Status Linear(const MatView<const float>& x, const PackedLinear& w, const Epilogue& epilogue,
              const MatView<float>& y, const Parallel& parallel) {
  const int target = arch::ActiveIndex();
  if (target < 0) return arch::UnsupportedTarget();
  Chain chain;
  LinearArgs args;
  if (Status status = Prepare(x, w, epilogue, y, parallel, target, chain, args); !status.ok()) {
    return status;
  }
  // Two full tiles and more: shorter ones hide the latency of the adder by wide vectors.
  constexpr size_t kManyRows = 12;
  const bool many = x.rows >= kManyRows;
  const int index = many ? arch::IndexForOutputs(target, w.outputs()) : target;
  RunLayers({&args, 1}, x.rows, parallel, index);
  return {};
}

Status LinearGroup(const MatView<const float>& x, std::span<const LinearLayer> layers,
                   const Parallel& parallel) {
  const int target = arch::ActiveIndex();
  if (target < 0) return arch::UnsupportedTarget();
  if (layers.size() > kMaxLinearLayers) {
    return {StatusCode::kInvalidArgument, "layers has #, at most # are possible",
            static_cast<int64_t>(layers.size()), kMaxLinearLayers};
  }
  Chain chains[kMaxLinearLayers];
  LinearArgs args[kMaxLinearLayers];
  const Epilogue no_steps;
  for (size_t i = 0; i < layers.size(); ++i) {
    const LinearLayer& layer = layers[i];
    if (layer.weights == nullptr) {
      return Status(StatusCode::kInvalidArgument, "weights is null").OfLayer(i);
    }
    const Epilogue& steps = layer.epilogue == nullptr ? no_steps : *layer.epilogue;
    if (Status status =
            Prepare(x, *layer.weights, steps, layer.y, parallel, target, chains[i], args[i]);
        !status.ok()) {
      return status.OfLayer(i);
    }
  }
  if (Status status = CheckApart(layers, chains); !status.ok()) return status;
  RunLayers(std::span(args).first(layers.size()), x.rows, parallel, target);
  return {};
}

}  // namespace lanefuse
#endif  // HWY_ONCE
