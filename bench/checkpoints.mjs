// Loads what bench/make-checkpoints.py wrote and prints how far the encoders' features are from PyTorch's, as a part of the
// largest value of each feature.
//
//   python bench/make-checkpoints.py OUT && npm run bench:checkpoints -- OUT
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

import { loadStateFile, noGrad, tidy } from '@aaunet/torch';
import { Layer } from '@aaunet/torch/nn';
import { buildEncoder, loadWeights } from 'aaunet/libtorch';

const ALLOWED = 1e-5;
const [folder] = process.argv.slice(2);
if (!folder) {
  console.error('usage: npm run bench:checkpoints -- FOLDER   (written by bench/make-checkpoints.py)');
  process.exit(2);
}

/** An encoder as a network has it. */
class Holder extends Layer {
  constructor(encoder) {
    super();
    this.encoder = encoder;
  }
}

for (const file of readdirSync(folder).filter((name) => name.endsWith('.features.pth'))) {
  const name = file.replace('.features.pth', '');
  for (const extension of ['pth', 'safetensors'])
    tidy(() => {
      const network = new Holder(buildEncoder(name.replace(/(resnest\d+)[de]$/, '$1'))).eval();
      const report = loadWeights(network, join(folder, `${name}.${extension}`));
      const kept = loadStateFile(join(folder, file));
      const features = noGrad(() => network.encoder.forward(kept.get('image')));
      const worst = Math.max(
        ...features.map((feature, i) => {
          const expected = kept.get(`feature${i}`);
          return feature.sub(expected).abs().max().item() / expected.abs().max().item();
        }),
      );
      const complete = report.loaded === report.total && report.unexpected.length === 0;
      const passed = complete && worst <= ALLOWED;
      if (!passed) process.exitCode = 1;
      console.log(
        `${passed ? 'ok  ' : 'FAIL'} ${name}.${extension}: ${report.loaded} of ${report.total} tensors, largest difference ${worst.toExponential(1)}`,
      );
      network[Symbol.dispose]();
    });
}
