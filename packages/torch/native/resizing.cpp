// aaunet::concatenate_resized: images brought to one resolution side by side, for channels-last tensors, in one pass. LibTorch's own
// operators write and read every enlarged image once more, and the convolution that follows keeps the result for backward.

#include "kernels/resize.h"
#include "recompute.h"
#include "rows.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/upsample_bilinear2d.h>
#include <ATen/ops/upsample_bilinear2d_backward.h>
#include <ATen/ops/upsample_nearest2d.h>
#include <ATen/ops/upsample_nearest2d_backward.h>
#include <torch/library.h>

#include <array>
#include <cmath>
#include <string>
#include <type_traits>
#include <vector>

namespace aaunet {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

const std::string NEAREST = "nearest", ALIGNED = "aligned", BILINEAR = "bilinear";

/// Height and width.
struct Size {
  int64_t height, width;

  static Size of(const at::Tensor& x) { return {x.size(2), x.size(3)}; }
  bool operator==(const Size&) const = default;
};

/// Where the rows (or columns) of an output come from, as in LibTorch's upsample_nearest2d and upsample_bilinear2d.
template <typename A>
std::vector<Tap<A>> tapsOf(int64_t inputs, int64_t outputs, const std::string& mode) {
  std::vector<Tap<A>> taps;
  taps.reserve(static_cast<size_t>(outputs));
  for (int64_t i = 0; i < outputs; i++) {
    if (inputs == outputs || mode == NEAREST) {
      // In float, as LibTorch does: where the quotient is no whole number of halves, whole numbers may lead to another pixel.
      const float scale = static_cast<float>(inputs) / static_cast<float>(outputs);
      const int64_t at = std::min(static_cast<int64_t>(std::floor(static_cast<float>(i) * scale)), inputs - 1);
      taps.push_back({at, at, 0});
      continue;
    }
    const double place = mode == BILINEAR ? std::max(0.0, (static_cast<double>(i) + 0.5) * inputs / outputs - 0.5)
                         : outputs > 1    ? static_cast<double>(i) * (inputs - 1) / (outputs - 1)
                                          : 0;
    const auto low = std::min(static_cast<int64_t>(place), inputs - 1), high = std::min(low + 1, inputs - 1);
    taps.push_back({low, high, static_cast<A>(place - static_cast<double>(low))});
  }
  return taps;
}

/// One image of a concatenation: its channels in a pixel of the output begin at `offset`.
template <typename T>
void resizeInto(const at::Tensor& y, const at::Tensor& x, int64_t offset, const std::string& mode) {
  using A = typename Coefficient<T>::type;
  const Size from = Size::of(x), to = Size::of(y);
  const int64_t channels = x.size(1), step = y.size(1);
  const auto rows = tapsOf<A>(from.height, to.height, mode), columns = tapsOf<A>(from.width, to.width, mode);
  forRows(x.size(0), to.height, to.width * channels, [&](int64_t image, int64_t first, int64_t count) {
    const int64_t values = from.width * channels;
    const T* const source = in<T>(x) + image * from.height * values;
    std::vector<A> between(static_cast<size_t>(from.height == to.height ? 0 : values));
    for (int64_t row = first; row < first + count; row++) {
      const auto& [low, high, weight] = rows[static_cast<size_t>(row - image * to.height)];
      T* const made = out<T>(y) + row * to.width * step + offset;
      if (weight == 0) {
        resizeKernels<T>().row(source + low * values, columns.data(), to.width, channels, made, step);
        continue;
      }
      resizeKernels<T>().blend(source + low * values, source + high * values, weight, values, between.data());
      resizeKernels<T>().rowBetween(between.data(), columns.data(), to.width, channels, made, step);
    }
  });
}

/// The gradient of one image of a concatenation.
template <typename T>
at::Tensor gradientOf(const at::Tensor& x, const at::Tensor& dy, int64_t offset, const std::string& mode) {
  using A = typename Coefficient<T>::type;
  const Size from = Size::of(x), to = Size::of(dy);
  const int64_t channels = x.size(1), step = dy.size(1);
  const auto rows = tapsOf<A>(from.height, to.height, mode), columns = tapsOf<A>(from.width, to.width, mode);
  // The rows of the output that a row of the input has gone into, and how much of it.
  std::vector<std::vector<std::pair<int64_t, A>>> uses(static_cast<size_t>(from.height));
  for (int64_t row = 0; row < to.height; row++) {
    const auto& [low, high, weight] = rows[static_cast<size_t>(row)];
    if (weight != 1) uses[static_cast<size_t>(low)].emplace_back(row, 1 - weight);
    if (weight != 0) uses[static_cast<size_t>(high)].emplace_back(row, weight);
  }
  const at::Tensor dx = at::empty_like(x);
  forRows(x.size(0), from.height, to.width * channels, [&](int64_t image, int64_t first, int64_t count) {
    const T* const gradient = in<T>(dy) + image * to.height * to.width * step + offset;
    const int64_t values = from.width * channels;
    std::vector<A> wide(std::is_same_v<T, A> ? 0 : static_cast<size_t>(values));
    std::vector<const T*> sources;
    std::vector<A> weights;
    for (int64_t row = first; row < first + count; row++) {
      sources.clear();
      weights.clear();
      for (const auto& [at, weight] : uses[static_cast<size_t>(row - image * from.height)]) {
        sources.push_back(gradient + at * to.width * step);
        weights.push_back(weight);
      }
      auto* const result = dx.mutable_data_ptr<typename Scalar<T>::type>() + row * values;
      A* sums = wide.data();
      if constexpr (std::is_same_v<T, A>) sums = result;
      std::fill(sums, sums + values, A{0});
      resizeKernels<T>().rowGradient(sources.data(), weights.data(), static_cast<int64_t>(sources.size()), columns.data(), to.width, channels,
                                     step, sums);
      if constexpr (!std::is_same_v<T, A>) std::copy(sums, sums + values, result);
    }
  });
  return dx;
}

/// On a CUDA device, by LibTorch's operators.
at::Tensor resizedOnDevice(const at::Tensor& x, Size size, const std::string& mode) {
  if (Size::of(x) == size) return x;
  const std::array sizes{size.height, size.width};
  return mode == NEAREST ? at::upsample_nearest2d(x, sizes) : at::upsample_bilinear2d(x, sizes, mode == ALIGNED);
}

at::Tensor gradientOnDevice(const at::Tensor& x, const at::Tensor& dy, const std::string& mode) {
  const Size size = Size::of(dy);
  if (Size::of(x) == size) return channelsLast(dy);
  const std::array sizes{size.height, size.width};
  return mode == NEAREST ? at::upsample_nearest2d_backward(dy, sizes, x.sizes())
                         : at::upsample_bilinear2d_backward(dy, sizes, x.sizes(), mode == ALIGNED);
}

class ConcatenateResized : public torch::autograd::Function<ConcatenateResized> {
 public:
  static Variable forward(AutogradContext* context, at::TensorList tensors, Size size, const std::string& mode) {
    const at::AutoDispatchBelowADInplaceOrView below;
    variable_list all;
    for (const auto& tensor : tensors) all.push_back(channelsLast(tensor));
    context->save_for_backward(all);
    context->saved_data["height"] = size.height;
    context->saved_data["width"] = size.width;
    context->saved_data["mode"] = mode;
    allowRecomputation(context);
    return concatenated(all, size, mode);
  }

  static at::Tensor recompute(AutogradContext* context) {
    const Size size{context->saved_data["height"].toInt(), context->saved_data["width"].toInt()};
    return concatenated(context->get_saved_variables(), size, context->saved_data["mode"].toStringRef());
  }

  static variable_list backward(AutogradContext* context, variable_list outputs) {
    refuseSecondDerivative("concatenation");
    const auto saved = context->get_saved_variables();
    const std::string& mode = context->saved_data["mode"].toStringRef();
    const at::Tensor dy = channelsLast(outputs[0].to(saved[0].scalar_type()));
    variable_list gradients;
    int64_t offset = 0;
    for (size_t i = 0; i < saved.size(); i++) {
      const at::Tensor& x = saved[i];
      at::Tensor dx;
      if (context->needs_input_grad(i)) {
        if (x.is_cuda()) dx = gradientOnDevice(x, dy.narrow(1, offset, x.size(1)), mode);
        else withType(x, [&]<typename T>(T) { dx = gradientOf<T>(x, dy, offset, mode); });
      }
      gradients.push_back(dx);
      offset += x.size(1);
    }
    gradients.resize(saved.size() + 2);
    return gradients;
  }

 private:
  static at::Tensor concatenated(const variable_list& tensors, Size size, const std::string& mode) {
    const at::Tensor& first = tensors[0];
    if (first.is_cuda()) {
      variable_list resized;
      for (const auto& x : tensors) resized.push_back(resizedOnDevice(x, size, mode));
      return channelsLast(at::cat(resized, 1));
    }
    int64_t channels = 0;
    for (const auto& x : tensors) channels += x.size(1);
    const at::Tensor y = at::empty({first.size(0), channels, size.height, size.width}, first.options(), at::MemoryFormat::ChannelsLast);
    int64_t offset = 0;
    for (const auto& x : tensors) {
      withType(x, [&]<typename T>(T) { resizeInto<T>(y, x, offset, mode); });
      offset += x.size(1);
    }
    return y;
  }
};

[[maybe_unused]] const Recomputable<ConcatenateResized> concatenationIsRecomputable;

at::Tensor concatenateResized(at::TensorList tensors, at::IntArrayRef size, std::string_view mode) {
  TORCH_CHECK(!tensors.empty(), "tensors: expected at least one");
  TORCH_CHECK(size.size() == 2 && size[0] > 0 && size[1] > 0, "size: expected height and width, found ", size);
  TORCH_CHECK(mode == NEAREST || mode == BILINEAR || mode == ALIGNED, "mode: expected nearest, bilinear or aligned, found ", mode);
  for (const auto& tensor : tensors) {
    checkInput(tensor);
    TORCH_CHECK(tensor.size(0) == tensors[0].size(0) && tensor.scalar_type() == tensors[0].scalar_type() && tensor.device() == tensors[0].device(),
                "tensors: expected ", tensors[0].size(0), " images of ", tensors[0].scalar_type(), " on ", tensors[0].device(), ", found ",
                tensor.sizes(), " of ", tensor.scalar_type(), " on ", tensor.device());
  }
  return ConcatenateResized::apply(tensors, Size{size[0], size[1]}, std::string(mode));
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(aaunet, library) { library.def("concatenate_resized(Tensor[] tensors, int[] size, str mode) -> Tensor"); }

// With autograd in the kernel, and without it where nothing wants a gradient: Function::apply tells.
TORCH_LIBRARY_IMPL(aaunet, CompositeImplicitAutograd, library) { library.impl("concatenate_resized", concatenateResized); }

}  // namespace aaunet
