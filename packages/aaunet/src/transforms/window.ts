import type { HuWindow } from '@aaunet/imaging';
import { tidy, type Tensor } from '@aaunet/torch';

/** HU (any dtype and shape) to network input: (HU - low) / width clamped to 0..1, float32; as imaging's `windowToInput`. */
export function windowed(hu: Tensor, { center, width }: HuWindow): Tensor {
  return tidy(() =>
    hu
      .to('float32')
      .sub(center - width / 2)
      .mul(1 / width)
      .clamp(0, 1),
  );
}
