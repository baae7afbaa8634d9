// Attention to whole images on CUDA devices: weigh.cu. Images are segments, without groups.

#pragma once

#include "rows.h"

namespace aaunet::cuda {

/// Radices that there are kernels for.
inline bool hasSplits(int64_t radix) { return radix == 1 || radix == 2 || radix == 4; }

/// Mean over the rows of each segment: [segments x channels] of the type of sums (float, double). `partial`: 1 sum a channel.
void means(const Rows& rows, const void* x, void* mean, void* partial, cudaStream_t stream);

/// `rows` are those of the output y; x has `radix` times as many channels, as have the weights: [segments x (radix channels)].
void weighSplits(const Rows& rows, int64_t radix, const void* x, const void* weights, void* y, cudaStream_t stream);

/// `partial`: `radix` sums a channel.
void weighSplitsGradient(const Rows& rows, int64_t radix, const void* x, const void* weights, const void* dy, void* dx,
                         void* dweights, void* partial, cudaStream_t stream);

}  // namespace aaunet::cuda
