import type { HuWindow } from '@aaunet/imaging';
import { aten, tidy, type Tensor } from '@aaunet/torch';

/** HU (any dtype and shape) to network input: (HU - low) / width clamped to 0..1, float32; as imaging's `windowToInput`. */
export function windowed(hu: Tensor, { center, width }: HuWindow): Tensor {
  return tidy(() => {
    const scaled = hu
      .to('float32')
      .sub(center - width / 2)
      .mul_(1 / width);
    return aten.clamp_(scaled, 0, 1);
  });
}
