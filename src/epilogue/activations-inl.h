// The activations on vectors, each a functor of (d, x), as lanefuse/activation.h defines them.
// Per-target header: include it after hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_EPILOGUE_ACTIVATIONS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_EPILOGUE_ACTIVATIONS_INL_H_
#undef LANEFUSE_SRC_EPILOGUE_ACTIVATIONS_INL_H_
#else
#define LANEFUSE_SRC_EPILOGUE_ACTIVATIONS_INL_H_
#endif

#include "src/common/gated_math-inl.h"
#include "src/common/ops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

// x < 0 ? negative : x, which lets NaN and -0 through as they are.
template <class D, class V>
HWY_INLINE V WhereNegative(D d, V x, V negative) {
  return hn::IfThenElse(hn::Lt(x, hn::Zero(d)), negative, x);
}

// clamp(x / 6 + 1/2, 0, 1): one fused multiply-add, as the ONNX and oneDNN definitions round it
// nearest.
template <class D, class V>
HWY_INLINE V HardSigmoidOf(D d, V x) {
  const V t = Fma(x, hn::Set(d, 1.0f / 6.0f), hn::Set(d, 0.5f));
  return MinKeepNaN(MaxKeepNaN(t, hn::Zero(d)), hn::Set(d, 1.0f));
}

struct IdentityOp {
  template <class D, class V>
  HWY_INLINE V operator()(D, V x) const {
    return x;
  }
};
struct ReluOp {
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    return MaxKeepNaN(x, hn::Zero(d));
  }
};
struct ClampOp {
  float lo, hi;
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    return MinKeepNaN(MaxKeepNaN(x, hn::Set(d, lo)), hn::Set(d, hi));
  }
};
struct LeakyReluOp {
  float alpha;
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    return WhereNegative(d, x, hn::Mul(x, hn::Set(d, alpha)));
  }
};
struct EluOp {
  float alpha;
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    // exp(x) - 1 = 2t / (1 - t) with t = tanh(x / 2): no cancellation near 0.
    const V t = Tanh(d, hn::Mul(x, hn::Set(d, 0.5f)));
    const V expm1 = hn::Div(hn::Add(t, t), hn::Sub(hn::Set(d, 1.0f), t));
    return WhereNegative(d, x, hn::Mul(hn::Set(d, alpha), expm1));
  }
};
struct SigmoidOp {
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    return Sigmoid(d, x);
  }
};
struct TanhOp {
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    return Tanh(d, x);
  }
};
struct SiluOp {
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    return Silu(d, x);
  }
};
struct HardSigmoidOp {
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    return HardSigmoidOf(d, x);
  }
};
struct HardSwishOp {
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    // 0 where the gate is 0, also for -inf.
    const V gated = hn::Mul(x, HardSigmoidOf(d, x));
    return hn::IfThenElse(hn::Le(x, hn::Set(d, -3.0f)), hn::Set(d, -0.0f), gated);
  }
};
struct GeluErfOp {
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    return Gelu(d, x);
  }
};
struct GeluTanhOp {
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    return GeluTanh(d, x);
  }
};
struct MishOp {
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    return Mish(d, x);
  }
};
struct ExpOp {
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    return Exp(d, x);
  }
};

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_EPILOGUE_ACTIVATIONS_INL_H_
