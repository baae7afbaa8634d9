// Fused normalisation on CUDA devices: normalize.cu.

#pragma once

#include "rows.h"

namespace aaunet::cuda {

/// Running statistics of batch norm in the type of its parameters; null pointers where there are none.
struct Running {
  void* mean;
  void* variance;
  double momentum;
};

/// `partial` here and below: room for 2 sums a channel. Mean and 1 / standard deviation of every segment's groups, [segments x groups] each, and the running ones moved.
void statistics(const Rows& rows, const void* x, double eps, double* mean, double* inverse, Running running, void* partial,
                cudaStream_t stream);

/// The same of running statistics, which stay.
void fixedStatistics(const Rows& rows, double eps, double* mean, double* inverse, Running running, cudaStream_t stream);

/// y = relu((x - mean) inverse weight + bias + residual); without `relu` not cut off, `residual` may be null.
void normalize(const Rows& rows, const void* x, const void* residual, const double* mean, const double* inverse,
               const void* weight, const void* bias, bool relu, void* y, cudaStream_t stream);

/// What a backward pass reads and writes; `y` (output of a ReLU) and `dresidual` may be null. Statistics that are `fixed` do
/// not depend on x. `sums`: segments x 2 x channels doubles, `coefficients`: 2 x segments x groups doubles.
struct Backward {
  const void *x, *dy, *y, *weight;
  const double *mean, *inverse;
  bool fixed;
  void *dx, *dresidual, *dweight, *dbias;
  double *sums, *coefficients;
  void* partial;
};

void gradients(const Rows& rows, const Backward& pass, cudaStream_t stream);

}  // namespace aaunet::cuda
