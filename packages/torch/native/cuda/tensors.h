// LibTorch's tensors as the CUDA kernels take them.

#pragma once

#include "rows.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

namespace aaunet::cuda {

/// A channels-last tensor of the device as rows in `segments`, each with so many groups of channels.
inline Rows rowsOf(const at::Tensor& x, int64_t segments, int64_t groups) {
  const auto type = x.scalar_type() == at::kDouble ? Type::float64 : x.scalar_type() == at::kFloat ? Type::float32 : Type::bfloat16;
  return {type, segments, x.numel() / x.size(1) / segments, x.size(1), groups};
}

/// Memory for `count` sums a channel, in the type of the sums.
inline at::Tensor partialOf(const Rows& rows, int count, const at::Tensor& x) {
  return at::empty({partialSize(rows, count)}, x.options().dtype(rows.type == Type::float64 ? at::kDouble : at::kFloat));
}

inline const void* in(const at::Tensor& tensor) { return tensor.defined() ? tensor.const_data_ptr() : nullptr; }
inline void* out(const at::Tensor& tensor) { return tensor.defined() ? tensor.mutable_data_ptr() : nullptr; }

/// Launches kernels on the device of `x`. @throws where they could not be launched.
template <typename Launch>
void on(const at::Tensor& x, Launch launch) {
  const c10::cuda::CUDAGuard guard(x.device());
  launch(c10::cuda::getCurrentCUDAStream().stream());
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace aaunet::cuda
