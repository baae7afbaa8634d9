// aten::convolution_backward on the CPU: the weights' gradient of channels-last float32 convolutions by kernels of our own where they
// are faster than oneDNN's, everything else as LibTorch does it. Networks, autograd and autocast see nothing of it.

#include "kernels/convolve.h"
#include "rows.h"

#include <ATen/ops/convolution_backward_native.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/sum.h>
#include <torch/library.h>

#include <algorithm>
#include <memory>
#include <tuple>
#include <vector>

namespace aaunet {

namespace {

/// Both values of a setting that may be given as one.
std::pair<int64_t, int64_t> pairOf(at::IntArrayRef values) { return {values[0], values[values.size() - 1]}; }

ConvolutionShape shapeOf(const at::Tensor& x, const at::Tensor& dy, const at::Tensor& weight, at::IntArrayRef stride,
                         at::IntArrayRef padding, at::IntArrayRef dilation, int64_t groups) {
  const auto [strideY, strideX] = pairOf(stride);
  const auto [paddingY, paddingX] = pairOf(padding);
  const auto [dilationY, dilationX] = pairOf(dilation);
  return {.images = x.size(0), .inHeight = x.size(2), .inWidth = x.size(3), .inChannels = x.size(1), .outHeight = dy.size(2),
          .outWidth = dy.size(3), .outChannels = dy.size(1), .kernelHeight = weight.size(2), .kernelWidth = weight.size(3),
          .strideY = strideY, .strideX = strideX, .paddingY = paddingY, .paddingX = paddingX, .dilationY = dilationY,
          .dilationX = dilationX, .groups = groups};
}

/// Narrow groups fill no panel, and tensors in another layout would have to be copied first.
bool isOurs(const at::Tensor& x, const at::Tensor& dy, const at::Tensor& weight, bool transposed, int64_t groups) {
  const auto plain = [](const at::Tensor& tensor) { return tensor.scalar_type() == at::kFloat && tensor.layout() == at::kStrided && tensor.device().is_cpu(); };
  return hasConvolutionKernels() && !transposed && plain(x) && plain(dy) && plain(weight) && x.dim() == 4 && x.numel() > 0 && dy.numel() > 0 &&
         x.is_contiguous(at::MemoryFormat::ChannelsLast) && x.size(1) / groups >= PANEL / 2;
}

/// How a gradient is cut up: by panels of input channels, and by rows of pixels where those are few. The same on any number of threads.
struct Cuts {
  int64_t panels, ofGroup, byRows, rows;

  explicit Cuts(const ConvolutionShape& s) {
    constexpr int64_t TASKS = 32;
    const int64_t all = panelsOfGroup(s);
    panels = std::min<int64_t>(all, s.taps() == 1 ? 8 : 2);
    ofGroup = (all + panels - 1) / panels;
    const int64_t total = s.images * s.outHeight;
    byRows = std::clamp<int64_t>(TASKS / (ofGroup * s.groups), 1, std::max<int64_t>(1, total * s.outWidth / 1024));
    rows = (total + byRows - 1) / byRows;
  }
};

at::Tensor weightGradientOf(const ConvolutionShape& s, const at::Tensor& x, const at::Tensor& dy, const at::Tensor& weight) {
  const Cuts cuts(s);
  const int64_t panels = panelsOfGroup(s), total = s.images * s.outHeight, ofPanel = s.outOfGroup() * s.taps() * PANEL;
  const int64_t whole = s.groups * panels * ofPanel;
  const at::Tensor sums = at::empty({cuts.byRows * whole}, x.options());
  auto* const partial = sums.mutable_data_ptr<float>();
  const auto* const input = x.const_data_ptr<float>();
  const auto* const gradient = dy.const_data_ptr<float>();
  at::parallel_for(0, cuts.byRows * s.groups * cuts.ofGroup, 1, [&](int64_t begin, int64_t end) {
    const std::unique_ptr<float[]> scratch(new float[static_cast<size_t>(weightGradientScratch(s))]);
    for (int64_t task = begin; task < end; task++) {
      const int64_t cut = task / (s.groups * cuts.ofGroup), group = task / cuts.ofGroup % s.groups, first = task % cuts.ofGroup * cuts.panels;
      const int64_t row = std::min(cut * cuts.rows, total);
      const WeightGradientPart part{group, first, std::min(cuts.panels, panels - first), row, std::min(cuts.rows, total - row)};
      float* const to = partial + cut * whole + (group * panels + first) * ofPanel;
      std::fill(to, to + part.panels * ofPanel, 0.0F);
      weightGradient(s, input, gradient, part, to, scratch.get());
    }
  });
  at::Tensor result = at::empty(weight.sizes(), weight.options(), at::MemoryFormat::ChannelsLast);
  auto* const out = result.mutable_data_ptr<float>();
  at::parallel_for(0, s.outChannels, 8, [&](int64_t begin, int64_t end) {
    for (int64_t channel = begin; channel < end; channel++)
      for (int64_t tap = 0; tap < s.taps(); tap++)
        for (int64_t i = 0; i < s.inOfGroup(); i++) {
          const int64_t group = channel / s.outOfGroup(), panel = group * panels + i / PANEL;
          const float* from = partial + ((panel * s.outOfGroup() + channel % s.outOfGroup()) * s.taps() + tap) * PANEL + i % PANEL;
          float sum = 0;
          for (int64_t cut = 0; cut < cuts.byRows; cut++) sum += from[cut * whole];
          out[(channel * s.taps() + tap) * s.inOfGroup() + i] = sum;
        }
  });
  return result;
}

using Gradients = std::tuple<at::Tensor, at::Tensor, at::Tensor>;

Gradients convolutionBackward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight, at::OptionalIntArrayRef biasSizes,
                              at::IntArrayRef stride, at::IntArrayRef padding, at::IntArrayRef dilation, bool transposed,
                              at::IntArrayRef outputPadding, int64_t groups, std::array<bool, 3> mask) {
  if (!mask[1] || !isOurs(x, dy, weight, transposed, groups))
    return at::native::convolution_backward(dy, x, weight, biasSizes, stride, padding, dilation, transposed, outputPadding, groups, mask);
  const at::Tensor gradient = channelsLast(dy);
  Gradients result;
  if (mask[0])
    std::get<0>(result) = std::get<0>(at::native::convolution_backward(gradient, x, weight, biasSizes, stride, padding, dilation, transposed,
                                                                       outputPadding, groups, {true, false, false}));
  std::get<1>(result) = weightGradientOf(shapeOf(x, gradient, weight, stride, padding, dilation, groups), x, gradient, weight);
  if (mask[2]) std::get<2>(result) = gradient.sum(at::IntArrayRef{0, 2, 3});
  return result;
}

}  // namespace

TORCH_LIBRARY_IMPL(aten, CPU, library) { library.impl("convolution_backward", convolutionBackward); }

}  // namespace aaunet
