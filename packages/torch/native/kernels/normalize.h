// One pass over rows of channels: the inner loops of batch and group normalisation, for each instruction set.

#pragma once

#include "lanes.h"

namespace aaunet {

/// Where a gradient passes a ReLU: where y > 0; without y, where x * scale + shift > 0; without all three, everywhere.
template <typename T>
struct Passed {
  const T* y = nullptr;
  const typename Coefficient<T>::type *scale = nullptr, *shift = nullptr;
};

/// `rows` rows of `channels` values each, row after row. Sums are added to what is there.
template <typename T>
struct NormalizeKernels {
  using A = typename Coefficient<T>::type;

  /// first += sum of x - pivot, second += sum of (x - pivot)^2, by channel.
  void (*sums)(const T* x, int64_t rows, int64_t channels, const A* pivot, double* first, double* second);
  /// y = x * scale + shift (+ residual), no less than 0 if `relu`. `residual` may be null.
  void (*apply)(const T* x, const T* residual, T* y, int64_t rows, int64_t channels, const A* scale, const A* shift, bool relu);
  /// With g = dy where `passed`: first += sum of g, second += sum of g * (x - pivot), by channel.
  void (*gradientSums)(const T* x, const T* dy, Passed<T> passed, int64_t rows, int64_t channels, const A* pivot, double* first,
                       double* second);
  /// dx = g * ofGradient + x * ofInput + constant, and dresidual = g unless null.
  void (*gradient)(const T* x, const T* dy, Passed<T> passed, T* dx, T* dresidual, int64_t rows, int64_t channels,
                   const A* ofGradient, const A* ofInput, const A* constant);
};

/// The loops for this machine's instruction set.
template <typename T>
const NormalizeKernels<T>& normalizeKernels();

}  // namespace aaunet
