// The order in which Linear adds the K products of one output: the rule that fixes its bits.
#ifndef LANEFUSE_SRC_LINEAR_ORDER_H_
#define LANEFUSE_SRC_LINEAR_ORDER_H_

#include <cstddef>

namespace lanefuse {

// One chain of fused multiply-adds for each output waits 4 cycles for every k. With 16 outputs (one
// AVX-512 register) that is 16 multiply-adds in 4 cycles where 128 are possible; with more outputs,
// their chains fill the gaps. So few outputs with many inputs get four chains: k mod 4, each from 0
// and ascending, that meet as (chain 0 + chain 2) + (chain 1 + chain 3).
//
// How few was measured (2026-11-21, Xeon Cascade Lake, one thread, medians of three runs): the time
// of one chain over the time of four, for one row and for 16 rows:
//
//                      one row                        16 rows
//   outputs      10   16   24   32   48   64      10   16   24   32   48   64
//   AVX512
//     k = 256  1.98 1.87 1.42 1.42 0.87 1.01    1.25 1.24 0.80 0.77 0.71 0.73
//     k = 1024 1.21 1.17 1.03 1.06 0.82 0.98    1.03 1.02 0.74 0.74 0.67 0.72
//     k = 4096 1.23 1.19 1.05 1.08 0.71 0.92    1.01 1.04 0.74 0.74 0.79 0.65
//   AVX2
//     k = 256  1.84 1.86 0.92 0.94 0.81 0.81    0.76 0.74 0.76 0.76 0.76 0.74
//     k = 1024 1.15 1.11 0.68 0.86 0.79 0.81    0.72 0.72 0.74 0.73 0.73 0.73
//     k = 4096 1.16 1.16 0.64 0.81 0.76 0.89    0.70 0.70 0.69 0.68 0.61 0.47
//
// One row gains up to 16 outputs and on both targets; beyond, at most the weights that fit L1 gain,
// and several rows lose. One row of 10 to 16 outputs is the classifier at the end of most networks.
//
// The rule depends on the layer alone, never on the rows, the target or the threads, so it holds
// for every M. Changing it changes the bits of released layers: it must not change.
constexpr size_t kChains = 4;
constexpr bool UsesFourChains(size_t outputs, size_t inputs) {
  return outputs <= 16 && inputs >= 32;
}

}  // namespace lanefuse

#endif  // LANEFUSE_SRC_LINEAR_ORDER_H_
