import { autocast, tidy, type Tensor } from '@aaunet/torch';
import { Conv2d, InstanceNorm2d, Module, Sequential, Sigmoid, weighPixels } from '@aaunet/torch/nn';

import { groupNorm } from './conv-norm-relu.js';
import { startOpen } from './open-gate.js';

/**
 * Space attention: a map in [0, 1] of where the skip connection matters, computed from the skip and from the decoder's
 * gate at the same resolution, scales the skip (Chang et al. 2022; after the attention gate of Oktay et al. 2018,
 * arXiv:1804.03999). skip N x C x H x W and gate N x G x H x W to N x C x H x W.
 */
export class SpaceAttention extends Module {
  readonly skip: Sequential;
  readonly gate: Sequential;
  readonly psi: Sequential;

  constructor(skipChannels: number, gateChannels: number) {
    super();
    const hidden = skipChannels / 2;
    this.skip = new Sequential(new Conv2d(skipChannels, hidden, 1, { bias: false }), groupNorm(hidden));
    this.gate = new Sequential(new Conv2d(gateChannels, hidden, 1, { bias: false }), groupNorm(hidden));
    const norm = new InstanceNorm2d(1);
    startOpen(norm.bias);
    this.psi = new Sequential(new Conv2d(hidden, 1, 1), norm, new Sigmoid());
  }

  forward(skip: Tensor, gate: Tensor): Tensor {
    return tidy(() => {
      const hidden = this.skip.forwardReLU(skip, this.gate.forward(gate));
      // The map has one channel: half precision saves nothing there, and instance normalisation needs the precision.
      const half = hidden.dtype === 'bfloat16' || hidden.dtype === 'float16';
      const map = autocast({ device: skip.device.startsWith('cuda') ? 'cuda' : 'cpu', enabled: false }, () =>
        this.psi.forward(half ? hidden.to('float32') : hidden),
      );
      return weighPixels(skip, map);
    });
  }
}
