#include "lanefuse/dot.h"

#include "arch/target.h"
#include "src/common/check.h"
#include "src/epilogue/chain.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "src/dot/dot.cc"
#include "hwy/foreach_target.h"
#include "src/dot/dot-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

float DotF32(const float* a, const float* b, size_t n) { return DotProduct(a, b, n); }

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lanefuse {
namespace {

Status CheckDot(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size()) {
    return {StatusCode::kShapeMismatch, "b has # values, a has #", static_cast<int64_t>(b.size()),
            static_cast<int64_t>(a.size())};
  }
  if (a.empty()) return {};
  if (a.data() == nullptr) return {StatusCode::kInvalidArgument, "a is null"};
  if (b.data() == nullptr) return {StatusCode::kInvalidArgument, "b is null"};
  if (a.size() >= kMaxElements) {
    return {StatusCode::kInvalidArgument, "a does not fit the address space"};
  }
  return {};
}

}  // namespace

HWY_EXPORT(DotF32);

Status Dot(std::span<const float> a, std::span<const float> b, const Epilogue& epilogue,
           float& out) {
  const int target = arch::ActiveIndex();
  if (target < 0) return arch::UnsupportedTarget();
  if (Status status = CheckDot(a, b); !status.ok()) return status;
  Chain chain;
  const auto scalar = [&] { return ImageView<const float>(&out, 1, 1, 1); };
  if (Status status = CompileChain(epilogue, nullptr, scalar, true, target, chain); !status.ok()) {
    return status;
  }
  float sum = HWY_DISPATCH_TABLE(DotF32)[target](a.data(), b.data(), a.size());
  chain.run(chain, {}, 1, 1, &sum, 1, &sum, &out, 1);
  return {};
}

Status Dot(std::span<const float> a, std::span<const float> b, Activation act, float& out) {
  // The two frequent activations need no chain; NaN passes both.
  if (act.kind == ActivationKind::kRelu || act.kind == ActivationKind::kIdentity) {
    const int target = arch::ActiveIndex();
    if (target < 0) return arch::UnsupportedTarget();
    if (Status status = CheckDot(a, b); !status.ok()) return status;
    const float sum = HWY_DISPATCH_TABLE(DotF32)[target](a.data(), b.data(), a.size());
    out = act.kind == ActivationKind::kRelu && sum < 0.0f ? 0.0f : sum;
    return {};
  }
  return Dot(a, b, Epilogue().Act(act), out);
}

}  // namespace lanefuse
#endif  // HWY_ONCE
