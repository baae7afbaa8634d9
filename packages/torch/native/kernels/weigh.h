// Weighting rows of channels: the inner loops of attention, for each instruction set.

#pragma once

#include "lanes.h"

namespace aaunet {

/// `rows` rows, row after row. Sums are added to what is there.
template <typename T>
struct WeighKernels {
  using A = typename Coefficient<T>::type;

  /// Rows of x are `radix` splits of `channels` values: y = sum over the splits of x * weight, weights as in one row of x.
  void (*splits)(const T* x, T* y, int64_t rows, int64_t channels, int64_t radix, const A* weights);
  /// dx = dy * weight for every split, dweights += sum over rows of dy * x.
  void (*splitsGradient)(const T* x, const T* dy, T* dx, int64_t rows, int64_t channels, int64_t radix, const A* weights,
                         double* dweights);
  /// y = x * weight, one weight a row.
  void (*rows)(const T* x, T* y, int64_t rows, int64_t channels, const A* weights);
  /// dx = dy * weight, dweights = sum over channels of dy * x.
  void (*rowsGradient)(const T* x, const T* dy, T* dx, int64_t rows, int64_t channels, const A* weights, A* dweights);
};

/// The loops for this machine's instruction set.
template <typename T>
const WeighKernels<T>& weighKernels();

}  // namespace aaunet
