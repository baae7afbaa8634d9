// The gradient of a convolution's weights, for channels-last tensors on processors with AVX2 and not AVX-512: oneDNN's own
// kernel (jit:avx2) reorders both tensors and reaches a fifth of what these do.

#pragma once

#include "lanes.h"

namespace aaunet {

/// A 2-D convolution of channels-last tensors.
struct ConvolutionShape {
  int64_t images, inHeight, inWidth, inChannels, outHeight, outWidth, outChannels;
  int64_t kernelHeight, kernelWidth, strideY, strideX, paddingY, paddingX, dilationY, dilationX, groups;

  int64_t taps() const { return kernelHeight * kernelWidth; }
  int64_t inOfGroup() const { return inChannels / groups; }
  int64_t outOfGroup() const { return outChannels / groups; }
};

/// Input channels that one call of the innermost loop takes: two vectors.
constexpr int64_t PANEL = 16;

/// Panels of input channels of one group; the last may be filled up with zeros.
inline int64_t panelsOfGroup(const ConvolutionShape& shape) { return (shape.inOfGroup() + PANEL - 1) / PANEL; }

/// What a call of `weightGradient` takes of a gradient: some panels of a group, summed over some rows of output pixels (of all images,
/// numbered through).
struct WeightGradientPart {
  int64_t group, firstPanel, panels, firstRow, rows;
};

/// Floats that a call of `weightGradient` needs for itself.
int64_t weightGradientScratch(const ConvolutionShape& shape);

/// sums += dy (x) x over the part's pixels: [panels x output channels of a group x taps x PANEL]. T: float or Bf16.
template <typename T>
void weightGradient(const ConvolutionShape& shape, const T* x, const T* dy, const WeightGradientPart& part, float* sums,
                    float* scratch);

/// Whether these loops run on this machine, and faster than oneDNN's.
inline bool hasConvolutionKernels() {
#if defined(__x86_64__)
  static const bool has = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && !__builtin_cpu_supports("avx512f");
  return has;
#else
  return false;
#endif
}

}  // namespace aaunet
