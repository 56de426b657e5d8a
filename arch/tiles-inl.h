// Register tiles for each kernel family, with their arithmetic.
// Per-target header: include it after hwy/foreach_target.h.
#if defined(LANEFUSE_ARCH_TILES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LANEFUSE_ARCH_TILES_INL_H_
#undef LANEFUSE_ARCH_TILES_INL_H_
#else
#define LANEFUSE_ARCH_TILES_INL_H_
#endif

#include "arch/features-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

// A tile has kRowTile rows (pixels, batch rows) of kVectorTile vectors of outputs. It keeps
// kRowTile * kVectorTile sums, kVectorTile weights and one broadcast input in registers:
//   32 registers   6 x 4 = 24 + 4 + 1 = 29    24 multiply-adds for 10 loads
//   16 registers   6 x 2 = 12 + 2 + 1 = 15    12 multiply-adds for  8 loads
// Two loads a cycle feed two multiply-adds a cycle in both.
constexpr size_t kRowTile = 6;
constexpr size_t kVectorTile = kVectorRegisters == 32 ? 4 : 2;

// With one or two rows the sums are too few to hide the latency of the adder (4 cycles x 2 pipes =
// 8 sums), so such tiles are wider: 1 x 8 and 2 x 4.
constexpr size_t kVectorTileTwoRows = 4;
constexpr size_t kVectorTileOneRow = 8;

// Rows of row-major weights that one pass of Gemv reads together. Each needs 64 lanes of sums: 4
// registers of AVX-512 (4 rows fit), 8 of AVX2 or 16 of NEON (1 row fits).
constexpr size_t GemvRows(size_t lanes) { return 64 / lanes * 4 <= kVectorRegisters - 8 ? 4 : 1; }

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LANEFUSE_ARCH_TILES_INL_H_
