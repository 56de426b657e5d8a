// The packed weights that a register tile reads, and how it asks for them in advance.
// Per-target header: include it after hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_COMMON_WEIGHTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_COMMON_WEIGHTS_INL_H_
#undef LANEFUSE_SRC_COMMON_WEIGHTS_INL_H_
#else
#define LANEFUSE_SRC_COMMON_WEIGHTS_INL_H_
#endif

#include <algorithm>

#include "arch/tiles-inl.h"
#include "hwy/cache_control.h"
#include "src/common/ops-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

// Packed weights from the tile's first output on. Vector v of a tile holds outputs
// [v * lanes, (v + 1) * lanes): part of panel v * lanes / 16.
struct TileWeights {
  const float* first;
  size_t panel_stride;
  // What tiles read next, more than L2 holds from now: weights, when all tiles have met these, or
  // the inputs behind theirs. Each tile of full height asks for as much as a panel while there is
  // any.
  const float* next = nullptr;
  size_t next_panels = 0;

  HWY_INLINE const float* Vector(size_t v) const {
    const size_t lane = v * hn::Lanes(DF());
    return first + lane / kPanel * panel_stride + lane % kPanel;
  }
  HWY_INLINE void SetNext(const float* from, size_t outputs) {
    next = from;
    next_panels = (outputs + kPanel - 1) / kPanel;
  }
  // As the tile `tiles` behind this one finds them.
  HWY_INLINE void Advance(size_t tiles) {
    const size_t asked = std::min(tiles, next_panels);
    next += asked * panel_stride;
    next_panels -= asked;
  }
};

// Asks for the weights that this tile wants kPrefetchAhead steps from now: a panel is a stream that
// the hardware follows only within a page, and 64 steps are a page. One or two rows have no load to
// spare for it; with one or two vectors a tile is short of instructions: 4 to 9 % slower with it.
// On a core that another thread shares any tile is: those of one run are 2 to 10 % faster without
// it, where the weights come from L2.
template <size_t kRows, size_t kVectors>
HWY_INLINE void PrefetchWeights(const float* b0, const float* b1, const float* b2,
                                const float* b3) {
  if constexpr (kPrefetchAhead != 0 && kRows > 2 && kVectors > 2) {
    constexpr size_t kAhead = kPrefetchAhead * kPanel;
    const size_t lanes = hn::Lanes(DF());
    hwy::Prefetch(b0 + kAhead);
    if (lanes == kPanel) hwy::Prefetch(b1 + kAhead);
    if (lanes >= kPanel / 2) hwy::Prefetch(b2 + kAhead);
    if (kVectors > 3 && lanes == kPanel) hwy::Prefetch(b3 + kAhead);
  }
}

// What comes next would only push what is in use out of L1.
HWY_INLINE void PrefetchToL2(const float* p) { __builtin_prefetch(p, 0, 2); }

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_COMMON_WEIGHTS_INL_H_
