// Channels-last tensors as rows of channels: what the fused operators share.

#pragma once

#include "kernels/lanes.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <vector>

namespace aaunet {

/// Rows that one thread takes at a time: some 64 thousand values.
inline int64_t rowsAtATime(int64_t width) { return std::max<int64_t>(128, (int64_t{1} << 16) / std::max<int64_t>(1, width)); }

/// Calls `body(segment, first row, rows)` for all rows of `segments` times `rows` rows of `width` values.
template <typename Body>
void forRows(int64_t segments, int64_t rows, int64_t width, Body body) {
  const int64_t step = rowsAtATime(width), parts = (rows + step - 1) / step;
  at::parallel_for(0, segments * parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; task++) {
      const int64_t start = (task % parts) * step;
      body(task / parts, task / parts * rows + start, std::min(step, rows - start));
    }
  });
}

/// `count` sums for every segment, in an order that does not depend on the number of threads: [segments x count].
/// `add(first row, rows, sums)` adds those of some rows of `width` values.
template <typename Add>
std::vector<double> sumsBySegment(int64_t segments, int64_t rows, int64_t width, int64_t count, Add add) {
  const int64_t step = rowsAtATime(width), parts = (rows + step - 1) / step;
  std::vector<double> partial(static_cast<size_t>(segments * parts * count), 0.0);
  forRows(segments, rows, width, [&](int64_t segment, int64_t row, int64_t some) {
    const int64_t part = (row - segment * rows) / step;
    add(row, some, partial.data() + (segment * parts + part) * count);
  });
  std::vector<double> sums(static_cast<size_t>(segments * count), 0.0);
  for (int64_t task = 0; task < segments * parts; task++)
    for (int64_t i = 0; i < count; i++) sums[static_cast<size_t>(task / parts * count + i)] += partial[static_cast<size_t>(task * count + i)];
  return sums;
}

template <typename T>
struct Scalar {
  using type = T;
};
template <>
struct Scalar<Bf16> {
  using type = c10::BFloat16;
};

template <typename T>
const T* in(const at::Tensor& tensor) {
  return tensor.defined() ? reinterpret_cast<const T*>(tensor.const_data_ptr<typename Scalar<T>::type>()) : nullptr;
}
template <typename T>
T* out(const at::Tensor& tensor) {
  return tensor.defined() ? reinterpret_cast<T*>(tensor.mutable_data_ptr<typename Scalar<T>::type>()) : nullptr;
}

/// Calls `body(T{})` with the kernels' type of a tensor's values.
template <typename Body>
void withType(const at::Tensor& tensor, Body body) {
  if (tensor.scalar_type() == at::kDouble) body(double{});
  else if (tensor.scalar_type() == at::kFloat) body(float{});
  else body(Bf16{});
}

/// The type of the coefficients of a tensor's kernels.
inline at::ScalarType coefficientType(const at::Tensor& x) { return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat; }

/// Whether the kernels run where a tensor lies: on the CPU, and on CUDA devices where they were compiled for them.
inline bool hasDevice(const at::Tensor& x) {
#ifdef AAUNET_CUDA_KERNELS
  if (x.is_cuda()) return true;
#endif
  return x.device().is_cpu();
}

/// What the backward passes are not differentiated for, `operation` in words.
inline void refuseSecondDerivative(const char* operation) {
  TORCH_CHECK(!at::GradMode::is_enabled(), "fused ", operation, " has no second derivative; use aten's operators for it");
}

/// On a CUDA device aligned as well: kernels there read so many bytes at once.
inline at::Tensor channelsLast(const at::Tensor& tensor) {
  constexpr uintptr_t VECTOR_BYTES = 16;
  const at::Tensor dense = tensor.contiguous(at::MemoryFormat::ChannelsLast);
  const bool isAligned = !dense.is_cuda() || reinterpret_cast<uintptr_t>(dense.const_data_ptr()) % VECTOR_BYTES == 0;
  return isAligned ? dense : dense.clone();
}

/// @throws where the kernels do not take a tensor.
inline void checkInput(const at::Tensor& x) {
  const auto type = x.scalar_type();
  TORCH_CHECK(x.layout() == at::kStrided && hasDevice(x), "input: expected a dense tensor on a device with kernels, found ", x.device());
  TORCH_CHECK(x.dim() == 4 && x.numel() > 0, "input: expected N x C x H x W with values in it, found ", x.sizes());
  TORCH_CHECK(type == at::kDouble || type == at::kFloat || type == at::kBFloat16, "input: expected float64, float32 or bfloat16, found ", type);
}

}  // namespace aaunet
