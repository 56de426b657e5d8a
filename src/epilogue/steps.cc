// Runs a chain step by step over a tile that is hot in L1: how any chain fuses behind any kernel.
#include "src/epilogue/chain.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "src/epilogue/steps.cc"
#include "hwy/foreach_target.h"
#include "src/epilogue/activations-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {
namespace {

// A tile on its way through one step; `out` may be `in`.
struct Pass {
  const float* in;
  size_t in_stride;
  float* out;
  size_t out_stride;
  size_t rows, cols;
};

// out = op(in), where op sees only the value.
template <class Op>
void Each(const Pass& p, const Op& op) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  for (size_t r = 0; r < p.rows; ++r) {
    const float* in = p.in + r * p.in_stride;
    float* out = p.out + r * p.out_stride;
    size_t c = 0;
    for (; c + lanes <= p.cols; c += lanes) hn::StoreU(op(d, hn::LoadU(d, in + c)), d, out + c);
    if (c < p.cols) {
      const size_t rest = p.cols - c;
      hn::StoreN(op(d, hn::LoadN(d, in + c, rest)), d, out + c, rest);
    }
  }
}

// out = op(in, a[c], b[c]), where a and b have one value a column (stride 0) or one an element.
template <class Op>
void EachWith(const Pass& p, const float* a, const float* b, size_t stride, const Op& op) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  for (size_t r = 0; r < p.rows; ++r) {
    const float* in = p.in + r * p.in_stride;
    float* out = p.out + r * p.out_stride;
    const float* ar = a + r * stride;
    const float* br = b + r * stride;
    size_t c = 0;
    for (; c + lanes <= p.cols; c += lanes) {
      hn::StoreU(op(d, hn::LoadU(d, in + c), hn::LoadU(d, ar + c), hn::LoadU(d, br + c)), d,
                 out + c);
    }
    if (c < p.cols) {
      const size_t rest = p.cols - c;
      hn::StoreN(
          op(d, hn::LoadN(d, in + c, rest), hn::LoadN(d, ar + c, rest), hn::LoadN(d, br + c, rest)),
          d, out + c, rest);
    }
  }
}

struct AddOp {
  template <class D, class V>
  HWY_INLINE V operator()(D, V x, V a, V) const {
    return hn::Add(x, a);
  }
};
struct MulOp {
  template <class D, class V>
  HWY_INLINE V operator()(D, V x, V a, V) const {
    return hn::Mul(x, a);
  }
};
struct AffineOp {
  template <class D, class V>
  HWY_INLINE V operator()(D, V x, V a, V b) const {
    return Fma(x, a, b);
  }
};
struct PReluOp {
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x, V a, V) const {
    return WhereNegative(d, x, hn::Mul(x, a));
  }
};
struct ScaleOp {
  float factor;
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    return hn::Mul(x, hn::Set(d, factor));
  }
};

void RunActivation(const Step& s, const float* slope, const Pass& p) {
  switch (s.act) {
    case ActivationKind::kIdentity:
      return Each(p, IdentityOp());
    case ActivationKind::kRelu:
      return Each(p, ReluOp());
    case ActivationKind::kRelu6:
      return Each(p, ClampOp{0.0f, 6.0f});
    case ActivationKind::kLeakyRelu:
      return Each(p, LeakyReluOp{s.lo});
    case ActivationKind::kPRelu:
      return EachWith(p, slope, slope, 0, PReluOp());
    case ActivationKind::kElu:
      return Each(p, EluOp{s.lo});
    case ActivationKind::kSigmoid:
      return Each(p, SigmoidOp());
    case ActivationKind::kTanh:
      return Each(p, TanhOp());
    case ActivationKind::kSilu:
      return Each(p, SiluOp());
    case ActivationKind::kHardSigmoid:
      return Each(p, HardSigmoidOp());
    case ActivationKind::kHardSwish:
      return Each(p, HardSwishOp());
    case ActivationKind::kGeluErf:
      return Each(p, GeluErfOp());
    case ActivationKind::kGeluTanh:
      return Each(p, GeluTanhOp());
    case ActivationKind::kMish:
      return Each(p, MishOp());
    case ActivationKind::kExp:
      return Each(p, ExpOp());
  }
}

void RunStep(const Step& s, const TilePos& pos, const Pass& p) {
  const size_t c = pos.channel;
  switch (s.kind) {
    case StepKind::kBias:
      return EachWith(p, s.data + c, s.data + c, 0, AddOp());
    case StepKind::kAffine:
      return EachWith(p, s.data + c, s.shift + c, 0, AffineOp());
    case StepKind::kScale:
      return Each(p, ScaleOp{s.lo});
    case StepKind::kScaleChannels:
      return EachWith(p, s.data + c, s.data + c, 0, MulOp());
    case StepKind::kAdd: {
      const float* operand = OperandAt(s, pos);
      return EachWith(p, operand, operand, s.pixel_stride, AddOp());
    }
    case StepKind::kMul: {
      const float* operand = OperandAt(s, pos);
      return EachWith(p, operand, operand, s.pixel_stride, MulOp());
    }
    case StepKind::kAct:
      return RunActivation(s, s.data + c, p);
    case StepKind::kClamp:
      return Each(p, ClampOp{s.lo, s.hi});
  }
}

}  // namespace

void RunChain(const Chain& chain, TilePos pos, size_t rows, size_t cols, const float* in,
              size_t in_stride, float* scratch, float* out, size_t out_stride) {
  Pass p{in, in_stride, scratch, cols, rows, cols};
  const size_t count = chain.size + (chain.packed_bias != nullptr ? 1 : 0);
  if (count == 0) {
    p.out = out;
    p.out_stride = out_stride;
    return Each(p, IdentityOp());
  }
  // Only the last step writes the output, so operands may be the output itself.
  for (size_t i = 0; i < count; ++i) {
    if (i + 1 == count) {
      p.out = out;
      p.out_stride = out_stride;
    }
    if (chain.packed_bias == nullptr) {
      RunStep(chain.steps[i], pos, p);
    } else if (i == 0) {
      const float* bias = chain.packed_bias + pos.channel;
      EachWith(p, bias, bias, 0, AddOp());
    } else {
      RunStep(chain.steps[i - 1], pos, p);
    }
    p.in = scratch;
    p.in_stride = cols;
  }
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lanefuse {

HWY_EXPORT(RunChain);

Chain::RunSteps StepsRunner(int target) { return HWY_DISPATCH_TABLE(RunChain)[target]; }

}  // namespace lanefuse
#endif  // HWY_ONCE
