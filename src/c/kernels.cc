// The kernels for C.
#include "lanefuse/c.h"
#include "lanefuse/conv.h"
#include "lanefuse/dot.h"
#include "lanefuse/elementwise.h"
#include "lanefuse/linear.h"
#include "lanefuse/softmax.h"
#include "src/c/convert.h"

namespace lanefuse {
namespace {

using PoolCall = Status (*)(const ImageView<const float>&, const Pool2dShape&, const Epilogue&,
                            const ImageView<float>&, const Parallel&);

lanefuse_status Pool(PoolCall call, const lanefuse_const_image& x,
                     const lanefuse_pool2d_shape* shape, lanefuse_epilogue epilogue,
                     const lanefuse_image& y, const lanefuse_parallel* parallel) {
  if (shape == nullptr) return Invalid("shape is null");
  return WithSteps(epilogue, [&](const Epilogue& steps) {
    return call(FromC(x), FromC(*shape), steps, FromC(y), FromC(parallel));
  });
}

// The steps and the weights of a call that has several.
lanefuse_status TakeSteps(lanefuse_epilogue epilogue, Epilogue& steps) {
  return epilogue.size == 0 ? ToC(Status()) : PushSteps(epilogue, steps);
}

template <class Packed, class From>
lanefuse_status TakeWeights(const From* w, const WeightTexts& texts, Packed& packed) {
  return WithWeights<Packed>(
      w,
      [&](const Packed& weights) {
        packed = weights;
        return ToC(Status());
      },
      texts);
}
constexpr WeightTexts kWeights = {"weights is null", "weights is not as pack or view filled it in"};
constexpr WeightTexts kExpand = {"expand is null", "expand is not as pack or view filled it in"};
constexpr WeightTexts kDepthwise = {"depthwise is null",
                                    "depthwise is not as pack or view filled it in"};
constexpr WeightTexts kPointwise = {"pointwise is null",
                                    "pointwise is not as pack or view filled it in"};
constexpr WeightTexts kProject = {"project is null", "project is not as pack or view filled it in"};

}  // namespace
}  // namespace lanefuse

// At global scope: a definition inside the namespace would not be the one that c.h exports.
using lanefuse::Activation;
using lanefuse::Epilogue;
using lanefuse::FromC;
using lanefuse::Invalid;
using lanefuse::PackedConv2d;
using lanefuse::PackedLinear;
using lanefuse::TakeSteps;
using lanefuse::TakeWeights;
using lanefuse::ToC;
using lanefuse::WithSteps;
using lanefuse::WithWeights;

lanefuse_status lanefuse_dot(lanefuse_const_vec a, lanefuse_const_vec b, lanefuse_activation act,
                             float* out) {
  if (out == nullptr) return Invalid("out is null");
  Activation activation;
  if (!FromC(act, activation)) return lanefuse::NoSuchActivation(act.kind);
  return ToC(Dot(FromC(a), FromC(b), activation, *out));
}

lanefuse_status lanefuse_dot_epilogue(lanefuse_const_vec a, lanefuse_const_vec b,
                                      lanefuse_epilogue epilogue, float* out) {
  if (out == nullptr) return Invalid("out is null");
  return WithSteps(epilogue,
                   [&](const Epilogue& steps) { return Dot(FromC(a), FromC(b), steps, *out); });
}

lanefuse_status lanefuse_gemv(lanefuse_const_mat w, lanefuse_const_vec x,
                              lanefuse_epilogue epilogue, lanefuse_vec y,
                              const lanefuse_parallel* parallel) {
  return WithSteps(epilogue, [&](const Epilogue& steps) {
    return Gemv(FromC(w), FromC(x), steps, FromC(y), FromC(parallel));
  });
}

lanefuse_status lanefuse_linear(lanefuse_const_mat x, const lanefuse_packed_linear* w,
                                lanefuse_epilogue epilogue, lanefuse_mat y,
                                const lanefuse_parallel* parallel) {
  return WithWeights<PackedLinear>(w, [&](const PackedLinear& packed) {
    return WithSteps(epilogue, [&](const Epilogue& steps) {
      return Linear(FromC(x), packed, steps, FromC(y), FromC(parallel));
    });
  });
}

lanefuse_status lanefuse_linear_group(lanefuse_const_mat x, const lanefuse_linear_layer* layers,
                                      size_t count, const lanefuse_parallel* parallel) {
  constexpr size_t kMost = lanefuse::kMaxLinearLayers;
  if (count != 0 && layers == nullptr) return Invalid("layers is null");
  PackedLinear weights[kMost];
  Epilogue steps[kMost];
  lanefuse::LinearLayer taken[kMost];
  // Of too many, none is looked at: LinearGroup says so.
  for (size_t i = 0; i < count && count <= kMost; ++i) {
    for (lanefuse_status status : {TakeWeights(layers[i].weights, lanefuse::kWeights, weights[i]),
                                   TakeSteps(layers[i].epilogue, steps[i])}) {
      if (status.code == LANEFUSE_OK) continue;
      status.layer = static_cast<uint8_t>(i + 1);
      return status;
    }
    taken[i] = {&weights[i], &steps[i], FromC(layers[i].y)};
  }
  return ToC(LinearGroup(FromC(x), {taken, count}, FromC(parallel)));
}

lanefuse_status lanefuse_conv2d(lanefuse_const_image x, const lanefuse_packed_conv2d* w,
                                lanefuse_epilogue epilogue, lanefuse_image y,
                                const lanefuse_parallel* parallel) {
  return WithWeights<PackedConv2d>(w, [&](const PackedConv2d& packed) {
    return WithSteps(epilogue, [&](const Epilogue& steps) {
      return Conv2d(FromC(x), packed, steps, FromC(y), FromC(parallel));
    });
  });
}

lanefuse_status lanefuse_separable_conv2d(lanefuse_const_image x,
                                          const lanefuse_packed_conv2d* depthwise,
                                          lanefuse_epilogue middle,
                                          const lanefuse_packed_conv2d* pointwise,
                                          lanefuse_epilogue epilogue, lanefuse_image y,
                                          lanefuse_vec scratch, const lanefuse_parallel* parallel) {
  PackedConv2d d, p;
  Epilogue between, last;
  for (const lanefuse_status& status : {TakeWeights(depthwise, lanefuse::kDepthwise, d),
                                        TakeWeights(pointwise, lanefuse::kPointwise, p),
                                        TakeSteps(middle, between), TakeSteps(epilogue, last)}) {
    if (status.code != LANEFUSE_OK) return status;
  }
  return ToC(
      SeparableConv2d(FromC(x), d, between, p, last, FromC(y), FromC(scratch), FromC(parallel)));
}

size_t lanefuse_separable_conv2d_scratch(lanefuse_const_image x,
                                         const lanefuse_packed_conv2d* depthwise,
                                         const lanefuse_packed_conv2d* pointwise,
                                         const lanefuse_parallel* parallel) {
  PackedConv2d d, p;  // weights that are none stay empty, and fit nothing
  (void)TakeWeights(depthwise, {}, d);
  (void)TakeWeights(pointwise, {}, p);
  return SeparableConv2dScratch(FromC(x), d, p, FromC(parallel));
}

lanefuse_status lanefuse_inverted_residual(
    lanefuse_const_image x, const lanefuse_packed_conv2d* expand, lanefuse_epilogue first,
    const lanefuse_packed_conv2d* depthwise, lanefuse_epilogue middle,
    const lanefuse_packed_conv2d* project, lanefuse_epilogue epilogue, lanefuse_image y,
    lanefuse_vec scratch, const lanefuse_parallel* parallel) {
  PackedConv2d e, d, p;
  Epilogue expanded, between, last;
  for (const lanefuse_status& status :
       {TakeWeights(expand, lanefuse::kExpand, e), TakeWeights(depthwise, lanefuse::kDepthwise, d),
        TakeWeights(project, lanefuse::kProject, p), TakeSteps(first, expanded),
        TakeSteps(middle, between), TakeSteps(epilogue, last)}) {
    if (status.code != LANEFUSE_OK) return status;
  }
  return ToC(InvertedResidual(FromC(x), e, expanded, d, between, p, last, FromC(y), FromC(scratch),
                              FromC(parallel)));
}

size_t lanefuse_inverted_residual_scratch(lanefuse_const_image x,
                                          const lanefuse_packed_conv2d* expand,
                                          const lanefuse_packed_conv2d* depthwise,
                                          const lanefuse_packed_conv2d* project,
                                          const lanefuse_parallel* parallel) {
  PackedConv2d e, d, p;
  (void)TakeWeights(expand, {}, e);
  (void)TakeWeights(depthwise, {}, d);
  (void)TakeWeights(project, {}, p);
  return InvertedResidualScratch(FromC(x), e, d, p, FromC(parallel));
}

lanefuse_status lanefuse_max_pool2d(lanefuse_const_image x, const lanefuse_pool2d_shape* shape,
                                    lanefuse_epilogue epilogue, lanefuse_image y,
                                    const lanefuse_parallel* parallel) {
  return lanefuse::Pool(lanefuse::MaxPool2d, x, shape, epilogue, y, parallel);
}

lanefuse_status lanefuse_average_pool2d(lanefuse_const_image x, const lanefuse_pool2d_shape* shape,
                                        lanefuse_epilogue epilogue, lanefuse_image y,
                                        const lanefuse_parallel* parallel) {
  return lanefuse::Pool(lanefuse::AveragePool2d, x, shape, epilogue, y, parallel);
}

lanefuse_status lanefuse_global_average_pool(lanefuse_const_image x, lanefuse_epilogue epilogue,
                                             lanefuse_image y, const lanefuse_parallel* parallel) {
  return WithSteps(epilogue, [&](const Epilogue& steps) {
    return GlobalAveragePool(FromC(x), steps, FromC(y), FromC(parallel));
  });
}

lanefuse_status lanefuse_softmax(lanefuse_const_mat x, const lanefuse_softmax_options* options,
                                 lanefuse_epilogue epilogue, lanefuse_mat y,
                                 const lanefuse_parallel* parallel) {
  return WithSteps(epilogue, [&](const Epilogue& steps) {
    return Softmax(FromC(x), FromC(options), steps, FromC(y), FromC(parallel));
  });
}

lanefuse_status lanefuse_apply(lanefuse_const_mat x, lanefuse_epilogue epilogue, lanefuse_mat y,
                               const lanefuse_parallel* parallel) {
  return WithSteps(epilogue, [&](const Epilogue& steps) {
    return Apply(FromC(x), steps, FromC(y), FromC(parallel));
  });
}
