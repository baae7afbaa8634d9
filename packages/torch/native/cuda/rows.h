// Channels-last tensors on CUDA devices. No header of LibTorch's, so that nvcc compiles the kernels in seconds.

#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace aaunet::cuda {

enum class Type { bfloat16, float32, float64 };

/// A channels-last tensor as rows of channels in segments (see normalization.cpp in the folder above).
struct Rows {
  Type type;
  int64_t segments;
  int64_t rows;  // of a segment
  int64_t channels;
  int64_t groups;

  constexpr int64_t groupSize() const { return channels / groups; }
  constexpr double valuesOfGroup() const { return static_cast<double>(rows) * static_cast<double>(groupSize()); }
};

/// Values that the `partial` array of `count` sums a channel needs.
int64_t partialSize(const Rows& rows, int count);

}  // namespace aaunet::cuda
