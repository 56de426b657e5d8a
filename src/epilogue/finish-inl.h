// The end of a register tile: the frequent chains on the accumulators themselves, every other chain
// by Chain::run on a copy of the tile in L1.
// Per-target header: include it after hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_EPILOGUE_FINISH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_EPILOGUE_FINISH_INL_H_
#undef LANEFUSE_SRC_EPILOGUE_FINISH_INL_H_
#else
#define LANEFUSE_SRC_EPILOGUE_FINISH_INL_H_
#endif

#include "src/common/ops-inl.h"
#include "src/epilogue/chain.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

// Where a tile goes: `cols` outputs of each of its rows, and what happens on the way.
struct TileOut {
  const Chain* chain;
  TilePos pos;
  float* y;  // the tile's first output
  size_t y_stride;
  size_t cols;
};

// The parts of a frequent chain at one tile. Where there is no bias, `bias` points at -0: x + -0 is
// x for every x, so no branch is needed.
struct Finish {
  const float* bias;
  const float* add;
  size_t add_stride;
  float* y;
  size_t y_stride;
  size_t cols;
  float lo, hi;

  explicit Finish(const TileOut& out)
      : bias(out.chain->bias == nullptr ? kNoBias : out.chain->bias + out.pos.channel),
        add(out.chain->add == nullptr ? nullptr : OperandAt(*out.chain->add, out.pos)),
        add_stride(out.chain->add == nullptr ? 0 : out.chain->add->pixel_stride),
        y(out.y),
        y_stride(out.y_stride),
        cols(out.cols),
        lo(out.chain->lo),
        hi(out.chain->hi) {}
};

// One vector of a row: kFull when all of its lanes are outputs.
template <bool kFull>
HWY_INLINE void FinishVector(const Finish& f, size_t row, size_t c, VF v) {
  const DF d;
  const VF lo = hn::Set(d, f.lo);
  const VF hi = hn::Set(d, f.hi);
  float* y = f.y + row * f.y_stride + c;
  if constexpr (kFull) {
    v = hn::Add(v, hn::LoadU(d, f.bias + c));
    if (f.add != nullptr) v = hn::Add(v, hn::LoadU(d, f.add + row * f.add_stride + c));
    hn::StoreU(MinKeepNaN(MaxKeepNaN(v, lo), hi), d, y);
  } else if (c < f.cols) {
    const size_t rest = f.cols - c;
    v = hn::Add(v, hn::LoadN(d, f.bias + c, rest));
    if (f.add != nullptr) v = hn::Add(v, hn::LoadN(d, f.add + row * f.add_stride + c, rest));
    hn::StoreN(MinKeepNaN(MaxKeepNaN(v, lo), hi), d, y, rest);
  }
}

template <size_t kVectors, bool kFull>
HWY_INLINE void FinishRow(const Finish& f, size_t row, VF v0, VF v1, VF v2, VF v3) {
  const size_t lanes = hn::Lanes(DF());
  FinishVector<kFull>(f, row, 0, v0);
  if constexpr (kVectors > 1) FinishVector<kFull>(f, row, lanes, v1);
  if constexpr (kVectors > 2) FinishVector<kFull>(f, row, 2 * lanes, v2);
  if constexpr (kVectors > 3) FinishVector<kFull>(f, row, 3 * lanes, v3);
}

// Copies a row of sums to a tile in L1 whose rows have kVectors vectors.
template <size_t kVectors>
HWY_INLINE void StoreRow(float* tile, size_t row, VF v0, VF v1, VF v2, VF v3) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  float* to = tile + row * kVectors * lanes;
  hn::StoreU(v0, d, to);
  if constexpr (kVectors > 1) hn::StoreU(v1, d, to + lanes);
  if constexpr (kVectors > 2) hn::StoreU(v2, d, to + 2 * lanes);
  if constexpr (kVectors > 3) hn::StoreU(v3, d, to + 3 * lanes);
}

// Finishes a tile that lies in L1, whatever the chain. `tile` is overwritten.
HWY_INLINE void FinishTile(const TileOut& out, size_t rows, float* tile, size_t stride) {
  if (!out.chain->in_registers) {
    out.chain->run(*out.chain, out.pos, rows, out.cols, tile, stride, tile, out.y, out.y_stride);
    return;
  }
  const DF d;
  const size_t lanes = hn::Lanes(d);
  const Finish finish(out);
  for (size_t r = 0; r < rows; ++r) {
    size_t c = 0;
    for (; c + lanes <= out.cols; c += lanes) {
      FinishVector<true>(finish, r, c, hn::LoadU(d, tile + r * stride + c));
    }
    if (c < out.cols) {
      FinishVector<false>(finish, r, c, hn::LoadN(d, tile + r * stride + c, out.cols - c));
    }
  }
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_EPILOGUE_FINISH_INL_H_
