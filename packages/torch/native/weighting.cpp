// aaunet::image_mean, aaunet::weigh_splits and aaunet::weigh_pixels: what attention does to whole images, for channels-last tensors.
// LibTorch's own operators take a pass for each product and sum, and give gradients in another memory format.

#include "kernels/normalize.h"
#include "kernels/weigh.h"
#include "recompute.h"
#include "rows.h"

#ifdef AAUNET_CUDA_KERNELS
#include "cuda/tensors.h"
#include "cuda/weigh.h"
#endif

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <vector>

namespace aaunet {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

/// Weights as the kernels of `x` take them.
at::Tensor asCoefficients(const at::Tensor& weights, const at::Tensor& x) { return weights.to(coefficientType(x)).contiguous(); }

void checkWeights(const at::Tensor& weights, const at::Tensor& x) {
  TORCH_CHECK(weights.layout() == at::kStrided && weights.device() == x.device() && weights.is_floating_point(),
              "weights: expected a dense tensor of floats on ", x.device(), ", found ", weights.scalar_type(), " on ", weights.device());
}

/// The gradient of an output as the kernels of `x` take it.
at::Tensor gradientLike(const at::Tensor& dy, const at::Tensor& x) { return channelsLast(dy.to(x.scalar_type())); }

class ImageMean : public torch::autograd::Function<ImageMean> {
 public:
  static Variable forward(AutogradContext* context, const Variable& input) {
    const at::AutoDispatchBelowADInplaceOrView below;
    const at::Tensor x = channelsLast(input);
    const int64_t images = x.size(0), channels = x.size(1), pixels = x.size(2) * x.size(3);
    context->saved_data["sizes"] = x.sizes().vec();
#ifdef AAUNET_CUDA_KERNELS
    if (x.is_cuda()) {
      const cuda::Rows rows = cuda::rowsOf(x, images, channels);
      const at::Tensor average = at::empty({images, channels, 1, 1}, x.options().dtype(coefficientType(x)));
      const at::Tensor partial = cuda::partialOf(rows, 1, x);
      cuda::on(x, [&](cudaStream_t stream) { cuda::means(rows, cuda::in(x), cuda::out(average), cuda::out(partial), stream); });
      return average.to(x.scalar_type());
    }
#endif
    at::Tensor mean = at::empty({images, channels, 1, 1}, at::kDouble);
    withType(x, [&]<typename T>(T) {
      const std::vector<typename Coefficient<T>::type> zeros(static_cast<size_t>(channels));
      const auto sums = sumsBySegment(images, pixels, channels, 2 * channels, [&](int64_t row, int64_t count, double* out_) {
        normalizeKernels<T>().sums(in<T>(x) + row * channels, count, channels, zeros.data(), out_, out_ + channels);
      });
      auto* const means = mean.mutable_data_ptr<double>();
      for (int64_t n = 0; n < images; n++)
        for (int64_t c = 0; c < channels; c++)
          means[n * channels + c] = sums[static_cast<size_t>(2 * n * channels + c)] / static_cast<double>(pixels);
    });
    return mean.to(x.scalar_type());
  }

  static variable_list backward(AutogradContext* context, variable_list outputs) {
    const auto sizes = context->saved_data["sizes"].toIntVector();
    return {(outputs[0].div(static_cast<double>(sizes[2] * sizes[3]))).expand(sizes)};
  }
};

class WeighSplits : public torch::autograd::Function<WeighSplits> {
 public:
  static Variable forward(AutogradContext* context, const Variable& input, const Variable& weights, int64_t radix) {
    const at::AutoDispatchBelowADInplaceOrView below;
    const at::Tensor x = channelsLast(input), w = asCoefficients(weights, x);
    context->save_for_backward({x, w});
    context->saved_data["radix"] = radix;
    context->saved_data["sizes"] = weights.sizes().vec();
    context->saved_data["type"] = weights.scalar_type();
    allowRecomputation(context);
    return weighed(x, w, radix);
  }

  static at::Tensor recompute(AutogradContext* context) {
    const auto saved = context->get_saved_variables();
    return weighed(saved[0], saved[1], context->saved_data["radix"].toInt());
  }

  static variable_list backward(AutogradContext* context, variable_list outputs) {
    refuseSecondDerivative("attention");
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &w = saved[1];
    const at::Tensor dy = gradientLike(outputs[0], x);
    const int64_t radix = context->saved_data["radix"].toInt();
    const int64_t images = x.size(0), wide = x.size(1), channels = wide / radix, pixels = x.size(2) * x.size(3);
    at::Tensor dx = at::empty_like(x), dweights = at::empty_like(w);
#ifdef AAUNET_CUDA_KERNELS
    if (x.is_cuda()) {
      const cuda::Rows rows = cuda::rowsOf(dy, images, channels);
      const at::Tensor partial = cuda::partialOf(rows, static_cast<int>(radix), x);
      cuda::on(x, [&](cudaStream_t stream) {
        cuda::weighSplitsGradient(rows, radix, cuda::in(x), cuda::in(w), cuda::in(dy), cuda::out(dx), cuda::out(dweights),
                                  cuda::out(partial), stream);
      });
    } else
#endif
    withType(x, [&]<typename T>(T) {
      using A = typename Coefficient<T>::type;
      const A* const values = w.const_data_ptr<A>();
      const auto sums = sumsBySegment(images, pixels, wide, wide, [&](int64_t row, int64_t count, double* out_) {
        weighKernels<T>().splitsGradient(in<T>(x) + row * wide, in<T>(dy) + row * channels, out<T>(dx) + row * wide, count, channels,
                                         radix, values + row / pixels * wide, out_);
      });
      std::copy(sums.begin(), sums.end(), dweights.mutable_data_ptr<A>());
    });
    const auto sizes = context->saved_data["sizes"].toIntVector();
    return {dx, dweights.reshape(sizes).to(context->saved_data["type"].toScalarType()), {}};
  }

 private:
  static at::Tensor weighed(const at::Tensor& x, const at::Tensor& w, int64_t radix) {
    const int64_t images = x.size(0), wide = x.size(1), channels = wide / radix, pixels = x.size(2) * x.size(3);
    at::Tensor y = at::empty({images, channels, x.size(2), x.size(3)}, x.options(), at::MemoryFormat::ChannelsLast);
#ifdef AAUNET_CUDA_KERNELS
    if (x.is_cuda()) {
      cuda::on(x, [&](cudaStream_t stream) {
        cuda::weighSplits(cuda::rowsOf(y, images, channels), radix, cuda::in(x), cuda::in(w), cuda::out(y), stream);
      });
      return y;
    }
#endif
    withType(x, [&]<typename T>(T) {
      const auto* const values = w.const_data_ptr<typename Coefficient<T>::type>();
      forRows(images, pixels, wide, [&](int64_t image, int64_t row, int64_t count) {
        weighKernels<T>().splits(in<T>(x) + row * wide, out<T>(y) + row * channels, count, channels, radix, values + image * wide);
      });
    });
    return y;
  }
};

class WeighPixels : public torch::autograd::Function<WeighPixels> {
 public:
  static Variable forward(AutogradContext* context, const Variable& input, const Variable& weights) {
    const at::AutoDispatchBelowADInplaceOrView below;
    const at::Tensor x = channelsLast(input), w = asCoefficients(weights, x);
    context->save_for_backward({x, w});
    context->saved_data["type"] = weights.scalar_type();
    allowRecomputation(context);
    return weighed(x, w);
  }

  static at::Tensor recompute(AutogradContext* context) {
    const auto saved = context->get_saved_variables();
    return weighed(saved[0], saved[1]);
  }

  static variable_list backward(AutogradContext* context, variable_list outputs) {
    refuseSecondDerivative("attention");
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &w = saved[1];
    const at::Tensor dy = gradientLike(outputs[0], x);
    const int64_t channels = x.size(1);
    at::Tensor dx = at::empty_like(x), dweights = at::empty_like(w);
    withType(x, [&]<typename T>(T) {
      using A = typename Coefficient<T>::type;
      forRows(1, w.numel(), channels, [&](int64_t, int64_t row, int64_t count) {
        weighKernels<T>().rowsGradient(in<T>(x) + row * channels, in<T>(dy) + row * channels, out<T>(dx) + row * channels, count,
                                       channels, w.const_data_ptr<A>() + row, dweights.mutable_data_ptr<A>() + row);
      });
    });
    return {dx, dweights.to(context->saved_data["type"].toScalarType())};
  }

 private:
  static at::Tensor weighed(const at::Tensor& x, const at::Tensor& w) {
    const int64_t channels = x.size(1);
    at::Tensor y = at::empty_like(x);
    withType(x, [&]<typename T>(T) {
      const auto* const values = w.const_data_ptr<typename Coefficient<T>::type>();
      forRows(1, w.numel(), channels, [&](int64_t, int64_t row, int64_t count) {
        weighKernels<T>().rows(in<T>(x) + row * channels, out<T>(y) + row * channels, count, channels, values + row);
      });
    });
    return y;
  }
};

[[maybe_unused]] const Recomputable<WeighSplits> splitsAreRecomputable;
[[maybe_unused]] const Recomputable<WeighPixels> pixelsAreRecomputable;

at::Tensor imageMean(const at::Tensor& input) {
  checkInput(input);
  return ImageMean::apply(input);
}

at::Tensor weighSplits(const at::Tensor& input, const at::Tensor& weights, int64_t radix) {
  checkInput(input);
  checkWeights(weights, input);
  TORCH_CHECK(radix > 0 && input.size(1) % radix == 0, "radix: expected a divisor of ", input.size(1), " channels, found ", radix);
#ifdef AAUNET_CUDA_KERNELS
  TORCH_CHECK(!input.is_cuda() || cuda::hasSplits(radix), "radix: expected 1, 2 or 4 on a CUDA device, found ", radix);
#endif
  TORCH_CHECK(weights.numel() == input.size(0) * input.size(1), "weights: expected ", input.size(0), " x ", input.size(1),
              " values, found ", weights.sizes());
  return WeighSplits::apply(input, weights, radix);
}

at::Tensor weighPixels(const at::Tensor& input, const at::Tensor& weights) {
  checkInput(input);
  checkWeights(weights, input);
  TORCH_CHECK(input.device().is_cpu(), "input: expected a tensor on the CPU, found ", input.device());
  const std::vector<int64_t> sizes{input.size(0), 1, input.size(2), input.size(3)};
  TORCH_CHECK(weights.sizes() == sizes, "weights: expected ", at::IntArrayRef(sizes), ", found ", weights.sizes());
  return WeighPixels::apply(input, weights);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(aaunet, library) {
  library.def("image_mean(Tensor input) -> Tensor");
  library.def("weigh_splits(Tensor input, Tensor weights, int radix) -> Tensor");
  library.def("weigh_pixels(Tensor input, Tensor weights) -> Tensor");
}

// With autograd in the kernel, and without it where nothing wants a gradient: Function::apply tells.
TORCH_LIBRARY_IMPL(aaunet, CompositeImplicitAutograd, library) {
  library.impl("image_mean", imageMean);
  library.impl("weigh_splits", weighSplits);
  library.impl("weigh_pixels", weighPixels);
}

}  // namespace aaunet
