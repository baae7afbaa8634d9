// Rows of pixels brought to another resolution: the inner loops of concatenate_resized, for each instruction set.

#pragma once

#include "lanes.h"

namespace aaunet {

/// A row or column of the output as two of the input's: low * (1 - weight) + high * weight.
template <typename A>
struct Tap {
  int64_t low, high;
  A weight;
};

/// Pixels of x and sums are `channels` values each, pixels of y and dy as `step` values apart.
template <typename T>
struct ResizeKernels {
  using A = typename Coefficient<T>::type;

  /// between = low * (1 - weight) + high * weight, `count` values.
  void (*blend)(const T* low, const T* high, A weight, int64_t count, A* between);
  /// A row of y, a pixel for each of `columns`, from a row of x, or from one between two.
  void (*row)(const T* x, const Tap<A>* columns, int64_t width, int64_t channels, T* y, int64_t step);
  void (*rowBetween)(const A* between, const Tap<A>* columns, int64_t width, int64_t channels, T* y, int64_t step);
  /// sums += what a row of x takes from `rows` rows of dy, which it has gone into with `weights`.
  void (*rowGradient)(const T* const* dy, const A* weights, int64_t rows, const Tap<A>* columns, int64_t width, int64_t channels,
                      int64_t step, A* sums);
};

/// The loops for this machine's instruction set.
template <typename T>
const ResizeKernels<T>& resizeKernels();

}  // namespace aaunet
