// aaunet::batch_norm and aaunet::group_norm: normalisation, sum with a residual and ReLU in one pass forward and two backward,
// for channels-last tensors. LibTorch's own operators take three and six.
//
// Both are one computation: rows of channels in segments (batch norm: one of all images; group norm: one for each image), whose
// channels share statistics in groups (batch norm: every channel by itself).

#include "normalization-passes.h"
#include "recompute.h"
#include "rows.h"

#ifdef AAUNET_CUDA_KERNELS
#include "cuda/normalize.h"
#include "cuda/tensors.h"
#endif

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <cmath>
#include <optional>
#include <vector>

namespace aaunet {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

void checkParameter(const char* name, const at::Tensor& parameter, const at::Tensor& x) {
  const auto type = coefficientType(x);
  TORCH_CHECK(parameter.dim() == 1 && parameter.numel() == x.size(1) && parameter.is_contiguous() && parameter.device() == x.device() &&
                  parameter.scalar_type() == type && parameter.layout() == at::kStrided,
              name, ": expected [", x.size(1), "] of ", type, " on ", x.device(), ", found ", parameter.sizes(), " of ",
              parameter.scalar_type(), " on ", parameter.device());
}

void checkResidual(const at::Tensor& x, const std::optional<at::Tensor>& residual) {
  if (residual)
    TORCH_CHECK(residual->sizes() == x.sizes() && residual->scalar_type() == x.scalar_type() && residual->device() == x.device() && residual->layout() == at::kStrided,
                "residual: expected ", x.sizes(), " of ", x.scalar_type(), " as the input, found ", residual->sizes(), " of ", residual->scalar_type());
}

/// Batch norm's running statistics, and how far a batch moves them; undefined for group norm.
struct RunningStatistics {
  at::Tensor mean, variance;
  double momentum = 0;
};

#ifdef AAUNET_CUDA_KERNELS
void statisticsOnDevice(const cuda::Rows& rows, const at::Tensor& x, double eps, const at::Tensor& statistics_, bool fixed,
                        const RunningStatistics& running) {
  auto* const mean = statistics_.mutable_data_ptr<double>();
  auto* const inverse = mean + rows.segments * rows.groups;
  const cuda::Running moved{cuda::out(running.mean), cuda::out(running.variance), running.momentum};
  const at::Tensor partial = cuda::partialOf(rows, 2, x);
  cuda::on(x, [&](cudaStream_t stream) {
    if (fixed) cuda::fixedStatistics(rows, eps, mean, inverse, moved, stream);
    else cuda::statistics(rows, cuda::in(x), eps, mean, inverse, moved, cuda::out(partial), stream);
  });
}

Gradients gradientsOnDevice(const cuda::Rows& rows, const at::Tensor& x, const at::Tensor& dy, const at::Tensor& y,
                            const at::Tensor& weight, const at::Tensor& statistics_, bool fixed, bool hasResidual) {
  Gradients result{at::empty_like(x), hasResidual ? at::empty_like(x) : at::Tensor(), at::empty_like(weight), at::empty_like(weight)};
  const at::Tensor partial = cuda::partialOf(rows, 2, x);
  const at::Tensor sums = at::empty({2 * rows.segments * (rows.channels + rows.groups)}, x.options().dtype(at::kDouble));
  auto* const first = sums.mutable_data_ptr<double>();
  const auto* const mean = statistics_.const_data_ptr<double>();
  const cuda::Backward pass{
      .x = cuda::in(x), .dy = cuda::in(dy), .y = cuda::in(y), .weight = cuda::in(weight),
      .mean = mean, .inverse = mean + rows.segments * rows.groups, .fixed = fixed,
      .dx = cuda::out(result.dx), .dresidual = cuda::out(result.dresidual),
      .dweight = cuda::out(result.dweight), .dbias = cuda::out(result.dbias),
      .sums = first, .coefficients = first + 2 * rows.segments * rows.channels, .partial = cuda::out(partial)};
  cuda::on(x, [&](cudaStream_t stream) { cuda::gradients(rows, pass, stream); });
  return result;
}
#endif

/// relu((x - mean) inverse weight + bias + residual); without `relu` not cut off, `residual` may be undefined.
at::Tensor normalized(const Layout& layout, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                      const at::Tensor& residual, bool relu, const at::Tensor& statistics_) {
  at::Tensor y = at::empty_like(x);
  const auto* const mean = statistics_.const_data_ptr<double>();
  const auto* const inverse = mean + layout.segments * layout.groups;
#ifdef AAUNET_CUDA_KERNELS
  if (x.is_cuda()) {
    cuda::on(x, [&](cudaStream_t stream) {
      cuda::normalize(cuda::rowsOf(x, layout.segments, layout.groups), cuda::in(x), cuda::in(residual), mean, inverse, cuda::in(weight),
                      cuda::in(bias), relu, cuda::out(y), stream);
    });
    return y;
  }
#endif
  withType(x, [&]<typename T>(T) { normalize<T>(layout, x, weight, bias, residual, relu, mean, inverse, y); });
  return y;
}

/// What both normalisations are differentiated as; `fixed` are batch norm's running statistics in inference.
class Normalize : public torch::autograd::Function<Normalize> {
 public:
  static Variable forward(AutogradContext* context, const Variable& input, const Variable& weight, const Variable& bias,
                          const std::optional<Variable>& residual, int64_t segments, int64_t groups, double eps, bool relu,
                          const at::Tensor& statistics_, bool fixed, const RunningStatistics& running = {},
                          bool synchronized = false, double* total = nullptr) {
    const at::AutoDispatchBelowADInplaceOrView below;
    const at::Tensor x = channelsLast(input);
    const at::Tensor added = residual ? channelsLast(*residual) : at::Tensor();
    const Layout layout = layoutOf(x, segments, groups);
    double values = layout.valuesOfGroup();
#ifdef AAUNET_CUDA_KERNELS
    if (x.is_cuda()) statisticsOnDevice(cuda::rowsOf(x, segments, groups), x, eps, statistics_, fixed, running);
    else
#endif
    {
      double* const mean = statistics_.mutable_data_ptr<double>();
      double* const inverse = mean + segments * groups;
      double* const variance = mean + 2 * segments * groups;
      if (!fixed) withType(x, [&]<typename T>(T) { statistics<T>(layout, x, eps, mean, inverse, variance); });
      if (synchronized)
        values = combineOverGroup(values, eps, {mean, mean + groups}, {variance, variance + groups}, mean, inverse, variance);
    }
    at::Tensor y = normalized(layout, x, weight, bias, added, relu, statistics_);
    context->save_for_backward({x, weight, bias, statistics_, relu && residual ? y : at::Tensor()});
    context->saved_data["segments"] = segments;
    context->saved_data["groups"] = groups;
    context->saved_data["relu"] = relu;
    context->saved_data["fixed"] = fixed;
    context->saved_data["residual"] = residual.has_value();
    context->saved_data["values"] = values;
    context->saved_data["synchronized"] = synchronized;
    // The residual would have to be kept for it.
    if (!residual) allowRecomputation(context);
    if (total != nullptr) *total = values;
    return y;
  }

  static at::Tensor recompute(AutogradContext* context) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &bias = saved[2], &statistics_ = saved[3];
    return normalized(layoutOf(context, x), x, weight, bias, {}, context->saved_data["relu"].toBool(), statistics_);
  }

  static variable_list backward(AutogradContext* context, variable_list outputs) {
    refuseSecondDerivative("normalisation");
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &bias = saved[2], &statistics_ = saved[3], &y = saved[4];
    const Layout layout = layoutOf(context, x);
    const bool relu = context->saved_data["relu"].toBool(), fixed = context->saved_data["fixed"].toBool();
    const bool hasResidual = context->saved_data["residual"].toBool();
    const at::Tensor dy = channelsLast(outputs[0].to(x.scalar_type()));
    Gradients result;
    const auto onProcessor = [&]<typename T>(T) {
      const double* const mean = statistics_.const_data_ptr<double>();
      result = gradients<T>(layout, x, dy, y, weight, bias, relu, mean, mean + layout.segments * layout.groups, fixed, hasResidual,
                            context->saved_data["values"].toDouble(), context->saved_data["synchronized"].toBool());
    };
#ifdef AAUNET_CUDA_KERNELS
    if (x.is_cuda()) {
      const at::Tensor cut = relu && !y.defined() ? normalized(layout, x, weight, bias, {}, relu, statistics_) : y;
      result = gradientsOnDevice(cuda::rowsOf(x, layout.segments, layout.groups), x, dy, cut, weight, statistics_, fixed, hasResidual);
    } else
#endif
      withType(x, onProcessor);
    return {result.dx, result.dweight, result.dbias, result.dresidual, {}, {}, {}, {}, {}, {}, {}, {}, {}};
  }

 private:
  static Layout layoutOf(const at::Tensor& x, int64_t segments, int64_t groups) {
    return {segments, x.numel() / x.size(1) / segments, x.size(1), groups};
  }
  static Layout layoutOf(AutogradContext* context, const at::Tensor& x) {
    return layoutOf(x, context->saved_data["segments"].toInt(), context->saved_data["groups"].toInt());
  }
};

[[maybe_unused]] const Recomputable<Normalize> normalizeIsRecomputable;

at::Tensor batchNorm(const at::Tensor& input, const at::Tensor& weight, const at::Tensor& bias, at::Tensor& runningMean,
                     at::Tensor& runningVar, const std::optional<at::Tensor>& residual, bool training, double momentum, double eps,
                     bool relu, bool synchronized) {
  checkInput(input);
  checkResidual(input, residual);
  checkParameter("weight", weight, input);
  checkParameter("bias", bias, input);
  checkParameter("running_mean", runningMean, input);
  checkParameter("running_var", runningVar, input);
  const int64_t channels = input.size(1);
  double values = static_cast<double>(input.numel() / channels);  // with `synchronized` those of all processes, once known
  const bool combined = synchronized && training && groupSize() > 1;
  TORCH_CHECK(!training || combined || values > 1, "training needs more than one value a channel, found ", input.sizes());
  TORCH_CHECK(!combined || input.device().is_cpu(), "statistics are combined over processes on the CPU alone, found ", input.device());
  const at::Tensor statistics_ = at::empty({3, 1, channels}, input.options().dtype(at::kDouble));
  if (!input.device().is_cpu())
    return Normalize::apply(input, weight, bias, residual, 1, channels, eps, relu, statistics_, !training,
                            RunningStatistics{runningMean, runningVar, momentum});
  auto* const mean = statistics_.mutable_data_ptr<double>();
  auto* const inverse = mean + channels;
  const auto eachRunning = [&](auto body) {
    if (runningMean.scalar_type() == at::kDouble) body(runningMean.mutable_data_ptr<double>(), runningVar.mutable_data_ptr<double>());
    else body(runningMean.mutable_data_ptr<float>(), runningVar.mutable_data_ptr<float>());
  };
  if (!training)
    eachRunning([&](const auto* average, const auto* variance) {
      for (int64_t c = 0; c < channels; c++) {
        mean[c] = average[c];
        inverse[c] = 1 / std::sqrt(variance[c] + eps);
      }
    });
  at::Tensor y = Normalize::apply(input, weight, bias, residual, 1, channels, eps, relu, statistics_, !training, RunningStatistics{}, combined, &values);
  if (training)
    eachRunning([&]<typename A>(A* average, A* variance) {
      const double* const found = mean + 2 * channels;
      for (int64_t c = 0; c < channels; c++) {
        average[c] = static_cast<A>((1 - momentum) * average[c] + momentum * mean[c]);
        variance[c] = static_cast<A>((1 - momentum) * variance[c] + momentum * found[c] * values / (values - 1));
      }
    });
  return y;
}

at::Tensor groupNorm(const at::Tensor& input, int64_t groups, const at::Tensor& weight, const at::Tensor& bias,
                     const std::optional<at::Tensor>& residual, double eps, bool relu) {
  checkInput(input);
  checkResidual(input, residual);
  checkParameter("weight", weight, input);
  checkParameter("bias", bias, input);
  TORCH_CHECK(groups > 0 && input.size(1) % groups == 0, "groups: expected a divisor of ", input.size(1), " channels, found ", groups);
  const at::Tensor statistics_ = at::empty({3, input.size(0), groups}, input.options().dtype(at::kDouble));
  return Normalize::apply(input, weight, bias, residual, input.size(0), groups, eps, relu, statistics_, false);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(aaunet, library) {
  library.def(
      "batch_norm(Tensor input, Tensor weight, Tensor bias, Tensor(a!) running_mean, Tensor(b!) running_var, Tensor? residual, "
      "bool training, float momentum, float eps, bool relu, bool synchronized=False) -> Tensor");
  library.def("group_norm(Tensor input, int groups, Tensor weight, Tensor bias, Tensor? residual, float eps, bool relu) -> Tensor");
}

// With autograd in the kernel, and without it where nothing wants a gradient: Function::apply tells.
TORCH_LIBRARY_IMPL(aaunet, CompositeImplicitAutograd, library) {
  library.impl("batch_norm", batchNorm);
  library.impl("group_norm", groupNorm);
}

}  // namespace aaunet
