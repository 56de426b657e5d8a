// Which register tile runs: its height, its width, and whether it asks for weights.
// Per-target header: include it after hwy/foreach_target.h.
#if defined(LANEFUSE_SRC_COMMON_RUN_TILES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_SRC_COMMON_RUN_TILES_INL_H_
#undef LANEFUSE_SRC_COMMON_RUN_TILES_INL_H_
#else
#define LANEFUSE_SRC_COMMON_RUN_TILES_INL_H_
#endif

#include "src/common/tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

// Where code is small, tiles have four heights: this many rows, then the rest.
constexpr size_t PieceOf(size_t rows) {
  return rows >= kRowTile ? kRowTile : rows >= 4 ? 4 : rows >= 2 ? 2 : 1;
}

// Tiles that ask, the first of them for what is at weights.next.
template <size_t kRows, size_t kVectors, Source kSource>
HWY_NOINLINE void AskingTiles(Taps taps, const TileWeights& weights, TileOut out, size_t count) {
  const size_t ask = std::min(count, weights.next_panels);
  if (ask != 0) Tiles<kRows, kVectors, kSource, Asks::kNext>(taps, weights, out, ask);
  if (ask == count) return;
  taps.data += ask * taps.tile_step;
  out.y += ask * kRows * out.y_stride;
  out.pos.pixel += ask * kRows;
  if constexpr (kPrefetchFinish && kSource == Source::kRun) {
    if (out.far) {
      return Tiles<kRows, kVectors, kSource, Asks::kFinish>(taps, weights, out, count - ask);
    }
  }
  Tiles<kRows, kVectors, kSource>(taps, weights, out, count - ask);
}

// Tiles of full height.
template <size_t kRows, size_t kVectors, Source kSource>
HWY_INLINE void FullTiles(const Taps& taps, const TileWeights& weights, const TileOut& out,
                          size_t count) {
  constexpr bool kOne = kSource == Source::kRun;
  if constexpr ((kOne || kAskInRuns) && kVectors == kVectorTile && kRows == kRowTile) {
    if (weights.next_panels != 0 || (kPrefetchFinish && kOne && out.far)) {
      return AskingTiles<kRows, kVectors, kSource>(taps, weights, out, count);
    }
  }
  Tiles<kRows, kVectors, kSource>(taps, weights, out, count);
}

template <size_t kVectors, Source kSource>
HWY_INLINE void TileRows(size_t rows, const Taps& taps, const TileWeights& weights,
                         const TileOut& out, size_t count) {
  if (rows == 1) return Tiles<1, kVectors, kSource>(taps, weights, out, count);
  if (rows == 2) return Tiles<2, kVectors, kSource>(taps, weights, out, count);
  if (rows == 4) return Tiles<4, kVectors, kSource>(taps, weights, out, count);
  if constexpr (!kSmallCode) {
    if (rows == 3) return Tiles<3, kVectors, kSource>(taps, weights, out, count);
    if (rows == 5) return Tiles<5, kVectors, kSource>(taps, weights, out, count);
  }
  if constexpr (kVectors == 1 && kRowTileOneVector > kRowTile) {
    if (rows == 7) return Tiles<7, 1, kSource>(taps, weights, out, count);
    if (rows == 8) return Tiles<8, 1, kSource>(taps, weights, out, count);
    if constexpr (kRowTileOneVector > 8 && kVectorRegisters == 16 && kSource != Source::kTable) {
      if (rows == 9) return Tiles<9, 1, kSource>(taps, weights, out, count);
      if (rows == 10) return Tiles<10, 1, kSource>(taps, weights, out, count);
      if (rows == 11) return Tiles<11, 1, kSource>(taps, weights, out, count);
      if (rows == 12) return Tiles<12, 1, kSource>(taps, weights, out, count);
    }
  }
  return FullTiles<kRowTile, kVectors, kSource>(taps, weights, out, count);
}

// How many vectors a tile of `rows` rows may have.
constexpr size_t VectorsFor(size_t rows) {
  return rows <= 2 ? std::max(kVectorTile, kVectorTileTwoRows) : kVectorTile;
}

// Whether `outputs` are a tile of three vectors where others have two.
HWY_INLINE bool ThreeVectors(size_t outputs) {
  return kThreeVectors && outputs == 3 * hn::Lanes(DF());
}

// How many vectors the tiles of `outputs` have, of `rows` rows. Five are 3 + 2 and nine 3 + 3 + 3,
// or there would be a single one, whose sums wait for each other (0.93 to 1.00 of the time).
HWY_INLINE size_t BlockVectors(size_t rows, size_t outputs) {
  const size_t lanes = hn::Lanes(DF());
  const bool five_or_nine = outputs == 5 * lanes || outputs == 9 * lanes;
  const bool three = ThreeVectors(outputs) || (!kSmallCode && kVectorTile == 4 && five_or_nine);
  return rows > 2 && three ? 3 : VectorsFor(rows);
}

template <Source kSource>
HWY_INLINE void RunWholeTiles(size_t rows, const Taps& taps, const TileWeights& weights,
                              const TileOut& out, size_t count) {
  const size_t vectors = (out.cols + hn::Lanes(DF()) - 1) / hn::Lanes(DF());
  if constexpr (kVectorTile >= 4) {
    if (vectors == 4) return TileRows<4, kSource>(rows, taps, weights, out, count);
    if (vectors == 3) return TileRows<3, kSource>(rows, taps, weights, out, count);
  } else {
    if (vectors >= 3 && rows == 1) return Tiles<1, 4, kSource>(taps, weights, out, count);
    if (vectors >= 3 && rows == 2) return Tiles<2, 4, kSource>(taps, weights, out, count);
    if constexpr (kThreeVectors) {
      if (vectors == 3 && rows == 3) return Tiles<3, 3, kSource>(taps, weights, out, count);
      if (vectors == 3) return Tiles<4, 3, kSource>(taps, weights, out, count);
    }
  }
  if (vectors == 2) return TileRows<2, kSource>(rows, taps, weights, out, count);
  return TileRows<1, kSource>(rows, taps, weights, out, count);
}

// Any number of rows, equally far apart, in pieces.
template <Source kSource>
HWY_NOINLINE void RunPieces(size_t rows, Taps taps, const TileWeights& weights, TileOut out) {
  while (rows != 0) {
    const size_t piece = PieceOf(rows);
    RunWholeTiles<kSource>(piece, taps, weights, out, 1);
    taps.first += piece;
    taps.data += kSource == Source::kTable ? 0 : piece * taps.stride;
    out.y += piece * out.y_stride;
    out.pos.pixel += piece;
    rows -= piece;
  }
}

// Whether tiles of `rows` rows may follow each other at any distance; if not, one must begin where
// the one before ends.
constexpr bool RunsTogether(size_t rows) { return !kSmallCode || rows == PieceOf(rows); }

// `count` tiles of `rows` rows and out.cols <= VectorsFor(rows) * lanes outputs; one tile of a
// table.
template <Source kSource>
HWY_INLINE void RunTiles(size_t rows, const Taps& taps, const TileWeights& weights,
                         const TileOut& out, size_t count) {
  if (!RunsTogether(rows)) {
    return RunPieces<kSource>(rows * count, taps, weights, out);
  }
  RunWholeTiles<kSource>(rows, taps, weights, out, count);
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_SRC_COMMON_RUN_TILES_INL_H_
