// Outputs that backward computes again instead of keeping them from the forward pass on.
//
// A convolution keeps its input for backward. Where that is a normalisation's output, the normalisation's own input is kept as well,
// and one pass over it gives the output again: at a hundredth of the convolution's time, half the memory of the two. In place of such an
// output, whoever would keep it keeps the node that made it (Chen et al. 2016, arXiv:1604.06174, decided for every tensor by itself).

#pragma once

#include <ATen/core/LegacyTypeDispatch.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <typeinfo>

namespace aaunet {

/// How nodes of one type compute their output again.
struct Recomputation {
  torch::autograd::AutogradContext& (*contextOf)(torch::autograd::Node& node);
  at::Tensor (*recompute)(torch::autograd::AutogradContext* context);
};

void registerRecomputation(const std::type_info& node, Recomputation recomputation);

/// Makes known an autograd function with one output, which `Function::recompute(context)` computes again from what is saved, bit for
/// bit. It does so for the outputs of forward passes that called `allowRecomputation`.
template <typename Function>
struct Recomputable {
  Recomputable() {
    using Node = torch::autograd::CppNode<Function>;
    const auto contextOf = [](torch::autograd::Node& node) -> auto& { return static_cast<Node&>(node).ctx_; };
    registerRecomputation(typeid(Node), {contextOf, [](torch::autograd::AutogradContext* context) {
      const at::AutoDispatchBelowADInplaceOrView below;
      const c10::NoGradGuard noGrad;
      return Function::recompute(context);
    }});
  }
};

/// Called in a forward pass that saves what it takes to repeat it, and not its output: the node would keep itself.
void allowRecomputation(torch::autograd::AutogradContext* context);

}  // namespace aaunet
