// aten::convolution and aten::convolution_backward on the CPU: channels-last convolutions by kernels of our own where they are faster
// than oneDNN's, everything else as LibTorch does it. Where these kernels run oneDNN has none for bfloat16: such convolutions are computed
// in float32, and only what is kept of them is bfloat16. Networks and autograd see nothing of it; autocast leaves their weights alone.

#include "kernels/convolve.h"
#include "kernels/winograd.h"
#include "rows.h"

#include <ATen/autocast_mode.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/convolution.h>
#include <ATen/ops/convolution_backward_native.h>
#include <ATen/ops/convolution_native.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/sum.h>
#include <c10/util/Exception.h>
#include <torch/library.h>

#include <algorithm>
#include <memory>
#include <tuple>
#include <vector>

namespace aaunet {

namespace {

/// Whether settings are what shapes can be computed from; LibTorch says in words what is wrong with others.
bool areSound(at::IntArrayRef stride, at::IntArrayRef padding, at::IntArrayRef dilation) {
  const auto areFrom = [](int64_t least, at::IntArrayRef values) {
    return (values.size() == 1 || values.size() == 2) && std::all_of(values.begin(), values.end(), [&](int64_t value) { return value >= least; });
  };
  return areFrom(1, stride) && areFrom(0, padding) && areFrom(1, dilation);
}

/// Both values of a setting that may be given as one.
std::pair<int64_t, int64_t> pairOf(at::IntArrayRef values) { return {values[0], values[values.size() - 1]}; }

ConvolutionShape shapeOf(at::IntArrayRef x, at::IntArrayRef weight, at::IntArrayRef stride, at::IntArrayRef padding,
                         at::IntArrayRef dilation, int64_t groups) {
  const auto [strideY, strideX] = pairOf(stride);
  const auto [paddingY, paddingX] = pairOf(padding);
  const auto [dilationY, dilationX] = pairOf(dilation);
  const auto outputs = [](int64_t inputs, int64_t kernel, int64_t step, int64_t pad, int64_t spread) {
    return (inputs + 2 * pad - spread * (kernel - 1) - 1) / step + 1;
  };
  return {.images = x[0], .inHeight = x[2], .inWidth = x[3], .inChannels = x[1],
          .outHeight = outputs(x[2], weight[2], strideY, paddingY, dilationY),
          .outWidth = outputs(x[3], weight[3], strideX, paddingX, dilationX), .outChannels = weight[0],
          .kernelHeight = weight[2], .kernelWidth = weight[3], .strideY = strideY, .strideX = strideX,
          .paddingY = paddingY, .paddingX = paddingX, .dilationY = dilationY, .dilationX = dilationX, .groups = groups};
}

bool isDense(const at::Tensor& tensor) {
  return tensor.layout() == at::kStrided && tensor.device().is_cpu() && tensor.dim() == 4 && tensor.numel() > 0;
}

bool isPlain(const at::Tensor& tensor) { return tensor.scalar_type() == at::kFloat && isDense(tensor); }

/// Parameters (undefined: none) are of an input's type, or float32 beside bfloat16.
bool hasTypeFor(const at::Tensor& x, const at::Tensor& parameter) {
  return !parameter.defined() || parameter.scalar_type() == x.scalar_type() || (x.scalar_type() == at::kBFloat16 && parameter.scalar_type() == at::kFloat);
}

/// The shape of a convolution that these kernels may take; LibTorch gets the others, and says in words what is wrong with some. Tensors
/// in another layout would have to be copied first.
std::optional<ConvolutionShape> shapeOfOurs(const at::Tensor& x, const at::Tensor& weight, at::IntArrayRef stride, at::IntArrayRef padding,
                                            at::IntArrayRef dilation, bool transposed, int64_t groups) {
  const auto type = x.scalar_type();
  const bool isKnown = (type == at::kFloat || type == at::kBFloat16) && hasTypeFor(x, weight) && isDense(x) && isDense(weight);
  if (!hasConvolutionKernels() || transposed || !isKnown || !x.is_contiguous(at::MemoryFormat::ChannelsLast)) return std::nullopt;
  if (!areSound(stride, padding, dilation) || groups < 1 || x.size(1) != weight.size(1) * groups || weight.size(0) % groups != 0) return std::nullopt;
  const ConvolutionShape s = shapeOf(x.sizes(), weight.sizes(), stride, padding, dilation, groups);
  return s.outHeight < 1 || s.outWidth < 1 ? std::nullopt : std::optional(s);
}

at::Tensor widened(const at::Tensor& tensor) { return tensor.defined() ? tensor.to(at::kFloat) : tensor; }

/// Whether LibTorch is given a convolution in float32.
bool isWidened(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias = {}) {
  return hasConvolutionKernels() && x.is_cpu() && x.scalar_type() == at::kBFloat16 && hasTypeFor(x, weight) && hasTypeFor(x, bias);
}

/// Calls `body(T{})` with the kernels' type of a tensor's values.
template <typename Body>
void withValues(const at::Tensor& tensor, Body body) {
  if (tensor.scalar_type() == at::kFloat) body(float{});
  else body(Bf16{});
}

/// Whether minimal filtering serves: transforms of few tiles' weights, or of few channels, would cost more than they save.
bool isWinograd(const ConvolutionShape& s) {
  constexpr int64_t ENOUGH = 32, WIDE_ENOUGH = 10;
  return s.kernelHeight == 3 && s.kernelWidth == 3 && s.strideY == 1 && s.strideX == 1 && s.dilationY == 1 && s.dilationX == 1 &&
         s.inOfGroup() % (PANEL / 2) == 0 && s.outOfGroup() % PANEL == 0 && s.outHeight >= WINOGRAD_TILE && s.outWidth >= WINOGRAD_TILE &&
         s.images * winogradTilesY(s) * winogradTilesX(s) >= ENOUGH &&
         s.inOfGroup() * s.outOfGroup() >= WIDE_ENOUGH * (s.inOfGroup() + s.outOfGroup());
}

at::Tensor transformedWeights(const ConvolutionShape& s, const WinogradWeights& weights) {
  const int64_t panels = s.outOfGroup() / PANEL, size = winogradWeightsSize(s);
  at::Tensor transformed = at::empty({s.groups * size}, at::kFloat);
  auto* const to = transformed.mutable_data_ptr<float>();
  at::parallel_for(0, s.groups * panels, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) winogradTransformWeights(s, weights, i / panels, i % panels, to + i / panels * size);
  });
  return transformed;
}

/// What is done to the sums of a convolution: undefined tensors stand for none.
struct Ending {
  at::Tensor bias, residual;
  bool relu;
};

at::Tensor winograd(const ConvolutionShape& s, const at::Tensor& x, const at::Tensor& transformed, const Ending& ending) {
  const int64_t size = winogradWeightsSize(s);
  const auto* const factors = transformed.const_data_ptr<float>();
  at::Tensor y = at::empty({s.images, s.outChannels, s.outHeight, s.outWidth}, x.options(), at::MemoryFormat::ChannelsLast);
  const int64_t tiles = s.images * winogradTilesY(s) * winogradTilesX(s), blocks = (tiles + WINOGRAD_BLOCK - 1) / WINOGRAD_BLOCK;
  withValues(x, [&]<typename T>(T) {
    const Finish<T> finish{in<float>(ending.bias), in<T>(ending.residual), ending.relu};
    const T* const from = in<T>(x);
    T* const to = out<T>(y);
    at::parallel_for(0, s.groups * blocks, 1, [&](int64_t begin, int64_t end) {
      const std::unique_ptr<float[]> scratch(new float[static_cast<size_t>(winogradScratch(s))]);
      for (int64_t i = begin; i < end; i++) {
        const int64_t group = i / blocks, tile = i % blocks * WINOGRAD_BLOCK;
        winogradConvolve(s, from, factors + group * size, finish, group, tile, std::min(WINOGRAD_BLOCK, tiles - tile), to, scratch.get());
      }
    });
  });
  return y;
}

/// The convolution that takes the gradient of a convolution's output to that of its input: with the kernels turned, from output to
/// input channels.
ConvolutionShape turned(const ConvolutionShape& s) {
  ConvolutionShape result = s;
  std::swap(result.inChannels, result.outChannels);
  std::swap(result.inHeight, result.outHeight);
  std::swap(result.inWidth, result.outWidth);
  result.paddingY = s.kernelHeight - 1 - s.paddingY;
  result.paddingX = s.kernelWidth - 1 - s.paddingX;
  return result;
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
  const at::Tensor sums = at::empty({cuts.byRows * whole}, at::kFloat);
  auto* const partial = sums.mutable_data_ptr<float>();
  withValues(x, [&]<typename T>(T) {
    const T* const input = in<T>(x);
    const T* const gradient = in<T>(dy);
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
  });
  at::Tensor result = at::empty(weight.sizes(), weight.options().dtype(at::kFloat), at::MemoryFormat::ChannelsLast);
  auto* const out = result.mutable_data_ptr<float>();
  at::parallel_for(0, s.outChannels, 8, [&](int64_t begin, int64_t end) {
    for (int64_t channel = begin; channel < end; channel++)
      for (int64_t panel = 0; panel < panels; panel++) {
        const int64_t strip = (channel / s.outOfGroup() * panels + panel) * s.outOfGroup() + channel % s.outOfGroup();
        const int64_t channels = std::min(PANEL, s.inOfGroup() - panel * PANEL);
        for (int64_t tap = 0; tap < s.taps(); tap++) {
          float* const to = out + (channel * s.taps() + tap) * s.inOfGroup() + panel * PANEL;
          const float* const from = partial + (strip * s.taps() + tap) * PANEL;
          std::copy(from, from + channels, to);
          for (int64_t cut = 1; cut < cuts.byRows; cut++)
            for (int64_t i = 0; i < channels; i++) to[i] += from[cut * whole + i];
        }
      }
  });
  return result;
}

/// The same by minimal filtering.
at::Tensor winogradWeightGradientOf(const ConvolutionShape& s, const at::Tensor& x, const at::Tensor& dy, const at::Tensor& weight) {
  // The sums of a cut must be small beside the work on its tiles.
  constexpr int64_t PANELS = 8, TASKS = 16, TILES_OF_CUT = 256;
  const int64_t all = panelsOfGroup(s), panels = std::min(PANELS, all), ofGroup = (all + panels - 1) / panels;
  const int64_t total = s.images * winogradTilesY(s) * winogradTilesX(s);
  const int64_t cuts = std::clamp<int64_t>(TASKS / (ofGroup * s.groups), 1, std::max<int64_t>(1, total / TILES_OF_CUT));
  const int64_t tiles = (total + cuts - 1) / cuts, size = winogradSumsSize(s, panels), parts = s.groups * ofGroup;
  const auto partOf = [&](int64_t part, int64_t cut) {
    const int64_t first = part % ofGroup * panels, tile = std::min(cut * tiles, total);
    return WinogradGradientPart{part / ofGroup, first, std::min(panels, all - first), tile, std::min(tiles, total - tile)};
  };
  const at::Tensor sums = at::empty({cuts * parts * size}, at::kFloat);
  auto* const partial = sums.mutable_data_ptr<float>();
  withValues(x, [&]<typename T>(T) {
    const T* const input = in<T>(x);
    const T* const gradient = in<T>(dy);
    at::parallel_for(0, cuts * parts, 1, [&](int64_t begin, int64_t end) {
      const std::unique_ptr<float[]> scratch(new float[static_cast<size_t>(winogradGradientScratch(s, panels))]);
      for (int64_t task = begin; task < end; task++) {
        std::fill(partial + task * size, partial + (task + 1) * size, 0.0F);
        winogradWeightGradient(s, input, gradient, partOf(task % parts, task / parts), partial + task * size, scratch.get());
      }
    });
  });
  at::Tensor result = at::empty(weight.sizes(), weight.options().dtype(at::kFloat), at::MemoryFormat::ChannelsLast);
  auto* const out = result.mutable_data_ptr<float>();
  at::parallel_for(0, parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; part++) winogradTransformGradient(s, partOf(part, 0), partial + part * size, cuts, parts * size, out);
  });
  return result;
}

WinogradWeights weightsOf(const at::Tensor& weight) {
  return {weight.const_data_ptr<float>(), weight.stride(0), weight.stride(1), weight.stride(2), weight.stride(3), 0, false};
}

using Gradients = std::tuple<at::Tensor, at::Tensor, at::Tensor>;

at::Tensor convolution(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias, at::IntArrayRef stride,
                       at::IntArrayRef padding, at::IntArrayRef dilation, bool transposed, at::IntArrayRef outputPadding, int64_t groups) {
  const at::Tensor offset = bias.value_or(at::Tensor());
  const auto byLibTorch = [&] {
    if (!isWidened(x, weight, offset)) return at::native::convolution(x, weight, bias, stride, padding, dilation, transposed, outputPadding, groups);
    return at::native::convolution(widened(x), widened(weight), widened(offset), stride, padding, dilation, transposed, outputPadding, groups)
        .to(x.scalar_type());
  };
  const auto s = shapeOfOurs(x, weight, stride, padding, dilation, transposed, groups);
  const bool takesBias = !offset.defined() || (hasTypeFor(x, offset) && offset.is_contiguous() && offset.dim() == 1 && offset.numel() == weight.size(0));
  if (!s || !takesBias || !isWinograd(*s)) return byLibTorch();
  const at::Tensor wide = widened(weight);
  return winograd(*s, x, transformedWeights(*s, weightsOf(wide)), {widened(offset), at::Tensor(), false});
}

Gradients convolutionBackward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight, at::OptionalIntArrayRef biasSizes,
                              at::IntArrayRef stride, at::IntArrayRef padding, at::IntArrayRef dilation, bool transposed,
                              at::IntArrayRef outputPadding, int64_t groups, std::array<bool, 3> mask) {
  const auto byLibTorch = [&](const at::Tensor& gradient, std::array<bool, 3> wanted) {
    if (!isWidened(x, weight)) return at::native::convolution_backward(gradient, x, weight, biasSizes, stride, padding, dilation, transposed, outputPadding, groups, wanted);
    const auto as = [](const at::Tensor& like, const at::Tensor& wide) { return wide.defined() ? wide.to(like.scalar_type()) : wide; };
    // Of the input its own gradient takes the shape alone.
    const at::Tensor input = wanted[1] ? widened(x) : at::empty_like(x, at::kFloat);
    const auto [dx, dweight, dbias] = at::native::convolution_backward(widened(gradient), input, widened(weight), biasSizes, stride, padding,
                                                                       dilation, transposed, outputPadding, groups, wanted);
    return Gradients{as(x, dx), as(weight, dweight), as(weight, dbias)};
  };
  const auto ours = shapeOfOurs(x, weight, stride, padding, dilation, transposed, groups);
  if (!ours || dy.scalar_type() != x.scalar_type() || !isDense(dy) || dy.sizes() != std::vector{ours->images, ours->outChannels, ours->outHeight, ours->outWidth})
    return byLibTorch(dy, mask);
  const ConvolutionShape& s = *ours;
  const at::Tensor gradient = channelsLast(dy);
  const bool turns = mask[0] && isWinograd(s) && isWinograd(turned(s));
  // Narrow groups fill no panel.
  const bool weighs = mask[1] && s.inOfGroup() >= PANEL / 2;
  // LibTorch computes the weights' gradient along with the bias's, wanted or not.
  const bool sums = mask[2] && (weighs || !mask[1]);
  const std::array<bool, 3> others{mask[0] && !turns, mask[1] && !weighs, mask[2] && !sums};
  Gradients result;
  if (others[0] || others[1]) result = byLibTorch(gradient, others);
  if (sums) std::get<2>(result) = gradient.permute({0, 2, 3, 1}).reshape({-1, s.outChannels}).sum({0}, false, weight.scalar_type());
  if (turns) {
    const at::Tensor wide = widened(weight);
    const int64_t outStep = wide.stride(0), inStep = wide.stride(1);
    // Of a group's outputs, numbered through: they lie beside each other within the group, the groups as far apart as its inputs.
    const WinogradWeights weights{wide.const_data_ptr<float>(), inStep, outStep, wide.stride(2), wide.stride(3),
                                  s.outOfGroup() * outStep - s.inOfGroup() * inStep, true};
    const ConvolutionShape back = turned(s);
    std::get<0>(result) = winograd(back, gradient, transformedWeights(back, weights), {at::Tensor(), at::Tensor(), false});
  }
  if (weighs) {
    const at::Tensor wide = isWinograd(s) ? winogradWeightGradientOf(s, x, gradient, weight) : weightGradientOf(s, x, gradient, weight);
    std::get<1>(result) = wide.to(weight.scalar_type());
  }
  return result;
}

/// Under autocast LibTorch would round weights that are only widened again, and their gradients. Of batches alone, which is what
/// networks take.
at::Tensor conv2dUnderAutocast(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias, at::IntArrayRef stride,
                               at::IntArrayRef padding, at::IntArrayRef dilation, int64_t groups) {
  const c10::impl::ExcludeDispatchKeyGuard inside(c10::DispatchKey::AutocastCPU);
  const auto type = at::autocast::get_autocast_dtype(at::kCPU);
  const auto cast = [&](const at::Tensor& tensor) { return at::autocast::cached_cast(type, tensor, at::kCPU); };
  const at::Tensor input = cast(x);
  if (isWidened(input, weight, bias.value_or(at::Tensor())) && weight.dim() == 4 && input.dim() == 4)
    return at::convolution(input, weight, bias, stride, padding, dilation, false, {0, 0}, groups);
  return at::conv2d(input, cast(weight), bias ? std::optional(cast(*bias)) : std::nullopt, stride, padding, dilation, groups);
}

/// Takes the place of LibTorch's own, which it would warn of.
const bool isReplaced = [] {
  struct Silence : c10::WarningHandler {
    void process(const c10::Warning&) override {}
  } silence;
  const c10::WarningUtils::WarningHandlerGuard guard(&silence);
  static torch::Library library(torch::Library::IMPL, "aten", c10::DispatchKey::AutocastCPU, __FILE__, __LINE__);
  library.impl("conv2d", conv2dUnderAutocast);
  return true;
}();

/// For inference: weights transformed once, where minimal filtering serves for images of this size.
std::optional<at::Tensor> winogradWeights(const at::Tensor& weight, at::IntArrayRef inputSize, at::IntArrayRef stride, at::IntArrayRef padding,
                                          at::IntArrayRef dilation, int64_t groups) {
  TORCH_CHECK(isPlain(weight) && inputSize.size() == 4 && groups > 0 && inputSize[1] == weight.size(1) * groups && weight.size(0) % groups == 0,
              "weight: expected float32 out x in / groups x H x W for an input of ", inputSize, ", found ", weight.sizes());
  TORCH_CHECK(areSound(stride, padding, dilation), "expected stride and dilation from 1 and padding from 0 on, found ", stride, ", ", dilation,
              " and ", padding);
  const ConvolutionShape s = shapeOf(inputSize, weight.sizes(), stride, padding, dilation, groups);
  if (!hasConvolutionKernels() || !isWinograd(s)) return std::nullopt;
  return transformedWeights(s, weightsOf(weight));
}

/// relu(convolution + bias + residual) of a 3x3 convolution with stride 1 and `winograd_weights`.
at::Tensor winogradConvolution(const at::Tensor& input, const at::Tensor& weights, int64_t outChannels, at::IntArrayRef padding, int64_t groups,
                               const std::optional<at::Tensor>& bias, const std::optional<at::Tensor>& residual, bool relu) {
  TORCH_CHECK(hasConvolutionKernels() && isPlain(input), "input: expected float32 N x C x H x W on a processor with AVX2, found ", input.scalar_type(), " ", input.sizes());
  TORCH_CHECK(groups > 0 && outChannels > 0 && input.size(1) % groups == 0 && outChannels % groups == 0,
              "groups: expected a divisor of ", input.size(1), " and ", outChannels, " channels, found ", groups);
  TORCH_CHECK(areSound({1}, padding, {1}), "padding: expected numbers from 0 on, found ", padding);
  const ConvolutionShape s = shapeOf(input.sizes(), {outChannels, input.size(1) / groups, 3, 3}, {1, 1}, padding, {1, 1}, groups);
  const std::vector<int64_t> sizes{s.images, outChannels, s.outHeight, s.outWidth};
  TORCH_CHECK(s.inOfGroup() % (PANEL / 2) == 0 && s.outOfGroup() % PANEL == 0 && s.outHeight > 0 && s.outWidth > 0, "expected groups of whole vectors of channels, found ",
              s.inOfGroup(), " and ", s.outOfGroup());
  TORCH_CHECK(weights.scalar_type() == at::kFloat && weights.is_contiguous() && weights.numel() == groups * winogradWeightsSize(s),
              "weights: expected those of winograd_weights, found ", weights.sizes());
  TORCH_CHECK(!bias || (bias->scalar_type() == at::kFloat && bias->is_contiguous() && bias->numel() == outChannels), "bias: expected [", outChannels, "] of float32");
  TORCH_CHECK(!residual || (isPlain(*residual) && residual->sizes() == sizes), "residual: expected ", sizes, " of float32");
  const at::Tensor added = residual ? channelsLast(*residual) : at::Tensor();
  return winograd(s, channelsLast(input), weights, {bias.value_or(at::Tensor()), added, relu});
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(aaunet, library) {
  library.def("winograd_weights(Tensor weight, int[] input_size, int[2] stride, int[2] padding, int[2] dilation, int groups) -> Tensor?");
  library.def(
      "winograd_convolution(Tensor input, Tensor weights, int out_channels, int[2] padding, int groups, Tensor? bias, Tensor? residual, "
      "bool relu) -> Tensor");
}

TORCH_LIBRARY_IMPL(aaunet, CPU, library) {
  library.impl("winograd_weights", winogradWeights);
  library.impl("winograd_convolution", winogradConvolution);
}

TORCH_LIBRARY_IMPL(aten, CPU, library) {
  library.impl("convolution", convolution);
  library.impl("convolution_backward", convolutionBackward);
}

}  // namespace aaunet
