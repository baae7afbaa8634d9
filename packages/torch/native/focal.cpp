// aaunet::focal_loss: the class-weighted focal loss of labels that may leave open which of several classes a pixel is, in one pass over
// channels-last logits, its gradient with it. LibTorch's own operators take some twenty passes.

#include "kernels/focal.h"
#include "rows.h"

#include <ATen/ops/empty_like.h>
#include <ATen/ops/scalar_tensor.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <algorithm>
#include <atomic>
#include <vector>

namespace aaunet {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

class FocalLoss : public torch::autograd::Function<FocalLoss> {
 public:
  /// The gradient is computed with the loss, where it is wanted: most of the two is the same work.
  static Variable forward(AutogradContext* context, const Variable& logits, const Variable& target, const Variable& weights,
                          at::IntArrayRef candidates, double gamma, bool wantsGradient) {
    const at::AutoDispatchBelowADInplaceOrView below;
    const at::Tensor x = channelsLast(logits), labels = target.contiguous(), w = weights.to(coefficientType(x)).contiguous();
    const at::Tensor dx = wantsGradient ? at::empty_like(x) : at::Tensor();
    const int64_t classes = x.size(1), pixels = labels.numel(), *const label = labels.const_data_ptr<int64_t>();
    const auto count = static_cast<int64_t>(candidates.size());
    std::atomic<bool> isUnknown = false;
    double sum = 0;
    withType(x, [&]<typename T>(T) {
      using A = typename Coefficient<T>::type;
      const FocalTerms<A> terms{classes, candidates.data(), w.const_data_ptr<A>(), static_cast<A>(gamma)};
      sum = sumsBySegment(1, pixels, classes, 1, [&](int64_t row, int64_t rows, double* total) {
        const auto isKnown = [&](int64_t one) { return one >= 0 && one < count; };
        if (!std::all_of(label + row, label + row + rows, isKnown)) {
          isUnknown = true;
          return;
        }
        T* const d = wantsGradient ? out<T>(dx) + row * classes : nullptr;
        *total += focalKernels<T>().sum(in<T>(x) + row * classes, label + row, rows, terms, d, A{-1} / static_cast<A>(pixels));
      })[0];
    });
    TORCH_CHECK(!isUnknown, "target: expected labels from 0 to ", count - 1, ", found others");
    context->save_for_backward({dx});
    return at::scalar_tensor(-sum / static_cast<double>(pixels), x.options().dtype(coefficientType(x)));
  }

  static variable_list backward(AutogradContext* context, variable_list outputs) {
    refuseSecondDerivative("focal loss");
    const at::Tensor dx = context->get_saved_variables()[0];
    return {outputs[0].item<double>() == 1 ? dx : dx.mul(outputs[0]), {}, {}, {}, {}, {}};
  }
};

at::Tensor focalLoss(const at::Tensor& logits, const at::Tensor& target, const at::Tensor& weights, at::IntArrayRef candidates, double gamma) {
  checkInput(logits);
  TORCH_CHECK(logits.device().is_cpu(), "input: expected a tensor on the CPU, found ", logits.device());
  TORCH_CHECK(logits.size(1) <= MAX_CLASSES, "input: expected at most ", MAX_CLASSES, " classes, found ", logits.size(1));
  const std::vector<int64_t> sizes{logits.size(0), logits.size(2), logits.size(3)};
  TORCH_CHECK(target.layout() == at::kStrided && target.device().is_cpu() && target.scalar_type() == at::kLong && target.sizes() == sizes,
              "target: expected Long of ", at::IntArrayRef(sizes), " on the CPU, found ", target.scalar_type(), " of ", target.sizes());
  const auto labels = static_cast<int64_t>(candidates.size());
  TORCH_CHECK(weights.layout() == at::kStrided && weights.device().is_cpu() && weights.is_floating_point() && weights.numel() == labels,
              "weights: expected ", labels, " floats on the CPU, found ", weights.scalar_type(), " of ", weights.sizes());
  const int64_t all = (int64_t{1} << logits.size(1)) - 1;
  TORCH_CHECK(labels > 0 && std::all_of(candidates.begin(), candidates.end(), [&](int64_t set) { return set > 0 && set <= all; }),
              "candidates: expected sets of the ", logits.size(1), " classes, none of them empty, found ", candidates);
  TORCH_CHECK(gamma >= 0, "gamma: expected a number from 0 on, found ", gamma);
  return FocalLoss::apply(logits, target, weights, candidates, gamma, at::GradMode::is_enabled() && logits.requires_grad());
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(aaunet, library) {
  library.def("focal_loss(Tensor logits, Tensor target, Tensor weights, int[] candidates, float gamma) -> Tensor");
}

// With autograd in the kernel, and without it where nothing wants a gradient: Function::apply tells.
TORCH_LIBRARY_IMPL(aaunet, CompositeImplicitAutograd, library) { library.impl("focal_loss", focalLoss); }

}  // namespace aaunet
