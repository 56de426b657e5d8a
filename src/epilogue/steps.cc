// Runs a chain over a tile that is hot in L1, several steps at a time: how any chain fuses behind
// any kernel.
#include <limits>
#include <type_traits>

#include "src/epilogue/pass.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "src/epilogue/steps.cc"
#include "hwy/foreach_target.h"
#include "arch/tiles-inl.h"
#include "src/epilogue/activations-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {
namespace {

// A slope for each channel, from the tile's first on.
struct PReluOp {
  const float* slope;
};
struct ScaleOp {
  float factor;
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    return hn::Mul(x, hn::Set(d, factor));
  }
};

template <class Op, class Load>
HWY_INLINE VF Apply(const Op& op, const Load&, size_t, VF x) {
  return op(DF(), x);
}
template <class Load>
HWY_INLINE VF Apply(const PReluOp& op, const Load& load, size_t c, VF x) {
  return WhereNegative(DF(), x, hn::Mul(x, load(op.slope + c)));
}

// kVectors vectors of row r, from channel c on. The conditions are the same for all of a tile.
template <size_t kVectors, class Op, class Load>
HWY_INLINE void SomeVectors(const Together& s, const Op& op, const Load& load, size_t r, size_t c,
                            VF& v0, VF& v1, VF& v2, VF& v3) {
  const size_t lanes = hn::Lanes(DF());
  const auto each = [&](const auto& what) HWY_ATTR __attribute__((always_inline)) {
    what(v0, c);
    if constexpr (kVectors > 1) what(v1, c + lanes);
    if constexpr (kVectors > 2) what(v2, c + 2 * lanes);
    if constexpr (kVectors > 3) what(v3, c + 3 * lanes);
  };
  if (s.bias != nullptr) {
    each([&](VF& v, size_t at) HWY_ATTR { v = hn::Add(v, load(s.bias + at)); });
  }
  if (s.shift != nullptr) {
    each([&](VF& v, size_t at) HWY_ATTR { v = Fma(v, load(s.scale + at), load(s.shift + at)); });
  } else if (s.scale != nullptr) {
    each([&](VF& v, size_t at) HWY_ATTR { v = hn::Mul(v, load(s.scale + at)); });
  }
  const auto with = [&](const Operand& operand) HWY_ATTR __attribute__((always_inline)) {
    if (operand.data == nullptr) return;
    const float* row = operand.data + r * operand.stride;
    if (operand.factor) {
      each([&](VF& v, size_t at) HWY_ATTR { v = hn::Mul(v, load(row + at)); });
    } else {
      each([&](VF& v, size_t at) HWY_ATTR { v = hn::Add(v, load(row + at)); });
    }
  };
  with(s.before);
  each([&](VF& v, size_t at) HWY_ATTR { v = Apply(op, load, at, v); });
  with(s.after);
}

// Operations that are a few instructions, of which a loop may hold four.
template <class Op>
constexpr bool kShortOp =
    std::is_same_v<Op, IdentityOp> || std::is_same_v<Op, ReluOp> || std::is_same_v<Op, ClampOp> ||
    std::is_same_v<Op, LeakyReluOp> || std::is_same_v<Op, PReluOp> || std::is_same_v<Op, ScaleOp> ||
    std::is_same_v<Op, HardSigmoidOp> || std::is_same_v<Op, HardSwishOp>;

// what<n>(load, r, c, v0, ...) changes n vectors of row r, from channel c on: up to kMost <= 4 of
// them, then one at a time.
template <size_t kMost, class What>
HWY_INLINE void ForEachVector(const Pass& p, const What& what) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  const auto all = [&](const float* from) HWY_ATTR { return hn::LoadU(d, from); };
  for (size_t r = 0; r < p.rows; ++r) {
    const float* in = p.in + r * p.in_stride;
    float* out = p.out + r * p.out_stride;
    size_t c = 0;
    if constexpr (kMost == 4) {
      for (; c + 4 * lanes <= p.cols; c += 4 * lanes) {
        VF v0 = all(in + c), v1 = all(in + c + lanes);
        VF v2 = all(in + c + 2 * lanes), v3 = all(in + c + 3 * lanes);
        what.template operator()<4>(all, r, c, v0, v1, v2, v3);
        hn::StoreU(v0, d, out + c);
        hn::StoreU(v1, d, out + c + lanes);
        hn::StoreU(v2, d, out + c + 2 * lanes);
        hn::StoreU(v3, d, out + c + 3 * lanes);
      }
    }
    for (; c + lanes <= p.cols; c += lanes) {
      VF v = all(in + c);
      what.template operator()<1>(all, r, c, v, v, v, v);
      hn::StoreU(v, d, out + c);
    }
    if (c < p.cols) {
      const size_t rest = p.cols - c;
      const auto some = [&](const float* from) HWY_ATTR { return hn::LoadN(d, from, rest); };
      VF v = some(in + c);
      what.template operator()<1>(some, r, c, v, v, v, v);
      hn::StoreN(v, d, out + c, rest);
    }
  }
}

// Nothing but the operation. What is the same for all vectors is copied: a vector that is stored
// might, for all that the compiler knows, change it where it lies.
template <class Op>
HWY_NOINLINE void RunAlone(const Pass& pass, const Op& op_of_pass) {
  const Pass p = pass;
  const Op op = op_of_pass;
  ForEachVector<1>(p, [&]<size_t kVectors>(const auto& load, size_t, size_t c, VF& v, VF&, VF&, VF&)
                          HWY_ATTR { v = Apply(op, load, c, v); });
}

template <class Op>
HWY_NOINLINE void RunAll(const Pass& pass, const Together& together, const Op& op_of_pass) {
  const Pass p = pass;
  const Together s = together;
  const Op op = op_of_pass;
  constexpr size_t kMost = kFourVectorPasses && kShortOp<Op> ? 4 : 1;
  ForEachVector<kMost>(
      p, [&]<size_t kVectors>(const auto& load, size_t r, size_t c, VF& v0, VF& v1, VF& v2, VF& v3)
             HWY_ATTR { SomeVectors<kVectors>(s, op, load, r, c, v0, v1, v2, v3); });
}

template <class Op>
HWY_INLINE void Run(const Pass& p, const Together& s, const Op& op) {
  if constexpr (!kSmallCode || std::is_same_v<Op, IdentityOp>) {
    if (kSmallCode || !s.op_alone()) return RunAll(p, s, op);
  }
  RunAlone(p, op);
}

void RunTogether(const Together& s, const Pass& p) {
  if (s.op == nullptr) return Run(p, s, IdentityOp());
  if (s.op->kind == StepKind::kScale) return Run(p, s, ScaleOp{s.op->lo});
  if (s.op->kind == StepKind::kClamp) return Run(p, s, ClampOp{s.op->lo, s.op->hi});
  switch (s.op->act) {
    case ActivationKind::kIdentity:
      return Run(p, s, IdentityOp());
    case ActivationKind::kRelu:
      if constexpr (kSmallCode) {  // the same bits by code that is there anyway
        return Run(p, s, ClampOp{0.0f, std::numeric_limits<float>::infinity()});
      } else {
        return Run(p, s, ReluOp());
      }
    case ActivationKind::kRelu6:
      return Run(p, s, ClampOp{0.0f, 6.0f});
    case ActivationKind::kLeakyRelu:
      return Run(p, s, LeakyReluOp{s.op->lo});
    case ActivationKind::kPRelu:
      return Run(p, s, PReluOp{s.slope});
    case ActivationKind::kElu:
      return Run(p, s, EluOp{s.op->lo});
    case ActivationKind::kSigmoid:
      return Run(p, s, SigmoidOp());
    case ActivationKind::kTanh:
      return Run(p, s, TanhOp());
    case ActivationKind::kSilu:
      return Run(p, s, SiluOp());
    case ActivationKind::kHardSigmoid:
      return Run(p, s, HardSigmoidOp());
    case ActivationKind::kHardSwish:
      return Run(p, s, HardSwishOp());
    case ActivationKind::kGeluErf:
      return Run(p, s, GeluErfOp());
    case ActivationKind::kGeluTanh:
      return Run(p, s, GeluTanhOp());
    case ActivationKind::kMish:
      return Run(p, s, MishOp());
    case ActivationKind::kExp:
      return Run(p, s, ExpOp());
  }
}

}  // namespace

void RunChain(const Chain& chain, TilePos pos, size_t rows, size_t cols, const float* in,
              size_t in_stride, float* scratch, float* out, size_t out_stride) {
  RunPasses(RunTogether, kSmallCode, chain, pos, {in, in_stride, out, out_stride, rows, cols},
            scratch);
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lanefuse {

HWY_EXPORT(RunChain);

Chain::RunSteps StepsRunner(int target) { return HWY_DISPATCH_TABLE(RunChain)[target]; }

}  // namespace lanefuse
#endif  // HWY_ONCE
