// 3x3 convolutions of channels-last tensors, float or Bf16 and computed in float, with stride 1 by minimal filtering, F(4x4, 3x3) (Lavin & Gray 2015,
// arXiv:1509.09308): a quarter of the products of a direct convolution. For processors with AVX2 and not AVX-512.

#pragma once

#include "convolve.h"

namespace aaunet {

/// Products of a tile: 4 x 4 outputs from 6 x 6 inputs.
constexpr int64_t WINOGRAD_TILE = 4;
constexpr int64_t WINOGRAD_PRODUCTS = 36;

struct WinogradWeights {
  /// Steps from one output channel, input channel of a group, row and column to the next, and what is added for each group.
  const float* from;
  int64_t outStep, inStep, rowStep, columnStep, groupStep;
  /// Whether the kernel is turned by 180 degrees, as the gradient of the input takes it.
  bool turned;
};

inline int64_t winogradTilesY(const ConvolutionShape& shape) { return (shape.outHeight + WINOGRAD_TILE - 1) / WINOGRAD_TILE; }
inline int64_t winogradTilesX(const ConvolutionShape& shape) { return (shape.outWidth + WINOGRAD_TILE - 1) / WINOGRAD_TILE; }

/// Floats between the matrices of two products: without them all would lie in the same set of a cache.
constexpr int64_t WINOGRAD_GAP = 16;

/// Floats of one group's transformed weights: products of [panels of output channels x input channels x PANEL].
inline int64_t winogradWeightsSize(const ConvolutionShape& shape) {
  return WINOGRAD_PRODUCTS * (shape.inOfGroup() * shape.outOfGroup() + WINOGRAD_GAP);
}

/// Transforms the weights of one panel of a group's output channels.
void winogradTransformWeights(const ConvolutionShape& shape, const WinogradWeights& weights, int64_t group, int64_t panel, float* to);

/// Tiles that a call of `winogradConvolve` takes at most.
constexpr int64_t WINOGRAD_BLOCK = 36;

/// Floats that a call of `winogradConvolve` needs for itself.
int64_t winogradScratch(const ConvolutionShape& shape);

/// What is done to the sums of a convolution: bias and residual (null: none) are added, then numbers below 0 cut off.
template <typename T>
struct Finish {
  const float* bias;
  const T* residual;
  bool relu;
};

/// Some tiles (of all images, numbered through) of one group's outputs.
template <typename T>
void winogradConvolve(const ConvolutionShape& shape, const T* x, const float* weights, const Finish<T>& finish, int64_t group,
                      int64_t firstTile, int64_t tiles, T* y, float* scratch);

/// What a call of `winogradWeightGradient` takes of a gradient: some panels of a group's input channels, summed over some tiles (of all
/// images, numbered through).
struct WinogradGradientPart {
  int64_t group, firstPanel, panels, firstTile, tiles;
};

/// Floats that a call of `winogradWeightGradient` needs for itself.
int64_t winogradGradientScratch(const ConvolutionShape& shape, int64_t panels);

/// Floats of the sums of a part of so many panels: products of [output channels of a group x panels x PANEL].
inline int64_t winogradSumsSize(const ConvolutionShape& shape, int64_t panels) {
  return WINOGRAD_PRODUCTS * (shape.outOfGroup() * panels * PANEL + WINOGRAD_GAP);
}

/// sums += the transformed gradient over the part's tiles.
template <typename T>
void winogradWeightGradient(const ConvolutionShape& shape, const T* x, const T* dy, const WinogradGradientPart& part,
                            float* sums, float* scratch);

/// The weights' gradient, channels last, of a part's panels: the sums of all `cuts` of the tiles, `step` apart, added up and transformed.
void winogradTransformGradient(const ConvolutionShape& shape, const WinogradGradientPart& part, const float* sums, int64_t cuts, int64_t step,
                               float* dweight);

}  // namespace aaunet
