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

  void copyTo(const Statistics& statistics, double eps) const {
    double *const means = statistics.mean(), *const inverses = statistics.inverse();
    each([&](const auto* average, const auto* spread) {
      for (int64_t c = 0; c < statistics.count(); c++) {
        means[c] = average[c];
        inverses[c] = 1 / std::sqrt(spread[c] + eps);
      }
    });
  }

  /// @param values of a channel
  void move(const Statistics& statistics, double values) const {
    const double *const means = statistics.mean(), *const variances = statistics.variance();
    each([&]<typename A>(A* average, A* spread) {
      for (int64_t c = 0; c < statistics.count(); c++) {
        average[c] = static_cast<A>((1 - momentum) * average[c] + momentum * means[c]);
        spread[c] = static_cast<A>((1 - momentum) * spread[c] + momentum * variances[c] * values / (values - 1));
      }
    });
  }

 private:
  template <typename Body>
  void each(Body body) const {
    if (mean.scalar_type() == at::kDouble) body(mean.mutable_data_ptr<double>(), variance.mutable_data_ptr<double>());
    else body(mean.mutable_data_ptr<float>(), variance.mutable_data_ptr<float>());
  }
};

#ifdef AAUNET_CUDA_KERNELS
cuda::Rows rowsOf(const Pass& pass) { return cuda::rowsOf(pass.x, pass.layout.segments, pass.layout.groups); }

void computeStatisticsOnDevice(const Pass& pass, const RunningStatistics& running) {
  const cuda::Rows rows = rowsOf(pass);
  double *const mean = pass.statistics.mean(), *const inverse = pass.statistics.inverse();
  const double eps = pass.settings.eps;
  const cuda::Running moved{cuda::out(running.mean), cuda::out(running.variance), running.momentum};
  const at::Tensor partial = cuda::partialOf(rows, 2, pass.x);
  cuda::on(pass.x, [&](cudaStream_t stream) {
    if (pass.settings.fixed) cuda::fixedStatistics(rows, eps, mean, inverse, moved, stream);
    else cuda::statistics(rows, cuda::in(pass.x), eps, mean, inverse, moved, cuda::out(partial), stream);
  });
}

void normalizeOnDevice(const Pass& pass, const at::Tensor& residual, const at::Tensor& y) {
  cuda::on(pass.x, [&](cudaStream_t stream) {
    cuda::normalize(rowsOf(pass), cuda::in(pass.x), cuda::in(residual), pass.statistics.mean(), pass.statistics.inverse(),
                    cuda::in(pass.weight), cuda::in(pass.bias), pass.settings.relu, cuda::out(y), stream);
  });
}

/// @param y where ReLU has cut off, undefined without one
void computeGradientsOnDevice(const Pass& pass, const at::Tensor& dy, const at::Tensor& y, const Gradients& to) {
  const cuda::Rows rows = rowsOf(pass);
  const at::Tensor partial = cuda::partialOf(rows, 2, pass.x);
  const at::Tensor sums = at::empty({2 * rows.segments * (rows.channels + rows.groups)}, pass.x.options().dtype(at::kDouble));
  auto* const first = sums.mutable_data_ptr<double>();
  const cuda::Backward backward{
      .x = cuda::in(pass.x), .dy = cuda::in(dy), .y = cuda::in(y), .weight = cuda::in(pass.weight),
      .mean = pass.statistics.mean(), .inverse = pass.statistics.inverse(), .fixed = pass.settings.fixed,
      .dx = cuda::out(to.dx), .dresidual = cuda::out(to.dresidual),
      .dweight = cuda::out(to.dweight), .dbias = cuda::out(to.dbias),
      .sums = first, .coefficients = first + 2 * rows.segments * rows.channels, .partial = cuda::out(partial)};
  cuda::on(pass.x, [&](cudaStream_t stream) { cuda::gradients(rows, backward, stream); });
}
#endif

/// Sets the statistics of a pass and the values that have made them; moves the running ones where they are not fixed.
void findStatistics(Pass& pass, const RunningStatistics& running) {
#ifdef AAUNET_CUDA_KERNELS
  if (pass.x.is_cuda()) return computeStatisticsOnDevice(pass, running);
#endif
  const auto& [eps, relu, fixed, synchronized] = pass.settings;
  if (fixed) return running.copyTo(pass.statistics, eps);
  withType(pass.x, [&, eps = eps]<typename T>(T) { computeStatistics<T>(pass.layout, pass.x, eps, pass.statistics); });
  if (synchronized) pass.values = combineOverGroup(pass.values, eps, pass.statistics);
  if (running.mean.defined()) running.move(pass.statistics, pass.values);
}

/// relu((x - mean) inverse weight + bias + residual); without ReLU not cut off, `residual` may be undefined.
at::Tensor normalized(const Pass& pass, const at::Tensor& residual) {
  const at::Tensor y = at::empty_like(pass.x);
#ifdef AAUNET_CUDA_KERNELS
  if (pass.x.is_cuda()) {
    normalizeOnDevice(pass, residual, y);
    return y;
  }
#endif
  withType(pass.x, [&]<typename T>(T) { normalize<T>(pass, residual, y); });
  return y;
}

/// What both normalisations are differentiated as.
class Normalize : public torch::autograd::Function<Normalize> {
 public:
  static Variable forward(AutogradContext* context, const Variable& input, const Variable& weight, const Variable& bias,
                          const std::optional<Variable>& residual, int64_t segments, int64_t groups, const Settings& settings,
                          const RunningStatistics& running) {
    const at::AutoDispatchBelowADInplaceOrView below;
    const at::Tensor x = channelsLast(input), added = residual ? channelsLast(*residual) : at::Tensor();
    const Layout layout = Layout::of(x, segments, groups);
    Pass pass{settings, layout, x, weight, bias, Statistics::with(x, segments, groups), layout.valuesOfGroup(), residual.has_value()};
    findStatistics(pass, running);
    const at::Tensor y = normalized(pass, added);
    if (settings.relu && residual) pass.y = y;
    save(context, pass);
    // The residual would have to be kept for it.
    if (!residual) allowRecomputation(context);
    return y;
  }

  static at::Tensor recompute(AutogradContext* context) { return normalized(saved(context), {}); }

  static variable_list backward(AutogradContext* context, variable_list outputs) {
    refuseSecondDerivative("normalisation");
    const Pass pass = saved(context);
    const at::Tensor dy = channelsLast(outputs[0].to(pass.x.scalar_type()));
    const Gradients result(pass);
#ifdef AAUNET_CUDA_KERNELS
    if (pass.x.is_cuda())
      computeGradientsOnDevice(pass, dy, pass.settings.relu && !pass.y.defined() ? normalized(pass, {}) : pass.y, result);
    else
#endif
      withType(pass.x, [&]<typename T>(T) { computeGradients<T>(pass, dy, result); });
    return {result.dx, result.dweight, result.dbias, result.dresidual, {}, {}, {}, {}};
  }

 private:
  static void save(AutogradContext* context, const Pass& pass) {
    context->save_for_backward({pass.x, pass.weight, pass.bias, pass.statistics.tensor(), pass.y});
    auto& data = context->saved_data;
    data["eps"] = pass.settings.eps;
    data["relu"] = pass.settings.relu;
    data["fixed"] = pass.settings.fixed;
    data["synchronized"] = pass.settings.synchronized;
    data["values"] = pass.values;
    data["residual"] = pass.hasResidual;
  }

  static Pass saved(AutogradContext* context) {
    const auto tensors = context->get_saved_variables();
    auto& data = context->saved_data;
    const at::Tensor &x = tensors[0], &statistics = tensors[3];
    return {.settings = {data["eps"].toDouble(), data["relu"].toBool(), data["fixed"].toBool(), data["synchronized"].toBool()},
            .layout = Layout::of(x, statistics.size(1), statistics.size(2)),
            .x = x, .weight = tensors[1], .bias = tensors[2], .statistics = Statistics(statistics),
            .values = data["values"].toDouble(), .hasResidual = data["residual"].toBool(), .y = tensors[4]};
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
  const bool combined = synchronized && training && groupSize() > 1;
  TORCH_CHECK(!training || combined || input.numel() > channels, "training needs more than one value a channel, found ", input.sizes());
  TORCH_CHECK(!combined || input.device().is_cpu(), "statistics are combined over processes on the CPU alone, found ", input.device());
  return Normalize::apply(input, weight, bias, residual, 1, channels, Settings{eps, relu, !training, combined},
                          RunningStatistics{runningMean, runningVar, momentum});
}

at::Tensor groupNorm(const at::Tensor& input, int64_t groups, const at::Tensor& weight, const at::Tensor& bias,
                     const std::optional<at::Tensor>& residual, double eps, bool relu) {
  checkInput(input);
  checkResidual(input, residual);
  checkParameter("weight", weight, input);
  checkParameter("bias", bias, input);
  TORCH_CHECK(groups > 0 && input.size(1) % groups == 0, "groups: expected a divisor of ", input.size(1), " channels, found ", groups);
  return Normalize::apply(input, weight, bias, residual, input.size(0), groups, Settings{eps, relu}, RunningStatistics{});
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
